/* The worker's side of the protocol: what it reads, says and leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "workers/common/protocol.h"

#define GOOD                                                                                       \
	"\"protocol\":1,\"job\":\"ab\",\"attempt\":3,\"name\":\"m\",\"file\":\"f\",\"quant\":"     \
	"\"Q8_0\","                                                                                \
	"\"source\":{\"dir\":\"/src\"},\"with\":{\"k\":5},\"out\":\"out\""

struct place {
	struct arena *a;
	char *dir, *job;
	struct err e;
};

static int set_up(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	char dir[] = "protocol-XXXXXX";
	struct err e = ERR_INIT;

	p->a = arena_new();
	p->dir = path_real(mkdtemp(dir), &e);
	p->job = path_join(p->dir, "job.json");
	assert_int_equal(path_mkdirs(arena_printf(p->a, "%s/out", p->dir), 0755, &e), 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	assert_int_equal(path_remove_tree(p->dir, &e), 0);
	arena_free(p->a);
	free(p->dir);
	free(p->job);
	free(p);
	return 0;
}

static int read_job(struct place *p, const char *text, struct worker_job *job)
{
	assert_int_equal(path_write(p->job, text, strlen(text), 0644, &p->e), 0);
	p->e.msg[0] = '\0';
	return worker_job_read(p->a, p->job, job, &p->e);
}

static void put_output(struct place *p, const char *name, const char *text)
{
	const char *path = arena_printf(p->a, "%s/out/%s", p->dir, name);

	assert_int_equal(path_write(path, text, strlen(text), 0644, &p->e), 0);
}

static void job_is_read(void **state)
{
	struct place *p = *state;
	struct worker_job j;

	assert_int_equal(
		read_job(p, "{" GOOD ",\"invented\":[1],\"hybrid\":0.5,\"threads\":7}", &j), 0);
	assert_string_equal(j.dir, p->dir);
	assert_string_equal(j.source, "/src");
	assert_string_equal(j.out, arena_printf(p->a, "%s/out", p->dir));
	assert_int_equal(j.attempt, 3);
	assert_int_equal(j.threads, 7);
	assert_true(j.hybrid == 0.5);
	assert_string_equal(j.platform, "");
	assert_int_equal(json_int(j.with, "k", 0), 5);
	/* By a relative path as well: the folder is absolute all the same. */
	assert_int_equal(chdir(p->dir), 0);
	assert_int_equal(worker_job_read(p->a, "job.json", &j, &p->e), 0);
	assert_string_equal(j.dir, p->dir);
	assert_int_equal(chdir(".."), 0);
}

static void bad_jobs_are_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "job.json" },
		{ "[]", "protocol" },
		{ "{\"protocol\":2}", "protocol" },
		{ "{" GOOD ",\"threads\":0}", "threads" },
		{ "{" GOOD ",\"threads\":100000}", "threads" },
		{ "{" GOOD ",\"with\":{}}", "job.json" }, /* twice the same member */
		{ "{\"protocol\":1,\"job\":\"a\",\"name\":\"m\",\"file\":\"../"
		  "f\",\"quant\":\"q\",\"source\":"
		  "{\"dir\":\"/s\"},\"with\":{},\"out\":\"out\"}",
		  "plain names" },
		{ "{\"protocol\":1,\"job\":\"a\",\"name\":\"m\",\"file\":\"f\",\"quant\":\"q\","
		  "\"source\":"
		  "{\"dir\":\"/s\"},\"with\":{},\"out\":\"/etc\"}",
		  "plain names" },
		{ "{\"protocol\":1,\"job\":\"a\",\"name\":\"m\",\"file\":\"f\",\"quant\":\"q\","
		  "\"source\":"
		  "{},\"with\":{},\"out\":\"out\"}",
		  "dir" },
		{ "{\"protocol\":1,\"job\":\"a\",\"name\":\"m\",\"file\":\"f\",\"quant\":\"q\","
		  "\"source\":"
		  "{\"dir\":\"/s\"},\"with\":[],\"out\":\"out\"}",
		  "with" },
	};
	struct place *p = *state;
	struct worker_job j;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(read_job(p, bad[i].text, &j), ERR_INVALID);
		if (!strstr(p->e.msg, bad[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, p->e.msg,
				 bad[i].says);
	}
	assert_int_equal(worker_job_read(p->a, "/nonexistent/job.json", &j, &p->e), ERR_NOTFOUND);
}

static const char *hex_of(struct arena *a, char digit)
{
	char *hex = arena_alloc(a, 65);

	memset(hex, digit, 64);
	return hex;
}

/* SHA-256 of "quern\n". */
#define QUERN_SHA "37e14a107ffd2b34ff7ecb364002a796b9cbf553cfead74bb825e326857c45f0"

static void results_are_checked(void **state)
{
	struct place *p = *state;
	struct worker_output files[] = { { "a", 6, QUERN_SHA }, { "b", 6, NULL } };
	struct worker_job j;

	assert_int_equal(read_job(p, "{" GOOD "}", &j), 0);
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_NOTFOUND);
	put_output(p, "a", "quern\n");
	put_output(p, "b", "quern\n");
	assert_int_equal(worker_result_ok(&j, files, 2, "{\"quant\":\"Q8_0\"}", &p->e), 0);
	assert_int_equal(worker_result_check(p->a, &j, &p->e), 0);

	put_output(p, "b", "quern");
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_CORRUPT);
	assert_non_null(strstr(p->e.msg, "b has 5 bytes"));
	put_output(p, "b", "QUERN\n"); /* no hash is listed: nothing to see */
	assert_int_equal(worker_result_check(p->a, &j, &p->e), 0);
	put_output(p, "a", "Quern\n");
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_CORRUPT);
	assert_non_null(strstr(p->e.msg, "SHA-256"));
	put_output(p, "a", "quern\n");
	put_output(p, "c", "");
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_CORRUPT);
	assert_int_equal(unlink(arena_printf(p->a, "%s/out/c", p->dir)), 0);
	assert_int_equal(unlink(arena_printf(p->a, "%s/out/a", p->dir)), 0);
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_CORRUPT);
	assert_non_null(strstr(p->e.msg, "not there"));
}

static void a_result_cannot_name_other_files(void **state)
{
	struct place *p = *state;
	struct worker_output escape = { "../job.json", 1, NULL }, hash = { "a", 6, NULL };
	struct worker_job j;

	assert_int_equal(read_job(p, "{" GOOD "}", &j), 0);
	assert_int_equal(worker_result_ok(&j, &escape, 1, "{}", &p->e), 0);
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_INVALID);
	put_output(p, "a", "quern\n");
	hash.sha256 = hex_of(p->a, 'z');
	assert_int_equal(worker_result_ok(&j, &hash, 1, "{}", &p->e), 0);
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_INVALID);
	hash.sha256 = hex_of(p->a, '0');
	assert_int_equal(worker_result_ok(&j, &hash, 1, "{}", &p->e), 0);
	assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_CORRUPT);
	assert_int_equal(worker_result_ok(&j, &hash, 1, "no json", &p->e), ERR_INVALID);
}

static void errors_have_their_exit_codes(void **state)
{
	static const struct {
		int code, exit;
	} table[] = { { ERR_INVALID, WORKER_REFUSED },	{ ERR_CORRUPT, WORKER_REFUSED },
		      { ERR_NOTFOUND, WORKER_REFUSED }, { ERR_ENV, WORKER_ENV },
		      { ERR_IO, WORKER_FAILED },	{ ERR_NOSPACE, WORKER_FAILED } };
	struct place *p = *state;
	struct worker_job j;

	assert_int_equal(read_job(p, "{" GOOD "}", &j), 0);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct err why = ERR_INIT;

		err_set(&why, table[i].code, "say \"why\"\n");
		assert_int_equal(worker_exit_of(&why), table[i].exit);
		assert_int_equal(worker_result_error(&j, &why), table[i].exit);
		assert_int_equal(worker_result_check(p->a, &j, &p->e), ERR_INVALID);
		assert_non_null(strstr(p->e.msg, "status"));
	}
}

static void lines_are_json_and_few(void **state)
{
	struct place *p = *state;
	const char *path = arena_printf(p->a, "%s/lines", p->dir);
	int saved = dup(STDOUT_FILENO), fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), n = 0;
	struct buf text;

	fflush(stdout);
	assert_true(dup2(fd, STDOUT_FILENO) >= 0);
	for (uint64_t i = 0; i <= 1000; i++)
		worker_progress("read \"it\"", i, 1000, "bytes");
	worker_warn("a\nb \x01 %s", "\xff");
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	close(fd);
	buf_init(&text, 1 << 20);
	assert_int_equal(path_read(path, 1 << 20, &text, &p->e), 0);
	for (char *rest = text.data, *line; (line = strsep(&rest, "\n")) != NULL && *line; n++) {
		struct json *v;

		assert_int_equal(json_parse(p->a, line, strlen(line), &v, &p->e), 0);
		if (strcmp(json_str(v, "event", ""), "warning") == 0)
			assert_string_equal(json_str(v, "text", ""), "a\nb \x01 \xef\xbf\xbd");
		else
			assert_string_equal(json_str(v, "stage", ""), "read \"it\"");
	}
	/* The first, the last, the warning; one more for each 100 ms that this took. */
	assert_in_range(n, 3, 50);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(job_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_jobs_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(results_are_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_result_cannot_name_other_files, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(errors_have_their_exit_codes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lines_are_json_and_few, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a worker says against what lies in its folder: only the truth becomes an artifact. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/run/early.h"
#include "orchestrator/run/seal.h"
#include "read_bytes.h"

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SHA "37e14a107ffd2b34ff7ecb364002a796b9cbf553cfead74bb825e326857c45f0" /* of "quern\n" */

static const struct job_spec asked = { .platform = "", .quant = "Q8_0", .hybrid = 0.5, .opt = 1 };

struct place {
	char root[64];
	char *dir, *out, *artifact;
	struct arena *a;
	struct seal_job job;
};

static void put(const char *dir, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	char *path = path_join(dir, name);

	assert_int_equal(path_write(path, text, strlen(text), 0644, &e), 0);
	free(path);
}

static int setup(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	struct err e = ERR_INIT;

	strcpy(p->root, "/tmp/quern-seal-XXXXXX");
	assert_non_null(mkdtemp(p->root));
	p->dir = path_join(p->root, "job");
	p->out = path_join(p->dir, "out");
	p->artifact = path_join(p->root, "artifact");
	assert_int_equal(path_mkdirs(p->out, 0755, &e), 0);
	p->a = arena_new();
	p->job = (struct seal_job){ .dir = p->dir,
				    .artifact = p->artifact,
				    .key_hex = KEY,
				    .canonical = "{\"engine\":\"x\"}",
				    .asked = &asked,
				    .source_facts = "{\"license\":\"mit\"}",
				    .a = p->a };
	put(p->out, "a.bin", "quern\n");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	assert_int_equal(path_remove_tree(p->root, &e), 0);
	free(p->dir);
	free(p->out);
	free(p->artifact);
	arena_free(p->a);
	free(p);
	return 0;
}

/* sha: NULL when the worker says none. */
static void result(struct place *p, const char *name, int size, const char *sha, const char *facts)
{
	char text[1024], hash[96] = "";

	if (sha)
		snprintf(hash, sizeof(hash), ",\"sha256\":\"%s\"", sha);
	snprintf(text, sizeof(text),
		 "{\"protocol\":1,\"status\":\"ok\",\"files\":[{\"path\":\"%s\",\"size\":%d%s}],"
		 "\"facts\":%s}",
		 name, size, hash, facts);
	put(p->dir, "result.json", text);
}

static int seal_one(struct place *p)
{
	struct seal_job *const jobs[] = { &p->job };

	seal(jobs, 1);
	return p->job.rc;
}

static void refused(struct place *p, const char *words)
{
	assert_int_equal(seal_one(p), ERR_INVALID);
	if (!strstr(p->job.err.msg, words))
		fail_msg("\"%s\" does not say \"%s\"", p->job.err.msg, words);
	assert_int_not_equal(access(p->artifact, F_OK), 0);
}

static void the_truth_is_sealed(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct sealed *s = &p->job.sealed, again;
	struct stat st;
	char *file = path_join(p->artifact, "a.bin");

	result(p, "a.bin", 6, SHA, "{\"quant\":\"Q8_0\",\"license\":\"forged\"}");
	assert_int_equal(seal_one(p), 0);
	assert_int_equal(s->n, 1);
	assert_string_equal(s->files[0].name, "a.bin");
	assert_string_equal(s->facts, "{\"file\":{},\"source\":{\"license\":\"mit\"},"
				      "\"worker\":{\"license\":\"forged\",\"quant\":\"Q8_0\"}}");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0444);
	assert_int_not_equal(access(p->out, F_OK), 0);
	assert_int_equal(seal_read(p->artifact, KEY, p->a, &again, &e), 1);
	assert_memory_equal(again.files[0].sha256, s->files[0].sha256, SHA256_LEN);
	assert_string_equal(again.facts, s->facts);
	free(file);
}

/* Good, bad and good again, together. */
static void each_of_a_group_by_itself(void **state)
{
	struct place *p[3];
	struct seal_job *jobs[3];
	struct err e = ERR_INIT;
	struct sealed s;

	p[0] = *state;
	assert_int_equal(setup((void **)&p[1]) + setup((void **)&p[2]), 0);
	for (int i = 0; i < 3; i++) {
		result(p[i], "a.bin", i == 1 ? 7 : 6, SHA, "{}");
		jobs[i] = &p[i]->job;
		free(p[i]->artifact);
		p[i]->artifact = mem_printf("%s/artifact-%d", p[0]->root, i);
		p[i]->job.artifact = p[i]->artifact;
	}
	seal(jobs, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(p[i]->job.rc, i == 1 ? ERR_INVALID : 0);
		assert_int_equal(seal_read(p[i]->artifact, KEY, p[i]->a, &s, &e), i != 1);
	}
	for (int i = 1; i < 3; i++)
		teardown((void **)&p[i]);
}

static void what_was_not_asked_for_is_refused(void **state)
{
	struct place *p = *state;

	result(p, "a.bin", 6, SHA, "{\"quant\":\"Q4_0\"}");
	refused(p, "asked for quant \"Q8_0\", the worker reports \"Q4_0\"");
	result(p, "a.bin", 6, SHA, "{\"hybrid\":0.25}");
	refused(p, "asked for hybrid 0.5, the worker reports 0.25");
	result(p, "a.bin", 6, SHA, "{\"opt\":true}");
	refused(p, "asked for opt 1, the worker reports true");
	result(p, "a.bin", 6, SHA, "{\"platform\":\"rk3588\"}");
	refused(p, "asked for platform \"\"");
	result(p, "a.bin", 6, SHA, "[]");
	refused(p, "\"facts\" is not an object");
}

static void a_worker_that_contradicts_its_file_is_refused(void **state)
{
	struct place *p = *state;

	p->job.file_facts = "{\"tensors\":3}";
	result(p, "a.bin", 6, SHA, "{\"tensors\":4}");
	refused(p, "tensors: the worker reports 4, its own validation reads 3");
	p->job.file_facts = "{\"quant\":\"F16\"}";
	result(p, "a.bin", 6, SHA, "{}");
	refused(p, "asked for quant \"Q8_0\", its own validation reads \"F16\"");
}

/* An artifact that an older quern sealed: its licence was among the worker's facts. */
static void a_record_of_the_first_form_is_read(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct sealed s;

	assert_int_equal(path_rename(p->out, p->artifact, &e), 0);
	put(p->artifact, SEAL_RECORD,
	    "{\"record\":1,\"key\":\"" KEY "\",\"files\":[{\"path\":\"a.bin\",\"size\":6,"
	    "\"sha256\":\"" SHA "\"}],\"facts\":{\"license\":\"mit\",\"quant\":\"Q8_0\"}}");
	assert_int_equal(seal_read(p->artifact, KEY, p->a, &s, &e), 1);
	assert_string_equal(s.facts, "{\"file\":{},\"source\":{\"license\":\"mit\"},"
				     "\"worker\":{\"quant\":\"Q8_0\"}}");
}

static void a_wrong_hash_is_refused(void **state)
{
	result(*state, "a.bin", 6, KEY, "{}");
	refused(*state, "does not have the SHA-256");
}

static void a_wrong_size_is_refused(void **state)
{
	result(*state, "a.bin", 7, SHA, "{}");
	refused(*state, "has 6 bytes, the result says 7");
}

static void an_absent_file_is_refused(void **state)
{
	struct place *p = *state;

	result(p, "b.bin", 6, SHA, "{}");
	refused(p, "is not in the result's list");
}

static void an_extra_file_is_refused(void **state)
{
	struct place *p = *state;

	put(p->out, "more", "x");
	result(p, "a.bin", 6, SHA, "{}");
	refused(p, "more is not in the result's list");
}

static void a_link_is_refused(void **state)
{
	struct place *p = *state;
	char *link = path_join(p->out, "a.bin");

	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("/etc/hostname", link), 0);
	result(p, "a.bin", 6, SHA, "{}");
	refused(p, "not a plain file");
	free(link);
}

static void a_second_name_is_refused(void **state)
{
	struct place *p = *state;
	char *file = path_join(p->out, "a.bin"), *keep = path_join(p->dir, "keep");

	assert_int_equal(link(file, keep), 0);
	result(p, "a.bin", 6, SHA, "{}");
	refused(p, "not a plain file of its own");
	free(file);
	free(keep);
}

static void a_path_that_leaves_is_refused(void **state)
{
	result(*state, "../a.bin", 6, SHA, "{}");
	refused(*state, "not a plain file name");
}

static void rubbish_is_refused(void **state)
{
	struct place *p = *state;

	put(p->dir, "result.json", "{\"protocol\":1,");
	refused(p, "result.json");
}

#define LARGE (2 << 20)

/* Seal a large file, which is hashed early: what the seal itself reads of it. changed: by somebody
 * before. */
static long long seal_hashed_early(struct place *p, int changed)
{
	char *path = path_join(p->out, "a.bin"), *text = mem_alloc(LARGE + 1);
	int running = 0, fd;
	uv_loop_t loop;
	struct early *early;
	long long before;
	uint8_t sha[SHA256_LEN];

	memset(text, 'x', LARGE);
	text[LARGE] = '\0';
	put(p->out, "a.bin", text);
	assert_int_equal(uv_loop_init(&loop), 0);
	p->job.early = early = early_start(&loop, p->out, &running);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	if (changed) {
		text[7] = 'y';
		(void)open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		early_tick(early);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		assert_int_equal(pwrite(fd, "y", 1, 7), 1);
		close(fd);
	}
	sha256_bytes(text, LARGE, sha);
	result(p, "a.bin", LARGE, NULL, "{}");
	before = read_bytes();
	assert_int_equal(seal_one(p), 0);
	before = read_bytes() - before;
	assert_memory_equal(p->job.sealed.files[0].sha256, sha, SHA256_LEN);
	early_drop(early);
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
	free(path);
	free(text);
	return before;
}

static void what_is_hashed_early_is_not_read_again(void **state)
{
	struct place *p = *state;
	char *path = path_join(p->out, "a.bin");
	int fd = open(path, O_RDONLY | O_CLOEXEC), leases = fcntl(fd, F_SETLEASE, F_RDLCK) == 0;

	close(fd);
	free(path);
	if (!leases)
		skip();
	assert_true(seal_hashed_early(p, 0) < LARGE / 4);
}

static void what_was_changed_since_is_hashed_again(void **state)
{
	assert_true(seal_hashed_early(*state, 1) >= LARGE);
}

static void a_damaged_artifact_is_seen(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;
	struct sealed s;
	char *file = path_join(p->artifact, "a.bin");

	assert_int_equal(seal_read(p->artifact, KEY, p->a, &s, &e), 0);
	result(p, "a.bin", 6, SHA, "{}");
	assert_int_equal(seal_one(p), 0);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(seal_read(p->artifact, KEY, p->a, &s, &e), ERR_CORRUPT);
	free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(the_truth_is_sealed),
		T(a_wrong_hash_is_refused),
		T(what_was_not_asked_for_is_refused),
		T(a_worker_that_contradicts_its_file_is_refused),
		T(a_record_of_the_first_form_is_read),
		T(a_wrong_size_is_refused),
		T(an_absent_file_is_refused),
		T(an_extra_file_is_refused),
		T(a_link_is_refused),
		T(a_second_name_is_refused),
		T(a_path_that_leaves_is_refused),
		T(rubbish_is_refused),
		T(what_is_hashed_early_is_not_read_again),
		T(what_was_changed_since_is_hashed_again),
		T(a_damaged_artifact_is_seen),
		T(each_of_a_group_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

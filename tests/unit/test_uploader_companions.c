/* Where configuration, tokenizer and licence stand: once in the root for the variants that have the
 * same, in a folder of the variant that has others; and nothing moves from night to night. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/companion.h"
#include "upload_test.h"

/* Weights of their own, and a configuration. */
#define JOB(name, version, weights, config)                                                        \
	{                                                                                          \
		name, version, "m-" name, { "m-" name ".rkllm", "config.json" },                   \
			{ weights, config }, NULL                                                  \
	}

static const struct fixture_job a1 = JOB("a", "1", "weights", "one");
static const struct fixture_job b1 = JOB("b", "1", "weights of b", "one");
static const struct fixture_job c2 = JOB("c", "1", "weights of c", "two");
static const struct fixture_job a2 = JOB("a", "2", "new weights", "two");
static const struct fixture_job b2 = JOB("b", "2", "new weights of b", "two");

/* The next night: another process, another run. */
static struct upload_fixture *night(void **state)
{
	struct upload_test *s = *state;

	fixture_close(&s->f);
	fixture_open(&s->f, s->work);
	return &s->f;
}

/* "config.json=one m-c/config.json=two": what stands in the repository beside the variants. */
static const char *companions(struct upload_fixture *f)
{
	const char *head, *text = "";
	struct hub_file *files;
	size_t n, len;

	assert_int_equal(f->hub->ops->list(f->hub, FIXTURE_REPO, f->a, &files, &n, &head, &f->e),
			 0);
	for (size_t i = 0; i < n; i++) {
		const char *data = NULL;

		if (!companion_path(files[i].path))
			continue;
		assert_int_equal(f->hub->ops->read(f->hub, FIXTURE_REPO, files[i].path, 1 << 10,
						   f->a, &data, &len, &f->e),
				 0);
		text = arena_printf(f->a, "%s%s%s=%s", text, *text ? " " : "", files[i].path, data);
	}
	return text;
}

/* sent: files of jobs. */
static void publish(struct upload_fixture *f, int sent, const char *there)
{
	struct uploader_result res;

	if (fixture_upload(f, &res) < 0)
		fail_msg("%s", f->e.msg);
	assert_int_equal(res.files_sent, sent);
	assert_string_equal(companions(f), there);
	/* and once more it is nothing */
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 0);
	assert_int_equal(res.files_sent, 0);
}

static void the_same_for_all_stand_once(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;

	(void)fixture_job(f, &a1);
	(void)fixture_job(f, &b1);
	publish(f, 3, "config.json=one");
}

static void a_variant_that_comes_later_moves_nothing(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;

	(void)fixture_job(f, &a1);
	publish(f, 2, "config.json=one");
	f = night(state);
	(void)fixture_job(f, &c2);
	publish(f, 2, "config.json=one m-c/config.json=two");
	f = night(state);
	(void)fixture_job(f, &b1); /* finds its own there */
	publish(f, 1, "config.json=one m-c/config.json=two");
}

/* All variants are made again from another commit: the root follows, whether they come together or
 * one by one; the last that needs the old content keeps it. */
static void the_root_follows_when_nobody_needs_it(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;

	(void)fixture_job(f, &a1);
	(void)fixture_job(f, &b1);
	publish(f, 3, "config.json=one");
	f = night(state);
	(void)fixture_job(f, &a2);
	(void)fixture_job(f, &b2);
	publish(f, 3, "config.json=two");
}

static void one_by_one_nothing_is_lost(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;

	(void)fixture_job(f, &a1);
	(void)fixture_job(f, &b1);
	publish(f, 3, "config.json=one");
	f = night(state);
	(void)fixture_job(f, &a2); /* b still has the old one */
	publish(f, 2, "config.json=one m-a/config.json=two");
	f = night(state);
	(void)fixture_job(f, &b2);
	publish(f, 2, "config.json=two m-a/config.json=two");
}

/* What another put into the root is neither used up nor replaced. */
static void a_strangers_file_stays(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct hub_file theirs = { .path = "config.json", .data = "theirs", .size_bytes = 6 };
	struct hub_commit c = { .message = "x", .files = &theirs, .n = 1, .parent = "" };
	const char *id;

	sha256_bytes("theirs", 6, theirs.sha256);
	assert_int_equal(f->hub->ops->create(f->hub, FIXTURE_REPO, 0, &f->e), 0);
	assert_int_equal(f->hub->ops->commit(f->hub, FIXTURE_REPO, &c, f->a, &id, &f->e), 0);
	(void)fixture_job(f, &a1);
	publish(f, 2, "config.json=theirs m-a/config.json=one");
	f = night(state);
	(void)fixture_job(f, &a2);
	publish(f, 2, "config.json=theirs m-a/config.json=two");
}

/* A variant's companions stay together; a folder of files is none. */
static void together_or_not_at_all(void **state)
{
	static const struct fixture_job more = { "d",
						 "1",
						 "m-d",
						 { "LICENSE", "config.json", "m-d.rkllm" },
						 { "free", "two", "weights of d" },
						 NULL };
	static const struct fixture_job folder = {
		"e", "1", "m-e", { "config.json", "model.safetensors" }, { "one", "weights of e" },
		NULL
	};
	struct upload_fixture *f = &((struct upload_test *)*state)->f;

	(void)fixture_job(f, &a1);
	(void)fixture_job(f, &more);
	(void)fixture_job(f, &folder);
	publish(f, 7, "config.json=one m-d/LICENSE=free m-d/config.json=two m-e/config.json=one");
}

/* What earlier versions put into folders stays there. */
static void what_is_in_a_folder_stays(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct hub_file old[] = { { .path = "m-a.rkllm", .data = "weights", .size_bytes = 7 },
				  { .path = "m-a/config.json", .data = "one", .size_bytes = 3 } };
	struct hub_commit c = { .message = "x", .files = old, .n = 2, .parent = "" };
	const char *id;

	for (int i = 0; i < 2; i++)
		sha256_bytes(old[i].data, old[i].size_bytes, old[i].sha256);
	assert_int_equal(f->hub->ops->create(f->hub, FIXTURE_REPO, 0, &f->e), 0);
	assert_int_equal(f->hub->ops->commit(f->hub, FIXTURE_REPO, &c, f->a, &id, &f->e), 0);
	(void)fixture_job(f, &a1);
	(void)fixture_job(f, &b1);
	publish(f, 2, "config.json=one m-a/config.json=one");
}

static void names(void **state)
{
	static const char *const yes[] = { "config.json", "LICENSE",	"LICENSE.txt",
					   "NOTICE-2.0",  "x.tiktoken", "chat_template.jinja" };
	static const char *const no[] = { "LICENSED",	     "model.safetensors",
					  "config.json.bak", ".tiktoken",
					  "README.md",	     "quern.json",
					  "m.rkllm",	     "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(companion_name(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(companion_name(no[i]));
	assert_true(companion_path("a/b/config.json") && companion_path("config.json"));
	assert_false(companion_path("config.json/b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		UPLOAD_TEST(the_same_for_all_stand_once),
		UPLOAD_TEST(a_variant_that_comes_later_moves_nothing),
		UPLOAD_TEST(the_root_follows_when_nobody_needs_it),
		UPLOAD_TEST(one_by_one_nothing_is_lost),
		UPLOAD_TEST(a_strangers_file_stays),
		UPLOAD_TEST(together_or_not_at_all),
		UPLOAD_TEST(what_is_in_a_folder_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

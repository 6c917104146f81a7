/* The uploader over hubs that limit, decide, refuse and lose. */
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
#include "upload_test.h"

/* The local hub with limits: what commits must look like where the hub has some. */
struct limited {
	struct hub_ops ops;
	const struct hub_ops *real;
	size_t refuse_above; /* files in a commit */
	size_t sizes[16];    /* of the commits, as they came */
	int n;
	char first[16][64], last[16][64], subject[16][64];
};
static struct limited limited;

static int limited_commit(struct hub *h, const char *repo, const struct hub_commit *c,
			  struct arena *a, const char **id, struct err *e)
{
	size_t line = strcspn(c->message, "\n");

	if (limited.refuse_above && c->n > limited.refuse_above)
		return err_set(e, ERR_NOSPACE, "too large");
	assert_true(limited.n < 16);
	limited.sizes[limited.n] = c->n;
	snprintf(limited.first[limited.n], 64, "%s", c->files[0].path);
	snprintf(limited.last[limited.n], 64, "%s", c->files[c->n - 1].path);
	snprintf(limited.subject[limited.n++], 64, "%.*s", (int)line, c->message);
	return limited.real->commit(h, repo, c, a, id, e);
}

static void limit_hub(struct upload_fixture *f, size_t files, uint64_t inline_bytes)
{
	memset(&limited, 0, sizeof(limited));
	limited.real = f->hub->ops;
	limited.ops = *f->hub->ops;
	limited.ops.commit = limited_commit;
	limited.ops.commit_files = files;
	limited.ops.commit_inline_bytes = inline_bytes;
	f->hub->ops = &limited.ops;
}

static void a_change_is_split_by_the_limits_of_the_hub(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct uploader_result res;

	limit_hub(f, 2, 0);
	fixture_job(f, &fixture_q8);
	fixture_job(f, &fixture_q4);
	fixture_job(f, &fixture_folder);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(limited.n, 4); /* 4 files, .gitattributes, quern.json, README.md */
	assert_int_equal(res.commits, 4);
	assert_string_equal(limited.first[0], ".gitattributes");
	assert_string_equal(limited.subject[0], "Publish 4 files (part 1)");
	assert_string_equal(limited.subject[3], "Publish 4 files (part 4)");
	assert_string_equal(limited.last[3], "quern.json");
	fixture_published(f, "kjv-w8a8/config.json", "{}");
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 0);
}

static void content_in_a_commit_is_bounded(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct fixture_job job = {
		"w8a8", "1", "v", { "a.txt", "b.txt", "c.txt" }, { "123456", "123456", "123456" },
		NULL
	};
	struct uploader_result res;

	fixture_job(f, &job);
	limit_hub(f, 0, 12);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(limited.sizes[0], 1); /* larger than the limit by itself */
	assert_int_equal(limited.sizes[1], 2);
	fixture_published(f, "v/c.txt", "123456");
}

static void a_commit_that_is_too_large_is_halved(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	struct uploader_result res;

	fixture_job(f, &fixture_q8);
	fixture_job(f, &fixture_folder);
	limit_hub(f, 0, 0);
	limited.refuse_above = 3;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(limited.n, 2);
	assert_int_equal(limited.sizes[0], 3);
	assert_int_equal(limited.sizes[1], 3);
	fixture_published(f, "kjv-Q8_0.gguf", "eight");
}

/* A hub whose listing names plain files by git's ids only, as the Hub's tree does. */
static int list_blobs(struct hub *h, const char *repo, struct arena *a, struct hub_file **files,
		      size_t *n, const char **head, struct err *e)
{
	int rc = limited.real->list(h, repo, a, files, n, head, e);

	for (size_t i = 0; rc >= 0 && i < *n; i++) {
		struct hub_file *f = &(*files)[i];
		char *blob = arena_alloc(a, HUB_BLOB_ID);
		const char *data;
		size_t len;

		if (f->lfs)
			continue;
		rc = limited.real->read(h, repo, f->path, 1 << 20, a, &data, &len, e);
		if (rc >= 0)
			hub_blob_id(data, len, blob);
		f->blob = blob;
		memset(f->sha256, 0, SHA256_LEN);
	}
	return rc;
}

static void plain_files_are_known_by_their_blob_when_they_are_gone_here(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t id = fixture_job(f, &fixture_folder);
	struct uploader_result res;

	limit_hub(f, 0, 0);
	limited.ops.list = list_blobs;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_int_equal(unlink(fixture_artifact(f, id, "config.json")), 0);
	assert_int_equal(unlink(fixture_artifact(f, id, "model.safetensors")), 0);
	fixture_job(f, &fixture_q4);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_int_equal(res.files_sent, 1);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 0);
}

/* What the hub answers when asked how it wants the files. */
static int prepare_some(struct hub *h, const char *repo, struct hub_file *files, size_t n,
			struct arena *a, const char **refused, struct err *e)
{
	(void)h;
	(void)repo;
	(void)a;
	(void)e;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(files[i].path, "kjv-w8a8/config.json") == 0)
			files[i].lfs = 1;
		if (strcmp(files[i].path, "kjv-Q4_0.gguf") == 0)
			refused[i] = "its .gitignore excludes kjv-Q4_0.gguf";
	}
	return 0;
}

static void the_hub_decides_what_is_lfs_and_what_is_refused(void **state)
{
	struct upload_fixture *f = &((struct upload_test *)*state)->f;
	int64_t refused = fixture_job(f, &fixture_q4), good = fixture_job(f, &fixture_folder);
	struct uploader_result res;
	struct job_row row;

	limit_hub(f, 0, 0);
	limited.ops.prepare = prepare_some;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 1);
	assert_int_equal(fixture_state(f, good), JOB_DONE);
	assert_int_equal(fixture_find(f, "kjv-w8a8/config.json")->lfs, 1);
	assert_non_null(strstr(fixture_text(f, ".gitattributes"), "kjv-w8a8/config.json"));
	assert_null(fixture_find(f, "kjv-Q4_0.gguf"));
	assert_null(strstr(fixture_text(f, "README.md"), "Q4_0"));
	assert_int_equal(store_job_get(f->store, refused, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_READY);
	assert_non_null(strstr(row.message, ".gitignore"));
}

static int refuse_card(struct hub *h, const char *text, size_t len, struct err *e)
{
	(void)h;
	assert_int_equal(strlen(text), len);
	return err_set(e, ERR_INVALID, "README.md: no licence");
}

static void a_refused_card_stops_before_anything_is_sent(void **state)
{
	struct upload_test *s = *state;
	struct upload_fixture *f = &s->f;
	int64_t id = fixture_job(f, &fixture_q8);
	struct uploader_result res;
	char path[128];

	limit_hub(f, 0, 0);
	limited.ops.check_card = refuse_card;
	assert_int_equal(fixture_upload(f, &res), ERR_INVALID);
	assert_int_equal(fixture_state(f, id), JOB_READY);
	snprintf(path, sizeof(path), "%s/hub", s->work);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_hub_that_refuses_leaves_jobs_ready(void **state)
{
	struct upload_test *s = *state;
	struct upload_fixture *f = &s->f;
	int64_t id = fixture_job(f, &fixture_q8);
	struct uploader_result res;
	struct job_row row;
	char path[160];

	snprintf(path, sizeof(path), "%s/hub/my-org", s->work);
	assert_int_equal(path_mkdirs(path, 0755, &f->e), 0);
	snprintf(path, sizeof(path), "%s/hub/" FIXTURE_REPO ".git", s->work);
	assert_int_equal(path_write(path, "no folder", 9, 0644, &f->e), 0);
	assert_true(fixture_upload(f, &res) < 0);
	assert_int_equal(store_job_get(f->store, id, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_READY);
	assert_string_not_equal(row.cause, "");
	assert_string_not_equal(row.message, "");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
}

/* In the listing nothing tells a lost object from a missing file: it is put again, without a
 * commit. */
static void a_lost_object_is_sent_again(void **state)
{
	struct upload_test *s = *state;
	struct upload_fixture *f = &s->f;
	struct uploader_result res;
	char command[256];

	fixture_job(f, &fixture_q8);
	assert_int_equal(fixture_upload(f, &res), 0);
	snprintf(command, sizeof(command), "rm -rf %s/hub/" FIXTURE_REPO ".git/lfs/objects",
		 s->work);
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.files_sent, 1);
	assert_int_equal(res.commits, 0);
	fixture_published(f, "kjv-Q8_0.gguf", "eight");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UPLOAD_TEST(a_change_is_split_by_the_limits_of_the_hub),
		UPLOAD_TEST(content_in_a_commit_is_bounded),
		UPLOAD_TEST(a_commit_that_is_too_large_is_halved),
		UPLOAD_TEST(plain_files_are_known_by_their_blob_when_they_are_gone_here),
		UPLOAD_TEST(the_hub_decides_what_is_lfs_and_what_is_refused),
		UPLOAD_TEST(a_refused_card_stops_before_anything_is_sent),
		UPLOAD_TEST(a_hub_that_refuses_leaves_jobs_ready),
		UPLOAD_TEST(a_lost_object_is_sent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

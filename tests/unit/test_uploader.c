/* The uploader over the local hub: what is published, when it is not, and that a crash at any of
 * its points changes nothing of the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload_fixture.h"

static const struct fixture_job q8 = { "Q8_0",	    "1", "kjv-Q8_0", { "kjv-Q8_0.gguf" },
				       { "eight" }, NULL };
static const struct fixture_job q4 = { "Q4_0",	    "1", "kjv-Q4_0", { "kjv-Q4_0.gguf" },
				       { "four!" }, NULL };
static const struct fixture_job folder = {
	"w8a8", "1", "kjv-w8a8", { "config.json", "model.safetensors" }, { "{}", "tensors" }, NULL
};

struct state {
	char work[64];
	struct upload_fixture f;
};

static int setup(void **state)
{
	struct state *s = mem_zalloc(sizeof(*s));

	strcpy(s->work, "/tmp/quern-uploader-XXXXXX");
	assert_non_null(mkdtemp(s->work));
	fixture_open(&s->f, s->work);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;
	struct err e = ERR_INIT;

	fixture_close(&s->f);
	assert_int_equal(path_remove_tree(s->work, &e), 0);
	free(s);
	return 0;
}

static size_t list(struct upload_fixture *f, struct hub_file **files)
{
	const char *head;
	size_t n = 0;

	assert_int_equal(f->hub->ops->list(f->hub, FIXTURE_REPO, f->a, files, &n, &head, &f->e), 0);
	return n;
}

static const struct hub_file *find(struct upload_fixture *f, const char *path)
{
	struct hub_file *files;
	size_t n = list(f, &files);

	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

static void assert_published(struct upload_fixture *f, const char *path, const char *content)
{
	const struct hub_file *file = find(f, path);
	uint8_t sha256[SHA256_LEN];

	sha256_bytes(content, strlen(content), sha256);
	assert_non_null(file);
	assert_memory_equal(file->sha256, sha256, SHA256_LEN);
}

static const char *read_text(struct upload_fixture *f, const char *path)
{
	const char *data = NULL;
	size_t len;

	assert_int_equal(
		f->hub->ops->read(f->hub, FIXTURE_REPO, path, 1 << 20, f->a, &data, &len, &f->e),
		0);
	return data;
}

static void ready_jobs_are_published_in_one_commit(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t a = fixture_job(f, &q8), b = fixture_job(f, &q4), c = fixture_job(f, &folder);
	struct uploader_result res;
	struct upload_row *rows;
	size_t n;

	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 1);
	assert_int_equal(res.files_sent, 4);
	assert_int_equal(res.bytes_sent, 5 + 5 + 2 + 7);
	assert_int_equal(strlen(res.commit), 40);
	assert_int_equal(fixture_state(f, a), JOB_DONE);
	assert_int_equal(fixture_state(f, b), JOB_DONE);
	assert_int_equal(fixture_state(f, c), JOB_DONE);
	assert_published(f, "kjv-Q8_0.gguf", "eight");
	assert_published(f, "kjv-w8a8/config.json", "{}");
	assert_published(f, "kjv-w8a8/model.safetensors", "tensors");
	assert_int_equal(find(f, "kjv-w8a8/config.json")->lfs, 0);
	assert_int_equal(find(f, "kjv-w8a8/model.safetensors")->lfs, 1);
	assert_non_null(strstr(read_text(f, "README.md"), "`kjv-Q4_0.gguf`"));
	assert_non_null(strstr(read_text(f, "quern.json"), "\"kjv-w8a8/config.json\""));
	assert_non_null(strstr(read_text(f, ".gitattributes"), "*.gguf filter=lfs"));
	assert_int_equal(store_uploads(f->store, "local", FIXTURE_REPO, f->a, &rows, &n, &f->e), 0);
	assert_int_equal(n, 7);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(rows[i].state, "done");
		assert_string_equal(rows[i].commit, res.commit);
	}
}

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
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct uploader_result res;

	limit_hub(f, 2, 0);
	fixture_job(f, &q8);
	fixture_job(f, &q4);
	fixture_job(f, &folder);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(limited.n, 4); /* 4 files, .gitattributes, quern.json, README.md */
	assert_int_equal(res.commits, 4);
	assert_string_equal(limited.first[0], ".gitattributes");
	assert_string_equal(limited.subject[0], "Publish 4 files (part 1)");
	assert_string_equal(limited.subject[3], "Publish 4 files (part 4)");
	assert_string_equal(limited.last[3], "quern.json");
	assert_published(f, "kjv-w8a8/config.json", "{}");
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 0);
}

static void content_in_a_commit_is_bounded(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
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
	assert_published(f, "v/c.txt", "123456");
}

static void a_commit_that_is_too_large_is_halved(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct uploader_result res;

	fixture_job(f, &q8);
	fixture_job(f, &folder);
	limit_hub(f, 0, 0);
	limited.refuse_above = 3;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(limited.n, 2);
	assert_int_equal(limited.sizes[0], 3);
	assert_int_equal(limited.sizes[1], 3);
	assert_published(f, "kjv-Q8_0.gguf", "eight");
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
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t id = fixture_job(f, &folder);
	struct uploader_result res;

	limit_hub(f, 0, 0);
	limited.ops.list = list_blobs;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_int_equal(unlink(fixture_artifact(f, id, "config.json")), 0);
	assert_int_equal(unlink(fixture_artifact(f, id, "model.safetensors")), 0);
	fixture_job(f, &q4);
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
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t refused = fixture_job(f, &q4), good = fixture_job(f, &folder);
	struct uploader_result res;
	struct job_row row;

	limit_hub(f, 0, 0);
	limited.ops.prepare = prepare_some;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 1);
	assert_int_equal(fixture_state(f, good), JOB_DONE);
	assert_int_equal(find(f, "kjv-w8a8/config.json")->lfs, 1);
	assert_non_null(strstr(read_text(f, ".gitattributes"), "kjv-w8a8/config.json"));
	assert_null(find(f, "kjv-Q4_0.gguf"));
	assert_null(strstr(read_text(f, "README.md"), "Q4_0"));
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
	struct state *s = *state;
	struct upload_fixture *f = &s->f;
	int64_t id = fixture_job(f, &q8);
	struct uploader_result res;
	char path[128];

	limit_hub(f, 0, 0);
	limited.ops.check_card = refuse_card;
	assert_int_equal(fixture_upload(f, &res), ERR_INVALID);
	assert_int_equal(fixture_state(f, id), JOB_READY);
	snprintf(path, sizeof(path), "%s/hub", s->work);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_second_upload_does_nothing(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct uploader_result one, two;

	fixture_job(f, &q8);
	assert_int_equal(fixture_upload(f, &one), 0);
	assert_int_equal(fixture_upload(f, &two), 0);
	assert_int_equal(two.commits, 0);
	assert_int_equal(two.files_sent, 0);
	assert_int_equal(two.files_kept, 1);
	assert_string_equal(one.commit, two.commit);
}

static void nothing_ready_makes_no_repository(void **state)
{
	struct state *s = *state;
	struct uploader_result res;
	char path[128];

	assert_int_equal(fixture_upload(&s->f, &res), 0);
	assert_int_equal(res.commits, 0);
	assert_string_equal(res.commit, "");
	snprintf(path, sizeof(path), "%s/hub", s->work);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_variant_joins_those_that_are_there(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct uploader_result res;

	fixture_job(f, &q8);
	assert_int_equal(fixture_upload(f, &res), 0);
	fixture_job(f, &q4);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.files_sent, 1);
	assert_int_equal(res.files_kept, 1);
	assert_published(f, "kjv-Q8_0.gguf", "eight");
	assert_published(f, "kjv-Q4_0.gguf", "four!");
	assert_non_null(strstr(read_text(f, "README.md"), "kjv-Q8_0.gguf"));
}

static void a_newer_variant_replaces_an_older_one(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct fixture_job one = q8, two = q8;
	struct uploader_result res;
	struct job_row row;
	int64_t old_id, new_id;

	one.names[1] = "kjv-Q8_0-part2.gguf";
	one.contents[1] = "rest";
	old_id = fixture_job(f, &one);
	assert_int_equal(fixture_upload(f, &res), 0);
	two.version = "2";
	two.contents[0] = "better";
	assert_int_equal(store_run_begin(f->store, "next", "jobs.yaml", 5000, &f->run_id, &f->e),
			 0);
	new_id = fixture_job(f, &two);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(store_job_get(f->store, old_id, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_DONE);
	assert_string_equal(row.cause, JOB_CAUSE_REPLACED);
	assert_int_equal(fixture_state(f, new_id), JOB_DONE);
	assert_published(f, "kjv-Q8_0.gguf", "better");
	assert_null(find(f, "kjv-Q8_0-part2.gguf"));
	assert_non_null(strstr(read_text(f, "quern.json"), "\"replaces\": [\n"));
}

static void two_of_one_matrix_with_one_name_are_told_apart(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct fixture_job other = q4;
	struct uploader_result res;
	struct event_row events[32];
	struct job_row row;
	int64_t loser, winner;
	char expected[32];
	int n;

	loser = fixture_job(f, &q8);
	other.file = q8.file;
	other.names[0] = q8.names[0];
	winner = fixture_job(f, &other);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, winner), JOB_DONE);
	(void)snprintf(expected, sizeof(expected), "job %lld ", (long long)winner);
	assert_int_equal(store_job_get(f->store, loser, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_DONE);
	assert_string_equal(row.cause, JOB_CAUSE_REPLACED);
	assert_non_null(strstr(row.message, expected));
	n = store_events(f->store, loser, f->a, events, 32, &f->e);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(store_events(f->store, loser, f->a, events, 32, &f->e), n);
	assert_published(f, "kjv-Q8_0.gguf", "four!");
}

static void a_missing_artifact_is_made_again_and_others_go_on(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t gone = fixture_job(f, &q8), good = fixture_job(f, &q4);
	struct uploader_result res;

	assert_int_equal(unlink(fixture_artifact(f, gone, "kjv-Q8_0.gguf")), 0);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, gone), JOB_PENDING);
	assert_int_equal(fixture_state(f, good), JOB_DONE);
	assert_null(find(f, "kjv-Q8_0.gguf"));
	assert_null(strstr(read_text(f, "README.md"), "kjv-Q8_0"));
}

static void a_changed_artifact_is_not_published(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t id = fixture_job(f, &q8);
	struct uploader_result res;

	assert_int_equal(
		path_write(fixture_artifact(f, id, "kjv-Q8_0.gguf"), "EIGHT", 5, 0444, &f->e), 0);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_PENDING);
	assert_int_equal(list(f, &(struct hub_file *){ NULL }), 0);
}

static void a_done_artifact_may_go(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t id = fixture_job(f, &q8);
	struct uploader_result res;

	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(unlink(fixture_artifact(f, id, "kjv-Q8_0.gguf")), 0);
	fixture_job(f, &q4);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_published(f, "kjv-Q8_0.gguf", "eight");
}

static void excluded_files_stay_here(void **state)
{
	static const char *const exclude[] = { "*.safetensors" };
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct uploader_result res;
	int64_t id = fixture_job(f, &folder);

	f->opt.exclude = exclude;
	f->opt.n_exclude = 1;
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_null(find(f, "kjv-w8a8/model.safetensors"));
	assert_null(strstr(read_text(f, "quern.json"), "safetensors"));
}

/* Caches and calibration data belong to the artifact and to nobody's repository. */
static void what_is_for_the_next_conversion_stays_here(void **state)
{
	static const struct fixture_job caches[] = {
		{ "w4a16",
		  "1",
		  "kjv-w4a16",
		  { "kjv-w4a16.rkllm", "kjv-w4a16.qparams" },
		  { "model", "cache" },
		  NULL },
		{ "w8a8",
		  "1",
		  "kjv-w8a8",
		  { "kjv-w8a8.rkllm", "data_quant.json" },
		  { "model", "[]" },
		  NULL },
	};
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct uploader_result res;

	fixture_job(f, &caches[0]);
	fixture_job(f, &caches[1]);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_published(f, "kjv-w4a16.rkllm", "model");
	assert_null(find(f, "kjv-w4a16.qparams"));
	assert_null(find(f, "kjv-w8a8/data_quant.json"));
	assert_null(strstr(read_text(f, "quern.json"), "qparams"));
}

static void a_job_may_not_write_the_card(void **state)
{
	static const struct fixture_job bad = {
		"F16", "1", "README", { "README.md" }, { "x" }, NULL
	};
	struct upload_fixture *f = &((struct state *)*state)->f;
	struct uploader_result res;
	struct job_row row;
	int64_t id = fixture_job(f, &bad);

	fixture_job(f, &q8);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(store_job_get(f->store, id, f->a, &row, &f->e), 0);
	assert_int_equal(row.state, JOB_READY);
	assert_string_equal(row.cause, "name");
	assert_non_null(strstr(read_text(f, "README.md"), "kjv-Q8_0"));
}

static void a_hub_that_refuses_leaves_jobs_ready(void **state)
{
	struct state *s = *state;
	struct upload_fixture *f = &s->f;
	int64_t id = fixture_job(f, &q8);
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
	struct state *s = *state;
	struct upload_fixture *f = &s->f;
	struct uploader_result res;
	char command[256];

	fixture_job(f, &q8);
	assert_int_equal(fixture_upload(f, &res), 0);
	snprintf(command, sizeof(command), "rm -rf %s/hub/" FIXTURE_REPO ".git/lfs/objects",
		 s->work);
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.files_sent, 1);
	assert_int_equal(res.commits, 0);
	assert_published(f, "kjv-Q8_0.gguf", "eight");
}

static const struct fixture_job unsure = { "Q8_0",
					   "1",
					   "kjv-Q8_0",
					   { "kjv-Q8_0.gguf", "config.json" },
					   { "eight", "{}" },
					   "{\"worker\":{\"opt\":0}}" };

static void what_is_not_confirmed_is_not_in_a_name(void **state)
{
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t id = fixture_job(f, &unsure);
	struct uploader_result res;
	struct job_row row;
	char hex[SHA256_HEX];

	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(fixture_state(f, id), JOB_DONE);
	assert_int_equal(store_job_get(f->store, id, f->a, &row, &f->e), 0);
	hex_encode(row.key, SHA256_LEN, hex);
	assert_published(f, arena_printf(f->a, "kjv-%.8s.gguf", hex), "eight");
	assert_published(f, "config.json", "{}");
	assert_null(strstr(read_text(f, "README.md"), "Q8_0"));
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(res.commits, 0);
}

static void a_preview_changes_nothing(void **state)
{
	static const struct fixture_job odd = {
		"F16", "1", "README", { "README.md" }, { "x" }, NULL
	};
	struct upload_fixture *f = &((struct state *)*state)->f;
	int64_t good = fixture_job(f, &q8), bad = fixture_job(f, &odd);
	struct uploader_own own;
	struct uploader_result res;
	struct job_row row;
	struct store *reader;

	assert_int_equal(store_open(arena_printf(f->a, "%s/state.db", f->work), 1, &reader, &f->e),
			 0);
	assert_int_equal(
		uploader_preview(reader, f->hub, FIXTURE_REPO, &f->opt, 0, f->a, &own, &f->e), 0);
	assert_non_null(strstr(own.readme, "kjv-Q8_0.gguf"));
	assert_null(strstr(own.readme, "F16"));
	assert_int_equal(fixture_state(f, good), JOB_READY);
	assert_int_equal(store_job_get(f->store, bad, f->a, &row, &f->e), 0);
	assert_string_equal(row.message, "");
	assert_int_equal(
		uploader_preview(reader, f->hub, FIXTURE_REPO, &f->opt, 1, f->a, &own, &f->e), 0);
	assert_null(own.readme);
	store_close(reader);
	assert_int_equal(fixture_upload(f, &res), 0);
	assert_int_equal(
		uploader_preview(f->store, f->hub, FIXTURE_REPO, &f->opt, 1, f->a, &own, &f->e), 0);
	assert_string_equal(own.readme, read_text(f, "README.md"));
	assert_string_equal(own.manifest, read_text(f, "quern.json"));
}

#ifdef QUERN_CRASH_TESTS

/* What a crash is tried on: this program with the argument WORK. */
static int upload_only(const char *work)
{
	struct uploader_result res;
	struct upload_fixture f;
	int rc;

	fixture_open(&f, work);
	f.opt.run_id = 1;
	rc = fixture_upload(&f, &res);
	if (rc < 0)
		(void)fprintf(stderr, "%s\n", f.e.msg);
	fixture_close(&f);
	return rc < 0 ? 1 : 0;
}

/* Upload in a new process, so that points are counted from its start, that dies at its nth point.
 * Returns its exit status. */
static int upload_and_crash(const char *work, int nth)
{
	pid_t pid = fork();
	char at[16];
	int status;

	if (pid == 0) {
		(void)snprintf(at, sizeof(at), "%d", nth);
		setenv("QUERN_CRASH_AT", at, 1);
		execl("/proc/self/exe", "test_uploader", work, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int count_commits(const char *work)
{
	char command[256], text[32] = "";
	FILE *p;

	snprintf(command, sizeof(command),
		 "git -C %s/hub/" FIXTURE_REPO ".git rev-list --count main", work);
	p = popen(command, "r"); // NOLINT(cert-env33-c)
	assert_non_null(p);
	assert_non_null(fgets(text, sizeof(text), p));
	assert_int_equal(pclose(p), 0);
	return atoi(text);
}

/* A repository that is there, even after a crash, is one that git can clone. */
static void assert_clonable(const char *work)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "cd %s && { ! test -e hub/" FIXTURE_REPO ".git ||"
		 " GIT_LFS_SKIP_SMUDGE=1 git clone -q hub/" FIXTURE_REPO ".git clone 2>/dev/null; }"
		 " && rm -rf clone",
		 work);
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
}

/* The end is the same whatever the point of the crash: all done, one commit, all bytes there. */
static void a_crash_at_any_point_changes_nothing(void **state)
{
	int n, code = 99;

	(void)state;
	for (n = 1; code != 0; n++) {
		struct uploader_result res;
		struct upload_fixture f;
		char work[64] = "/tmp/quern-crash-XXXXXX";
		int64_t ids[3];

		assert_non_null(mkdtemp(work));
		fixture_open(&f, work);
		ids[0] = fixture_job(&f, &q8);
		ids[1] = fixture_job(&f, &q4);
		ids[2] = fixture_job(&f, &folder);
		fixture_close(&f);

		code = upload_and_crash(work, n);
		assert_true(code == 99 || code == 0);
		assert_clonable(work);
		fixture_open(&f, work);
		f.opt.run_id = 1;
		assert_int_equal(fixture_upload(&f, &res), 0);
		for (int i = 0; i < 3; i++)
			assert_int_equal(fixture_state(&f, ids[i]), JOB_DONE);
		assert_int_equal(count_commits(work), 1);
		assert_published(&f, "kjv-Q8_0.gguf", "eight");
		assert_published(&f, "kjv-Q4_0.gguf", "four!");
		assert_published(&f, "kjv-w8a8/model.safetensors", "tensors");
		fixture_close(&f);
		assert_int_equal(path_remove_tree(work, &(struct err)ERR_INIT), 0);
	}
	assert_true(n > 20); /* the points of this module alone are more */
}

#endif

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(ready_jobs_are_published_in_one_commit),
		TEST(a_change_is_split_by_the_limits_of_the_hub),
		TEST(content_in_a_commit_is_bounded),
		TEST(a_commit_that_is_too_large_is_halved),
		TEST(plain_files_are_known_by_their_blob_when_they_are_gone_here),
		TEST(the_hub_decides_what_is_lfs_and_what_is_refused),
		TEST(a_refused_card_stops_before_anything_is_sent),
		TEST(a_second_upload_does_nothing),
		TEST(nothing_ready_makes_no_repository),
		TEST(a_variant_joins_those_that_are_there),
		TEST(a_newer_variant_replaces_an_older_one),
		TEST(two_of_one_matrix_with_one_name_are_told_apart),
		TEST(a_missing_artifact_is_made_again_and_others_go_on),
		TEST(a_changed_artifact_is_not_published),
		TEST(a_done_artifact_may_go),
		TEST(excluded_files_stay_here),
		TEST(what_is_for_the_next_conversion_stays_here),
		TEST(a_job_may_not_write_the_card),
		TEST(a_hub_that_refuses_leaves_jobs_ready),
		TEST(a_lost_object_is_sent_again),
		TEST(what_is_not_confirmed_is_not_in_a_name),
		TEST(a_preview_changes_nothing),
#ifdef QUERN_CRASH_TESTS
		cmocka_unit_test(a_crash_at_any_point_changes_nothing),
#endif
	};

#ifdef QUERN_CRASH_TESTS
	if (argc == 2)
		return upload_only(argv[1]);
#endif
	(void)argv;
	return argc == 1 ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}

#include "upload_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/path.h"

/* A fixture that cannot be built is a failed test, whoever uses it. */
static void must(int rc, const struct err *e)
{
	if (rc >= 0)
		return;
	(void)fprintf(stderr, "fixture: %s\n", e->msg);
	abort();
}

void fixture_open(struct upload_fixture *f, const char *work)
{
	*f = (struct upload_fixture){ .work = work, .a = arena_new() };
	must(path_mkdirs(work, 0755, &f->e), &f->e);
	must(store_open(arena_printf(f->a, "%s/state.db", work), 0, &f->store, &f->e), &f->e);
	must(hub_open("local", &(struct hub_options){ .work = work }, &f->hub, &f->e), &f->e);
	must(store_run_begin(f->store, "test", "jobs.yaml", 1000, &f->run_id, &f->e), &f->e);
	f->opt =
		(struct uploader_options){ .work = work, .hub_name = "local", .run_id = f->run_id };
}

void fixture_close(struct upload_fixture *f)
{
	hub_close(f->hub);
	store_close(f->store);
	arena_free(f->a);
}

static struct job_spec make_spec(const struct fixture_job *j)
{
	return (struct job_spec){ .model = "kjv",
				  .engine = "gguf",
				  .engine_version = j->version,
				  .source_kind = "hub",
				  .source = "org/kjv",
				  .source_version = "0123456789abcdef0123456789abcdef01234567",
				  .platform = "",
				  .quant = j->quant,
				  .with = "{}" };
}

/* A worker that confirms what it was asked for. */
static const char *facts_of(struct upload_fixture *f, const struct fixture_job *j)
{
	return j->facts ? j->facts
			: arena_printf(f->a,
				       "{\"worker\":{\"hybrid\":0,\"opt\":0,\"quant\":\"%s\"}}",
				       j->quant);
}

static void write_artifact(struct upload_fixture *f, const struct fixture_job *j, int64_t id, int i)
{
	struct artifact_row row = { .job_id = id,
				    .name = j->names[i],
				    .size_bytes = (int64_t)strlen(j->contents[i]),
				    .facts = facts_of(f, j) };
	const char *path = fixture_artifact(f, id, j->names[i]);
	char *dir = path_dirname(path);

	must(path_mkdirs(dir, 0755, &f->e), &f->e);
	free(dir);
	must(path_write(path, j->contents[i], strlen(j->contents[i]), 0444, &f->e), &f->e);
	sha256_bytes(j->contents[i], strlen(j->contents[i]), row.sha256);
	must(store_artifact_put(f->store, &row, &f->e), &f->e);
}

int64_t fixture_job(struct upload_fixture *f, const struct fixture_job *j)
{
	uint8_t key[SHA256_LEN];
	char label[128];
	struct job_new new_job = { .spec = make_spec(j),
				   .key = key,
				   .label = label,
				   .repo = FIXTURE_REPO,
				   .file = j->file,
				   .file_params = JOB_PARAM_QUANT };
	struct job_move found = { .from = JOB_PENDING, .ev = EV_FOUND, .now_ms = 2000 };
	enum job_state state;
	enum job_added how;
	struct buf scratch;

	buf_init(&scratch, 65536);
	job_key(&new_job.spec, &scratch, key);
	buf_release(&scratch);
	job_label(&new_job.spec, label, sizeof(label));
	must(store_job_add(f->store, &new_job, f->run_id, 1000, &how, &found.id, &state, &f->e),
	     &f->e);
	if (state != JOB_PENDING)
		return found.id;
	for (int i = 0; i < 3 && j->names[i]; i++)
		write_artifact(f, j, found.id, i);
	found.run_id = f->run_id;
	must(store_job_move(f->store, &found, &state, &f->e), &f->e);
	return found.id;
}

static void get_job(struct upload_fixture *f, int64_t id, struct job_row *row)
{
	must(store_job_get(f->store, id, f->a, row, &f->e), &f->e);
}

const char *fixture_artifact(struct upload_fixture *f, int64_t job_id, const char *name)
{
	char hex[SHA256_HEX];
	struct job_row row;

	get_job(f, job_id, &row);
	hex_encode(row.key, SHA256_LEN, hex);
	return arena_printf(f->a, "%s/artifacts/%s/%s", f->work, hex, name);
}

enum job_state fixture_state(struct upload_fixture *f, int64_t job_id)
{
	struct job_row row;

	get_job(f, job_id, &row);
	return row.state;
}

int fixture_upload(struct upload_fixture *f, struct uploader_result *res)
{
	*res = (struct uploader_result){ 0 };
	return uploader_run(f->store, f->hub, FIXTURE_REPO, &f->opt, res, &f->e);
}

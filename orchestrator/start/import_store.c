/* orchestrator/start/import_store.c -- an imported file through the same seal as a worker's output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/cli.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/plan/filekind.h"
#include "orchestrator/run/seal.h"
#include "orchestrator/start/import_private.h"

#define TEXT_MAX (1u << 20)
#define FACTS_MAX (16u << 20) /* as large as a result may be: orchestrator/run/jobdir.c */

/* ---- what is known of it */

/* Let the engine check the whole file, and take what it reads in it; *out is NULL when it cannot
 * look into files of its kind. */
static int file_facts(struct importer *x, const struct import_file *f, const char **out,
		      struct err *e)
{
	const struct engine *en = f->point->plan.engine;
	const struct json *facts;
	struct json *answer;
	struct filekind k;
	struct buf b;
	int rc;

	*out = NULL;
	if (!engine_has_verb(en, "inspect"))
		return 0;
	rc = filekind_find(x->a, &x->s->engines, f->path, &k, e);
	if (rc >= 0 && (k.kind != FILE_OF_ENGINE || strcmp(k.engine->output, en->output) != 0))
		rc = err_set(e, ERR_INVALID, "it is no %s file by its content", en->output);
	if (rc >= 0 && engine_has_verb(en, "verify"))
		rc = filekind_ask(x->a, &k, "verify", &answer, e);
	if (rc >= 0)
		rc = filekind_ask(x->a, &k, "inspect", &answer, e);
	if (rc < 0)
		return rc;
	facts = json_get(answer, "facts");
	if (!facts || facts->type != JSON_OBJECT)
		return 0;
	buf_init(&b, FACTS_MAX);
	json_write_canonical(&b, facts);
	*out = arena_strdup(x->a, buf_str(&b));
	buf_release(&b);
	return 0;
}

static const char *name_facts(struct importer *x, const struct import_file *f)
{
	struct json_out w;
	const char *text;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "imported_from", f->name);
	if (f->has_claims)
		file_name_json(&w, &f->claims);
	jw_end_object(&w);
	text = arena_strdup(x->a, buf_str(&b));
	buf_release(&b);
	return text;
}

/* ---- from a file to a sealed artifact */

static const char *canonical_text(struct importer *x, const struct plan_point *p)
{
	const char *text;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	(void)job_canonical(&p->spec, &b);
	text = arena_strdup(x->a, buf_str(&b));
	buf_release(&b);
	return text;
}

/* The folder that a worker would have left: out/FILE and result.json. */
static int lay_out(struct importer *x, const struct import_file *f, const char *dir, struct err *e)
{
	const struct plan_point *p = &f->point->plan;
	const char *name = arena_printf(x->a, "%s%s", p->file, p->engine->extension);
	const char *copy = arena_printf(x->a, "%s/out/%s", dir, name);
	struct json_out w;
	struct stat st;
	struct buf b;
	int rc = path_remove_tree(dir, e);

	if (rc >= 0)
		rc = path_mkdirs(arena_printf(x->a, "%s/out", dir), 0755, e);
	if (rc >= 0)
		rc = path_copy(f->path, copy, 0644, e);
	if (rc >= 0 && stat(copy, &st) != 0)
		rc = err_errno(e, "%s", copy);
	if (rc < 0)
		return rc;
	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_karray(&w, "files");
	jw_object(&w);
	jw_kstr(&w, "path", name);
	jw_kint(&w, "size", (int64_t)st.st_size);
	jw_end_object(&w);
	jw_end_array(&w);
	jw_end_object(&w);
	rc = path_write(arena_printf(x->a, "%s/result.json", dir), buf_str(&b), b.len, 0644, e);
	buf_release(&b);
	return rc;
}

static int seal_one(struct importer *x, const struct import_file *f, const char *dir,
		    struct sealed *out, struct err *e)
{
	const struct plan_point *p = &f->point->plan;
	const struct resolved *r = p->source;
	char hex[SHA256_HEX];
	struct seal_job j = { .dir = dir,
			      .artifact = workdir_artifact(x->a, x->s->cfg->work, p->key),
			      .key_hex = hex,
			      .canonical = canonical_text(x, p),
			      .asked = &p->spec,
			      .name_facts = name_facts(x, f),
			      .a = x->a };
	struct seal_job *all[] = { &j };
	int rc;

	hex_encode(p->key, SHA256_LEN, hex);
	rc = seal_read(j.artifact, hex, x->a, out, e);
	if (rc != 0) /* there already: sealed by one who was killed before he could record it */
		return rc < 0 ? rc : 0;
	rc = file_facts(x, f, &j.file_facts, e);
	if (rc >= 0 && source_is_ready(r))
		j.source_facts = sources_card(r, x->a);
	if (rc >= 0)
		rc = lay_out(x, f, dir, e);
	if (rc < 0)
		return rc;
	seal(all, 1);
	if (j.rc < 0)
		return err_set(e, j.rc, "%s", j.err.msg);
	*out = j.sealed;
	return 0;
}

/* ---- the store */

static int begin_run(struct importer *x, struct err *e)
{
	if (x->run_id)
		return 0;
	return store_run_begin(x->s->store, x->s->cfg->name, x->s->cfg->file, clock_wall_ms(),
			       &x->run_id, e);
}

static int put_files(struct importer *x, int64_t id, const struct sealed *sealed, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < sealed->n; i++) {
		struct artifact_row row = { .job_id = id,
					    .name = sealed->files[i].name,
					    .size_bytes = (int64_t)sealed->files[i].size_bytes,
					    .mtime_ns = sealed->files[i].mtime_ns,
					    .facts = sealed->facts,
					    .created_ms = clock_wall_ms() };

		memcpy(row.sha256, sealed->files[i].sha256, SHA256_LEN);
		rc = store_artifact_put(x->s->store, &row, e);
	}
	return rc;
}

static int record(struct importer *x, const struct import_file *f, const struct sealed *sealed,
		  struct err *e)
{
	const struct plan_point *p = &f->point->plan;
	const struct job_new j = plan_job(p);
	struct job_move m = { .from = JOB_PENDING, .ev = EV_FOUND, .now_ms = clock_wall_ms() };
	enum job_added how;
	int rc = begin_run(x, e);

	m.cause = "imported";
	m.message = arena_printf(x->a, "imported from %s", f->name);
	m.run_id = x->run_id;
	if (rc >= 0)
		rc = store_job_add(x->s->store, &j, x->run_id, m.now_ms, &how, &m.id, &m.from, e);
	if (rc >= 0)
		rc = put_files(x, m.id, sealed, e);
	return rc < 0 ? rc : store_job_move(x->s->store, &m, NULL, e);
}

int import_store(struct importer *x, const struct import_file *f, struct err *e)
{
	/* A name that quern gc takes for left behind. */
	const char *dir =
		arena_printf(x->a, "%s/artifacts/.tmp-import-%d", x->s->cfg->work, (int)getpid());
	struct err ignored = ERR_INIT;
	struct sealed sealed = { .n = 0 };
	int rc = seal_one(x, f, dir, &sealed, e);

	(void)path_remove_tree(dir, &ignored);
	if (rc >= 0)
		rc = store_begin(x->s->store, e);
	if (rc < 0)
		return rc;
	rc = record(x, f, &sealed, e);
	if (rc < 0) {
		store_rollback(x->s->store);
		return rc;
	}
	rc = store_commit(x->s->store, e);
	if (rc >= 0 && x->move && unlink(f->path) != 0)
		rc = err_errno(e, "%s", f->path);
	return rc;
}

void import_end(struct importer *x, int64_t imported, bool failed)
{
	struct err ignored = ERR_INIT;

	if (!x->run_id)
		return;
	(void)store_run_totals(x->s->store, x->run_id, imported, imported, 0, 0, 0, &ignored);
	(void)store_run_end(x->s->store, x->run_id, failed ? EXIT_ENVIRONMENT : EXIT_GOOD,
			    clock_wall_ms(), &ignored);
}

#include "orchestrator/plan/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/source_card.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/plan/folder_hash.h"
#include "upload/fetch.h"

#define DESCRIBE_MAX (1u << 20)

struct sources {
	struct arena *a;
	const struct config *cfg;
	struct store *store;
	enum folder_hash how;
	struct resolved *v; /* one a model */
};

struct sources *sources_new(const struct config *cfg, struct store *store)
{
	struct sources *s = mem_zalloc(sizeof(*s));

	s->a = arena_new();
	s->cfg = cfg;
	s->store = store;
	s->v = arena_array(s->a, cfg->n_models ? cfg->n_models : 1, sizeof(*s->v));
	return s;
}

void sources_free(struct sources *s)
{
	if (!s)
		return;
	arena_free(s->a);
	free(s);
}

void sources_by_look(struct sources *s)
{
	s->how = FOLDER_BY_LOOK;
}

static const char *card_json(struct arena *a, const struct resolved *r,
			     const struct source_card *card)
{
	const char *text;
	struct buf b;

	buf_init(&b, DESCRIBE_MAX);
	source_card_json(card, r->facts.architecture, &b);
	text = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return text;
}

const char *sources_card(const struct resolved *r, struct arena *a)
{
	struct source_card card = { .license = r->facts.license };
	struct err ignored = ERR_INIT; /* a card that says less is no reason to fail a job */

	if (r->card_facts)
		return r->card_facts;
	(void)source_read_card(a, r->dir, &card, &ignored);
	return card_json(a, r, &card);
}

/* `path` may be a GGUF file itself, or a finished one. */
static int split_path(struct sources *s, struct resolved *r, const char **file, struct err *e)
{
	struct stat st;
	char *dir;

	r->dir = r->model->path;
	*file = r->model->file;
	if (stat(r->model->path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	if (*file)
		return err_set(e, ERR_INVALID,
			       "%s is a file; remove `file`, or let `path` be its "
			       "folder",
			       r->model->path);
	*file = path_basename(r->model->path);
	if (!source_is_finished(*file) &&
	    (strlen(*file) <= 5 || strcmp(*file + strlen(*file) - 5, ".gguf") != 0))
		return err_set(e, ERR_INVALID,
			       "%s is neither a folder nor a GGUF or .rkllm file; correct `path`",
			       r->model->path);
	dir = path_dirname(r->model->path);
	r->dir = arena_strdup(s->a, dir);
	free(dir);
	return 0;
}

static int resolve_path(struct sources *s, struct resolved *r, bool need_version, struct err *e)
{
	struct source_files files;
	struct source_card card;
	const char *file;
	int rc;

	r->kind = "path";
	r->origin = r->model->path;
	r->version = "";
	if (split_path(s, r, &file, e) < 0)
		return e->code;
	if (access(r->dir, R_OK | X_OK) != 0)
		return err_set(e, ERR_NOTFOUND,
			       "%s: there is no such folder, or it may not be read; correct `path`",
			       r->dir);
	rc = r->model->trust_remote_code ? source_list_code(s->a, r->dir, &files, e)
					 : source_list(s->a, r->dir, &files, e);
	if (rc == 0)
		rc = source_read_file_facts(s->a, r->dir, file, &r->facts, e);
	if (rc == 0)
		rc = source_read_card(s->a, r->dir, &card, e);
	if (rc == 0)
		r->card_facts = card_json(s->a, r, &card);
	if (rc == 0 && need_version)
		rc = folder_hash(s->a, s->how, s->store, &files, r->facts.file, &r->version, e);
	return rc;
}

/* A fake model is a pure function of its spec and the generator's version: nothing needs to exist
 * yet. */
static int resolve_fake(struct sources *s, struct resolved *r, struct err *e)
{
	const char *args[] = { "describe", r->model->fake }, *program;
	struct json *v = NULL;
	struct buf b;
	int rc;

	program = launch_program(s->a, "quern-fake");
	if (!program)
		return err_set(e, ERR_ENV, "quern-fake is missing; install quern completely");
	buf_init(&b, DESCRIBE_MAX);
	rc = launch_capture(program, args, 2, NULL, &b, e);
	if (rc > 0)
		rc = err_set(e, ERR_INVALID, "%s",
			     e->msg[0] ? e->msg : "quern-fake refuses this spec");
	if (rc == 0)
		rc = json_parse(s->a, b.data, b.len, &v, e);
	if (rc == 0) {
		fetch_read_facts(s->a, v, &r->facts);
		r->facts.format = "safetensors";
		r->card_facts =
			card_json(s->a, r, &(struct source_card){ .license = r->facts.license });
		r->kind = "fake";
		r->origin = arena_strdup(s->a, json_str(v, "spec", r->model->fake));
		r->version = arena_printf(s->a, "fake-%lld",
					  (long long)json_int(v, "format_version", 0));
		r->dir = workdir_source(s->a, s->cfg->work, r->version, r->origin);
		r->fake = r->origin;
	}
	buf_release(&b);
	return rc;
}

/* ---- of hubs */

static struct hub_question question_of(const struct model *m, bool adapter)
{
	return (struct hub_question){ .repo = adapter ? m->lora : m->id,
				      .revision = adapter ? m->lora_revision : m->revision,
				      .file = adapter ? NULL : m->file,
				      .adapter = adapter,
				      .code = !adapter && m->trust_remote_code };
}

/* Of what is on this machine: damaged, or not what it should be. */
static const char *cause_of_code(int code)
{
	return code == ERR_INVALID || code == ERR_CORRUPT ? "bad source"
	       : code == ERR_ENV			  ? "environment"
							  : "source";
}

static const char *cause_of_answer(struct sources *s, const struct hub_question *q)
{
	if (q->cause[0])
		return arena_strdup(s->a, q->cause); /* the question ends before the answer */
	return cause_of_code(q->rc);
}

static void take_model(struct sources *s, struct resolved *r, const struct hub_question *q)
{
	r->tried = true;
	r->kind = "hub";
	r->origin = r->model->id;
	r->version = "";
	if (q->rc < 0) {
		r->fault = arena_strdup(s->a, q->err.msg);
		r->fault_code = q->rc;
		r->fault_cause = cause_of_answer(s, q);
		return;
	}
	r->hub = q->answer;
	r->version = r->hub->commit;
	r->dir = r->hub->dir;
	r->facts = r->hub->facts;
}

static void take_adapter(struct sources *s, struct resolved *r, const struct hub_question *q)
{
	r->lora_tried = true;
	if (q->rc < 0) {
		r->lora_fault = arena_printf(s->a, "lora: %s", q->err.msg);
		r->lora_cause = cause_of_answer(s, q);
	}
	r->lora = q->answer;
	if (r->lora) {
		r->lora_dir = r->lora->dir;
		r->lora_version = r->lora->commit;
	}
}

/* ---- local adapters */

static int stat_file(struct sources *s, const char *dir, const char *name, struct source_file *f,
		     struct err *e)
{
	struct stat st;

	f->name = name;
	f->path = arena_printf(s->a, "%s/%s", dir, name);
	if (lstat(f->path, &st) != 0)
		return err_errno(e, "%s", f->path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "%s: not a regular file; copy it there", f->path);
	f->size_bytes = (uint64_t)st.st_size;
	f->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	f->ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
	f->inode = st.st_ino;
	f->device = st.st_dev;
	return 0;
}

/* What PEFT writes; the hash is over both, as of a model's folder. */
static void resolve_adapter(struct sources *s, struct resolved *r, bool need_version)
{
	static const char *const names[] = { "adapter_config.json", "adapter_model.safetensors" };
	struct source_file v[ARRAY_LEN(names)] = { { 0 } };
	const struct source_files files = { v, ARRAY_LEN(names) };
	struct err e = ERR_INIT;
	int rc = 0;

	r->lora_tried = true;
	r->lora_dir = r->model->lora_path;
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(names); i++)
		rc = stat_file(s, r->lora_dir, names[i], &v[i], &e);
	if (rc == 0 && need_version)
		rc = folder_hash(s->a, s->how, s->store, &files, NULL, &r->lora_version, &e);
	if (rc < 0)
		r->lora_fault = arena_printf(s->a, "lora_path: %s", e.msg);
	r->lora_cause = rc < 0 ? cause_of_code(rc) : NULL;
}

static void ask_one(struct sources *s, struct resolved *r, bool adapter)
{
	struct hub_question q = question_of(r->model, adapter);

	hub_source_look(s->a, s->cfg->work, &q, 1);
	if (adapter)
		take_adapter(s, r, &q);
	else
		take_model(s, r, &q);
}

int sources_ask(struct sources *s, const bool *model, const bool *lora, struct err *e)
{
	struct hub_question *q = mem_array(2 * s->cfg->n_models + 1, sizeof(*q));
	struct resolved **of = mem_array(2 * s->cfg->n_models + 1, sizeof(struct resolved *));
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < s->cfg->n_models; i++) {
		struct resolved *r = &s->v[i];

		r->model = &s->cfg->models[i];
		if (model[i] && r->model->id && !r->tried) {
			of[n] = r;
			q[n++] = question_of(r->model, false);
		}
		if (lora[i] && r->model->lora && !r->lora_tried) {
			of[n] = r;
			q[n++] = question_of(r->model, true);
		}
	}
	hub_source_look(s->a, s->cfg->work, q, n);
	for (size_t i = 0; i < n; i++) {
		if (q[i].adapter)
			take_adapter(s, of[i], &q[i]);
		else
			take_model(s, of[i], &q[i]);
		if (q[i].rc == ERR_CANCELLED)
			rc = err_set(e, ERR_CANCELLED, "%s", q[i].err.msg);
	}
	free(of);
	free(q);
	return rc;
}

static void resolve(struct sources *s, struct resolved *r, bool need_version)
{
	struct err e = ERR_INIT;
	int rc;

	if (r->model->id) {
		ask_one(s, r, false);
		return;
	}
	if (r->model->path)
		rc = resolve_path(s, r, need_version, &e);
	else
		rc = resolve_fake(s, r, &e);
	r->tried = true;
	r->fault = rc < 0 ? arena_strdup(s->a, e.msg) : NULL;
	r->fault_code = rc < 0 ? rc : 0;
	if (rc < 0)
		r->fault_cause = rc != ERR_INVALID || r->model->path ? cause_of_code(rc) : "source";
	if (!r->version)
		r->version = "";
	if (!r->kind) {
		r->kind = "fake";
		r->origin = r->model->fake;
	}
}

const struct resolved *sources_get(struct sources *s, size_t index, bool need_version)
{
	struct resolved *r = &s->v[index];

	r->model = &s->cfg->models[index];
	if (!r->tried || (need_version && !r->fault && !r->version[0]))
		resolve(s, r, need_version);
	return r;
}

const struct resolved *sources_lora(struct sources *s, size_t index, bool need_version)
{
	struct resolved *r = &s->v[index];

	(void)sources_get(s, index, need_version);
	if (!r->lora_tried && r->model->lora)
		ask_one(s, r, true);
	else if (r->model->lora_path &&
		 (!r->lora_tried || (need_version && !r->lora_fault && !r->lora_version)))
		resolve_adapter(s, r, need_version);
	return r;
}

const struct resolved *sources_seen(const struct sources *s, size_t index)
{
	return s->v[index].tried ? &s->v[index] : NULL;
}

bool source_is_ready(const struct resolved *r)
{
	if (r->fake && access(r->dir, F_OK) != 0)
		return false; /* made under another name, then renamed */
	return (!r->hub || hub_source_ready(r->hub)) && (!r->lora || hub_source_ready(r->lora));
}

#include "orchestrator/run/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "orchestrator/cli.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/plan/matrix.h"
#include "orchestrator/view/card_load.h"

#define FAULTS_MAX (4u << 20)

static int say_faults(const struct faults *f, struct err *e)
{
	struct buf b;

	if (f->n == 0)
		return 0;
	buf_init(&b, FAULTS_MAX);
	faults_print(f, &b);
	fflush(stdout);
	fputs(buf_str(&b), stderr);
	buf_release(&b);
	return err_set(e, ERR_INVALID, "%zu fault%s; nothing was started", f->n,
		       f->n == 1 ? "" : "s");
}

/* dir: NULL when the text is to be read from the file. */
struct matrix_text {
	const char *file, *dir, *text;
	size_t len;
};

static int read_all(struct session *s, const struct matrix_text *m, const struct config_set *set,
		    struct err *e)
{
	struct faults f = { .a = s->a, .file = m->file },
		      manifests = { .a = s->a, .file = "engines" };
	int rc;

	rc = m->dir ? config_parse(s->a, m->file, m->dir, m->text, m->len, set, &f, &s->cfg, e)
		    : config_load(s->a, m->file, set, &f, &s->cfg, e);
	if (rc < 0 && !f.n)
		return rc;
	rc = engines_load(s->a, &s->engines, &manifests, e);
	if (rc < 0)
		return rc;
	(void)say_faults(&manifests,
			 &(struct err)ERR_INIT); /* a broken manifest is left out, and said */
	matrix_check(s->cfg, &s->engines, &f);
	containers_look(s->a, s->cfg, &s->engines);
	environments_look(s->a, s->cfg, &s->engines, &f);
	files_look(s->a, s->cfg, &s->engines, &f);
	card_load(s->a, s->cfg, &f);
	return say_faults(&f, e);
}

static int open_for_run(struct session *s, const char *command, struct err *e)
{
	int rc = workdir_create(s->cfg->work, e);

	if (rc < 0)
		return rc;
	s->lock_fd = workdir_lock(s->cfg->work, command, e);
	if (s->lock_fd < 0)
		return s->lock_fd;
	return store_open(workdir_db(s->a, s->cfg->work), 0, &s->store, e);
}

static int open_to_look(struct session *s, struct err *e)
{
	const char *db = workdir_db(s->a, s->cfg->work);

	if (access(db, F_OK) != 0)
		return 0;
	/* For writing where we may: hashing a large model is remembered. */
	return store_open(db, access(db, W_OK) != 0, &s->store, e);
}

static int open_matrix(struct session *s, enum session_mode mode, const struct matrix_text *m,
		       const struct config_set *set, const char *command, struct err *e)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->lock_fd = -1;
	s->a = arena_new();
	rc = read_all(s, m, set, e);
	if (rc >= 0)
		rc = mode == SESSION_LOOK ? open_to_look(s, e) : open_for_run(s, command, e);
	if (rc >= 0)
		s->sources = sources_new(s->cfg, s->store);
	if (rc >= 0 && mode == SESSION_ONCE)
		sources_by_look(s->sources);
	if (rc < 0)
		session_close(s);
	return rc < 0 ? rc : 0;
}

int session_open(struct session *s, enum session_mode mode, const char *file,
		 const struct config_set *set, const char *command, struct err *e)
{
	return open_matrix(s, mode, &(struct matrix_text){ .file = file }, set, command, e);
}

int session_open_text(struct session *s, const char *file, const char *dir, const char *text,
		      size_t len, struct err *e)
{
	const struct matrix_text m = { file, dir, text, len };

	return open_matrix(s, SESSION_LOOK, &m, NULL, "init", e);
}

void session_close(struct session *s)
{
	sources_free(s->sources);
	store_close(s->store);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	arena_free(s->a);
	memset(s, 0, sizeof(*s));
	s->lock_fd = -1;
}

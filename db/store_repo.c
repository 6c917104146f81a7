/* db/store_repo.c -- repositories that jobs go to. A name is kept once; jobs
 * refer to it by a small number, which keeps their rows and index short. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "db/store_private.h"

static void remember(struct store *s, const char *name, int64_t id)
{
	free(s->repo);
	s->repo = mem_strdup(name);
	s->repo_id = id;
}

/* 1 found, 0 not. */
static int find_repo(struct store *s, const char *name, int64_t *id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_REPO_ID, e);
	int rc;

	if (!st)
		return e->code;
	bind_text(st, 1, name);
	rc = store_step(s, st, e);
	if (rc > 0) {
		*id = sqlite3_column_int64(st, 0);
		(void)sqlite3_reset(st);
	}
	return rc;
}

static int insert_repo(struct store *s, const char *name, int64_t *id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_REPO_INSERT, e);
	int rc;

	if (!st)
		return e->code;
	bind_text(st, 1, name);
	rc = store_exec(s, st, e);
	if (rc > 0)
		*id = sqlite3_last_insert_rowid(s->db);
	return rc;
}

int store_repo_id(struct store *s, const char *name, int64_t *id, struct err *e)
{
	int rc;

	if (!name || !name[0]) {
		*id = 0;
		return 0;
	}
	if (s->repo && strcmp(s->repo, name) == 0) {
		*id = s->repo_id;
		return 0;
	}
	rc = find_repo(s, name, id, e);
	if (rc == 0)
		rc = insert_repo(s, name, id, e);
	if (rc < 0)
		return rc;
	remember(s, name, *id);
	return 0;
}

int store_repo_pending(struct store *s, int64_t run_id, const char *repo, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_REPO_PENDING, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_text(st, 2, repo);
	rc = store_step(s, st, e);
	if (rc > 0)
		(void)sqlite3_reset(st);
	return rc;
}

int store_repos_ready(struct store *s, struct arena *a, const char ***repos, size_t *n,
		      struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_REPOS_READY, e);
	const char **names = NULL;
	size_t count = 0, cap = 0;
	int rc;

	if (!st)
		return e->code;
	while ((rc = store_step(s, st, e)) > 0) {
		MEM_GROW(names, count, cap);
		names[count++] = column_text(st, 0, a);
	}
	if (rc >= 0) {
		*repos = arena_array(a, count, sizeof(**repos));
		if (count)
			memcpy(*repos, names, count * sizeof(*names));
		*n = count;
	}
	free(names);
	return rc;
}

int store_sources_wanted(struct store *s, int64_t run_id, bool fake, struct arena *a,
			 struct source_row **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, fake ? Q_SOURCES_WANTED_FAKE : Q_SOURCES_WANTED, e);
	struct source_row *rows = NULL;
	size_t count = 0, cap = 0;
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	while ((rc = store_step(s, st, e)) > 0) {
		MEM_GROW(rows, count, cap);
		rows[count++] = (struct source_row){ .repo = column_text(st, 0, a),
						     .commit = column_text(st, 1, a) };
	}
	if (rc >= 0) {
		*out = arena_array(a, count + 1, sizeof(**out));
		if (rows)
			memcpy(*out, rows, count * sizeof(*rows));
		*n = count;
	}
	free(rows);
	return rc;
}

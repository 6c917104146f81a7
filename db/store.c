/* db/store.c -- transactions, statements and errors; see store.h. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/crash.h"
#include "core/mem.h"
#include "db/store_private.h"

#define Q(name, sql) { #name, sql },
static const struct {
	const char *name, *sql;
} queries[Q_COUNT] = {
#include "db/queries.inc"
};
#undef Q

const char *store_query_sql(enum store_query q)
{
	return queries[q].sql;
}

const char *store_query_name(enum store_query q)
{
	return queries[q].name;
}

/* ---- errors */

static int corrupt(struct store *s, struct err *e)
{
	return err_set(e, ERR_CORRUPT,
		       "%s is damaged (%s); move it and its -wal file away and run again: finished "
		       "artifacts are found by their folders; or put a backup in its place",
		       s->path, sqlite3_errmsg(s->db));
}

static int io_error(struct store *s, struct err *e)
{
	int last = errno; /* SQLite keeps no number for a COMMIT that failed */
	int saved = sqlite3_system_errno(s->db);

	if (!saved && (last == ENOSPC || last == EDQUOT || last == EFBIG))
		saved = last;
	if (saved == ENOSPC || saved == EDQUOT || saved == EFBIG)
		return err_set(e, ERR_NOSPACE, "%s: %s", s->path, strerror(saved));
	if (saved)
		return err_set(e, ERR_IO, "%s: %s (%s)", s->path, sqlite3_errmsg(s->db),
			       strerror(saved));
	return err_set(e, ERR_IO, "%s: %s", s->path, sqlite3_errmsg(s->db));
}

int store_error(struct store *s, int sqlite_rc, struct err *e)
{
	switch (sqlite_rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(e, ERR_BUSY, "%s: another process has been writing for 5 s",
			       s->path);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return corrupt(s, e);
	case SQLITE_FULL:
		return err_set(e, ERR_NOSPACE, "%s: no space left on the device", s->path);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return io_error(s, e);
	case SQLITE_READONLY:
		if (sqlite_rc == SQLITE_READONLY_DBMOVED)
			return err_set(e, ERR_IO, "%s was moved or deleted while in use", s->path);
		return err_set(e, ERR_IO, "%s cannot be written: it is read-only here", s->path);
	case SQLITE_CONSTRAINT:
		return err_set(e, ERR_INVALID, "%s refuses this row: %s", s->path,
			       sqlite3_errmsg(s->db));
	case SQLITE_INTERRUPT:
		return err_set(e, ERR_CANCELLED, "%s: interrupted", s->path);
	case SQLITE_ERROR: /* our statements are tested: the tables are not ours any more */
	case SQLITE_SCHEMA:
		return corrupt(s, e);
	default:
		return err_set(e, ERR_IO, "%s: %s", s->path, sqlite3_errmsg(s->db));
	}
}

/* ---- statements */

sqlite3_stmt *store_query(struct store *s, enum store_query q, struct err *e)
{
	sqlite3_stmt **st = &s->statements[q];
	int rc;

	if (*st) {
		(void)sqlite3_reset(*st); /* repeats the error of the last step, known by now */
		(void)sqlite3_clear_bindings(*st);
		return *st;
	}
	rc = sqlite3_prepare_v3(s->db, queries[q].sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
	if (rc != SQLITE_OK) {
		store_error(s, rc, e);
		err_wrap(e, "statement %s", queries[q].name);
		return NULL;
	}
	return *st;
}

int store_step(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int rc;

	errno = 0; /* so that what io_error() finds is of this step */
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		rc = store_error(s, rc, e);
	else
		rc = 0;
	(void)sqlite3_reset(st);
	return rc;
}

int store_exec(struct store *s, sqlite3_stmt *st, struct err *e)
{
	int rc = store_step(s, st, e);
	int64_t changes;

	assert(rc <= 0);
	if (rc < 0)
		return rc;
	changes = sqlite3_changes64(s->db);
	return changes > INT_MAX ? INT_MAX : (int)changes;
}

/* Out of memory inside SQLite is the only way these can fail with our indexes and sizes; the
 * parameter is NULL then, and every column that must not be refuses it. */
static void bound(int rc)
{
	assert(rc == SQLITE_OK || rc == SQLITE_NOMEM);
	(void)rc;
}

void bind_int(sqlite3_stmt *st, int index, int64_t v)
{
	bound(sqlite3_bind_int64(st, index, v));
}

void bind_id(sqlite3_stmt *st, int index, int64_t id)
{
	bound(id ? sqlite3_bind_int64(st, index, id) : sqlite3_bind_null(st, index));
}

void bind_text(sqlite3_stmt *st, int index, const char *s)
{
	bound(sqlite3_bind_text(st, index, s ? s : "", -1, SQLITE_STATIC));
}

void bind_text_or_null(sqlite3_stmt *st, int index, const char *s)
{
	bound(sqlite3_bind_text(st, index, s, -1, SQLITE_STATIC));
}

void bind_blob(sqlite3_stmt *st, int index, const void *p, size_t n)
{
	bound(sqlite3_bind_blob64(st, index, p, n, SQLITE_STATIC));
}

void bind_real(sqlite3_stmt *st, int index, double v)
{
	bound(sqlite3_bind_double(st, index, v));
}

const char *column_text_or_null(sqlite3_stmt *st, int column, struct arena *a)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	return text ? arena_strdup(a, (const char *)text) : NULL;
}

const char *column_text(sqlite3_stmt *st, int column, struct arena *a)
{
	const char *text = column_text_or_null(st, column, a);

	return text ? text : "";
}

int column_sha256(struct store *s, sqlite3_stmt *st, int column, uint8_t out[SHA256_LEN],
		  struct err *e)
{
	const void *p = sqlite3_column_blob(st, column);

	if (!p || sqlite3_column_bytes(st, column) != SHA256_LEN)
		return err_set(e, ERR_CORRUPT, "%s: a %s of the wrong size", s->path,
			       sqlite3_column_name(st, column));
	memcpy(out, p, SHA256_LEN);
	return 0;
}

/* ---- transactions */

static int transaction_step(struct store *s, enum store_query q, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);

	return st ? store_step(s, st, e) : e->code;
}

/* After some errors (full disk, I/O) SQLite has rolled back by itself. To go on would then commit
 * the second half of a transaction without its first, one statement at a time. */
static int check_alive(struct store *s, struct err *e)
{
	if (s->depth > 0 && !s->failed.code && sqlite3_get_autocommit(s->db))
		err_set(&s->failed, ERR_IO, "%s: the transaction was undone", s->path);
	return s->failed.code ? err_set(e, s->failed.code, "%s", s->failed.msg) : 0;
}

int store_begin(struct store *s, struct err *e)
{
	struct err local = ERR_INIT;
	int rc = check_alive(s, e);

	if (rc < 0)
		return rc;
	if (s->depth == 0) {
		rc = transaction_step(s, s->read_only ? Q_BEGIN_READ : Q_BEGIN_WRITE, &local);
		if (rc < 0)
			return err_set(e, rc, "%s", local.msg);
	}
	s->depth++;
	return 0;
}

int store_commit(struct store *s, struct err *e)
{
	struct err local = ERR_INIT;
	int rc;

	if (s->depth == 0)
		return err_set(e, ERR_INVALID, "%s: nothing to commit", s->path);
	rc = check_alive(s, e);
	if (rc < 0) {
		if (s->depth == 1)
			store_rollback(s);
		else
			s->depth--;
		return rc;
	}
	if (--s->depth > 0)
		return 0;
	CRASH_POINT("store_commit:before");
	rc = transaction_step(s, Q_COMMIT, &local);
	CRASH_POINT("store_commit:after");
	if (rc < 0) {
		store_rollback(s);
		return err_set(e, rc, "%s", local.msg);
	}
	return 0;
}

void store_rollback(struct store *s)
{
	struct err ignored = ERR_INIT; /* a failed rollback leaves the transaction to close() */

	s->depth = 0;
	s->failed = (struct err)ERR_INIT;
	free(s->repo);
	s->repo = NULL;
	if (!sqlite3_get_autocommit(s->db))
		(void)transaction_step(s, Q_ROLLBACK, &ignored);
}

int store_finish(struct store *s, int rc, struct err *e)
{
	int committed;

	if (rc >= 0) {
		committed = store_commit(s, e);
		return committed < 0 ? committed : rc;
	}
	if (s->depth <= 1) {
		store_rollback(s);
		return rc;
	}
	s->depth--;
	if (!s->failed.code && rc != ERR_CONFLICT && rc != ERR_NOTFOUND)
		err_set(&s->failed, rc, "%s", e ? e->msg : err_name(rc));
	return rc;
}

int store_write_one(struct store *s, sqlite3_stmt *st, const char *what, int64_t id, struct err *e)
{
	int rc = store_begin(s, e);

	if (rc < 0)
		return rc;
	rc = store_exec(s, st, e);
	if (rc == 0)
		rc = err_set(e, ERR_NOTFOUND, "there is no %s %lld", what, (long long)id);
	rc = store_finish(s, rc, e);
	return rc < 0 ? rc : 0;
}

int store_exists(struct store *s, enum store_query q, int64_t id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, q, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, id);
	rc = store_step(s, st, e);
	if (rc > 0)
		(void)sqlite3_reset(st);
	return rc;
}

int store_checkpoint(struct store *s, struct err *e)
{
	/* PASSIVE never makes a writer wait. When all is moved and nobody reads the old part, the
	 * next writer starts the WAL from its beginning. */
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

	if (rc == SQLITE_OK || rc == SQLITE_BUSY) /* somebody else is doing it */
		return 0;
	return store_error(s, rc, e);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < Q_COUNT; i++)
		(void)sqlite3_finalize(s->statements[i]);
	store_note_closed(s);
	(void)sqlite3_close(s->db);
	free(s->repo);
	free(s->path);
	free(s);
}

/* db/store_run.c -- runs, names with values, and the cache of file hashes. */
#include <string.h>
#include <unistd.h>

#include "db/store_private.h"

/* ---- runs */

static int insert_run(struct store *s, const char *name, const char *config_path, int64_t now_ms,
		      int64_t *run_id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_RUN_BEGIN, e);
	char host[256] = "";
	int rc;

	if (!st)
		return e->code;
	if (gethostname(host, sizeof(host) - 1) < 0)
		host[0] = '\0'; /* it is only shown */
	bind_int(st, 1, now_ms);
	bind_int(st, 2, getpid());
	bind_text(st, 3, host);
	bind_text(st, 4, name);
	bind_text(st, 5, config_path);
	rc = store_exec(s, st, e);
	if (rc < 0)
		return rc;
	*run_id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_run_begin(struct store *s, const char *name, const char *config_path, int64_t now_ms,
		    int64_t *run_id, struct err *e)
{
	int64_t id = 0;
	int rc = store_begin(s, e);

	if (rc < 0)
		return rc;
	rc = store_finish(s, insert_run(s, name, config_path, now_ms, &id, e), e);
	if (rc >= 0)
		*run_id = id;
	return rc;
}

int store_run_totals(struct store *s, int64_t run_id, int64_t points, int64_t added,
		     int64_t changed, int64_t duplicates, int64_t illegal, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_RUN_TOTALS, e);

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_int(st, 2, points);
	bind_int(st, 3, added);
	bind_int(st, 4, changed);
	bind_int(st, 5, duplicates);
	bind_int(st, 6, illegal);
	return store_write_one(s, st, "run", run_id, e);
}

int store_refusal_put(struct store *s, int64_t run_id, const struct refusal_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_REFUSAL_PUT, e);

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_text(st, 2, r->cause);
	bind_text(st, 3, r->message);
	bind_int(st, 4, r->points);
	bind_text(st, 5, r->label);
	return store_write_one(s, st, "refusal", run_id, e);
}

int store_refusals(struct store *s, int64_t run_id, struct arena *a, struct refusal_row *out, int n,
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_REFUSALS, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_int(st, 2, n);
	while (found < n && (rc = store_step(s, st, e)) > 0) {
		out[found++] = (struct refusal_row){ .cause = column_text(st, 0, a),
						     .message = column_text(st, 1, a),
						     .points = sqlite3_column_int64(st, 2),
						     .label = column_text(st, 3, a) };
	}
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

int store_run_end(struct store *s, int64_t run_id, int exit_code, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_RUN_END, e);

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_int(st, 2, now_ms);
	bind_int(st, 3, exit_code);
	return store_write_one(s, st, "run", run_id, e);
}

static void read_run(sqlite3_stmt *st, struct arena *a, struct run_row *r)
{
	r->id = sqlite3_column_int64(st, 0);
	r->started_ms = sqlite3_column_int64(st, 1);
	r->ended_ms = sqlite3_column_int64(st, 2);
	r->exit_code = sqlite3_column_type(st, 3) == SQLITE_NULL ? -1 : sqlite3_column_int(st, 3);
	r->pid = sqlite3_column_int64(st, 4);
	r->host = column_text(st, 5, a);
	r->name = column_text(st, 6, a);
	r->config = column_text(st, 7, a);
	r->points = sqlite3_column_int64(st, 8);
	r->added = sqlite3_column_int64(st, 9);
	r->changed = sqlite3_column_int64(st, 10);
	r->duplicates = sqlite3_column_int64(st, 11);
	r->illegal = sqlite3_column_int64(st, 12);
	r->waiting = column_text(st, 13, a);
}

int store_run_get(struct store *s, int64_t run_id, struct arena *a, struct run_row *out,
		  struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_RUN_GET, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	rc = store_step(s, st, e);
	if (rc < 0)
		return rc;
	if (rc == 0 && run_id)
		return err_set(e, ERR_NOTFOUND, "there is no run %lld", (long long)run_id);
	if (rc == 0)
		return err_set(e, ERR_NOTFOUND, "there has been no run yet");
	read_run(st, a, out);
	(void)sqlite3_reset(st);
	return 0;
}

int store_nights(struct store *s, struct night_row *out, int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_NIGHTS, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, n);
	while (found < n && (rc = store_step(s, st, e)) > 0) {
		out[found++] = (struct night_row){
			.run_id = sqlite3_column_int64(st, 0),
			.started_ms = sqlite3_column_int64(st, 1),
			.ended_ms = sqlite3_column_int64(st, 2),
			.exit_code = sqlite3_column_type(st, 3) == SQLITE_NULL
					     ? -1
					     : sqlite3_column_int(st, 3),
			.points = sqlite3_column_int64(st, 4),
			.converted = sqlite3_column_int64(st, 5),
			.uploaded = sqlite3_column_int64(st, 6),
			.retried = sqlite3_column_int64(st, 7),
			.failed = sqlite3_column_int64(st, 8),
		};
	}
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

/* ---- meta */

int store_meta_get(struct store *s, const char *name, struct arena *a, const char **value,
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_META_GET, e);
	int rc;

	if (!st)
		return e->code;
	bind_text(st, 1, name);
	rc = store_step(s, st, e);
	if (rc > 0) {
		*value = column_text(st, 0, a);
		(void)sqlite3_reset(st);
	}
	return rc;
}

int store_meta_set(struct store *s, const char *name, const char *value, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_META_SET, e);

	if (!st)
		return e->code;
	bind_text(st, 1, name);
	bind_text(st, 2, value);
	return store_write_one(s, st, "value", 0, e);
}

/* ---- cache of file hashes. Inode numbers use all 64 bits; the column keeps them as signed. */

static void bind_file(sqlite3_stmt *st, const char *path, int64_t size_bytes, int64_t mtime_ns,
		      int64_t ctime_ns, uint64_t inode)
{
	bind_text(st, 1, path);
	bind_int(st, 2, size_bytes);
	bind_int(st, 3, mtime_ns);
	bind_int(st, 4, ctime_ns);
	bind_int(st, 5, (int64_t)inode);
}

int store_hash_get(struct store *s, const char *path, int64_t size_bytes, int64_t mtime_ns,
		   int64_t ctime_ns, uint64_t inode, uint8_t sha256[SHA256_LEN], struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_HASH_GET, e);
	int rc;

	if (!st)
		return e->code;
	bind_file(st, path, size_bytes, mtime_ns, ctime_ns, inode);
	rc = store_step(s, st, e);
	if (rc <= 0)
		return rc;
	rc = column_sha256(s, st, 0, sha256, e);
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : 1;
}

int store_hash_put(struct store *s, const char *path, int64_t size_bytes, int64_t mtime_ns,
		   int64_t ctime_ns, uint64_t inode, const uint8_t sha256[SHA256_LEN],
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_HASH_PUT, e);

	if (!st)
		return e->code;
	bind_file(st, path, size_bytes, mtime_ns, ctime_ns, inode);
	bind_blob(st, 6, sha256, SHA256_LEN);
	return store_write_one(s, st, "value", 0, e);
}

/* db/store_private.h -- what the files of the store share: the connection, its
 * statements by name, and one step() that tells row, done and error apart. The
 * only place that includes sqlite3.h; only db/store*.c include this. */
#ifndef QUERN_DB_STORE_PRIVATE_H
#define QUERN_DB_STORE_PRIVATE_H

#include <sqlite3.h>

#include "db/store.h"

#define Q(name, sql) Q_##name,
enum store_query {
#include "db/queries.inc"
	Q_COUNT
};
#undef Q

#define KEY_PREFIX_LEN 8 /* bytes of a key in the index job_by_key */

struct store {
	sqlite3 *db;
	char *path;
	int read_only;
	int depth;	   /* of begin and commit */
	struct err failed; /* code not 0: something went wrong inside; only rollback helps */
	char *repo;	   /* name and id of the repository that was asked for last; jobs of one */
	int64_t repo_id; /* stand together. Forgotten at a rollback, which may have undone the row.
			  */
	struct store *next_open; /* those of this process, with the file's identity */
	uint64_t device, inode;
	int64_t wal_limit_bytes; /* above this a commit moves the WAL into the file itself */
	sqlite3_stmt *statements[Q_COUNT]; /* prepared on first use */
};

/* store_open.c */
int store_migrate(struct store *s, struct err *e);
void store_note_closed(struct store *s); /* also of one that was never open */

/* The text of a statement, and its name, for tests and messages. */
const char *store_query_sql(enum store_query q);
const char *store_query_name(enum store_query q);

/* The statement, reset and without parameters; NULL on error, which is in e (not NULL here). It
 * belongs to the store. */
sqlite3_stmt *store_query(struct store *s, enum store_query q, struct err *e);
/* 1: a row to read; 0: done, statement reset; negative: error, statement reset. */
int store_step(struct store *s, sqlite3_stmt *st, struct err *e);
/* For statements without rows: step to the end. Returns how many rows changed, at most INT_MAX. */
int store_exec(struct store *s, sqlite3_stmt *st, struct err *e);
/* Say what SQLite said: code and a sentence that names the file and what to do. */
int store_error(struct store *s, int sqlite_rc, struct err *e);
/* Close what store_begin() opened in a function that writes: commit when rc is 0 or more, else
 * undo. In an outer transaction an error that may have left half of the function's work (all but
 * CONFLICT and NOTFOUND, which come before any change) makes the whole transaction impossible to
 * commit. Returns rc, or the error of the commit. */
int store_finish(struct store *s, int rc, struct err *e);

/* A whole write that is one statement, its parameters bound: begin, step, finish. what and id name
 * the row in ERR_NOTFOUND, which is said when nothing changed. */
int store_write_one(struct store *s, sqlite3_stmt *st, const char *what, int64_t id, struct err *e);

/* A statement with one number: 1 when it has a row, 0 when it has none. */
int store_exists(struct store *s, enum store_query q, int64_t id, struct err *e);

/* store_repo.c: number of a repository, made when it is new; 0 for NULL and "". Inside a
 * transaction. */
int store_repo_id(struct store *s, const char *name, int64_t *id, struct err *e);

/* store_job.c: the hash in job.point. */
int64_t store_point(const struct job_spec *spec);

/* Parameters. Texts and blobs must stay until the next step. */
void bind_int(sqlite3_stmt *st, int index, int64_t v);
void bind_id(sqlite3_stmt *st, int index, int64_t id);	    /* 0 is NULL */
void bind_text(sqlite3_stmt *st, int index, const char *s); /* NULL is "" */
void bind_text_or_null(sqlite3_stmt *st, int index, const char *s);
void bind_blob(sqlite3_stmt *st, int index, const void *p, size_t n);
void bind_real(sqlite3_stmt *st, int index, double v);

/* Columns. NULL reads as 0 and "". Texts are copied into a. */
const char *column_text(sqlite3_stmt *st, int column, struct arena *a);
const char *column_text_or_null(sqlite3_stmt *st, int column, struct arena *a);
/* A SHA-256; ERR_CORRUPT if the column holds anything else. */
int column_sha256(struct store *s, sqlite3_stmt *st, int column, uint8_t out[SHA256_LEN],
		  struct err *e);

#endif

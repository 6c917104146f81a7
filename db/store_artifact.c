/* db/store_artifact.c -- files of jobs that passed validation, and what of
 * them and of their repositories is on a hub. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "db/store_private.h"

/* ---- artifacts */

int store_artifact_put(struct store *s, const struct artifact_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ARTIFACT_PUT, e);

	if (!st)
		return e->code;
	bind_int(st, 1, r->job_id);
	bind_text(st, 2, r->name);
	bind_int(st, 3, r->size_bytes);
	bind_int(st, 4, r->mtime_ns);
	bind_blob(st, 5, r->sha256, SHA256_LEN);
	bind_text(st, 6, r->facts ? r->facts : "{}");
	bind_int(st, 7, r->created_ms);
	return store_write_one(s, st, "job", r->job_id, e);
}

static int read_artifact(struct store *s, sqlite3_stmt *st, struct arena *a, struct artifact_row *r,
			 struct err *e)
{
	r->id = sqlite3_column_int64(st, 0);
	r->job_id = sqlite3_column_int64(st, 1);
	r->name = column_text(st, 2, a);
	r->size_bytes = sqlite3_column_int64(st, 3);
	r->mtime_ns = sqlite3_column_int64(st, 4);
	r->facts = column_text(st, 6, a);
	r->created_ms = sqlite3_column_int64(st, 7);
	r->dropped_ms = sqlite3_column_int64(st, 8);
	return column_sha256(s, st, 5, r->sha256, e);
}

int store_artifacts(struct store *s, int64_t job_id, struct arena *a, struct artifact_row *out,
		    int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ARTIFACTS, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	bind_int(st, 2, n);
	while (found < n && (rc = store_step(s, st, e)) > 0) {
		rc = read_artifact(s, st, a, &out[found], e);
		if (rc < 0)
			break;
		found++;
	}
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

int store_artifacts_clear(struct store *s, int64_t job_id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ARTIFACTS_CLEAR, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	rc = store_begin(s, e);
	if (rc < 0)
		return rc;
	rc = store_finish(s, store_exec(s, st, e), e);
	return rc < 0 ? rc : 0;
}

int store_artifacts_confirmed(struct store *s, const char *hub, const char *repo, struct arena *a,
			      struct confirmed_row *out, int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ARTIFACTS_CONFIRMED, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_text(st, 1, hub);
	bind_text(st, 2, repo);
	bind_int(st, 3, n);
	while (found < n && (rc = store_step(s, st, e)) > 0) {
		struct confirmed_row *r = &out[found];

		r->id = sqlite3_column_int64(st, 0);
		r->job_id = sqlite3_column_int64(st, 1);
		r->name = column_text(st, 3, a);
		r->size_bytes = sqlite3_column_int64(st, 4);
		r->left = 0;
		rc = column_sha256(s, st, 2, r->key, e);
		if (rc < 0)
			break;
		found++;
	}
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

int store_artifact_drop(struct store *s, int64_t artifact_id, int64_t now_ms, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ARTIFACT_DROP, e);

	if (!st)
		return e->code;
	bind_int(st, 1, artifact_id);
	bind_int(st, 2, now_ms);
	return store_write_one(s, st, "artifact", artifact_id, e);
}

int store_artifacts_left(struct store *s, int64_t job_id, int64_t *n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_ARTIFACTS_LEFT, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	rc = store_step(s, st, e);
	if (rc > 0)
		*n = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : 0;
}

int store_artifact_may_leave(struct store *s, int64_t job_id, struct err *e)
{
	return store_exists(s, Q_ARTIFACT_MAY_LEAVE, job_id, e);
}

/* ---- uploads */

int store_upload_put(struct store *s, const struct upload_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_UPLOAD_PUT, e);

	if (!st)
		return e->code;
	bind_id(st, 1, r->job_id);
	bind_text(st, 2, r->hub);
	bind_text(st, 3, r->repo);
	bind_text(st, 4, r->path);
	bind_blob(st, 5, r->sha256, SHA256_LEN);
	bind_int(st, 6, r->size_bytes);
	bind_text(st, 7, r->state);
	bind_text(st, 8, r->commit);
	bind_text(st, 9, r->message);
	bind_int(st, 10, r->changed_ms);
	return store_write_one(s, st, "job", r->job_id, e);
}

static int read_upload(struct store *s, sqlite3_stmt *st, struct arena *a, struct upload_row *r,
		       struct err *e)
{
	r->id = sqlite3_column_int64(st, 0);
	r->job_id = sqlite3_column_int64(st, 1);
	r->hub = column_text(st, 2, a);
	r->repo = column_text(st, 3, a);
	r->path = column_text(st, 4, a);
	r->size_bytes = sqlite3_column_int64(st, 6);
	r->state = column_text(st, 7, a);
	r->commit = column_text(st, 8, a);
	r->message = column_text(st, 9, a);
	r->changed_ms = sqlite3_column_int64(st, 10);
	return column_sha256(s, st, 5, r->sha256, e);
}

int store_job_uploads(struct store *s, int64_t job_id, struct arena *a, struct upload_row *out,
		      int n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_UPLOADS_OF_JOB, e);
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, job_id);
	bind_int(st, 2, n);
	while (rc >= 0 && found < n && (rc = store_step(s, st, e)) > 0)
		rc = read_upload(s, st, a, &out[found++], e);
	(void)sqlite3_reset(st);
	return rc < 0 ? rc : found;
}

/* The array grows on the heap and ends in the arena, where its strings are. */
int store_uploads(struct store *s, const char *hub, const char *repo, struct arena *a,
		  struct upload_row **out, size_t *n, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_UPLOADS, e);
	struct upload_row *rows = NULL;
	size_t count = 0, cap = 0;
	int rc;

	if (!st)
		return e->code;
	bind_text(st, 1, hub);
	bind_text(st, 2, repo);
	while ((rc = store_step(s, st, e)) > 0) {
		MEM_GROW(rows, count, cap);
		rc = read_upload(s, st, a, &rows[count], e);
		if (rc < 0)
			break;
		count++;
	}
	(void)sqlite3_reset(st);
	if (rc >= 0) {
		*out = arena_array(a, count, sizeof(**out));
		if (count)
			memcpy(*out, rows, count * sizeof(**out));
		*n = count;
	}
	free(rows);
	return rc;
}

/* ---- git's names of contents */

int store_blob_get(struct store *s, const uint8_t sha256[SHA256_LEN], char blob_id[41],
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_BLOB_GET, e);
	int rc;

	if (!st)
		return e->code;
	bind_blob(st, 1, sha256, SHA256_LEN);
	rc = store_step(s, st, e);
	if (rc <= 0)
		return rc;
	(void)snprintf(blob_id, 41, "%s", (const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_reset(st);
	return 1;
}

int store_blob_put(struct store *s, const uint8_t sha256[SHA256_LEN], const char *blob_id,
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_BLOB_PUT, e);

	if (!st)
		return e->code;
	bind_blob(st, 1, sha256, SHA256_LEN);
	bind_text(st, 2, blob_id);
	return store_write_one(s, st, "value", 0, e);
}

/* ---- parts */

static void bind_part(sqlite3_stmt *st, const struct part_row *r)
{
	bind_blob(st, 1, r->sha256, SHA256_LEN);
	bind_text(st, 2, r->upload);
	bind_int(st, 3, r->chunk_bytes);
	bind_int(st, 4, r->number);
}

int store_part_put(struct store *s, const struct part_row *r, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PART_PUT, e);

	if (!st)
		return e->code;
	bind_part(st, r);
	bind_text(st, 5, r->etag);
	return store_write_one(s, st, "value", 0, e);
}

int store_part_get(struct store *s, struct part_row *r, struct arena *a, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PART_GET, e);
	int rc;

	if (!st)
		return e->code;
	bind_part(st, r);
	rc = store_step(s, st, e);
	if (rc <= 0)
		return rc;
	r->etag = column_text(st, 0, a);
	(void)sqlite3_reset(st);
	return 1;
}

int store_parts_clear(struct store *s, const uint8_t sha256[SHA256_LEN], struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_PARTS_CLEAR, e);
	int rc;

	if (!st)
		return e->code;
	bind_blob(st, 1, sha256, SHA256_LEN);
	rc = store_begin(s, e);
	if (rc < 0)
		return rc;
	rc = store_finish(s, store_exec(s, st, e), e);
	return rc < 0 ? rc : 0;
}

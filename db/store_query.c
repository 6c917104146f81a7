/* db/store_query.c -- look jobs up and walk over them. Statements give ids;
 * one statement, JOB_GET, reads the row. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "db/store_private.h"

#define KEY_DIGITS ((size_t)2 * SHA256_LEN)
#define KEY_DIGITS_MIN 4

/* ---- one row */

static void read_spec(sqlite3_stmt *st, struct arena *a, struct job_spec *spec)
{
	spec->opt = sqlite3_column_int(st, 12);
	spec->hybrid = sqlite3_column_double(st, 13);
	spec->model = column_text(st, 14, a);
	spec->engine = column_text(st, 15, a);
	spec->engine_version = column_text(st, 16, a);
	spec->platform = column_text(st, 17, a);
	spec->quant = column_text(st, 18, a);
	spec->with = column_text(st, 19, a);
	spec->source_kind = column_text(st, 20, a);
	spec->source = column_text(st, 21, a);
	spec->source_version = column_text(st, 22, a);
	spec->lora = column_text_or_null(st, 23, a);
	spec->lora_version = column_text_or_null(st, 24, a);
}

static int read_job(struct store *s, sqlite3_stmt *st, struct arena *a, struct job_row *r,
		    struct err *e)
{
	int rc = column_sha256(s, st, 1, r->key, e);

	if (rc < 0)
		return rc;
	r->id = sqlite3_column_int64(st, 0);
	r->state = (enum job_state)sqlite3_column_int(st, 2);
	r->run_id = sqlite3_column_int64(st, 3);
	r->not_before_ms = sqlite3_column_int64(st, 4);
	r->attempts = sqlite3_column_int(st, 5);
	r->tries = sqlite3_column_int(st, 6);
	r->created_ms = sqlite3_column_int64(st, 7);
	r->changed_ms = sqlite3_column_int64(st, 8);
	r->memory_bytes = sqlite3_column_int64(st, 9);
	r->output_bytes = sqlite3_column_int64(st, 10);
	r->scratch_bytes = sqlite3_column_int64(st, 11);
	read_spec(st, a, &r->spec);
	r->label = column_text(st, 25, a);
	r->repo = column_text(st, 26, a);
	r->file = column_text(st, 27, a);
	r->cause = column_text(st, 28, a);
	r->message = column_text(st, 29, a);
	r->file_params = (unsigned)sqlite3_column_int(st, 30);
	r->repo_params = (unsigned)sqlite3_column_int(st, 31);
	r->rungs = column_text(st, 32, a);
	r->turn = sqlite3_column_int64(st, 33);
	return 0;
}

/* 1 found, 0 not. */
static int get_job(struct store *s, int64_t id, struct arena *a, struct job_row *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_GET, e);
	struct job_row row = { 0 };
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, id);
	rc = store_step(s, st, e);
	if (rc <= 0)
		return rc;
	rc = read_job(s, st, a, &row, e);
	(void)sqlite3_reset(st);
	if (rc < 0)
		return rc;
	*out = row;
	return 1;
}

int store_job_get(struct store *s, int64_t id, struct arena *a, struct job_row *out, struct err *e)
{
	int rc = get_job(s, id, a, out, e);

	if (rc == 0)
		return err_set(e, ERR_NOTFOUND, "there is no job %lld", (long long)id);
	return rc < 0 ? rc : 0;
}

/* For statements whose first row's first column is the id. */
static int get_job_by(struct store *s, sqlite3_stmt *st, struct arena *a, struct job_row *out,
		      struct err *e)
{
	int64_t id;
	int rc = store_step(s, st, e);

	if (rc <= 0)
		return rc;
	id = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return get_job(s, id, a, out, e);
}

/* ---- by key */

int store_job_by_key(struct store *s, const uint8_t key[SHA256_LEN], struct arena *a,
		     struct job_row *out, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_BY_KEY, e);

	if (!st)
		return e->code;
	bind_blob(st, 1, key, KEY_PREFIX_LEN);
	bind_blob(st, 2, key, SHA256_LEN);
	return get_job_by(s, st, a, out, e);
}

int store_job_same_point(struct store *s, const struct job_spec *spec,
			 const uint8_t key[SHA256_LEN], struct arena *a, struct job_row *out,
			 struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_SAME_POINT, e);

	if (!st)
		return e->code;
	bind_int(st, 1, store_point(spec));
	bind_blob(st, 2, key, SHA256_LEN);
	bind_text(st, 3, spec->model);
	bind_text(st, 4, spec->engine);
	bind_text(st, 5, spec->platform);
	bind_text(st, 6, spec->quant);
	bind_real(st, 7, spec->hybrid);
	bind_int(st, 8, spec->opt);
	return get_job_by(s, st, a, out, e);
}

/* ---- by name */

/* The first and the last key that begin with these digits. 0 if they are no digits of a key. */
static int key_range(const char *digits, uint8_t first[SHA256_LEN], uint8_t last[SHA256_LEN])
{
	char low[SHA256_HEX], high[SHA256_HEX];
	size_t n = strlen(digits);

	if (n < KEY_DIGITS_MIN || n > KEY_DIGITS)
		return 0;
	memset(low, '0', KEY_DIGITS);
	memset(high, 'f', KEY_DIGITS);
	low[KEY_DIGITS] = high[KEY_DIGITS] = '\0';
	for (size_t i = 0; i < n; i++)
		low[i] = high[i] = (char)tolower((unsigned char)digits[i]);
	return hex_decode(low, first, SHA256_LEN) == 0 && hex_decode(high, last, SHA256_LEN) == 0;
}

/* 1 found (one), 0 none, ERR_INVALID several. */
static int find_by_prefix(struct store *s, const char *name, struct arena *a, struct job_row *out,
			  struct err *e)
{
	uint8_t first[SHA256_LEN], last[SHA256_LEN];
	char hex[SHA256_HEX], some[256] = "";
	sqlite3_stmt *st;
	int64_t id = 0;
	int rc, n = 0;

	if (!key_range(name, first, last))
		return 0;
	st = store_query(s, Q_JOB_BY_PREFIX, e);
	if (!st)
		return e->code;
	bind_blob(st, 1, first, KEY_PREFIX_LEN);
	bind_blob(st, 2, last, KEY_PREFIX_LEN);
	bind_blob(st, 3, first, SHA256_LEN);
	bind_blob(st, 4, last, SHA256_LEN);
	while ((rc = store_step(s, st, e)) > 0 && n < 3) {
		uint8_t key[SHA256_LEN];

		rc = column_sha256(s, st, 1, key, e);
		if (rc < 0)
			break;
		hex_encode(key, SHA256_LEN, hex);
		id = sqlite3_column_int64(st, 0);
		(void)snprintf(some + strlen(some), sizeof(some) - strlen(some), "%s%lld (%.16s)",
			       n ? ", " : "", (long long)id, hex);
		n++;
	}
	(void)sqlite3_reset(st);
	if (rc < 0)
		return rc;
	if (n > 1)
		return err_set(e, ERR_INVALID, "%s is the beginning of several keys: job %s%s",
			       name, some, rc > 0 ? ", ..." : "");
	return n == 0 ? 0 : get_job(s, id, a, out, e);
}

/* 1 and *id if name is a decimal number of a row. */
static int parse_number(const char *name, int64_t *id)
{
	char *end;

	if (!isdigit((unsigned char)name[0]))
		return 0;
	errno = 0;
	*id = strtoll(name, &end, 10);
	return *end == '\0' && errno == 0;
}

int store_job_find(struct store *s, const char *name, struct arena *a, struct job_row *out,
		   struct err *e)
{
	int64_t id;
	int rc = 0;

	if (parse_number(name, &id))
		rc = get_job(s, id, a, out, e);
	if (rc == 0)
		rc = find_by_prefix(s, name, a, out, e);
	if (rc == 0)
		return err_set(
			e, ERR_NOTFOUND,
			"there is no job \"%s\"; give a number, or at least %d digits of a key",
			name, KEY_DIGITS_MIN);
	return rc < 0 ? rc : 0;
}

/* ---- what to start next */

static int next_wait(struct store *s, int64_t run_id, int64_t now_ms, int64_t *next_ms,
		     struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_NEXT_WAIT, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_int(st, 2, now_ms);
	rc = store_step(s, st, e);
	if (rc < 0)
		return rc;
	*next_ms = rc > 0 ? sqlite3_column_int64(st, 0) : 0;
	(void)sqlite3_reset(st);
	return 0;
}

int store_job_candidates(struct store *s, int64_t run_id, int64_t now_ms, int skip, int n,
			 struct arena *a, struct job_row *out, int64_t *next_ms, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_CANDIDATES, e);
	int64_t wait_ms = 0;
	int rc = 0, found = 0;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	bind_int(st, 2, now_ms);
	bind_int(st, 3, n);
	bind_int(st, 4, skip);
	while (found < n && (rc = store_step(s, st, e)) > 0) {
		rc = get_job(s, sqlite3_column_int64(st, 0), a, &out[found], e);
		if (rc <= 0)
			break;
		found++;
	}
	(void)sqlite3_reset(st);
	if (rc >= 0)
		rc = next_wait(s, run_id, now_ms, &wait_ms, e);
	if (rc < 0)
		return rc;
	if (next_ms)
		*next_ms = wait_ms;
	return found;
}

int store_duration(struct store *s, const struct job_spec *spec, bool same_quant, int64_t *ms,
		   struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_DURATION, e);
	int64_t first = (int64_t)((uint64_t)store_point(spec) & ~(uint64_t)UINT32_MAX);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, first);
	bind_int(st, 2, first | (int64_t)UINT32_MAX);
	bind_text(st, 3, spec->model);
	bind_text(st, 4, spec->engine);
	bind_text_or_null(st, 5, same_quant ? spec->quant : NULL);
	rc = store_step(s, st, e);
	if (rc <= 0)
		return rc;
	*ms = sqlite3_column_int64(st, 0);
	rc = sqlite3_column_type(st, 0) != SQLITE_NULL;
	(void)sqlite3_reset(st);
	return rc;
}

/* ---- walk */

static enum store_query walk_query(const struct job_filter *f)
{
	if (f->repo)
		return Q_JOB_EACH_REPO;
	if (f->state >= 0)
		return Q_JOB_EACH_STATE;
	return f->run_id ? Q_JOB_EACH_RUN : Q_JOB_EACH;
}

static int walk(struct store *s, sqlite3_stmt *st, const struct job_filter *f, struct arena *a,
		job_row_fn fn, void *ctx, struct err *e)
{
	struct job_row row = { 0 };
	int64_t given = 0;
	int rc;

	while ((rc = store_step(s, st, e)) > 0) {
		arena_reset(a);
		rc = get_job(s, sqlite3_column_int64(st, 0), a, &row, e);
		if (rc < 0)
			return rc;
		if (rc == 0 || (f->glob && !glob_match(f->glob, row.label)))
			continue;
		rc = fn(ctx, &row, e);
		if (rc < 0)
			return rc;
		if (f->limit > 0 && ++given >= f->limit)
			return 0;
	}
	return rc;
}

/* A statement of its own, so that fn may walk, too. */
int store_job_each(struct store *s, const struct job_filter *f, job_row_fn fn, void *ctx,
		   struct err *e)
{
	sqlite3_stmt *st = NULL;
	struct arena *a;
	int rc = sqlite3_prepare_v2(s->db, store_query_sql(walk_query(f)), -1, &st, NULL);

	if (rc != SQLITE_OK)
		return store_error(s, rc, e);
	/* not every statement has every parameter: SQLite counts to the highest it saw, which is ?5
	 */
	bind_id(st, 1, f->run_id);
	bind_int(st, 2, f->state);
	bind_text_or_null(st, 3, f->repo);
	bind_text_or_null(st, 4, f->cause);
	bind_int(st, 5, f->after_id);
	a = arena_new();
	rc = walk(s, st, f, a, fn, ctx, e);
	arena_free(a);
	(void)sqlite3_finalize(st);
	return rc;
}

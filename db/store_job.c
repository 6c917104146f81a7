/* db/store_job.c -- add jobs, move them, count them. */
#include <string.h>

#include "db/store_private.h"

/* ---- add */

static uint32_t fnv1a(uint32_t h, const void *p, size_t n)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 16777619u;
	return h;
}

#define FNV_START 2166136261u

static uint32_t fnv1a_text(uint32_t h, const char *s)
{
	return fnv1a(h, s, strlen(s) + 1); /* with the NUL: "a","bc" is not "ab","c" */
}

/* From the left: 32 bits of the model, 16 of engine, platform and quant, 12 of hybrid, 4 of opt. A
 * plan goes through them in this order, so that it adds to the index at one place after the other
 * and not all over. Equal points have equal values; the statement compares the fields themselves.
 */
int64_t store_point(const struct job_spec *spec)
{
	uint32_t model = fnv1a_text(FNV_START, spec->model), rest = FNV_START;
	double share = spec->hybrid > 0 ? spec->hybrid < 1 ? spec->hybrid : 1 : 0;

	rest = fnv1a_text(rest, spec->engine);
	rest = fnv1a_text(rest, spec->platform);
	rest = fnv1a_text(rest, spec->quant);
	return (int64_t)((uint64_t)model << 32 | (uint64_t)((rest ^ rest >> 16) & 0xffff) << 16 |
			 (uint64_t)(share * 4095) << 4 | ((unsigned)spec->opt & 15));
}

static void bind_spec(sqlite3_stmt *st, const struct job_spec *spec)
{
	bind_int(st, 6, spec->opt);
	bind_real(st, 7, spec->hybrid);
	bind_int(st, 8, store_point(spec));
	bind_text(st, 10, spec->model);
	bind_text(st, 11, spec->engine);
	bind_text(st, 12, spec->engine_version);
	bind_text(st, 13, spec->platform);
	bind_text(st, 14, spec->quant);
	bind_text(st, 15, spec->with);
	bind_text(st, 16, spec->source_kind);
	bind_text(st, 17, spec->source);
	bind_text(st, 18, spec->source_version);
	bind_text_or_null(st, 19, spec->lora);
	bind_text_or_null(st, 20, spec->lora_version);
}

/* 1: inserted; 0: there is a job with the first bytes of this key. */
static int insert_job(struct store *s, const struct job_new *j, int64_t repo_id, int64_t run_id,
		      int64_t now_ms, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_INSERT, e);

	if (!st)
		return e->code;
	bind_id(st, 1, run_id);
	bind_int(st, 2, now_ms);
	bind_int(st, 3, j->memory_bytes);
	bind_int(st, 4, j->output_bytes);
	bind_int(st, 5, j->scratch_bytes);
	bind_spec(st, &j->spec);
	bind_blob(st, 9, j->key, SHA256_LEN);
	bind_text(st, 21, j->label);
	bind_id(st, 22, repo_id);
	bind_text(st, 23, j->file);
	bind_int(st, 24, j->file_params);
	bind_int(st, 25, j->repo_params);
	bind_int(st, 26, j->turn);
	return store_exec(s, st, e);
}

struct known {
	int64_t id, run_id;
	enum job_state state;
	int same; /* names, places and estimates are those of the new one */
};

static int same_text(sqlite3_stmt *st, int column, const char *s)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	return text && strcmp(text, s ? s : "") == 0;
}

static void read_known(sqlite3_stmt *st, const struct job_new *j, int64_t repo_id, struct known *k)
{
	k->id = sqlite3_column_int64(st, 0);
	k->state = (enum job_state)sqlite3_column_int(st, 1);
	k->run_id = sqlite3_column_int64(st, 2);
	k->same = sqlite3_column_int64(st, 3) == j->memory_bytes &&
		  sqlite3_column_int64(st, 4) == j->output_bytes &&
		  sqlite3_column_int64(st, 5) == j->scratch_bytes &&
		  sqlite3_column_int64(st, 6) == repo_id && same_text(st, 7, j->file) &&
		  same_text(st, 8, j->label) && same_text(st, 9, j->spec.source) &&
		  (unsigned)sqlite3_column_int(st, 10) == j->file_params &&
		  (unsigned)sqlite3_column_int(st, 11) == j->repo_params &&
		  sqlite3_column_int64(st, 12) == j->turn;
}

static int find_known(struct store *s, const struct job_new *j, int64_t repo_id, struct known *k,
		      struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_KNOWN, e);
	int rc;

	if (!st)
		return e->code;
	bind_blob(st, 1, j->key, KEY_PREFIX_LEN);
	bind_blob(st, 2, j->key, SHA256_LEN);
	rc = store_step(s, st, e);
	if (rc == 0)
		return err_set(e, ERR_INVALID,
			       "job %s: another job's key begins with the same %d bytes; change "
			       "something of it, such as a parameter",
			       j->label, KEY_PREFIX_LEN);
	if (rc > 0) {
		read_known(st, j, repo_id, k);
		(void)sqlite3_reset(st);
	}
	return rc;
}

static int mark_known(struct store *s, const struct job_new *j, int64_t repo_id,
		      const struct known *k, int64_t run_id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, k->same ? Q_JOB_MARK : Q_JOB_REFRESH, e);

	if (!st)
		return e->code;
	bind_int(st, 1, k->id);
	bind_id(st, 2, run_id);
	if (!k->same) {
		bind_int(st, 3, j->memory_bytes);
		bind_int(st, 4, j->output_bytes);
		bind_int(st, 5, j->scratch_bytes);
		bind_id(st, 6, repo_id);
		bind_text(st, 7, j->file);
		bind_text(st, 8, j->label);
		bind_text(st, 9, j->spec.source);
		bind_text(st, 10, j->spec.model);
		bind_int(st, 11, store_point(&j->spec));
		bind_int(st, 12, j->file_params);
		bind_int(st, 13, j->repo_params);
		bind_int(st, 14, j->turn);
	}
	return store_exec(s, st, e);
}

static int add_job(struct store *s, const struct job_new *j, int64_t run_id, int64_t now_ms,
		   enum job_added *how, struct known *k, struct err *e)
{
	int64_t repo_id = 0;
	int rc = store_repo_id(s, j->repo, &repo_id, e);

	if (rc >= 0)
		rc = insert_job(s, j, repo_id, run_id, now_ms, e);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		k->id = sqlite3_last_insert_rowid(s->db);
		k->state = JOB_PENDING;
		*how = JOB_ADDED_NEW;
		return 0;
	}
	rc = find_known(s, j, repo_id, k, e);
	if (rc < 0)
		return rc;
	if (k->run_id == run_id) {
		*how = JOB_ADDED_DUPLICATE;
		return 0;
	}
	*how = JOB_ADDED_KNOWN;
	return mark_known(s, j, repo_id, k, run_id, e);
}

int store_job_add(struct store *s, const struct job_new *j, int64_t run_id, int64_t now_ms,
		  enum job_added *how, int64_t *id, enum job_state *row_state, struct err *e)
{
	enum job_added added = JOB_ADDED_NEW;
	struct known k = { 0 };
	int rc = store_begin(s, e);

	if (rc < 0)
		return rc;
	rc = store_finish(s, add_job(s, j, run_id, now_ms, &added, &k, e), e);
	if (rc < 0)
		return rc;
	*how = added;
	*id = k.id;
	if (row_state)
		*row_state = k.state;
	return 0;
}

/* ---- move */

/* What an event does to the counters: attempts * keep + attempts_add, never below 0; tries +
 * tries_add. An attempt that ended because we died does not count against the job. */
static void counters(const struct job_move *m, int *keep, int *attempts_add, int *tries_add)
{
	int lost = m->ev == EV_LOST && (m->from == JOB_RUNNING || m->from == JOB_VALIDATING);

	*keep = m->ev != EV_RETRY;
	*attempts_add = m->ev == EV_CLAIM ? 1 : lost ? -1 : 0;
	*tries_add = m->ev == EV_CLAIM;
}

static int update_state(struct store *s, const struct job_move *m, int to, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_MOVE, e);
	int keep, attempts_add, tries_add;

	if (!st)
		return e->code;
	counters(m, &keep, &attempts_add, &tries_add);
	bind_int(st, 1, m->id);
	bind_int(st, 2, m->from);
	bind_int(st, 3, to);
	bind_int(st, 4, m->now_ms);
	bind_int(st, 5, keep);
	bind_int(st, 6, attempts_add);
	bind_int(st, 7, tries_add);
	bind_int(st, 8, m->not_before_ms);
	bind_text(st, 9, m->cause);
	bind_text(st, 10, m->message);
	/* A person who asks for another try wants what the job's key says. */
	bind_text_or_null(st, 11, m->ev == EV_RETRY ? "" : m->rungs);
	return store_exec(s, st, e);
}

static int insert_event(struct store *s, const struct job_move *m, int to, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_EVENT_INSERT, e);

	if (!st)
		return e->code;
	bind_int(st, 1, m->id);
	bind_int(st, 2, m->now_ms);
	bind_id(st, 3, m->run_id);
	bind_text(st, 4, job_event_name(m->ev));
	bind_int(st, 5, m->from);
	bind_int(st, 6, to);
	bind_text(st, 7, m->cause);
	bind_text(st, 8, m->message);
	return store_exec(s, st, e);
}

/* Why no row changed: ERR_NOTFOUND or ERR_CONFLICT. */
static int explain_conflict(struct store *s, const struct job_move *m, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_STATE, e);
	enum job_state now;
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, m->id);
	rc = store_step(s, st, e);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return err_set(e, ERR_NOTFOUND, "there is no job %lld", (long long)m->id);
	now = (enum job_state)sqlite3_column_int(st, 0);
	(void)sqlite3_reset(st);
	return err_set(e, ERR_CONFLICT, "job %lld is %s, not %s any more", (long long)m->id,
		       job_state_name(now), job_state_name(m->from));
}

static int move_job(struct store *s, const struct job_move *m, int to, struct err *e)
{
	int rc = update_state(s, m, to, e);

	if (rc < 0)
		return rc;
	return rc == 0 ? explain_conflict(s, m, e) : insert_event(s, m, to, e);
}

int store_job_move(struct store *s, const struct job_move *m, enum job_state *to, struct err *e)
{
	int next = job_next(m->from, m->ev);
	int rc;

	if (next < 0)
		return err_set(e, ERR_INVALID, "job %lld: a %s job knows no \"%s\"",
			       (long long)m->id, job_state_name(m->from), job_event_name(m->ev));
	rc = store_begin(s, e);
	if (rc < 0)
		return rc;
	rc = store_finish(s, move_job(s, m, next, e), e);
	if (rc < 0)
		return rc;
	if (to)
		*to = (enum job_state)next;
	return 0;
}

int store_wake(struct store *s, int64_t run_id, struct err *e)
{
	sqlite3_stmt *st = store_query(s, Q_JOB_WAKE, e);
	int rc;

	if (!st)
		return e->code;
	bind_int(st, 1, run_id);
	rc = store_begin(s, e);
	if (rc < 0)
		return rc;
	rc = store_finish(s, store_exec(s, st, e), e);
	return rc < 0 ? rc : 0;
}

/* ---- count */

int store_job_counts(struct store *s, int64_t run_id, int64_t counts[JOB_STATE_COUNT],
		     struct err *e)
{
	sqlite3_stmt *st = store_query(s, run_id ? Q_JOB_COUNTS_RUN : Q_JOB_COUNTS, e);
	int64_t result[JOB_STATE_COUNT] = { 0 };
	int rc, state;

	if (!st)
		return e->code;
	if (run_id)
		bind_int(st, 1, run_id);
	while ((rc = store_step(s, st, e)) > 0) {
		state = sqlite3_column_int(st, 0);
		if (state >= 0 && state < JOB_STATE_COUNT)
			result[state] = sqlite3_column_int64(st, 1);
	}
	if (rc >= 0)
		memcpy(counts, result, sizeof(result));
	return rc;
}

#include "orchestrator/plan/job_change.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/mem.h"
#include "orchestrator/cli.h"

#define SWAP_TRIES 5 /* a going run may move the job between our look and our move */
#define BATCH 1000   /* jobs in one transaction: a going run waits for one no longer than some ms */

struct changing {
	struct store *s;
	const struct job_change *c;
	struct arena *scratch;
};

static void say(const struct job_row *j, const char *what)
{
	printf("job %lld ", (long long)j->id);
	cli_print_text(stdout, j->label);
	printf(": %s\n", what);
}

/* Move one job. 0, or ERR_INVALID with the sentence when its state has no such edge. */
static int change_one(struct changing *x, struct job_row *j, struct err *e)
{
	struct job_move m = { .id = j->id,
			      .ev = x->c->ev,
			      .now_ms = clock_wall_ms(),
			      .cause = x->c->cause,
			      .message = x->c->message };
	enum job_state to;
	int rc = ERR_CONFLICT;

	for (int i = 0; rc == ERR_CONFLICT && i < SWAP_TRIES; i++) {
		if (i > 0 && store_job_get(x->s, j->id, x->scratch, j, e) < 0)
			return e->code;
		if (job_next(j->state, x->c->ev) < 0)
			return err_set(e, ERR_INVALID, "job %lld %s is %s: it cannot be %s",
				       (long long)j->id, j->label, job_state_name(j->state),
				       x->c->cannot);
		m.from = j->state;
		rc = store_job_move(x->s, &m, &to, e);
	}
	if (rc >= 0)
		say(j, x->c->done);
	return rc < 0 ? rc : 0;
}

static int change_named(struct changing *x, char *const *names, int n)
{
	int code = EXIT_GOOD;

	for (int i = 0; i < n; i++) {
		struct err e = ERR_INIT;
		struct job_row j;
		int rc;

		arena_reset(x->scratch);
		rc = store_job_find(x->s, names[i], x->scratch, &j, &e);
		if (rc >= 0)
			rc = change_one(x, &j, &e);
		if (rc < 0) {
			int mine = cli_fail(&e);

			code = mine > code ? mine : code;
		}
	}
	return code;
}

/* ---- all of some states */

struct ids {
	int64_t *v;
	size_t n, cap;
};

static int collect(void *ctx, const struct job_row *j, struct err *e)
{
	struct ids *ids = ctx;

	(void)e;
	MEM_GROW(ids->v, ids->n, ids->cap);
	ids->v[ids->n++] = j->id;
	return 0;
}

static int change_batch(struct changing *x, const int64_t *ids, size_t n, struct err *e)
{
	int rc = store_begin(x->s, e);

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		struct job_row j;

		arena_reset(x->scratch);
		rc = store_job_get(x->s, ids[i], x->scratch, &j, e);
		if (rc >= 0 &&
		    job_next(j.state, x->c->ev) >= 0) /* else it has moved on meanwhile */
			rc = change_one(x, &j, e);
	}
	if (rc >= 0)
		return store_commit(x->s, e);
	store_rollback(x->s);
	return rc;
}

static int change_states(struct changing *x)
{
	struct ids ids = { 0 };
	struct err e = ERR_INIT;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < x->c->n_states; i++) {
		struct job_filter f = { .state = (int)x->c->states[i], .cause = x->c->only_cause };

		rc = store_job_each(x->s, &f, collect, &ids, &e);
	}
	for (size_t i = 0; rc >= 0 && i < ids.n; i += BATCH)
		rc = change_batch(x, ids.v + i, ids.n - i < BATCH ? ids.n - i : BATCH, &e);
	if (rc >= 0 && ids.n == 0)
		puts(x->c->nothing);
	free(ids.v);
	return rc < 0 ? cli_fail(&e) : EXIT_GOOD;
}

int job_change(struct store *s, const struct job_change *c, char *const *names, int n)
{
	struct changing x = { .s = s, .c = c, .scratch = arena_new() };
	int code = c->n_states ? change_states(&x) : change_named(&x, names, n);

	arena_free(x.scratch);
	return code;
}

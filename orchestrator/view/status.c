#include "orchestrator/view/status.h"

#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/view/table.h"

#define RATE_LEAST_MS 500 /* a rate over less than that is noise */

/* ---- load */

struct collect {
	struct arena *a;
	struct status_job *v;
	int n, max;
};

static int collect_job(void *ctx, const struct job_row *row, struct err *e)
{
	struct collect *c = ctx;
	struct status_job *j;

	(void)e;
	if (c->n == c->max)
		return 0;
	j = &c->v[c->n++];
	j->id = row->id;
	memcpy(j->key, row->key, SHA256_LEN);
	j->state = row->state;
	j->attempt = row->tries;
	j->label = arena_strdup(c->a, row->label);
	j->cause = arena_strdup(c->a, row->cause);
	j->message = arena_strdup(c->a, row->message);
	j->stage = j->unit = "";
	j->evidence_from = j->evidence = j->rungs = "";
	j->left_ms = -1;
	return 0;
}

static int collect_state(struct store *s, const struct status *st, enum job_state state,
			 struct collect *c, struct err *e)
{
	struct job_filter f = { .run_id = st->all ? 0 : st->run.id, .state = (int)state };

	if (st->counts[state] == 0 || c->n == c->max)
		return 0;
	f.limit = c->max - c->n;
	return store_job_each(s, &f, collect_job, c, e);
}

static int add_progress(struct store *s, struct status_job *j, int64_t now_ms, struct arena *a,
			struct err *e)
{
	struct attempt_row at;
	int n = store_attempts(s, j->id, a, &at, 1, e);

	if (n <= 0)
		return n;
	j->attempt = at.number;
	j->stage = at.stage ? at.stage : "";
	j->unit = at.unit ? at.unit : "";
	j->done = at.done;
	j->total = at.total;
	j->elapsed_ms = now_ms > at.started_ms ? now_ms - at.started_ms : 0;
	if (j->elapsed_ms >= RATE_LEAST_MS && j->done > 0) {
		j->rate = 1000.0 * (double)j->done / (double)j->elapsed_ms;
		if (j->total >= j->done)
			j->left_ms = (int64_t)(1000.0 * (double)(j->total - j->done) / j->rate);
	}
	return 0;
}

static int add_evidence(struct store *s, struct status_job *j, struct arena *a, struct err *e)
{
	struct attempt_row at;
	int n = store_attempts(s, j->id, a, &at, 1, e);

	if (n <= 0)
		return n;
	j->evidence_from = at.evidence_from;
	j->evidence = at.evidence;
	j->rungs = at.rungs;
	return 0;
}

static int load_jobs(struct store *s, struct status *st, struct arena *a, struct err *e)
{
	static const enum job_state active[] = { JOB_RUNNING, JOB_VALIDATING, JOB_UPLOADING };
	struct collect act = { .a = a, .max = STATUS_ACTIVE_MAX };
	struct collect failed = { .a = a, .max = STATUS_FAILED_MAX };
	int rc = 0;

	act.v = arena_array(a, STATUS_ACTIVE_MAX, sizeof(*act.v));
	failed.v = arena_array(a, STATUS_FAILED_MAX, sizeof(*failed.v));
	for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(active); i++)
		rc = collect_state(s, st, active[i], &act, e);
	for (int i = 0; rc >= 0 && i < act.n; i++) {
		if (act.v[i].state == JOB_RUNNING && st->life == RUN_GOING)
			rc = add_progress(s, &act.v[i], st->now_ms, a, e);
	}
	if (rc >= 0)
		rc = collect_state(s, st, JOB_FAILED, &failed, e);
	for (int i = 0; rc >= 0 && i < failed.n; i++)
		rc = add_evidence(s, &failed.v[i], a, e);
	st->active = act.v;
	st->n_active = act.n;
	st->failed = failed.v;
	st->n_failed = failed.n;
	return rc;
}

static int load_life(struct status *st, struct err *e)
{
	int64_t holder = 0;
	int held;

	if (st->run.ended_ms) {
		st->life = RUN_ENDED;
		return 0;
	}
	held = workdir_holder(st->work, &holder, e);
	if (held < 0)
		return held;
	st->life = held && holder == st->run.pid ? RUN_GOING : RUN_DIED;
	return 0;
}

int status_load(struct store *s, const char *work, int64_t run_id, bool all, struct arena *a,
		struct status *out, struct err *e)
{
	struct status st = { .work = work, .now_ms = clock_wall_ms(), .all = all };
	const char **repos;
	size_t n_repos = 0;
	int rc = store_run_get(s, run_id, a, &st.run, e);

	if (rc == ERR_NOTFOUND && !run_id) {
		memset(&st.run, 0, sizeof(st.run));
		st.all = true;
		rc = 0;
	} else if (rc >= 0) {
		rc = load_life(&st, e);
	}
	if (rc >= 0)
		rc = store_job_counts(s, st.all ? 0 : st.run.id, st.counts, e);
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		st.total += st.counts[i];
	if (rc >= 0)
		rc = load_jobs(s, &st, a, e);
	if (rc >= 0 && st.counts[JOB_READY])
		rc = store_repos_ready(s, a, &repos, &n_repos, e);
	if (rc >= 0)
		rc = control_read(s, &st.control, e);
	if (rc < 0)
		return rc;
	st.unpublished = n_repos > 0;
	*out = st;
	return 0;
}

/* ---- words */

const char *run_life_name(enum run_life l)
{
	static const char *const names[] = {
		[RUN_NONE] = "none",
		[RUN_GOING] = "running",
		[RUN_ENDED] = "ended",
		[RUN_DIED] = "died",
	};

	return names[l];
}

int status_exit_code(const struct status *st)
{
	if (st->counts[JOB_FAILED])
		return EXIT_JOBS_FAILED;
	return st->life == RUN_DIED ||
			       (st->life == RUN_ENDED && st->run.exit_code == EXIT_ENVIRONMENT)
		       ? EXIT_ENVIRONMENT
		       : EXIT_GOOD;
}

int status_next_steps(const struct status *st, struct arena *a, const char **out, int n)
{
	int64_t waiting =
		st->counts[JOB_PENDING] + st->counts[JOB_RUNNING] + st->counts[JOB_VALIDATING];
	const char *steps[5];
	int count = 0;

	if (st->control.pause)
		steps[count++] =
			arena_printf(a, "paused since %s%s; quern resume goes on",
				     show_time(a, st->control.since_ms),
				     st->control.pause == PAUSE_NOW ? ", workers are stopped" : "");
	else if (st->life == RUN_GOING && st->control.drain == st->run.id)
		steps[count++] = "draining: it finishes what it has begun, then ends";
	else if (st->life == RUN_GOING) {
		steps[count++] = "quern status --watch follows it";
	} else if (st->life == RUN_DIED) {
		steps[count++] = "the run ended without a word; quern run goes on where it stopped";
	} else if (waiting) {
		steps[count++] =
			arena_printf(a, "%lld wait%s; quern run does %s", (long long)waiting,
				     waiting == 1 ? "s" : "", waiting == 1 ? "it" : "them");
	}
	if (st->n_failed)
		steps[count++] = arena_printf(
			a,
			"quern show %lld says why; quern retry --failed puts what failed "
			"back, then quern run",
			(long long)st->failed[0].id);
	if (st->unpublished && st->life != RUN_GOING)
		steps[count++] =
			arena_printf(a, "%lld converted, not published; quern upload publishes",
				     (long long)st->counts[JOB_READY]);
	if (!count && st->total)
		steps[count++] = "nothing to do";
	for (int i = 0; i < count && i < n; i++)
		out[i] = steps[i];
	return count < n ? count : n;
}

/* ---- text */

static void print_run(const struct status *st, FILE *f, struct arena *a)
{
	const struct run_row *r = &st->run;
	char took[32];

	if (st->life == RUN_NONE) {
		fputs("no run yet\n", f);
		return;
	}
	fprintf(f, "%srun %lld%s ", cli_style(stdout, STYLE_BOLD), (long long)r->id,
		cli_style(stdout, STYLE_PLAIN));
	cli_print_text(f, r->name);
	fprintf(f, ", %s (%s)", show_time(a, r->started_ms),
		show_ago(a, r->started_ms, st->now_ms));
	if (st->life == RUN_GOING) {
		fprintf(f, ", %sgoing on%s: process %lld on ", cli_style(stdout, STYLE_BLUE),
			cli_style(stdout, STYLE_PLAIN), (long long)r->pid);
		cli_print_text(f, r->host);
	} else if (st->life == RUN_DIED) {
		fprintf(f, ", %sdied%s: process %lld on ", cli_style(stdout, STYLE_RED),
			cli_style(stdout, STYLE_PLAIN), (long long)r->pid);
		cli_print_text(f, r->host);
	} else {
		units_format_duration(r->ended_ms > r->started_ms ? r->ended_ms - r->started_ms : 0,
				      took, sizeof(took));
		fprintf(f, ", took %s, exit code %d", took, r->exit_code);
	}
	fputc('\n', f);
}

/* Only while the run lives: what it waited for when it died is no news. */
static void print_waiting(const struct status *st, FILE *f)
{
	if (st->life != RUN_GOING || !st->run.waiting[0])
		return;
	cli_print_text(f, st->run.waiting);
	fputc('\n', f);
}

static void print_counts(const struct status *st, FILE *f)
{
	const char *sep = ": ";

	fprintf(f, "%lld job%s%s", (long long)st->total, st->total == 1 ? "" : "s",
		st->all && st->life != RUN_NONE ? " of all runs" : "");
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		if (!st->counts[i])
			continue;
		fprintf(f, "%s%s%lld %s%s", sep, cli_style(stdout, state_style((enum job_state)i)),
			(long long)st->counts[i], job_state_name((enum job_state)i),
			cli_style(stdout, STYLE_PLAIN));
		sep = ", ";
	}
	if (st->run.illegal && !st->all)
		fprintf(f, "; %lld not legal (quern plan)", (long long)st->run.illegal);
	fputc('\n', f);
}

static const char *rate_text(const struct status_job *j, struct arena *a)
{
	char size[32];

	if (j->rate <= 0)
		return "";
	if (strcmp(j->unit, "bytes") != 0)
		return arena_printf(a, "%.3g %s/s", j->rate, j->unit);
	units_format_size((uint64_t)j->rate, size, sizeof(size));
	return arena_printf(a, "%s/s", size);
}

static void print_active(const struct status *st, FILE *f, size_t width, struct arena *a)
{
	static const struct column columns[] = {
		{ "running", ALIGN_RIGHT, 0 }, { "", ALIGN_LEFT, 16 },
		{ "stage", ALIGN_LEFT, 8 },    { "", ALIGN_RIGHT, 0 },
		{ "rate", ALIGN_RIGHT, 6 },    { "left", ALIGN_RIGHT, 0 },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns));
	int64_t going =
		st->counts[JOB_RUNNING] + st->counts[JOB_VALIDATING] + st->counts[JOB_UPLOADING];

	for (int i = 0; i < st->n_active; i++) {
		const struct status_job *j = &st->active[i];
		char left[32] = "";
		const char *row[] = { arena_printf(a, "%lld", (long long)j->id),
				      j->label,
				      j->state == JOB_RUNNING ? j->stage : job_state_name(j->state),
				      "",
				      rate_text(j, a),
				      left };

		if (j->total > 0 && j->done >= 0)
			row[3] = arena_printf(a, "%d%%",
					      (int)(100.0 * (double)j->done / (double)j->total));
		if (j->left_ms >= 0)
			units_format_duration(j->left_ms, left, sizeof(left));
		table_add(t, row);
	}
	if (st->n_active)
		table_print(t, f, width);
	if (going > st->n_active && st->n_active)
		fprintf(f, "... and %lld more\n", (long long)(going - st->n_active));
	table_free(t);
}

static void print_failed(const struct status *st, FILE *f, size_t width, struct arena *a)
{
	static const struct column columns[] = {
		{ "failed", ALIGN_RIGHT, 0 },
		{ "", ALIGN_LEFT, 16 },
		{ "cause", ALIGN_LEFT, 6 },
		{ "", ALIGN_LEFT, 16 },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns));

	for (int i = 0; i < st->n_failed; i++) {
		const struct status_job *j = &st->failed[i];
		const char *row[] = { arena_printf(a, "%lld", (long long)j->id), j->label, j->cause,
				      j->message };

		table_add(t, row);
		table_style(t, 2, STYLE_RED);
	}
	if (st->n_failed)
		table_print(t, f, width);
	if (st->counts[JOB_FAILED] > st->n_failed)
		fprintf(f, "... and %lld more: quern status --state failed\n",
			(long long)(st->counts[JOB_FAILED] - st->n_failed));
	table_free(t);
}

void status_print(const struct status *st, FILE *f, size_t width)
{
	struct arena *a = arena_new();
	const char *steps[5];
	int n;

	print_run(st, f, a);
	print_counts(st, f);
	print_waiting(st, f);
	print_active(st, f, width, a);
	print_failed(st, f, width, a);
	n = status_next_steps(st, a, steps, ARRAY_LEN(steps));
	for (int i = 0; i < n; i++)
		fprintf(f, "%s%s%s\n", cli_style(stdout, STYLE_DIM), steps[i],
			cli_style(stdout, STYLE_PLAIN));
	arena_free(a);
}

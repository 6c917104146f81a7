/* orchestrator/measure/measure.c -- the order in which a target is asked, and what is made of its
 * answers. */
#include "orchestrator/measure/measure.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "orchestrator/measure/counting.h"
#include "orchestrator/measure/garbage.h"

/* ---- stopping */

static volatile sig_atomic_t stopped;
static int64_t started_ms; /* monotonic; one measurement at a time in a process */

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

void measure_stop_on_signals(void)
{
	const struct sigaction act = { .sa_handler = on_stop }; /* no SA_RESTART: waits end */
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &act, NULL);
}

bool measure_stopped(void)
{
	return stopped;
}

int64_t measure_left_ms(const struct measure_options *o)
{
	int64_t left = started_ms + o->timeout_ms - clock_mono_ms();

	return left > 0 ? left : 0;
}

/* ---- targets */

int measure_target_new(const struct measure_options *o, struct measure_target **out, struct err *e)
{
	switch (o->where->kind) {
	case MEASURE_ENDPOINT:
		return measure_endpoint_new(o, out, e);
	case MEASURE_SERVE:
		return measure_serve_new(o, out, e);
	case MEASURE_BOARD:
		return measure_board_new(o, out, e);
	default:
		return err_set(e, ERR_INVALID, "no such kind of target");
	}
}

void measure_target_free(struct measure_target *t)
{
	if (t)
		t->ops->free(t);
}

/* ---- numbers over runs */

static int by_size(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static struct measure_stat stat_of(double *v, int n)
{
	struct measure_stat s = { .n = n };

	if (n == 0)
		return s;
	qsort(v, (size_t)n, sizeof(*v), by_size);
	for (int i = 0; i < n; i++)
		s.mean += v[i] / n;
	s.min = v[0];
	s.max = v[n - 1];
	s.median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
	return s;
}

enum number { TTFT, PROMPT_PER_S, GENERATE_PER_S, TOTAL, SEQLEN, NEW_TOKENS, NUMBERS };

struct numbers { /* of one prompt over its runs */
	double *v[NUMBERS];
	int n[NUMBERS];
};

static void add(struct numbers *m, enum number what, double v)
{
	if (isfinite(v) && v >= 0)
		m->v[what][m->n[what]++] = v;
}

/* Speed of reading the prompt: by the target's own clock, else until the first piece came. */
static double prompt_speed(const struct measure_answer *x)
{
	double ms = x->prompt_ms > 0 ? x->prompt_ms : x->ttft_ms;

	if (x->prompt_tokens <= 0 || ms <= 0 || x->cached_tokens > 0)
		return -1;
	return (double)x->prompt_tokens * 1000 / ms;
}

/* The first token came with the prompt's time when we hold the clock. */
static double generate_speed(const struct measure_answer *x)
{
	bool theirs = x->counted_by == COUNTED_TIMINGS || x->counted_by == COUNTED_RUNTIME;
	int64_t tokens = theirs ? x->new_tokens : x->new_tokens - 1;

	return tokens > 0 && x->generate_ms > 0 ? (double)tokens * 1000 / x->generate_ms : -1;
}

static void add_answer(struct numbers *m, const struct measure_answer *x)
{
	add(m, TTFT, x->ttft_ms);
	add(m, PROMPT_PER_S, prompt_speed(x));
	add(m, GENERATE_PER_S, generate_speed(x));
	add(m, TOTAL, x->total_ms);
	add(m, SEQLEN, (double)x->prompt_tokens);
	add(m, NEW_TOKENS, (double)x->new_tokens);
}

static int64_t median_count(struct numbers *m, enum number what)
{
	struct measure_stat s = stat_of(m->v[what], m->n[what]);

	return s.n ? (int64_t)llround(s.median) : -1;
}

static void fill_row(struct measure_row *row, const char *prompt, struct numbers *m)
{
	row->prompt = prompt;
	row->ttft_ms = stat_of(m->v[TTFT], m->n[TTFT]);
	row->prompt_per_s = stat_of(m->v[PROMPT_PER_S], m->n[PROMPT_PER_S]);
	row->generate_per_s = stat_of(m->v[GENERATE_PER_S], m->n[GENERATE_PER_S]);
	row->total_ms = stat_of(m->v[TOTAL], m->n[TOTAL]);
	row->seqlen = median_count(m, SEQLEN);
	row->new_tokens = median_count(m, NEW_TOKENS);
}

/* ---- asking */

struct asking {
	struct measure_target *t;
	const struct measure_options *o;
	struct measure_result *r;
	struct measure_answer x; /* of the last question */
	struct counting counting;
	int done, total;
	bool said_cached;
};

static void forget_answer(struct measure_answer *x)
{
	struct buf text = x->text;

	buf_clear(&text);
	*x = (struct measure_answer){ .text = text,
				      .prompt_tokens = -1,
				      .new_tokens = -1,
				      .ttft_ms = -1,
				      .prompt_ms = -1,
				      .generate_ms = -1,
				      .total_ms = -1,
				      .memory_bytes = -1,
				      .cached_tokens = -1 };
}

static int may_go_on(const struct measure_options *o, struct err *e)
{
	if (measure_stopped())
		return err_set(e, ERR_CANCELLED, "stopped");
	if (measure_left_ms(o) == 0)
		return err_set(e, ERR_BUSY, "the time for the whole measurement (%lld s) is over",
			       (long long)(o->timeout_ms / 1000));
	return 0;
}

static int ask(struct asking *q, const char *stage, const struct measure_prompt *p, struct err *e)
{
	int rc = may_go_on(q->o, e);

	if (rc < 0)
		return rc;
	if (q->o->progress)
		q->o->progress(q->o->ctx, stage, q->done, q->total);
	forget_answer(&q->x);
	rc = q->t->ops->ask(q->t, p, &q->x, e);
	if (rc < 0)
		return err_wrap(e, "prompt %s", p->name);
	counting_fill(&q->counting, q->o, p, &q->x, q->r);
	q->done++;
	if (q->x.memory_bytes > q->r->memory_bytes)
		q->r->memory_bytes = q->x.memory_bytes;
	return 0;
}

/* Servers keep what they have read: with other first words, each run reads the whole prompt. */
static struct measure_prompt numbered(struct asking *q, const struct measure_prompt *p, int run)
{
	struct measure_prompt own = *p;

	own.text = arena_printf(q->r->a, "(%d) %s", run, p->text);
	return own;
}

static int ask_performance(struct asking *q, const struct measure_prompt *p,
			   struct measure_row *row, struct err *e)
{
	struct numbers m = { .n = { 0 } };
	int rc = 0;

	for (int i = 0; i < NUMBERS; i++)
		m.v[i] = arena_array(q->r->a, (size_t)q->o->runs, sizeof(**m.v));
	for (int run = 1; rc >= 0 && run <= q->o->runs; run++) {
		struct measure_prompt own = numbered(q, p, run);

		rc = ask(q, "measure", &own, e);
		if (rc < 0)
			break;
		add_answer(&m, &q->x);
		q->r->counted_by = q->x.counted_by;
		if (q->x.cached_tokens > 0 && !q->said_cached) {
			q->said_cached = true;
			measure_warn(q->r, MEASURE_WARN_TARGET, p->name,
				     "it took %lld tokens of the prompt from a cache: the speed of "
				     "reading prompts is not known",
				     (long long)q->x.cached_tokens);
		}
	}
	if (rc >= 0)
		fill_row(row, arena_strdup(q->r->a, p->name), &m);
	return rc;
}

/* For a person who asks what was said: DIR/answers.txt. That it cannot be written is no fault. */
static void keep_answer(struct asking *q, const struct measure_prompt *p, const char *verdict)
{
	char *path = mem_printf("%s/answers.txt", q->o->dir);
	FILE *f = fopen(path, q->r->quality_asked ? "ae" : "we");

	if (f) {
		(void)fprintf(f, "== %s: %s\n%s\n--\n", p->name, verdict, p->text);
		(void)fwrite(buf_str(&q->x.text), 1, q->x.text.len, f);
		(void)fputs("\n\n", f);
		(void)fclose(f);
	}
	free(path);
}

static int ask_quality(struct asking *q, const struct measure_prompt *p, struct err *e)
{
	const struct garbage_question about = {
		.prompt = p->text, .language = p->language, .topic = p->topic, .n_topic = p->n_topic
	};
	struct garbage_question as = about;
	char why[GARBAGE_WHY_MAX];
	enum garbage g;
	int rc = ask(q, "quality", p, e);

	if (rc < 0)
		return rc;
	as.cut = q->x.cut || q->x.new_tokens >= p->new_tokens;
	g = garbage_look(&as, buf_str(&q->x.text), q->x.text.len, why);
	keep_answer(q, p, g == GARBAGE_NONE ? "good" : why);
	q->r->quality_asked++;
	if (g == GARBAGE_NONE)
		return 0;
	q->r->quality_bad++;
	measure_warn(q->r, MEASURE_WARN_GARBAGE, p->name,
		     "the answer to \"%s\" is no language (%s): %s", p->name, garbage_name(g), why);
	return 0;
}

static int ask_all(struct asking *q, struct err *e)
{
	const struct measure_prompt_set *set = q->o->prompts;
	int rc = 0;

	for (int i = 0; rc >= 0 && i < q->o->warmup; i++) {
		struct measure_prompt own = numbered(
			q, set->n_performance ? &set->performance[0] : &set->quality[0], -i);

		rc = ask(q, "warm up", &own, e);
	}
	for (size_t i = 0; rc >= 0 && i < set->n_performance; i++) {
		rc = ask_performance(q, &set->performance[i], &q->r->rows[q->r->n_rows], e);
		q->r->n_rows += rc >= 0;
		if (rc != ERR_ENV || i == 0)
			continue;
		/* Longer than the context, most often: the others tell enough. */
		measure_warn(q->r, MEASURE_WARN_TARGET, set->performance[i].name, "refused: %s",
			     e->msg);
		rc = 0;
	}
	for (size_t i = 0; rc >= 0 && i < set->n_quality; i++)
		rc = ask_quality(q, &set->quality[i], e);
	return rc;
}

int measure_run(struct measure_target *t, struct measure_result *out, struct err *e)
{
	const struct measure_options *o = t->o;
	const struct measure_prompt_set *set = o->prompts;
	struct asking q = { .t = t, .o = o, .r = out };
	int rc;

	started_ms = clock_mono_ms();
	*out = (struct measure_result){ .a = out->a,
					.kind = o->where->kind,
					.machine = "",
					.host = "",
					.prompts = set->name,
					.prompts_hash = set->hash,
					.at_ms = clock_wall_ms(),
					.runs = o->runs,
					.warmup = o->warmup,
					.memory_bytes = -1 };
	out->rows = arena_array(out->a, set->n_performance + 1, sizeof(*out->rows));
	q.total = o->warmup + (int)set->n_performance * o->runs + (int)set->n_quality;
	if (o->progress)
		o->progress(o->ctx, "prepare", 0, q.total);
	buf_init(&q.x.text, MEASURE_ANSWER_MAX);
	rc = may_go_on(o, e);
	if (rc >= 0) {
		rc = t->ops->prepare(t, out, e);
		if (rc >= 0)
			rc = ask_all(&q, e);
		t->ops->release(t, out);
	}
	counting_release(&q.counting);
	buf_release(&q.x.text);
	return rc < 0 ? rc : 0;
}

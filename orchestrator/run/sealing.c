/* orchestrator/run/sealing.c -- outputs on their way to artifacts/. A few pool threads
 * seal them; one that gets free takes all that have come together meanwhile: the
 * more jobs end a second, the more of them share the commits of the disk. */
#include <stdlib.h>

#include "core/mem.h"
#include "orchestrator/run/jobdir.h"
#include "orchestrator/run/task_private.h"

/* A disk does several fsync() at once in the time of one, and the journal commits them together. */
#define GROUPS_MAX 3

struct group {
	uv_work_t work;
	struct scheduler *sched;
	struct task *first; /* by seal_next */
	size_t n;
	bool alone;
};

static void next_group(struct scheduler *s);

static void describe(struct task *t)
{
	struct buf canonical;

	if (t->source && t->source->hub)
		t->job.spec.source_file = t->source->facts.file;
	buf_init(&canonical, 1u << 20);
	job_canonical(&t->job.spec, &canonical);
	t->seal =
		(struct seal_job){ .dir = t->dir,
				   .artifact = t->artifact,
				   .key_hex = t->key_hex,
				   .canonical = arena_strdup(t->a, buf_str(&canonical)),
				   .asked = &t->job.spec,
				   .source_facts = t->source ? sources_card(t->source, t->a) : NULL,
				   .file_facts = t->file_facts,
				   .rung_facts =
					   rungs_facts(t->a, t->sched->cfg, t->engine, &t->rungs),
				   .early = t->early,
				   .a = t->a };
	buf_release(&canonical);
}

static void group_work(uv_work_t *w)
{
	struct group *g = w->data;
	struct seal_job **jobs = mem_array(g->n, sizeof(struct seal_job *));
	size_t n = 0;

	for (struct task *t = g->first; t; t = t->seal_next) {
		describe(t);
		jobs[n++] = &t->seal;
	}
	seal(jobs, n);
	for (struct task *t = g->first; t; t = t->seal_next) {
		if (t->seal.rc == 0)
			jobdir_clear(t->dir);
	}
	free(jobs);
}

static void after_group(uv_work_t *w, int status)
{
	struct group *g = w->data;
	struct scheduler *s = g->sched;
	struct task *t = g->first, *next;

	(void)status;
	if (!g->alone) {
		s->sealers--;
		next_group(s);
	}
	free(g);
	for (; t; t = next) {
		next = t->seal_next; /* task_sealed() frees t */
		task_sealed(t);
	}
}

static void start_group(struct scheduler *s, struct task *first, size_t n, bool alone)
{
	struct group *g = mem_zalloc(sizeof(*g));

	g->work.data = g;
	g->sched = s;
	g->first = first;
	g->n = n;
	g->alone = alone;
	uv_queue_work(&s->loop, &g->work, group_work, after_group);
}

/* Those who wait become the next group. */
static void next_group(struct scheduler *s)
{
	struct task *first = s->to_seal;
	size_t n = s->n_to_seal;

	if (s->sealers == GROUPS_MAX || !first)
		return;
	s->sealers++;
	s->to_seal = NULL;
	s->n_to_seal = 0;
	start_group(s, first, n, false);
}

void sealing_add(struct task *t)
{
	struct scheduler *s = t->sched;

	t->seal_next = NULL;
	if (t->job.output_bytes >= SEAL_LARGE_BYTES) {
		start_group(s, t, 1, true);
		return;
	}
	t->seal_next = s->to_seal;
	s->to_seal = t;
	s->n_to_seal++;
	next_group(s);
}

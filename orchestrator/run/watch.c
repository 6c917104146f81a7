/* orchestrator/run/watch.c -- looks at what workers really use, in a pool thread, and acts on it:
 * a claim that was too low is raised before somebody starts into it, and a worker that is beyond
 * its limit, or that grows while all of them are beyond the budget, is ended before the machine
 * chooses whom to end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/host/cgroup.h"
#include "orchestrator/host/kmsg.h"
#include "orchestrator/host/machine.h"
#include "orchestrator/host/tree.h"
#include "orchestrator/run/scheduler_private.h"

#define LOOK_MS 1000		   /* between two looks when nobody is near a limit */
#define LOOK_TENSE_MS 250	   /* or when somebody is; also the first look at a new worker */
#define DISK_LOOK_MS 4000	   /* folders are walked more seldom */
#define RAISE_SHARE 4		   /* a raised claim has a quarter more than what is used */
#define MACHINE_LAST (64ull << 20) /* the kernel's own killer is near below that */

#define SEEN_MAX 256

struct watched {
	struct watched *next;
	int64_t attempt_id;
	char *dir, *out, *group; /* group NULL: none */
	struct tree tree;
	enum tree_by by;
	bool in_group;
	uint64_t bytes, scratch_bytes, output_bytes;
	pid_t seen[SEEN_MAX]; /* processes of it that were alive at some look, the newest */
	size_t n_seen;
	bool gone;	 /* its worker has ended: freed after the look that goes on */
	bool looked;	 /* at least once */
	int64_t disk_ms; /* of the last walk */
};

struct watch {
	struct scheduler *sched;
	uv_work_t work;
	bool looking, tense, fresh;
	int64_t looked_ms;
	struct watched *list;
	struct watched *head; /* where the thread begins: others are put before it meanwhile */
	struct processes all;
	struct kmsg kmsg;
	struct watch_state state; /* of the last look that is over */
	/* of the look that goes on */
	struct watch_state next;
	int64_t now_ms;
	const char *cache;
};

void watch_init(struct scheduler *s)
{
	s->watch = mem_zalloc(sizeof(*s->watch));
	s->watch->sched = s;
	s->watch->state.cache_free_bytes = -1;
	machine_look(&s->watch->state.machine);
	kmsg_open(&s->watch->kmsg);
}

static void free_watched(struct watched *w)
{
	free(w->dir);
	free(w->out);
	free(w->group);
	free(w);
}

void watch_free(struct scheduler *s)
{
	struct watch *x = s->watch;

	while (x->list) {
		struct watched *w = x->list;

		x->list = w->next;
		free_watched(w);
	}
	processes_release(&x->all);
	kmsg_close(&x->kmsg);
	free(x);
	s->watch = NULL;
}

const struct watch_state *watch_now(const struct scheduler *s)
{
	return &s->watch->state;
}

void watch_add(struct task *t)
{
	struct watch *x = t->sched->watch;
	struct watched *w;

	if (t->x.pid <= 0)
		return;
	w = mem_zalloc(sizeof(*w));
	w->attempt_id = t->attempt_id;
	w->dir = mem_strdup(t->dir);
	w->out = path_join(t->dir, "out");
	w->group = t->group && !t->group_has_files ? mem_strdup(t->group) : NULL;
	w->tree.root = (pid_t)t->x.pid;
	w->next = x->list;
	x->list = w;
	x->fresh = true;
}

static struct watched *of_task(const struct watch *x, const struct task *t)
{
	for (struct watched *w = x->list; w; w = w->next) {
		if (w->attempt_id == t->attempt_id && !w->gone)
			return w;
	}
	return NULL;
}

void watch_kill(struct task *t, int sig)
{
	struct watched *w = of_task(t->sched->watch, t);

	/* While a thread updates it, its list is in motion: the group gets the signal anyway, and
	 * the next tick comes here again. */
	if (w && !t->sched->watch->looking)
		tree_kill(&w->tree, sig);
}

static void sweep(struct watch *x)
{
	struct watched **at = &x->list, *w;

	while (!x->looking && (w = *at)) {
		if (w->gone) {
			tree_kill(&w->tree, SIGKILL); /* who left its group outlived it */
			*at = w->next;
			free_watched(w);
		} else {
			at = &w->next;
		}
	}
}

void watch_forget(struct task *t)
{
	struct watched *w = of_task(t->sched->watch, t);

	if (!w)
		return;
	w->gone = true;
	sweep(t->sched->watch);
}

const char *watch_kernel_line(struct task *t)
{
	struct watch *x = t->sched->watch;
	const struct watched *w = of_task(x, t);
	const char *line;

	kmsg_poll(&x->kmsg);
	if (!w || x->kmsg.n == 0)
		return NULL;
	line = kmsg_killed(&x->kmsg, &w->tree.root, 1);
	if (!line && !x->looking)
		line = kmsg_killed(&x->kmsg, w->seen, w->n_seen < SEEN_MAX ? w->n_seen : SEEN_MAX);
	return line;
}

/* ---- the look, in a pool thread. It touches the trees and the numbers of each, and x->next. */

static void look_at_disk(struct watched *w, int64_t now_ms)
{
	uint64_t all;

	if (w->looked && now_ms - w->disk_ms < DISK_LOOK_MS)
		return;
	w->disk_ms = now_ms;
	w->output_bytes = folder_bytes(w->out);
	all = folder_bytes(w->dir);
	w->scratch_bytes = all > w->output_bytes ? all - w->output_bytes : 0;
}

static void remember(struct watched *w)
{
	size_t kept = w->n_seen < SEEN_MAX ? w->n_seen : SEEN_MAX, j;

	for (size_t i = 0; i < w->tree.n; i++) {
		for (j = 0; j < kept && w->seen[j] != w->tree.v[i].pid; j++)
			;
		if (j == kept) {
			w->seen[w->n_seen++ % SEEN_MAX] = w->tree.v[i].pid;
			kept = w->n_seen < SEEN_MAX ? w->n_seen : SEEN_MAX;
		}
	}
}

/* The group knows it exactly, and does not have to walk anything. */
static void look_at_memory(struct watched *w)
{
	int64_t bytes = w->group ? cgroup_memory(w->group) : -1;

	w->in_group = bytes >= 0;
	w->bytes = w->in_group ? (uint64_t)bytes : tree_memory(&w->tree, &w->by);
}

static void look_work(uv_work_t *work)
{
	struct watch *x = work->data;
	struct err ignored = ERR_INIT;
	uint64_t bytes;

	machine_look(&x->next.machine);
	x->next.disk_free_bytes =
		path_free_space(x->sched->cfg->work, &bytes, &ignored) < 0 ? 0 : bytes;
	x->next.cache_free_bytes =
		x->cache && path_free_space(x->cache, &bytes, &ignored) >= 0 ? (int64_t)bytes : -1;
	if (!x->head)
		return;
	processes_read(&x->all);
	for (struct watched *w = x->head; w; w = w->next) {
		tree_update(&w->tree, &x->all);
		remember(w);
		look_at_memory(w);
		look_at_disk(w, x->now_ms);
		w->looked = true;
	}
}

/* ---- what follows */

static const char *by_name(const struct watched *w)
{
	return w->in_group	      ? "cgroup"
	       : w->by == TREE_BY_PSS ? "pss"
	       : w->by == TREE_BY_RSS ? "rss"
				      : "";
}

static void note(struct task *t, const struct watched *w)
{
	t->memory_now = w->bytes;
	if (w->bytes > t->memory_peak) {
		t->memory_peak = w->bytes;
		t->memory_by = by_name(w);
	}
	t->looks++;
	if (w->scratch_bytes > t->scratch_bytes)
		t->scratch_bytes = w->scratch_bytes;
	if (w->output_bytes > t->output_bytes)
		t->output_bytes = w->output_bytes;
}

static void raise_claim(struct task *t)
{
	struct scheduler *s = t->sched;
	char used[24], said[24];
	uint64_t claim;

	if (t->memory_now <= t->claim_bytes || t->slot_free)
		return;
	claim = t->memory_now + t->memory_now / RAISE_SHARE;
	if (claim > t->limit_bytes && t->limit_bytes > t->memory_now)
		claim = t->limit_bytes;
	if (t->claim_bytes == (uint64_t)t->job.memory_bytes) {
		units_format_size(t->memory_now, used, sizeof(used));
		units_format_size((uint64_t)t->job.memory_bytes, said, sizeof(said));
		display_say(s->display, "%s uses %s of memory, %s was estimated", t->job.label,
			    used, said);
	}
	admit_raised(&s->adm, claim - t->claim_bytes);
	t->claim_bytes = claim;
}

static void end_for_memory(struct task *t, const char *over)
{
	char used[24], said[24];

	units_format_size(t->memory_now, used, sizeof(used));
	units_format_size((uint64_t)t->job.memory_bytes, said, sizeof(said));
	snprintf(t->memory_words, sizeof(t->memory_words),
		 "it used %s of memory where %s was estimated, %s", used, said, over);
	task_stop(t, END_MEMORY, SIGKILL);
}

static void hold_to_limits(struct scheduler *s)
{
	char limit[24], over[80];

	for (struct task *t = s->tasks; t; t = t->next) {
		if (!t->limit_bytes || t->memory_now <= t->limit_bytes)
			continue;
		units_format_size(t->limit_bytes, limit, sizeof(limit));
		snprintf(over, sizeof(over), "and its limit is %s", limit);
		end_for_memory(t, over);
	}
}

/* The one that is most beyond what was promised for it; NULL: none is. */
static struct task *most_beyond(struct scheduler *s)
{
	struct task *worst = NULL;
	uint64_t most = 0;

	for (struct task *t = s->tasks; t; t = t->next) {
		uint64_t promised = (uint64_t)t->job.memory_bytes;

		if (t->end_reason == END_BY_ITSELF && t->memory_now > promised &&
		    t->memory_now - promised > most) {
			most = t->memory_now - promised;
			worst = t;
		}
	}
	return worst;
}

static void hold_to_budget(struct scheduler *s)
{
	const struct watch_state *now = &s->watch->state;
	struct task *worst = most_beyond(s);
	uint64_t last = now->machine.total_bytes / 100;

	if (!worst)
		return;
	if (last < MACHINE_LAST)
		last = MACHINE_LAST;
	if (now->memory_bytes > s->cfg->resources.memory_bytes)
		end_for_memory(worst, "and all workers together were beyond resources.memory");
	else if (now->machine.available_bytes < last && now->machine.swap_free_bytes < last)
		end_for_memory(worst, "and the machine had next to no memory left");
}

static void apply(struct watch *x)
{
	struct scheduler *s = x->sched;
	uint64_t sum = 0, growth = 0;

	x->tense = false;
	for (struct task *t = s->tasks; t; t = t->next) {
		const struct watched *w = of_task(x, t);

		t->memory_now = 0;
		if (!w || !w->looked) {
			growth += t->slot_free ? 0 : t->claim_bytes;
			continue;
		}
		note(t, w);
		raise_claim(t);
		sum += w->bytes;
		growth += t->claim_bytes > w->bytes ? t->claim_bytes - w->bytes : 0;
		x->tense |= t->limit_bytes && w->bytes > t->limit_bytes / 2;
	}
	x->state = x->next;
	x->state.memory_bytes = sum;
	admit_machine(&s->adm, x->state.machine.available_bytes, growth, x->state.machine.pressure);
	hold_to_limits(s);
	hold_to_budget(s);
}

static void after_look(uv_work_t *work, int status)
{
	struct watch *x = work->data;

	(void)status;
	x->looking = false;
	x->looked_ms = clock_mono_ms();
	apply(x);
	sweep(x);
	ballast_take(x->sched);
	timeline_tick(x->sched);
}

void watch_tick(struct scheduler *s, int64_t mono_ms)
{
	struct watch *x = s->watch;
	int64_t wait_ms = x->tense || x->fresh ? LOOK_TENSE_MS : LOOK_MS;

	if (x->looking || (x->looked_ms && mono_ms - x->looked_ms < wait_ms))
		return;
	x->looking = true;
	x->head = x->list;
	x->fresh = false;
	x->now_ms = mono_ms;
	x->cache = room_is_shared(s) ? NULL : s->cache;
	x->work.data = x;
	uv_queue_work(&s->loop, &x->work, look_work, after_look);
}

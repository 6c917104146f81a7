#include "orchestrator/plan/bill.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/mem.h"
#include "orchestrator/run/admission.h"

#define LOOK_AHEAD 1024 /* waiting jobs that others may overtake, as the scheduler has it */

struct running {
	int64_t end_ms;
	size_t job;
};

struct play {
	const struct bill_job *jobs;
	const struct bill_limits *l;
	struct bill *out;
	bool timed; /* only jobs with a duration; else each takes as long as the others */
	const struct bill_span *span; /* in which all that starts has to end; NULL: any time */
	struct admission adm;
	struct running *running; /* slots of them */
	int n_running;
	size_t *waiting; /* jobs that were passed over, in their order */
	size_t n_waiting, next, n;
	int64_t now_ms;
	uint64_t stays, in_work; /* bytes on the disk */
};

static void note_most(struct play *p)
{
	struct bill *b = p->out;

	if (p->timed)
		return;
	if (p->n_running > b->most_at_once)
		b->most_at_once = p->n_running;
	if (p->adm.memory_used > b->memory_bytes)
		b->memory_bytes = p->adm.memory_used;
	if (p->stays + p->in_work > b->disk_bytes)
		b->disk_bytes = p->stays + p->in_work;
}

static uint64_t room_of(const struct bill_job *j)
{
	return j->output_bytes + j->scratch_bytes;
}

static bool start(struct play *p, size_t i)
{
	const struct bill_job *j = &p->jobs[i];
	int64_t id = (int64_t)i + 1;
	/* A job that is larger than the budget would wait for ever: it has all of it. */
	uint64_t memory =
		j->memory_bytes < p->l->memory_bytes ? j->memory_bytes : p->l->memory_bytes;
	enum admit may;

	if (p->span && p->now_ms + j->ms > p->span->end_ms)
		return false;
	may = admit_check(&p->adm, id, memory, 0, UINT64_MAX);
	if (may != ADMIT_YES) {
		if (may == ADMIT_NO_MEMORY)
			admit_blocked(&p->adm, id);
		return false;
	}
	admit_started(&p->adm, id, memory, 0);
	p->running[p->n_running++] =
		(struct running){ .end_ms = p->now_ms + (p->timed ? j->ms : 1), .job = i };
	p->in_work += room_of(j);
	note_most(p);
	return true;
}

static void start_all(struct play *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_waiting; i++) {
		if (p->n_running == p->l->slots || !start(p, p->waiting[i]))
			p->waiting[kept++] = p->waiting[i];
	}
	p->n_waiting = kept;
	while (p->n_running < p->l->slots && p->n_waiting < LOOK_AHEAD && p->next < p->n) {
		size_t i = p->next++;

		if (p->timed && p->jobs[i].ms <= 0)
			continue;
		if (!start(p, i))
			p->waiting[p->n_waiting++] = i;
	}
}

static void end_first(struct play *p)
{
	const struct bill_job *j;
	int first = 0;

	for (int i = 1; i < p->n_running; i++) {
		if (p->running[i].end_ms < p->running[first].end_ms)
			first = i;
	}
	j = &p->jobs[p->running[first].job];
	p->now_ms = p->running[first].end_ms;
	p->running[first] = p->running[--p->n_running];
	admit_worker_ended(&p->adm, j->memory_bytes < p->l->memory_bytes ? j->memory_bytes
									 : p->l->memory_bytes);
	p->in_work -= room_of(j);
	if (p->l->keep)
		p->stays += j->output_bytes;
	if (p->timed && (!p->l->until_ms || p->now_ms <= p->l->until_ms))
		p->out->done_in_time++;
}

static void play(struct play *p)
{
	start_all(p);
	while (p->n_running) {
		end_first(p);
		start_all(p);
	}
}

static size_t left_over(const struct play *p)
{
	size_t n = p->n_waiting;

	for (size_t i = p->next; i < p->n; i++)
		n += p->jobs[i].ms > 0;
	return n;
}

/* Night after night. One that is whole and in which nothing begins has no better one behind it. */
static void play_spans(struct play *p)
{
	struct bill *out = p->out;
	size_t done = 0;

	for (size_t i = 0; i < p->l->n_open && left_over(p); i++) {
		p->span = &p->l->open[i];
		if (p->now_ms < p->span->start_ms)
			p->now_ms = p->span->start_ms;
		done = left_over(p);
		play(p);
		if (left_over(p) < done) {
			out->spans++;
			out->done_ms = p->now_ms;
		} else if (i) {
			break;
		}
	}
	out->too_long = left_over(p);
	p->span = NULL;
}

static void begin(struct play *p, bool timed)
{
	p->out->done_in_time = 0;
	p->timed = timed;
	p->adm = (struct admission){ .slots = p->l->slots,
				     .memory_bytes = p->l->memory_bytes,
				     .machine_free = UINT64_MAX,
				     .pressure = -1 };
	p->next = p->n_waiting = 0;
	p->now_ms = 0;
	p->stays = p->in_work = 0;
}

void bill_make(const struct bill_job *jobs, size_t n, const struct bill_limits *l, struct bill *out)
{
	struct play p = { .jobs = jobs, .l = l, .out = out, .n = n };

	*out = (struct bill){ .jobs = n };
	p.running = mem_array((size_t)l->slots + 1, sizeof(*p.running));
	p.waiting = mem_array(LOOK_AHEAD + 1, sizeof(*p.waiting));
	for (size_t i = 0; i < n; i++) {
		out->output_bytes += jobs[i].output_bytes;
		out->measured += jobs[i].ms > 0;
	}
	begin(&p, false); /* what all of them take at once */
	play(&p);
	begin(&p, true); /* and how long those take whose time is known */
	play(&p);
	out->ms = out->done_ms = p.now_ms;
	if (l->n_open) {
		begin(&p, true);
		play_spans(&p);
	}
	free(p.running);
	free(p.waiting);
}

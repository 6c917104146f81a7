/* orchestrator/run/making.c -- sources that are not there yet: each is made or
 * fetched once, for all jobs that need it, before the first of them. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "orchestrator/run/making_private.h"
#include "upload/fetch_drop.h"

/* Two fetches share the line to the hub; more of them only share it into smaller pieces. */
#define FETCHES_AT_ONCE 2
/* Sources on their way or fetched, of which no job was started yet: more only take disk. */
#define AHEAD_MAX 2
#define LOOK_MS 250 /* between two looks for room while something else goes on */

static const struct hub_source *hub_part(const struct resolved *r, int i)
{
	return i ? r->lora : r->hub;
}

void making_release(struct making *m)
{
	for (int i = 0; i < 2; i++) {
		if (m->use_fd[i] >= 0)
			close(m->use_fd[i]);
		m->use_fd[i] = -1;
	}
	if (m->state == MAKING_READY)
		m->state = MAKING_IDLE;
}

/* It is there: hold it against everybody who would drop it, and see that it still is. */
static void take(struct making *m)
{
	struct err ignored = ERR_INIT; /* not held: nor can it be dropped by those who hold */

	for (int i = 0; i < 2; i++) {
		const struct hub_source *h = hub_part(m->source, i);

		if (h && m->use_fd[i] < 0 &&
		    fetch_use(h->cache, h->repo, h->commit, false, &m->use_fd[i], &ignored) ==
			    ERR_BUSY) {
			making_release(
				m); /* it goes just now; looked at again with the next tick */
			return;
		}
	}
	m->state = MAKING_READY;
	if (!source_is_ready(m->source))
		making_release(m);
	else
		m->failures = 0;
}

void making_done(struct making *m)
{
	m->running = false;
	m->fetched = m->source->hub != NULL;
	m->used = false;
	m->refused = false;
	drop_reconsider(m->sched);
	take(m);
	sched_kick(m->sched);
}

/* When a failed fetch is tried again: as often as a job would be, with its pauses. */
static int64_t retry_time(struct making *m)
{
	const struct config *c = m->sched->cfg;
	int64_t wait_ms = c->retry.backoff_ms;

	for (int i = 1; i < m->failures && wait_ms < c->retry.backoff_max_ms; i++)
		wait_ms *= 2;
	if (wait_ms > c->retry.backoff_max_ms)
		wait_ms = c->retry.backoff_max_ms;
	return sched_now(m->sched) + wait_ms;
}

void making_fail(struct making *m, const char *cause, const char *message, bool again)
{
	m->state = MAKING_FAILED;
	m->running = false;
	m->why = arena_strdup(m->a, message);
	m->cause = arena_strdup(m->a, cause);
	m->failures++;
	m->retry_ms = again ? retry_time(m) : 0;
	display_say(m->sched->display, "%s: cannot %s it: %s%s", m->source->model->name,
		    m->source->fake ? "make" : "fetch", message,
		    again ? "; will be tried again" : "");
	sched_kick(m->sched);
}

void making_wait(struct making *m)
{
	m->state = MAKING_WAITING;
	m->running = false;
	m->why = m->text;
}

bool making_is_alone(const struct making *m)
{
	for (const struct making *o = m->sched->makings; o; o = o->next) {
		if (o != m && o->running)
			return false;
	}
	return !m->sched->tasks;
}

static bool may_begin(const struct making *m)
{
	int fetches = 0, ahead = 0;

	for (const struct making *o = m->sched->makings; o; o = o->next) {
		fetches += o->running && o->source->hub;
		ahead += o->fetched && !o->used && o->state == MAKING_READY;
	}
	if (m->sched->stop != STOP_NOT || !control_may_start(m->sched) || drop_busy(m->sched))
		return false;
	if (m->source->fake || making_is_alone(m))
		return true;
	return fetches < FETCHES_AT_ONCE && fetches + ahead < AHEAD_MAX;
}

static void begin(struct making *m)
{
	m->state = MAKING_BUSY;
	m->running = true;
	m->start_ms = clock_mono_ms();
	if (m->source->fake)
		making_fake_begin(m);
	else
		making_hub_begin(m);
}

static struct making *making_of(struct scheduler *s, const struct resolved *r)
{
	const struct hub_source *h = r->hub ? r->hub : r->lora;
	struct making *m;

	for (m = s->makings; m; m = m->next) {
		if (m->source == r)
			return m;
	}
	m = mem_zalloc(sizeof(*m));
	m->sched = s;
	m->a = arena_new();
	m->source = r;
	m->state = MAKING_IDLE;
	m->use_fd[0] = m->use_fd[1] = -1;
	m->next = s->makings;
	s->makings = m;
	if (h && !s->cache)
		s->cache = h->cache;
	return m;
}

/* Is it time to look for room again? Always when nothing else goes on: this look may be the last.
 */
static bool may_look(struct making *m)
{
	int64_t now = clock_mono_ms();

	if (m->state != MAKING_WAITING)
		return true;
	if (drop_busy(m->sched))
		return false;
	if (m->refused && m->refused_at == m->sched->room_changes) {
		(void)drop_for_room(m->sched, hub_source_room_bytes(m->fetching), false);
		return false;
	}
	if (now - m->looked_ms < LOOK_MS && !making_is_alone(m))
		return false;
	m->looked_ms = now;
	return true;
}

/* Bring it on, as far as can be done now. */
static void advance(struct making *m)
{
	if (m->running || m->state == MAKING_READY)
		return;
	if (m->source->fake && drop_busy(m->sched)) /* it may be going just now */
		return;
	if (m->state == MAKING_FAILED && m->retry_ms && sched_now(m->sched) >= m->retry_ms)
		m->state = MAKING_IDLE;
	if (source_is_ready(m->source))
		take(m);
	else if (m->state != MAKING_FAILED && may_look(m) && may_begin(m))
		begin(m);
}

enum making_state making_need(struct scheduler *s, const struct resolved *r, const char **cause,
			      const char **why, int64_t *retry_ms)
{
	struct making *m = making_of(s, r);

	if (m->asked_kick != s->kicks) /* thousands of jobs may ask for one source */
		advance(m);
	m->asked_kick = s->kicks;
	if (m->state == MAKING_IDLE)
		m->state = MAKING_BUSY;
	if (m->state == MAKING_FAILED) {
		*cause = m->cause;
		*why = m->why;
		*retry_ms = m->retry_ms;
	}
	return m->state;
}

void making_used(struct scheduler *s, const struct resolved *r)
{
	struct making *m = making_of(s, r);

	m->used = true;
	if (r->fake) /* the time of its last use, by which it may go */
		(void)utimensat(AT_FDCWD, r->dir, NULL, 0);
	if (m->state == MAKING_IDLE && source_is_ready(r)) /* of a worker that was taken over */
		take(m);
}

void making_ahead(struct scheduler *s)
{
	while (s->opt.work && s->stop == STOP_NOT && control_may_start(s) &&
	       s->ahead_at < s->cfg->n_models) {
		size_t model = s->turns.order[s->ahead_at];
		const struct resolved *r = sources_seen(s->session->sources, model);
		struct making *m;

		if (s->opt.work[model].any && r && r->hub && !r->fault && !source_is_ready(r)) {
			m = making_of(s, r);
			advance(m);
			if (!m->running && m->state != MAKING_FAILED && m->state != MAKING_READY)
				return; /* not now; asked again with the next kick */
		}
		s->ahead_at++;
	}
}

bool making_busy(const struct scheduler *s)
{
	for (const struct making *m = s->makings; m; m = m->next) {
		if (m->running ||
		    (m->state == MAKING_BUSY && m->asked_kick == s->kicks && s->stop == STOP_NOT))
			return true;
	}
	return false;
}

int making_say_waiting(struct scheduler *s)
{
	int n = 0;

	for (const struct making *m = s->makings; m; m = m->next) {
		if (m->state != MAKING_WAITING || m->asked_kick != s->kicks)
			continue;
		display_say(s->display, "%s: not %s: %s", m->source->model->name,
			    m->source->fake ? "made" : "fetched", m->why);
		n++;
	}
	return n;
}

int making_draw(const struct scheduler *s, int64_t mono_ms, struct display_job *jobs, int max)
{
	int n = 0;

	for (const struct making *m = s->makings; m && n < max; m = m->next) {
		if (m->running)
			jobs[n++] = (struct display_job){
				.label = m->source->model->name,
				.stage = m->source->fake ? "making" : "fetching",
				.unit = "bytes",
				.done = m->done,
				.total = m->total,
				.elapsed_ms = mono_ms - m->start_ms,
			};
	}
	return n;
}

void making_stop(struct scheduler *s, int sig)
{
	for (struct making *m = s->makings; m; m = m->next) {
		if (m->running && m->source->fake)
			making_fake_stop(m, sig);
		else if (m->running)
			making_hub_stop(m, sig);
	}
}

void making_free(struct scheduler *s)
{
	while (s->makings) {
		struct making *m = s->makings;

		s->makings = m->next;
		making_release(m);
		arena_free(m->a);
		free(m);
	}
}

/* upload/http_wait.c -- when a request is tried again, and the wait that all
 * requests share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "upload/http_private.h"

#define ASKED_MAX_MS 3600000 /* a longer wait in a shared file is a clock that was changed */
#define SLOW_FACTOR 10	     /* longest wait after a 429 without a time, in max_ms */

const struct http_policy http_policy_default = {
	.attempts = 6,
	.first_ms = 1000,
	.max_ms = 30000,
	.deadline_ms = 3600000,
};

struct http_budget {
	int64_t until_ms; /* on the clock of the requests */
	char *path;	  /* holds the same as wall clock, for the other processes; or NULL */
};

struct http_budget *http_budget_new(const char *path)
{
	struct http_budget *b = mem_zalloc(sizeof(*b));

	b->path = mem_strdup(path);
	return b;
}

void http_budget_free(struct http_budget *b)
{
	if (!b)
		return;
	free(b->path);
	free(b);
}

/* What another process was told, in ms from now. A file that is no number is no wait. */
static int64_t shared_wait_ms(const char *path)
{
	struct err ignored = ERR_INIT;
	int64_t wait_ms = 0;
	struct buf b;

	buf_init(&b, 64);
	if (path_read(path, 64, &b, &ignored) >= 0)
		wait_ms = strtoll(buf_str(&b), NULL, 10) - clock_wall_ms();
	buf_release(&b);
	return wait_ms > 0 && wait_ms <= ASKED_MAX_MS ? wait_ms : 0;
}

int64_t http_budget_wait_ms(struct http_budget *b, int64_t now_ms)
{
	int64_t wait_ms = b->until_ms > now_ms ? b->until_ms - now_ms : 0;
	int64_t shared = b->path ? shared_wait_ms(b->path) : 0;

	return shared > wait_ms ? shared : wait_ms;
}

void http_budget_delay(struct http_budget *b, int64_t now_ms, int64_t wait_ms)
{
	struct err ignored = ERR_INIT;
	char text[32];
	int n;

	if (wait_ms <= http_budget_wait_ms(b, now_ms))
		return;
	b->until_ms = now_ms + wait_ms;
	if (!b->path)
		return;
	n = snprintf(text, sizeof(text), "%lld\n", (long long)(clock_wall_ms() + wait_ms));
	/* Without it the others learn by a 429 of their own. */
	(void)path_write(b->path, text, (size_t)n, 0644, &ignored);
}

int64_t http_backoff_ms(const struct http_policy *p, int n, uint32_t random)
{
	int64_t wait_ms = p->first_ms;

	for (int i = 0; i < n && wait_ms < p->max_ms; i++)
		wait_ms *= 2;
	if (wait_ms > p->max_ms)
		wait_ms = p->max_ms;
	return wait_ms - wait_ms / 2 + (int64_t)(random % (uint64_t)(wait_ms / 2 + 1));
}

static int64_t wait_of(struct http_transfer *t, const struct http_policy *p)
{
	struct http_policy slow = *p;
	uint32_t random = t->h->clock.random(t->h->clock.ctx);

	if (t->rs.fault.wait_ms >= 0)
		return t->rs.fault.wait_ms;
	if (t->rs.fault.class != HTTP_FAULT_SLOW_DOWN)
		return http_backoff_ms(p, t->failures - 1, random);
	slow.first_ms *= 4;
	slow.max_ms *= SLOW_FACTOR;
	return http_backoff_ms(&slow, t->slow - 1, random);
}

int64_t http_next_attempt(struct http_transfer *t, int64_t now_ms)
{
	const struct http_policy *p = t->rq.policy ? t->rq.policy : &t->h->policy;
	int64_t wait_ms;

	/* A range goes on where it broke: every byte of it is progress. */
	if ((t->rq.range_bytes && t->attempt_bytes) || (!t->failures && !t->slow)) {
		t->failures = t->slow = 0;
		t->failing_since_ms = now_ms;
	}
	if (t->rs.fault.class == HTTP_FAULT_SLOW_DOWN)
		t->slow++;
	else
		t->failures++;
	wait_ms = wait_of(t, p);
	if (t->rs.fault.class == HTTP_FAULT_SLOW_DOWN)
		http_budget_delay(t->h->budget, now_ms, wait_ms);
	if (p->attempts <= 1 || t->failures >= p->attempts)
		return -1;
	if (p->deadline_ms && now_ms + wait_ms - t->failing_since_ms > p->deadline_ms)
		return -1;
	return wait_ms;
}

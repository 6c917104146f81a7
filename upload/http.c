#include "upload/http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/clock.h"
#include "core/mem.h"
#include "upload/base64.h"
#include "upload/http_private.h"

#define TOKEN_MAX 1024
#define POLL_MAX_MS 1000

/* ---- real time and chance */

static int64_t real_now(void *ctx)
{
	(void)ctx;
	return clock_mono_ms();
}

static void real_sleep(void *ctx, int64_t ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	(void)ctx;
	(void)nanosleep(&t, NULL);
}

static uint32_t real_random(void *ctx)
{
	uint32_t v = 0;

	(void)ctx;
	if (getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v))
		v = (uint32_t)clock_mono_ms();
	return v;
}

/* ---- the client */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_start(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Printable ASCII without blanks: what may stand in a header. */
static bool token_ok(const char *s)
{
	size_t n = strlen(s);

	for (const char *p = s; *p; p++) {
		if (*p <= ' ' || *p > '~')
			return false;
	}
	return n > 0 && n <= TOKEN_MAX;
}

static int check_options(const struct http_options *o, struct err *e)
{
	char *shown = http_url_public(o->endpoint);
	size_t n;

	if (!shown || strpbrk(o->endpoint, "?#")) {
		free(shown);
		return err_set(
			e, ERR_INVALID,
			"\"%.100s\" is no hub; an endpoint looks like https://huggingface.co",
			shown ? o->endpoint : "the endpoint");
	}
	n = strlen(shown);
	free(shown);
	if (n > 2000)
		return err_set(e, ERR_INVALID, "the hub's address is longer than any");
	if (o->token && !token_ok(o->token))
		return err_set(e, ERR_INVALID,
			       "the token is none: it has characters that no token has; correct %s",
			       o->user ? "QUERN_GIT_TOKEN" : "HF_TOKEN or run `hf auth login`");
	if (o->user && (strpbrk(o->user, ":\r\n") || strlen(o->user) > TOKEN_MAX))
		return err_set(e, ERR_INVALID, "\"%.100s\" is no user name", o->user);
	return 0;
}

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

static char *make_authorization(const struct http_options *o)
{
	struct buf b;
	char *pair;

	if (!o->token || !o->user)
		return o->token ? mem_printf("Bearer %s", o->token) : NULL;
	pair = mem_printf("%s:%s", o->user, o->token);
	buf_init(&b, (size_t)4 * TOKEN_MAX);
	buf_adds(&b, "Basic ");
	(void)base64_add(&b, pair, strlen(pair));
	wipe(pair);
	return buf_detach(&b);
}

int http_open(const struct http_options *o, struct http **out, struct err *e)
{
	static const struct http_clock real = { real_now, real_sleep, real_random, NULL };
	int rc = check_options(o, e);
	struct http *h;
	size_t n;

	if (rc < 0)
		return rc;
	pthread_once(&curl_once, curl_start);
	h = mem_zalloc(sizeof(*h));
	h->endpoint = mem_strdup(o->endpoint);
	n = strlen(h->endpoint);
	while (n && h->endpoint[n - 1] == '/')
		h->endpoint[--n] = '\0';
	h->token = mem_strdup(o->token);
	h->user = mem_strdup(o->user);
	h->authorization = make_authorization(o);
	h->offline = o->offline;
	h->direct = o->direct;
	h->stopped = o->stopped;
	h->own_budget = !o->budget;
	h->budget = o->budget ? o->budget : http_budget_new(NULL);
	h->policy = o->policy ? *o->policy : http_policy_default;
	h->clock = o->clock ? *o->clock : real;
	h->calls = http_pool_new(h, 1);
	*out = h;
	return 0;
}

void http_close(struct http *h)
{
	if (!h)
		return;
	http_pool_free(h->calls);
	if (h->own_budget)
		http_budget_free(h->budget);
	wipe(h->token);
	wipe(h->authorization);
	free(h->user);
	free(h->endpoint);
	free(h);
}

const char *http_endpoint(const struct http *h)
{
	return h->endpoint;
}

bool http_has_token(const struct http *h)
{
	return h->token != NULL;
}

bool http_is_basic(const struct http *h)
{
	return h->user != NULL;
}

/* ---- a pool */

struct http_pool {
	struct http *h;
	CURLM *multi;
	struct http_transfer *waiting, **tail, *active;
	int n_active, max_active;
	bool stopped, held;
	void (*on_wake)(void *ctx);
	void *wake_ctx;
	atomic_bool woken;
};

struct http_pool *http_pool_new(struct http *h, int max_active)
{
	struct http_pool *p = mem_zalloc(sizeof(*p));

	p->h = h;
	p->max_active = max_active;
	p->tail = &p->waiting;
	p->multi = curl_multi_init();
	if (!p->multi) {
		fputs("quern: out of memory\n", stderr);
		_Exit(4);
	}
	curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)max_active + 4);
	return p;
}

static void append(struct http_pool *p, struct http_transfer *t)
{
	t->next = NULL;
	*p->tail = t;
	p->tail = &t->next;
}

static void unlink_active(struct http_pool *p, struct http_transfer *t)
{
	struct http_transfer **at = &p->active;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	p->n_active--;
}

void http_pool_free(struct http_pool *p)
{
	if (!p)
		return;
	while (p->active) {
		struct http_transfer *t = p->active;

		p->active = t->next;
		curl_multi_remove_handle(p->multi, t->easy);
		http_transfer_free(t);
	}
	while (p->waiting) {
		struct http_transfer *t = p->waiting;

		p->waiting = t->next;
		http_transfer_free(t);
	}
	curl_multi_cleanup(p->multi);
	free(p);
}

void http_pool_add(struct http_pool *p, const struct http_request *rq)
{
	append(p, http_transfer_new(p->h, rq));
}

void http_pool_on_wake(struct http_pool *p, void (*on_wake)(void *ctx), void *ctx)
{
	p->on_wake = on_wake;
	p->wake_ctx = ctx;
}

void http_pool_wake(struct http_pool *p)
{
	atomic_store(&p->woken, true);
	(void)curl_multi_wakeup(p->multi);
}

void http_pool_hold(struct http_pool *p, bool held)
{
	p->held = held;
}

void http_pool_stop(struct http_pool *p)
{
	p->stopped = true;
}

/* The one ending: to the caller that waits for it, or to on_done. */
static void finish(struct http_transfer *t)
{
	struct err e = ERR_INIT;

	if (t->rs.fault.class != HTTP_FAULT_NONE)
		(void)http_explain(t, &e);
	if (t->call) {
		t->call->rs = t->rs;
		t->call->err = e;
		memset(&t->rs, 0, sizeof(t->rs));
	} else {
		t->rq.on_done(t->rq.ctx, &t->rq, &t->rs, &e);
	}
	http_transfer_free(t);
}

static void start(struct http_pool *p, struct http_transfer *t)
{
	http_transfer_begin(t);
	t->next = p->active;
	p->active = t;
	p->n_active++;
	curl_multi_add_handle(p->multi, t->easy);
}

/* An attempt ended: the next hop, the next attempt, or the ending. */
static void attempt_over(struct http_pool *p, struct http_transfer *t, CURLcode rc)
{
	int64_t now_ms = p->h->clock.now_ms(p->h->clock.ctx), wait_ms;

	curl_multi_remove_handle(p->multi, t->easy);
	unlink_active(p, t);
	http_transfer_end(t, rc);
	if (t->rs.fault.class == HTTP_FAULT_NONE && http_transfer_redirect(t) > 0) {
		start(p, t);
		return;
	}
	wait_ms = http_fault_repeats(t) ? http_next_attempt(t, now_ms) : -1;
	if (wait_ms < 0) {
		finish(t);
		return;
	}
	free(t->url); /* a signed address may have run out: ask the hub again */
	t->url = mem_strdup(t->home);
	t->hops = 0;
	t->not_before_ms = now_ms + wait_ms;
	append(p, t);
}

/* What a hub has told another request lasts longer than this one may wait: it ends as the other
 * did.
 */
static void give_up(struct http_transfer *t, int64_t wait_ms)
{
	const struct http_policy *policy = t->rq.policy ? t->rq.policy : &t->h->policy;

	if (t->verdict != HTTP_FAULT_NONE || !policy->deadline_ms || wait_ms <= policy->deadline_ms)
		return;
	t->verdict = t->rs.fault.class = HTTP_FAULT_SLOW_DOWN;
	t->rs.fault.status = 429;
	t->rs.fault.wait_ms = wait_ms;
}

/* The first that may start now, out of the queue; NULL: none. */
static struct http_transfer *take_ready(struct http_pool *p, int64_t now_ms)
{
	int64_t shared_ms = http_budget_wait_ms(p->h->budget, now_ms);
	bool all_wait = shared_ms > 0;

	for (struct http_transfer **at = &p->waiting, *t; (t = *at); at = &t->next) {
		give_up(t, shared_ms);
		if (t->verdict == HTTP_FAULT_NONE && (all_wait || t->not_before_ms > now_ms))
			continue;
		*at = t->next;
		if (!*at)
			p->tail = at;
		return t;
	}
	return NULL;
}

/* ms until one of those that wait may start. */
static int64_t next_start_ms(const struct http_pool *p, int64_t now_ms)
{
	int64_t soonest = POLL_MAX_MS, shared = http_budget_wait_ms(p->h->budget, now_ms);

	for (const struct http_transfer *t = p->waiting; t; t = t->next) {
		if (t->not_before_ms - now_ms < soonest)
			soonest = t->not_before_ms - now_ms;
	}
	soonest = shared > soonest ? shared : soonest;
	return soonest > POLL_MAX_MS ? POLL_MAX_MS : soonest > 1 ? soonest : 1;
}

/* Start what may start; returns ms until more may, or POLL_MAX_MS when all places are taken. */
static int64_t start_ready(struct http_pool *p)
{
	int64_t now_ms = p->h->clock.now_ms(p->h->clock.ctx);
	struct http_transfer *t;

	while (p->n_active < p->max_active && !p->stopped) {
		t = take_ready(p, now_ms);
		if (!t)
			return next_start_ms(p, now_ms);
		if (t->verdict != HTTP_FAULT_NONE)
			finish(t); /* nothing is sent */
		else
			start(p, t);
	}
	return POLL_MAX_MS;
}

static void reap(struct http_pool *p)
{
	struct http_transfer *t;
	CURLMsg *m;
	int left;

	while (!p->stopped && (m = curl_multi_info_read(p->multi, &left))) {
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		attempt_over(p, t, rc);
	}
}

int http_pool_run(struct http_pool *p, struct err *e)
{
	int running;

	p->stopped = false;
	while ((p->waiting || p->active || p->held) && !p->stopped) {
		int64_t wait_ms;

		if (p->h->stopped && p->h->stopped()) {
			http_pool_stop(p);
			break;
		}
		if (atomic_exchange(&p->woken, false) && p->on_wake)
			p->on_wake(p->wake_ctx);
		wait_ms = start_ready(p);
		if (!p->active && p->waiting && !p->stopped)
			p->h->clock.sleep_ms(p->h->clock.ctx, wait_ms);
		else if (!p->active && p->held && !p->stopped)
			(void)curl_multi_poll(p->multi, NULL, 0, (int)wait_ms, NULL);
		if (!p->active)
			continue;
		if (curl_multi_perform(p->multi, &running) != CURLM_OK)
			return err_set(e, ERR_IO, "the HTTP client cannot go on");
		reap(p);
		if (p->active && !p->stopped && running == p->n_active)
			(void)curl_multi_poll(p->multi, NULL, 0, (int)wait_ms, NULL);
	}
	return p->stopped ? err_set(e, ERR_CANCELLED, "stopped") : 0;
}

/* ---- one call */

int http_call(struct http *h, const struct http_request *rq, struct http_response *rs,
	      struct err *e)
{
	struct http_ending ending = { .err = ERR_INIT };
	struct http_transfer *t = http_transfer_new(h, rq);
	int rc;

	t->call = &ending;
	append(h->calls, t);
	rc = http_pool_run(h->calls, e);
	if (rc < 0) { /* nothing that points to this call may stay in it */
		http_pool_free(h->calls);
		h->calls = http_pool_new(h, 1);
	}
	*rs = ending.rs;
	if (rc >= 0 && ending.err.code < 0) {
		rc = ending.err.code;
		if (e)
			*e = ending.err;
	}
	return rc;
}

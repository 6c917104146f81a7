#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http_fixture.h"

struct fake_time fake;

static int64_t fake_now(void *ctx)
{
	return ((struct fake_time *)ctx)->now_ms;
}

/* The wall clock moves along, for budgets in files. */
static void fake_sleep(void *ctx, int64_t ms)
{
	struct fake_time *t = ctx;
	char shift[32];

	t->now_ms += ms;
	t->slept_ms += ms;
	snprintf(shift, sizeof(shift), "%lld", (long long)t->slept_ms);
	setenv("QUERN_TEST_CLOCK_MS", shift, 1);
}

void restart_time(void)
{
	memset(&fake, 0, sizeof(fake));
	unsetenv("QUERN_TEST_CLOCK_MS");
}

static uint32_t no_chance(void *ctx)
{
	(void)ctx;
	return 0xffffffff;
}

const struct http_clock fake_clock = { fake_now, fake_sleep, no_chance, &fake };
const struct http_policy three = { .attempts = 3, .first_ms = 1000, .max_ms = 8000 };

struct http *client(const char *endpoint, const char *token)
{
	const struct http_options o = {
		.endpoint = endpoint, .token = token, .policy = &three, .clock = &fake_clock
	};
	struct err e = ERR_INIT;
	struct http *h = NULL;

	restart_time();
	if (http_open(&o, &h, &e) < 0)
		fail_msg("%s", e.msg);
	return h;
}

void ask(struct one *o, const struct server_step *steps, size_t n, const struct http_request *given)
{
	struct http_request rq = given ? *given : (struct http_request){ 0 };

	memset(o, 0, sizeof(*o));
	o->s = server_start(steps, n);
	o->h = client(server_url(o->s), TOKEN);
	if (!rq.url)
		rq.url = "/x";
	o->rc = http_call(o->h, &rq, &o->rs, &o->e);
}

void done(struct one *o)
{
	http_response_release(&o->rs);
	http_close(o->h);
	server_stop(o->s);
}

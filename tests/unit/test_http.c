/* The HTTP client against a scripted server: what is repeated, what is not, how ranges go on, and
 * what each ending is called. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "tests/unit/http_server.h"
#include "upload/http.h"

#define TOKEN "hf_VerySecretTokenOfTheTest"
#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: " body

/* ---- time that passes only while the client sleeps */

static struct fake_time {
	int64_t now_ms, slept_ms;
} fake;

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

static void restart_time(void)
{
	memset(&fake, 0, sizeof(fake));
	unsetenv("QUERN_TEST_CLOCK_MS");
}

static uint32_t no_chance(void *ctx)
{
	(void)ctx;
	return 0xffffffff;
}

static const struct http_clock fake_clock = { fake_now, fake_sleep, no_chance, &fake };
static const struct http_policy three = { .attempts = 3, .first_ms = 1000, .max_ms = 8000 };

static struct http *client(const char *endpoint, const char *token)
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

/* One GET of /x with this much of a request; the answers are the steps. */
struct one {
	struct server *s;
	struct http *h;
	struct http_response rs;
	struct err e;
	int rc;
};

static void ask(struct one *o, const struct server_step *steps, size_t n,
		const struct http_request *given)
{
	struct http_request rq = given ? *given : (struct http_request){ 0 };

	memset(o, 0, sizeof(*o));
	o->s = server_start(steps, n);
	o->h = client(server_url(o->s), TOKEN);
	if (!rq.url)
		rq.url = "/x";
	o->rc = http_call(o->h, &rq, &o->rs, &o->e);
}

static void done(struct one *o)
{
	http_response_release(&o->rs);
	http_close(o->h);
	server_stop(o->s);
}

/* ---- plain calls */

static void a_call_brings_body_and_headers(void **state)
{
	const struct server_step steps[] = {
		{ "HTTP/1.1 200 OK\r\nX-Thing:  a b \r\nContent-Length: "
		  "5\r\n\r\nhello",
		  SERVER_KEEP }
	};
	struct one o;

	(void)state;
	ask(&o, steps, 1, NULL);
	assert_int_equal(o.rc, 0);
	assert_string_equal(buf_str(&o.rs.body), "hello");
	assert_string_equal(http_header(&o.rs, "x-thing"), "a b ");
	assert_int_equal(o.rs.total_bytes, 5);
	assert_non_null(strstr(server_request(o.s, 0), "GET /x HTTP/1.1\r\n"));
	assert_non_null(strstr(server_request(o.s, 0), "Authorization: Bearer " TOKEN "\r\n"));
	assert_non_null(strstr(server_request(o.s, 0), "User-Agent: quern/"));
	done(&o);
}

static void a_body_is_sent_again_from_its_start(void **state)
{
	const struct server_step steps[] = {
		{ "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", SERVER_CLOSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SERVER_KEEP },
	};
	FILE *f = tmpfile();
	struct http_request rq = { .method = HTTP_PUT, .body_offset = 2, .body_bytes = 5 };
	struct one o;

	(void)state;
	fputs("..hello..", f);
	fflush(f);
	rq.body_fd = fileno(f);
	ask(&o, steps, 2, &rq);
	assert_int_equal(o.rc, 0);
	assert_int_equal(server_count(o.s), 2);
	for (size_t i = 0; i < 2; i++) {
		const char *r = server_request(o.s, i);

		assert_int_equal(strncmp(r, "PUT /x ", 7), 0);
		assert_string_equal(strstr(r, "\r\n\r\n") + 4, "hello");
	}
	done(&o);
	fclose(f);
}

/* ---- what is tried again */

static void a_failing_hub_is_asked_as_often_as_the_policy_says(void **state)
{
	const struct server_step steps[] = {
		{ "HTTP/1.1 502 Bad\r\nX-Request-Id: r1\r\nContent-Length: 4\r\n\r\noops",
		  SERVER_KEEP }
	};
	struct one o;

	(void)state;
	ask(&o, steps, 1, NULL);
	assert_int_equal(o.rc, ERR_BUSY);
	assert_int_equal(o.rs.fault.class, HTTP_FAULT_RETRY);
	assert_int_equal(server_count(o.s), 3);
	assert_int_equal(o.rs.attempts, 3);
	assert_true(fake.slept_ms >= 1500 &&
		    fake.slept_ms <= 3000); /* 1 s and 2 s, half by chance */
	assert_non_null(strstr(o.e.msg, "502"));
	assert_non_null(strstr(o.e.msg, "r1"));
	done(&o);
}

static void other_refusals_are_final(void **state)
{
	static const struct {
		const char *reply;
		enum http_fault_class class;
		int rc;
		const char *says;
	} cases[] = {
		{ "HTTP/1.1 400 Bad\r\nX-Error-Message: bad name\r\nContent-Length: 0\r\n\r\n",
		  HTTP_FAULT_INVALID, ERR_INVALID, "bad name" },
		{ "HTTP/1.1 401 No\r\nX-Error-Message: Invalid credentials in Authorization "
		  "header\r\nContent-Length: 0\r\n\r\n",
		  HTTP_FAULT_AUTH, ERR_ENV, "does not accept the token" },
		{ "HTTP/1.1 403 No\r\nX-Error-Code: GatedRepo\r\nContent-Length: 0\r\n\r\n",
		  HTTP_FAULT_GATED, ERR_ENV, "/org/name" },
		{ "HTTP/1.1 403 No\r\nX-Error-Message: Access to this resource is "
		  "disabled.\r\nContent-Length: 0\r\n\r\n",
		  HTTP_FAULT_DISABLED, ERR_ENV, "was disabled" },
		{ "HTTP/1.1 403 No\r\nContent-Type: application/json\r\nContent-Length: "
		  "25\r\n\r\n{\"error\":[\"no\",\"write\"]}\n",
		  HTTP_FAULT_AUTH, ERR_ENV, "no; write" },
		{ "HTTP/1.1 404 No\r\nX-Error-Code: RepoNotFound\r\nContent-Length: 0\r\n\r\n",
		  HTTP_FAULT_NOT_FOUND, ERR_NOTFOUND, "does not exist, or is private" },
		{ "HTTP/1.1 404 No\r\nX-Error-Code: RevisionNotFound\r\nContent-Length: 0\r\n\r\n",
		  HTTP_FAULT_NOT_FOUND, ERR_NOTFOUND, "no branch, tag or commit \"v9\"" },
		{ "HTTP/1.1 404 No\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\r\n",
		  HTTP_FAULT_NOT_FOUND, ERR_NOTFOUND, "no file \"a.txt\"" },
		{ "HTTP/1.1 409 No\r\nContent-Length: 0\r\n\r\n", HTTP_FAULT_CONFLICT, ERR_CONFLICT,
		  "409" },
		{ "HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n", HTTP_FAULT_CONFLICT, ERR_CONFLICT,
		  "412" },
		{ "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", HTTP_FAULT_TOO_LARGE, ERR_NOSPACE,
		  "413" },
		{ "HTTP/1.1 418 No\r\nContent-Length: 0\r\n\r\n", HTTP_FAULT_INVALID, ERR_INVALID,
		  "418" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct server_step step = { cases[i].reply, SERVER_KEEP };
		const struct http_request rq = {
			.about = { .repo = "org/name", .revision = "v9", .file = "a.txt" }
		};
		struct one o;

		ask(&o, &step, 1, &rq);
		assert_int_equal(o.rc, cases[i].rc);
		assert_int_equal(o.rs.fault.class, cases[i].class);
		if (!strstr(o.e.msg, cases[i].says))
			fail_msg("%s: no \"%s\"", o.e.msg, cases[i].says);
		assert_int_equal(server_count(o.s), 1);
		done(&o);
	}
}

static void those_without_a_token_are_told_how_to_get_one(void **state)
{
	static const char *const codes[] = { "GatedRepo", "RepoNotFound", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		char reply[200];
		struct server_step step = { reply, SERVER_KEEP };
		struct server *s;
		struct http *h;
		struct http_response rs;
		struct http_request rq = { .url = "/x", .about.repo = "org/name" };
		struct err e = ERR_INIT;

		snprintf(reply, sizeof(reply),
			 "HTTP/1.1 401 No\r\nX-Error-Code: %s\r\nContent-Length: 0\r\n\r\n",
			 codes[i]);
		s = server_start(&step, 1);
		h = client(server_url(s), NULL);
		assert_true(http_call(h, &rq, &rs, &e) < 0);
		assert_non_null(strstr(e.msg, "org/name"));
		assert_non_null(strstr(e.msg, "hf auth login"));
		assert_null(strstr(server_request(s, 0), "Authorization"));
		http_response_release(&rs);
		http_close(h);
		server_stop(s);
	}
}

static void too_many_requests_wait_as_long_as_the_hub_says(void **state)
{
	static const struct {
		const char *headers;
		int64_t least_ms, most_ms;
	} cases[] = {
		{ "RateLimit: \"api\";r=0;t=55\r\n", 56000, 56100 },
		{ "RateLimit: \"api\";r=0;t=5, \"pages\";r=0;t=9\r\n", 10000, 10100 },
		{ "Retry-After: 7\r\n", 7000, 7100 },
		/* something remains: t is no answer; our own backoff, longer than after a fault */
		{ "RateLimit: \"api\";r=400;t=1\r\n", 2000, 4100 },
		{ "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", 2000, 4100 },
		{ "", 2000, 4100 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char reply[200];
		const struct server_step steps[] = { { reply, SERVER_KEEP },
						     { OK("2\r\n\r\nok"), SERVER_KEEP } };
		struct one o;

		snprintf(reply, sizeof(reply), "HTTP/1.1 429 Slow\r\n%sContent-Length: 0\r\n\r\n",
			 cases[i].headers);
		ask(&o, steps, 2, NULL);
		assert_int_equal(o.rc, 0);
		if (fake.slept_ms < cases[i].least_ms || fake.slept_ms > cases[i].most_ms)
			fail_msg("case %zu waited %lld ms", i, (long long)fake.slept_ms);
		done(&o);
	}
}

static void a_wait_past_the_deadline_ends_at_once(void **state)
{
	const struct server_step step = {
		"HTTP/1.1 429 Slow\r\nRetry-After: 3000\r\nContent-Length: "
		"0\r\n\r\n",
		SERVER_KEEP
	};
	const struct http_policy minute = {
		.attempts = 3, .first_ms = 1, .max_ms = 1, .deadline_ms = 60000
	};
	const struct http_request rq = { .policy = &minute };
	struct one o;

	(void)state;
	ask(&o, &step, 1, &rq);
	assert_int_equal(o.rc, ERR_BUSY);
	assert_int_equal(o.rs.fault.class, HTTP_FAULT_SLOW_DOWN);
	assert_int_equal(o.rs.fault.wait_ms, 3000000);
	assert_non_null(strstr(o.e.msg, "50m"));
	assert_int_equal(server_count(o.s), 1);
	done(&o);
}

/* What the second client waits after the first one was told to wait 20 s. */
static int64_t waited_after_slow_down(struct http_budget *one, struct http_budget *other)
{
	const struct server_step slow[] = {
		{ "HTTP/1.1 429 Slow\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n",
		  SERVER_KEEP },
		{ OK("2\r\n\r\nok"), SERVER_KEEP },
	};
	const struct http_policy once = { .attempts = 1 };
	struct server *s = server_start(slow, 2);
	struct http_options o = {
		.endpoint = server_url(s), .policy = &once, .clock = &fake_clock, .budget = one
	};
	struct http_request rq = { .url = "/x" };
	struct http_response rs;
	struct http *h = NULL;
	struct err e = ERR_INIT;

	restart_time();
	assert_int_equal(http_open(&o, &h, &e), 0);
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_BUSY);
	assert_int_equal(fake.slept_ms, 0);
	http_response_release(&rs);
	http_close(h);
	o.budget = other;
	assert_int_equal(http_open(&o, &h, &e), 0);
	assert_int_equal(http_call(h, &rq, &rs, &e), 0);
	http_response_release(&rs);
	http_close(h);
	server_stop(s);
	return fake.slept_ms;
}

/* Who may wait a minute does not wait the fifty that another request was told, and asks nobody. */
static void a_shared_wait_beyond_the_deadline_ends_at_once(void **state)
{
	const struct server_step slow = {
		"HTTP/1.1 429 Slow\r\nRetry-After: 3000\r\nContent-Length: 0\r\n\r\n", SERVER_KEEP
	};
	const struct http_policy minute = {
		.attempts = 3, .first_ms = 1, .max_ms = 1, .deadline_ms = 60000
	};
	struct http_budget *b = http_budget_new(NULL);
	struct server *s = server_start(&slow, 1);
	struct http_options o = {
		.endpoint = server_url(s), .policy = &minute, .clock = &fake_clock, .budget = b
	};
	struct http_request rq = { .url = "/x" };

	(void)state;
	restart_time();
	for (int i = 0; i < 2; i++) {
		struct http_response rs;
		struct http *h = NULL;
		struct err e = ERR_INIT;

		assert_int_equal(http_open(&o, &h, &e), 0);
		assert_int_equal(http_call(h, &rq, &rs, &e), ERR_BUSY);
		assert_int_equal(rs.fault.class, HTTP_FAULT_SLOW_DOWN);
		assert_non_null(strstr(e.msg, "50m"));
		assert_string_equal(http_last_cause(h), "hub limit");
		http_response_release(&rs);
		http_close(h);
	}
	assert_int_equal(server_count(s), 1);
	assert_int_equal(fake.slept_ms, 0);
	server_stop(s);
	http_budget_free(b);
}

static void one_slow_down_delays_all_that_share_the_budget(void **state)
{
	struct http_budget *b = http_budget_new(NULL);
	struct http_budget *mine = http_budget_new("budget"), *theirs = http_budget_new("budget");

	(void)state;
	(void)unlink("budget");
	assert_int_equal(waited_after_slow_down(b, b), 20000);
	assert_int_equal(waited_after_slow_down(NULL, NULL), 0); /* each its own */
	assert_in_range(waited_after_slow_down(mine, theirs), 15000, 20100);
	http_budget_free(b);
	http_budget_free(mine);
	http_budget_free(theirs);
	assert_int_equal(unlink("budget"), 0);
}

/* ---- broken connections */

static void broken_connections_are_tried_again(void **state)
{
	static const struct server_step first[] = {
		{ NULL, SERVER_CLOSE },
		{ NULL, SERVER_RESET },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", SERVER_CLOSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", SERVER_RESET },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		  SERVER_CLOSE },
		{ "not http at all\r\n\r\n", SERVER_CLOSE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", SERVER_STALL },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", SERVER_DRIP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		const struct server_step steps[] = { first[i],
						     { OK("4\r\n\r\ngood"), SERVER_KEEP } };
		const struct http_request rq = { .floor_s = 1 };
		struct one o;

		ask(&o, steps, 2, &rq);
		if (o.rc != 0)
			fail_msg("case %zu: %s", i, o.e.msg);
		assert_string_equal(buf_str(&o.rs.body), "good");
		assert_int_equal(o.rs.attempts, 2);
		done(&o);
	}
}

/* A server that takes the connection and no byte of the body, as far as its system does not. */
static void a_body_that_nobody_takes_is_a_stall(void **state)
{
	const struct http_policy once = { .attempts = 1 };
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	struct http_request rq = { .method = HTTP_PUT,
				   .url = "/x",
				   .floor_s = 1,
				   .policy = &once,
				   .body_bytes = 64 << 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	struct http_response rs;
	struct err e = ERR_INIT;
	struct http *h;
	char *url;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	url = mem_printf("http://127.0.0.1:%d", ntohs(at.sin_port));
	h = client(url, TOKEN);
	rq.body = mem_zalloc(rq.body_bytes);
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_BUSY);
	assert_int_equal(rs.fault.class, HTTP_FAULT_RETRY);
	http_response_release(&rs);
	http_close(h);
	free((void *)rq.body);
	free(url);
	close(fd);
}

static void an_address_that_nobody_knows_is_said(void **state)
{
	struct http *h = client("http://no-such-host.invalid", TOKEN);
	struct http_request rq = { .url = "/x?secret=1" };
	struct http_response rs;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_BUSY);
	assert_int_equal(rs.fault.class, HTTP_FAULT_DNS);
	assert_int_equal(rs.attempts, 3);
	assert_non_null(strstr(e.msg, "no-such-host.invalid"));
	assert_null(strstr(e.msg, "secret"));
	http_response_release(&rs);
	http_close(h);
}

static void a_handshake_that_stalls_ends(void **state)
{
	const struct server_step step = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
					  SERVER_CLOSE };
	struct server *s = server_start(&step, 1);
	char *url = mem_printf("https://127.0.0.1:%d", server_port(s));
	struct http *h = client(url, TOKEN);
	const struct http_policy once = { .attempts = 1 };
	struct http_request rq = { .url = "/x", .policy = &once, .connect_ms = 200 };
	struct http_response rs;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_BUSY);
	assert_int_equal(rs.status, 0);
	http_response_release(&rs);
	http_close(h);
	free(url);
	server_stop(s);
}

/* ---- ranges */

struct sink {
	char data[64];
	uint64_t end;
};

static int into_sink(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct sink *s = ctx;

	if (offset + n > sizeof(s->data))
		return err_set(e, ERR_NOSPACE, "the disk is full");
	memcpy(s->data + offset, p, n);
	s->end = offset + n;
	return 0;
}

#define PART(range, length, bytes)                                                                 \
	"HTTP/1.1 206 Partial\r\nContent-Range: bytes " range "\r\nContent-Length: " length        \
	"\r\n\r\n" bytes

static void a_range_goes_on_where_it_broke(void **state)
{
	const struct server_step steps[] = {
		{ PART("10-19/40", "10", "0123"), SERVER_CLOSE },
		{ PART("14-16/40", "3", "456"), SERVER_KEEP }, /* shorter than asked: allowed */
		{ "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", SERVER_KEEP },
		{ PART("17-19/40", "3", "789"), SERVER_KEEP },
	};
	struct sink sink = { .end = 0 };
	const struct http_request rq = {
		.range_first = 10, .range_bytes = 10, .on_data = into_sink, .ctx = &sink
	};
	struct one o;

	(void)state;
	ask(&o, steps, 4, &rq);
	assert_int_equal(o.rc, 0);
	assert_memory_equal(sink.data + 10, "0123456789", 10);
	assert_int_equal(o.rs.got_bytes, 10);
	assert_int_equal(o.rs.total_bytes, 40);
	assert_non_null(strstr(server_request(o.s, 0), "Range: bytes=10-19\r\n"));
	assert_non_null(strstr(server_request(o.s, 1), "Range: bytes=14-19\r\n"));
	assert_non_null(strstr(server_request(o.s, 2), "Range: bytes=17-19\r\n"));
	assert_non_null(strstr(server_request(o.s, 3), "Range: bytes=17-19\r\n"));
	done(&o);
}

static void wrong_ranges_are_lies(void **state)
{
	static const char *const replies[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: "
		"40\r\n\r\n0123456789012345678901234567890123456789",
		PART("0-9/40", "10", "0123456789"),
		PART("10-29/40", "20", "01234567890123456789"),
		PART("10-19/15", "10", "0123456789"),
		PART("10-19/40", "20", "01234567890123456789"),
		PART("nonsense", "10", "0123456789"),
		"HTTP/1.1 206 Partial\r\nContent-Length: 10\r\n\r\n0123456789",
		"HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		const struct server_step step = { replies[i], SERVER_KEEP };
		struct sink sink = { .end = 0 };
		const struct http_request rq = {
			.range_first = 10, .range_bytes = 10, .on_data = into_sink, .ctx = &sink
		};
		struct one o;

		ask(&o, &step, 1, &rq);
		if (o.rc != ERR_IO || o.rs.fault.class != HTTP_FAULT_RANGE)
			fail_msg("case %zu: rc %d class %d %s", i, o.rc, o.rs.fault.class, o.e.msg);
		assert_true(sink.end <= 20);
		assert_int_equal(server_count(o.s), 1);
		done(&o);
	}
}

static void a_server_without_ranges_may_send_the_whole(void **state)
{
	const struct server_step step = { OK("4\r\n\r\ngood"), SERVER_KEEP };
	struct sink sink = { .end = 0 };
	const struct http_request rq = { .range_bytes = 4, .on_data = into_sink, .ctx = &sink };
	struct one o;

	(void)state;
	ask(&o, &step, 1, &rq);
	assert_int_equal(o.rc, 0);
	assert_memory_equal(sink.data, "good", 4);
	done(&o);
}

static void what_the_sink_refuses_is_final(void **state)
{
	const struct server_step step = { PART("60-69/70", "10", "0123456789"), SERVER_KEEP };
	struct sink sink = { .end = 0 };
	const struct http_request rq = {
		.range_first = 60, .range_bytes = 10, .on_data = into_sink, .ctx = &sink
	};
	struct one o;

	(void)state;
	ask(&o, &step, 1, &rq);
	assert_int_equal(o.rc, ERR_NOSPACE);
	assert_int_equal(o.rs.fault.class, HTTP_FAULT_LOCAL);
	assert_string_equal(o.e.msg, "the disk is full");
	assert_int_equal(server_count(o.s), 1);
	done(&o);
}

/* ---- lies */

static void html_is_not_taken_for_json(void **state)
{
	const struct server_step step = {
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: "
		"6\r\n\r\n<html>",
		SERVER_KEEP
	};
	const struct http_request rq = { .want_json = true };
	struct one o;

	(void)state;
	ask(&o, &step, 1, &rq);
	assert_int_equal(o.rc, ERR_IO);
	assert_int_equal(o.rs.fault.class, HTTP_FAULT_PROTOCOL);
	assert_non_null(strstr(o.e.msg, "no JSON"));
	done(&o);
}

static void an_answer_larger_than_the_cap_is_refused(void **state)
{
	const struct server_step step = { OK("10\r\n\r\n0123456789"), SERVER_KEEP };
	const struct http_request rq = { .body_max = 9 };
	struct one o;

	(void)state;
	ask(&o, &step, 1, &rq);
	assert_int_equal(o.rs.fault.class, HTTP_FAULT_PROTOCOL);
	done(&o);
}

static void endless_headers_are_refused(void **state)
{
	struct server_step step = { NULL, SERVER_KEEP };
	struct one o;
	struct buf b;

	(void)state;
	buf_init(&b, 1u << 20);
	buf_adds(&b, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "X-%d: y\r\n", i);
	buf_adds(&b, "\r\n");
	step.reply = b.data;
	ask(&o, &step, 1, NULL);
	assert_int_equal(o.rs.fault.class, HTTP_FAULT_PROTOCOL);
	done(&o);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_brings_body_and_headers),
		cmocka_unit_test(a_body_is_sent_again_from_its_start),
		cmocka_unit_test(a_failing_hub_is_asked_as_often_as_the_policy_says),
		cmocka_unit_test(other_refusals_are_final),
		cmocka_unit_test(those_without_a_token_are_told_how_to_get_one),
		cmocka_unit_test(too_many_requests_wait_as_long_as_the_hub_says),
		cmocka_unit_test(a_wait_past_the_deadline_ends_at_once),
		cmocka_unit_test(a_shared_wait_beyond_the_deadline_ends_at_once),
		cmocka_unit_test(one_slow_down_delays_all_that_share_the_budget),
		cmocka_unit_test(broken_connections_are_tried_again),
		cmocka_unit_test(an_address_that_nobody_knows_is_said),
		cmocka_unit_test(a_handshake_that_stalls_ends),
		cmocka_unit_test(a_body_that_nobody_takes_is_a_stall),
		cmocka_unit_test(a_range_goes_on_where_it_broke),
		cmocka_unit_test(wrong_ranges_are_lies),
		cmocka_unit_test(a_server_without_ranges_may_send_the_whole),
		cmocka_unit_test(what_the_sink_refuses_is_final),
		cmocka_unit_test(html_is_not_taken_for_json),
		cmocka_unit_test(an_answer_larger_than_the_cap_is_refused),
		cmocka_unit_test(endless_headers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

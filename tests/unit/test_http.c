/* The HTTP client against a scripted server: what is repeated, what is not, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "http_fixture.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where requests are sent on to, what goes along, and pools of requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "tests/unit/http_server.h"
#include "upload/http.h"

#define TOKEN "hf_VerySecretTokenOfTheTest"
#define GOOD "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

static const struct http_policy quick = { .attempts = 3, .first_ms = 1, .max_ms = 1 };
static const struct http_header extra = { "X-Extra", "for-the-hub" };

static struct http *client(const char *endpoint)
{
	const struct http_options o = { .endpoint = endpoint, .token = TOKEN, .policy = &quick };
	struct err e = ERR_INIT;
	struct http *h = NULL;

	if (http_open(&o, &h, &e) < 0)
		fail_msg("%s", e.msg);
	return h;
}

static char *redirect_to(int status, const char *origin, const char *path)
{
	return mem_printf("HTTP/1.1 %d Moved\r\nLocation: %s%s\r\nContent-Length: 0\r\n\r\n",
			  status, origin, path);
}

struct hop {
	struct server *hub, *other;
	struct http *h;
	struct http_response rs;
	struct err e;
	char *first;
	struct server_step steps[2];
	int rc;
};

static const struct server_step good = { GOOD, SERVER_KEEP };

/* The hub answers with a redirect to the other server, then well. */
static void go_elsewhere(struct hop *p, enum http_redirects redirects, enum http_method method)
{
	struct http_request rq = { .url = "/x",
				   .method = method,
				   .redirects = redirects,
				   .headers = &extra,
				   .n_headers = 1 };

	memset(p, 0, sizeof(*p));
	p->other = server_start(&good, 1);
	p->first = redirect_to(302, server_url(p->other), "/cdn?X-Signature=verysecret");
	p->steps[0] = (struct server_step){ p->first, SERVER_KEEP };
	p->steps[1] = good;
	p->hub = server_start(p->steps, 2);
	p->h = client(server_url(p->hub));
	p->rc = http_call(p->h, &rq, &p->rs, &p->e);
}

static void go_done(struct hop *p)
{
	http_response_release(&p->rs);
	http_close(p->h);
	server_stop(p->hub);
	server_stop(p->other);
	free(p->first);
}

static void the_token_does_not_follow_to_another_origin(void **state)
{
	struct hop p;

	(void)state;
	go_elsewhere(&p, HTTP_REDIRECT_ANY, HTTP_GET);
	assert_int_equal(p.rc, 0);
	assert_string_equal(buf_str(&p.rs.body), "good");
	assert_non_null(strstr(server_request(p.hub, 0), "Authorization: Bearer " TOKEN));
	assert_non_null(strstr(server_request(p.hub, 0), "X-Extra: for-the-hub"));
	assert_int_equal(server_count(p.other), 1);
	assert_null(strstr(server_request(p.other, 0), TOKEN));
	assert_null(strcasestr(server_request(p.other, 0), "authorization"));
	assert_null(strstr(server_request(p.other, 0), "X-Extra"));
	go_done(&p);
}

static void elsewhere_is_an_ending_unless_allowed(void **state)
{
	static const enum http_redirects policies[] = { HTTP_REDIRECT_NONE, HTTP_REDIRECT_SAME };
	struct hop p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		go_elsewhere(&p, policies[i], HTTP_HEAD);
		assert_int_equal(p.rc, 0);
		assert_int_equal(p.rs.status, 302);
		assert_non_null(strstr(http_header(&p.rs, "location"), "/cdn?"));
		assert_int_equal(server_count(p.other), 0);
		go_done(&p);
	}
}

static void a_body_is_not_dropped_on_the_way(void **state)
{
	struct hop p;

	(void)state;
	go_elsewhere(&p, HTTP_REDIRECT_ANY, HTTP_POST);
	assert_int_equal(p.rc, ERR_IO);
	assert_int_equal(p.rs.fault.class, HTTP_FAULT_PROTOCOL);
	assert_int_equal(server_count(p.other), 0);
	go_done(&p);
}

static void a_renamed_repository_is_followed_with_the_token(void **state)
{
	static const int statuses[] = { 301, 302, 303, 307, 308 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		char *first = redirect_to(statuses[i], "", "/new/x");
		const struct server_step steps[] = { { first, SERVER_KEEP }, good };
		struct server *s = server_start(steps, 2);
		struct http *h = client(server_url(s));
		struct http_request rq = { .url = "/old/x" };
		struct http_response rs;
		struct err e = ERR_INIT;

		assert_int_equal(http_call(h, &rq, &rs, &e), 0);
		assert_string_equal(buf_str(&rs.body), "good");
		assert_non_null(strstr(rs.url, "/new/x"));
		assert_int_equal(strncmp(server_request(s, 1), "GET /new/x ", 11), 0);
		assert_non_null(strstr(server_request(s, 1), TOKEN));
		http_response_release(&rs);
		http_close(h);
		server_stop(s);
		free(first);
	}
}

static void a_moved_post_keeps_method_and_body(void **state)
{
	char *first = redirect_to(307, "", "/new/x");
	const struct server_step steps[] = { { first, SERVER_KEEP }, good };
	struct server *s = server_start(steps, 2);
	struct http *h = client(server_url(s));
	struct http_request rq = {
		.url = "/old/x", .method = HTTP_POST, .body = "{\"a\":1}", .body_bytes = 7
	};
	struct http_response rs;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(http_call(h, &rq, &rs, &e), 0);
	assert_int_equal(strncmp(server_request(s, 1), "POST /new/x ", 12), 0);
	assert_string_equal(strstr(server_request(s, 1), "\r\n\r\n") + 4, "{\"a\":1}");
	http_response_release(&rs);
	http_close(h);
	server_stop(s);
	free(first);
}

static void circles_end(void **state)
{
	char *first = redirect_to(302, "", "/x");
	const struct server_step step = { first, SERVER_KEEP };
	struct server *s = server_start(&step, 1);
	struct http *h = client(server_url(s));
	struct http_request rq = { .url = "/x", .redirects = HTTP_REDIRECT_ANY };
	struct http_response rs;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_IO);
	assert_int_equal(rs.fault.class, HTTP_FAULT_PROTOCOL);
	assert_non_null(strstr(e.msg, "without an end"));
	assert_int_equal(server_count(s), 11);
	http_response_release(&rs);
	http_close(h);
	server_stop(s);
	free(first);
}

static void redirects_to_no_web_address_are_refused(void **state)
{
	static const char *const to[] = { "file:///etc/passwd", "ftp://x/y", "http://u:p@x/" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		char *first = redirect_to(302, to[i], "");
		const struct server_step step = { first, SERVER_KEEP };
		struct server *s = server_start(&step, 1);
		struct http *h = client(server_url(s));
		struct http_request rq = { .url = "/x", .redirects = HTTP_REDIRECT_ANY };
		struct http_response rs;
		struct err e = ERR_INIT;

		assert_int_equal(http_call(h, &rq, &rs, &e), ERR_IO);
		assert_int_equal(rs.fault.class, HTTP_FAULT_PROTOCOL);
		http_response_release(&rs);
		http_close(h);
		server_stop(s);
		free(first);
	}
}

static void an_expired_address_is_its_own_ending_and_stays_secret(void **state)
{
	const struct server_step gone = { "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
					  SERVER_KEEP };
	struct server *cdn = server_start(&gone, 1), *hub = server_start(&good, 1);
	char *url = mem_printf("%s/object?X-Signature=verysecret", server_url(cdn));
	struct http *h = client(server_url(hub));
	struct http_request rq = { .url = url };
	struct http_response rs;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_IO);
	assert_int_equal(rs.fault.class, HTTP_FAULT_EXPIRED);
	assert_non_null(strstr(e.msg, "/object"));
	assert_null(strstr(e.msg, "verysecret"));
	assert_null(strstr(server_request(cdn, 0), TOKEN));
	http_response_release(&rs);
	http_close(h);
	free(url);
	server_stop(cdn);
	server_stop(hub);
}

static void secrets_that_a_hub_repeats_are_cut(void **state)
{
	const struct server_step step = {
		"HTTP/1.1 400 No\r\nX-Error-Message: token " TOKEN
		" for https://cdn.example/x?sig=verysecret is bad\r\nContent-Length: 0\r\n\r\n",
		SERVER_KEEP
	};
	struct server *s = server_start(&step, 1);
	struct http *h = client(server_url(s));
	struct http_request rq = { .url = "/x?cursor=verysecret" };
	struct http_response rs;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_INVALID);
	assert_null(strstr(e.msg, TOKEN));
	assert_null(strstr(e.msg, "verysecret"));
	assert_non_null(strstr(e.msg, "https://cdn.example/x is bad"));
	http_response_release(&rs);
	http_close(h);
	server_stop(s);
}

static void offline_nothing_is_sent(void **state)
{
	struct server *s = server_start(&good, 1);
	const struct http_options o = { .endpoint = server_url(s), .offline = true };
	struct http_request rq = { .url = "/x", .about.repo = "org/name" };
	struct http_response rs;
	struct err e = ERR_INIT;
	struct http *h = NULL;

	(void)state;
	assert_int_equal(http_open(&o, &h, &e), 0);
	assert_int_equal(http_call(h, &rq, &rs, &e), ERR_ENV);
	assert_int_equal(rs.fault.class, HTTP_FAULT_OFFLINE);
	assert_non_null(strstr(e.msg, "HF_HUB_OFFLINE"));
	assert_int_equal(server_count(s), 0);
	http_response_release(&rs);
	http_close(h);
	server_stop(s);
}

static void tokens_and_endpoints_are_checked(void **state)
{
	static const struct http_options bad[] = {
		{ .endpoint = "ftp://hub" },
		{ .endpoint = "hub" },
		{ .endpoint = "https://user:pass@hub" },
		{ .endpoint = "https://hub?x=1" },
		{ .endpoint = "https://hub", .token = "a\r\nX-Evil: 1" },
		{ .endpoint = "https://hub", .token = "" },
	};
	struct http *h = NULL;
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(http_open(&bad[i], &h, &e), ERR_INVALID);
		assert_null(strstr(e.msg, "Evil"));
		assert_null(strstr(e.msg, "pass"));
	}
}

/* ---- addresses */

static void origins_are_scheme_host_and_port(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "https://hub/a", "https://HUB:443/b?c", true },
		{ "http://hub", "http://hub:80/", true },
		{ "https://hub", "http://hub", false },
		{ "https://hub", "https://hub:8443", false },
		{ "https://hub", "https://hub.evil", false },
		{ "https://hub", "https://hub@evil", false },
		{ "https://hub", "nonsense", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(http_same_origin(cases[i].a, cases[i].b), cases[i].same);
}

static void mirrors_get_their_own_address_back(void **state)
{
	const struct http_options o = { .endpoint = "https://mirror.example/hf/" };
	struct http *h = NULL;
	struct err e = ERR_INIT;
	char *url;

	(void)state;
	assert_int_equal(http_open(&o, &h, &e), 0);
	assert_string_equal(http_endpoint(h), "https://mirror.example/hf");
	url = http_url_rehome(h, "https://huggingface.co/api/x?cursor=1");
	assert_string_equal(url, "https://mirror.example/hf/api/x?cursor=1");
	free(url);
	url = http_url_rehome(h, "https://cdn.example/x");
	assert_string_equal(url, "https://cdn.example/x");
	free(url);
	http_close(h);
}

static void the_next_page_is_found(void **state)
{
	static const struct {
		const char *link, *path;
	} cases[] = {
		{ "<https://huggingface.co/api/x?cursor=a>; rel=\"next\"", "/api/x?cursor=a" },
		{ "</api/x?cursor=b>; rel=\"next\"", "/api/x?cursor=b" },
		{ "</p>; rel=\"prev\", </n>; rel=\"next\"", "/n" },
		{ "</p>; rel=\"prev\"", NULL },
		{ "<broken", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *reply = mem_printf("HTTP/1.1 200 OK\r\nLink: %s\r\nContent-Length: 0\r\n\r\n",
					 cases[i].link);
		const struct server_step step = { reply, SERVER_KEEP };
		struct server *s = server_start(&step, 1);
		struct http *h = client(server_url(s));
		struct http_request rq = { .url = "/x" };
		struct http_response rs;
		struct err e = ERR_INIT;
		char *next, *want = NULL;

		assert_int_equal(http_call(h, &rq, &rs, &e), 0);
		next = http_next_page(h, &rs);
		if (cases[i].path)
			want = mem_printf("%s%s", server_url(s), cases[i].path);
		if (want)
			assert_string_equal(next, want);
		else
			assert_null(next);
		free(want);
		free(next);
		http_response_release(&rs);
		http_close(h);
		server_stop(s);
		free(reply);
	}
}

/* ---- pools */

struct many {
	struct http_pool *pool;
	struct http_request rq;
	int asked, ended, bad, stop_at;
};

static void one_ended(void *ctx, const struct http_request *rq, struct http_response *rs,
		      const struct err *e)
{
	struct many *m = ctx;

	(void)rq;
	m->ended++;
	m->bad += e->code < 0 || strcmp(buf_str(&rs->body), "good") != 0;
	if (m->asked < 100) {
		m->asked++;
		http_pool_add(m->pool, &m->rq);
	}
	if (m->ended == m->stop_at)
		http_pool_stop(m->pool);
}

static int run_many(struct many *m, struct err *e)
{
	struct server *s = server_start(&good, 1);
	struct http *h = client(server_url(s));
	int rc;

	m->pool = http_pool_new(h, 8);
	m->rq = (struct http_request){ .url = "/x", .on_done = one_ended, .ctx = m };
	for (m->asked = 0; m->asked < 20; m->asked++)
		http_pool_add(m->pool, &m->rq);
	rc = http_pool_run(m->pool, e);
	if (m->stop_at == 0)
		assert_int_equal(server_count(s), 100);
	http_pool_free(m->pool);
	http_close(h);
	server_stop(s);
	return rc;
}

static void a_pool_ends_all_and_what_endings_add(void **state)
{
	struct many m = { .stop_at = 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_many(&m, &e), 0);
	assert_int_equal(m.ended, 100);
	assert_int_equal(m.bad, 0);
}

static void a_stopped_pool_forgets_the_rest(void **state)
{
	struct many m = { .stop_at = 10 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(run_many(&m, &e), ERR_CANCELLED);
	assert_int_equal(m.ended, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_does_not_follow_to_another_origin),
		cmocka_unit_test(elsewhere_is_an_ending_unless_allowed),
		cmocka_unit_test(a_body_is_not_dropped_on_the_way),
		cmocka_unit_test(a_renamed_repository_is_followed_with_the_token),
		cmocka_unit_test(a_moved_post_keeps_method_and_body),
		cmocka_unit_test(circles_end),
		cmocka_unit_test(redirects_to_no_web_address_are_refused),
		cmocka_unit_test(an_expired_address_is_its_own_ending_and_stays_secret),
		cmocka_unit_test(secrets_that_a_hub_repeats_are_cut),
		cmocka_unit_test(offline_nothing_is_sent),
		cmocka_unit_test(tokens_and_endpoints_are_checked),
		cmocka_unit_test(origins_are_scheme_host_and_port),
		cmocka_unit_test(mirrors_get_their_own_address_back),
		cmocka_unit_test(the_next_page_is_found),
		cmocka_unit_test(a_pool_ends_all_and_what_endings_add),
		cmocka_unit_test(a_stopped_pool_forgets_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

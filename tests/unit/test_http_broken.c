/* The HTTP client against a server that breaks off, goes on in ranges, or lies: what each ending is
 * called. */
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
#include "http_fixture.h"

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

/* orchestrator/measure/endpoint_ask.c -- one prompt to an OpenAI-compatible server, and its answer:
 * a stream of events, or one piece where it does not stream. */
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "orchestrator/measure/chat.h"
#include "orchestrator/measure/endpoint_private.h"
#include "orchestrator/measure/sse.h"

#define EVENT_MAX ((size_t)512 << 10)	/* one event of a stream */
#define STREAM_MAX ((uint64_t)64 << 20) /* all of one answer's stream */

/* ---- the question */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void write_messages(struct json_out *w, const struct measure_prompt *p)
{
	jw_karray(w, "messages");
	if (p->system) {
		jw_object(w);
		jw_kstr(w, "role", "system");
		jw_kstr(w, "content", p->system);
		jw_end_object(w);
	}
	jw_object(w);
	jw_kstr(w, "role", "user");
	jw_kstr(w, "content", p->text);
	jw_end_object(w);
	jw_end_array(w);
}

/* Greedy and without memory of earlier questions. top_k, cache_prompt and timings_per_token are
 * llama.cpp's; others pass over them, or refuse and are asked again without. */
static void write_request(const struct endpoint *ep, const struct measure_prompt *p, struct buf *b)
{
	struct json_out w;

	jw_init(&w, b, 0);
	jw_object(&w);
	if (!ep->plain)
		jw_kbool(&w, "cache_prompt", 0);
	jw_kint(&w, "max_tokens", p->new_tokens);
	write_messages(&w, p);
	jw_kstr(&w, "model", ep->model);
	jw_kint(&w, "seed", 1);
	jw_kbool(&w, "stream", 1);
	jw_kobject(&w, "stream_options");
	jw_kbool(&w, "include_usage", 1);
	jw_end_object(&w);
	jw_knum(&w, "temperature", 0);
	if (!ep->plain) {
		jw_kbool(&w, "timings_per_token", 0);
		jw_kint(&w, "top_k", 1);
	}
	jw_end_object(&w);
}

/* ---- the answer */

struct stream {
	struct chat chat;
	struct sse sse;
	struct buf whole; /* of a server that does not stream */
	enum { FORM_UNKNOWN, FORM_EVENTS, FORM_WHOLE } form;
	uint64_t bytes;
};

/* By its first character: servers name their types in many ways. */
static int judge_form(struct stream *s, const char *p, size_t n, struct err *e)
{
	size_t i = 0;

	while (i < n && (p[i] == ' ' || p[i] == '\r' || p[i] == '\n' || p[i] == '\t'))
		i++;
	if (i == n)
		return 0;
	if (p[i] == '<')
		return err_set(e, ERR_INVALID,
			       "a page came in place of an answer; is this the server's address?");
	s->form = p[i] == '{' ? FORM_WHOLE : FORM_EVENTS;
	return 0;
}

static int on_data(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e)
{
	struct stream *s = ctx;
	int rc;

	(void)offset;
	s->bytes += n;
	if (s->bytes > STREAM_MAX)
		return err_set(e, ERR_INVALID, "the answer is longer than %d MiB",
			       (int)(STREAM_MAX >> 20));
	if (measure_stopped())
		return err_set(e, ERR_CANCELLED, "stopped");
	rc = s->form == FORM_UNKNOWN ? judge_form(s, p, n, e) : 0;
	if (rc >= 0 && s->form == FORM_EVENTS)
		rc = sse_feed(&s->sse, p, n, chat_event, &s->chat, e);
	if (rc >= 0 && s->form == FORM_WHOLE && buf_add(&s->whole, p, n) < 0)
		rc = err_set(e, ERR_INVALID, "the answer is longer than %zu MiB",
			     ENDPOINT_SMALL_MAX >> 20);
	return rc;
}

static int finish(struct endpoint *ep, struct stream *s, struct err *e)
{
	int rc = s->form == FORM_WHOLE ? chat_whole(&s->chat, buf_str(&s->whole), s->whole.len, e)
				       : 0;

	if (rc >= 0)
		rc = chat_end(&s->chat, e);
	if (rc >= 0 && s->chat.fingerprint[0])
		memcpy(ep->fingerprint, s->chat.fingerprint, sizeof(ep->fingerprint));
	return rc;
}

/* *refused: it did not like the question itself. */
static int ask_once(struct endpoint *ep, const struct measure_prompt *p, struct measure_answer *out,
		    bool *refused, struct err *e)
{
	static const char path[] = "/v1/chat/completions";
	static const struct http_policy once = { .attempts = 1 };
	static const struct http_header headers[] = { { "Content-Type", "application/json" },
						      { "Accept",
							"text/event-stream, application/json" } };
	int64_t limit_ms = endpoint_no_more_than(ep, ep->base.o->answer_ms);
	struct stream s = { .form = FORM_UNKNOWN };
	struct http_request rq = { .method = HTTP_POST,
				   .url = path,
				   .headers = headers,
				   .n_headers = ARRAY_LEN(headers),
				   .on_data = on_data,
				   .ctx = &s,
				   .connect_ms = ENDPOINT_LOOK_MS,
				   .floor_bytes = 1,
				   .floor_s = (unsigned)(limit_ms / 1000 + 1),
				   .total_ms = limit_ms,
				   .policy = &once };
	struct http_response rs;
	struct err low = ERR_INIT;
	struct buf body;
	int rc;

	buf_init(&body, ENDPOINT_REQUEST_MAX);
	write_request(ep, p, &body);
	rq.body = body.data;
	rq.body_bytes = body.len;
	sse_init(&s.sse, EVENT_MAX);
	buf_init(&s.whole, ENDPOINT_SMALL_MAX);
	chat_begin(&s.chat, out, p->new_tokens, now_ms);
	rc = http_call(ep->http, &rq, &rs, &low);
	*refused = rs.status == 400 || rs.status == 422;
	if (rc < 0)
		rc = low.code == ERR_CANCELLED ? err_set(e, ERR_CANCELLED, "stopped")
					       : endpoint_explain(ep, path, &rs, &low, e);
	else
		rc = finish(ep, &s, e);
	chat_release(&s.chat);
	sse_release(&s.sse);
	buf_release(&s.whole);
	buf_release(&body);
	http_response_release(&rs);
	return rc;
}

int endpoint_ask(struct measure_target *t, const struct measure_prompt *p,
		 struct measure_answer *out, struct err *e)
{
	struct endpoint *ep = (struct endpoint *)t;
	bool refused = false;
	int rc = ask_once(ep, p, out, &refused, e);

	if (rc < 0 && refused && !ep->plain) {
		ep->plain = true;
		buf_clear(&out->text);
		rc = ask_once(ep, p, out, &refused, e);
	}
	return rc;
}

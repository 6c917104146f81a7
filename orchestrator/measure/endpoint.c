/* orchestrator/measure/endpoint.c -- an OpenAI-compatible server as a target: wait until it is
 * healthy, let it load the model, find out how it calls it, ask by a stream. What it says is
 * foreign: bounded, and told in its words only after they were made visible. */
#include "orchestrator/measure/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/measure/chat.h"
#include "orchestrator/measure/sse.h"
#include "upload/http.h"

#define SMALL_MAX ((size_t)4 << 20)	/* an answer that is no generation */
#define EVENT_MAX ((size_t)512 << 10)	/* one event of a stream */
#define STREAM_MAX ((uint64_t)64 << 20) /* all of one answer's stream */
#define REQUEST_MAX ((size_t)1 << 20)
#define LOOK_MS 10000 /* for one of the small questions */
#define HEALTH_EVERY_MS 200
#define RELEASE_MS 15000
#define SAID_MAX 200

struct endpoint {
	struct measure_target base;
	struct endpoint_settings set;
	struct arena *a;
	struct http *http;
	const char *url, *model;
	bool plain; /* it refuses what OpenAI's own protocol does not have */
	bool loaded;
	char fingerprint[64];
};

static bool releasing; /* one measurement at a time in a process */

/* What has to be undone is undone after a signal too. */
static bool no_more(void)
{
	return measure_stopped() && !releasing;
}

/* ---- requests */

/* The first words of what a server answered, on one line. */
static void words_of_answer(const struct http_response *rs, char out[SAID_MAX])
{
	struct arena *a = arena_new();
	struct err ignored = ERR_INIT;
	const struct json *error;
	const char *text = buf_str(&rs->body);
	struct json *v = NULL;

	if (json_parse(a, buf_str(&rs->body), rs->body.len, &v, &ignored) >= 0) {
		error = json_get(v, "error");
		text = error && error->type == JSON_STRING ? error->str
		       : error				   ? json_str(error, "message", "")
							   : json_str(v, "message", text);
	}
	text_visible(text, out, SAID_MAX);
	arena_free(a);
}

static int explain(const struct endpoint *ep, const char *path, const struct http_response *rs,
		   const struct err *low, struct err *e)
{
	char said[SAID_MAX];

	if (rs->status < 400) { /* no answer, or one that was refused here */
		*e = *low;
		return e->code;
	}
	words_of_answer(rs, said);
	return err_set(e, rs->status >= 500 || rs->status == 429 ? ERR_BUSY : ERR_ENV,
		       "%s%s: the server answered %d%s%s", ep->url, path, rs->status,
		       said[0] ? ": " : "", said);
}

/* One small question. *status (may be NULL): of the answer, 0 when there was none. */
static int call(struct endpoint *ep, enum http_method method, const char *path, const char *body,
		int64_t limit_ms, struct json **out, int *status, struct err *e)
{
	static const struct http_policy once = { .attempts = 1 };
	const struct http_header type = { "Content-Type", "application/json" };
	struct http_request rq = { .method = method,
				   .url = path,
				   .headers = &type,
				   .n_headers = body ? 1 : 0,
				   .body = body ? body : "",
				   .body_bytes = body ? strlen(body) : 0,
				   .body_max = SMALL_MAX,
				   .connect_ms = LOOK_MS,
				   .floor_bytes = 1,
				   .floor_s = (unsigned)(limit_ms / 1000 + 1),
				   .total_ms = limit_ms,
				   .policy = &once };
	struct err low = ERR_INIT;
	struct http_response rs;
	int rc = http_call(ep->http, &rq, &rs, &low);

	if (status)
		*status = rs.status;
	if (rc < 0)
		rc = low.code == ERR_CANCELLED ? err_set(e, ERR_CANCELLED, "stopped")
					       : explain(ep, path, &rs, &low, e);
	else if (out && json_parse(ep->a, buf_str(&rs.body), rs.body.len, out, &low) < 0)
		rc = err_set(e, ERR_IO, "%s%s: the answer is no JSON", ep->url, path);
	http_response_release(&rs);
	return rc < 0 ? rc : 0;
}

static int64_t no_more_than(const struct endpoint *ep, int64_t ms)
{
	int64_t left = measure_left_ms(ep->base.o);

	return left < 1000 ? 1000 : left < ms ? left : ms;
}

/* ---- health */

static void pause_ms(int64_t ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	(void)nanosleep(&t, NULL); /* a signal ends it */
}

/* One look: 1 healthy, 0 not yet, negative: never. */
static int look(struct endpoint *ep, const char **path, struct err *why)
{
	const char *given = ep->set.at->health;
	int status = 0, rc;

	rc = call(ep, HTTP_GET, *path, NULL, no_more_than(ep, LOOK_MS), NULL, &status, why);
	if (rc >= 0)
		return 1;
	if (rc == ERR_CANCELLED)
		return rc;
	/* llama-server and vLLM have /health, which says 503 while a model is loaded; others know
	 * only what OpenAI has. */
	if (!given && status >= 400 && status < 500 && strcmp(*path, "/health") == 0)
		*path = "/v1/models";
	else if (status == 401 || status == 403)
		return err_set(why, ERR_ENV,
			       "%s wants a key (%d); name the variable that has it with `key_env`",
			       ep->url, status);
	return 0;
}

static int wait_healthy(struct endpoint *ep, struct err *e)
{
	const char *path = ep->set.at->health ? ep->set.at->health : "/health";
	int64_t until = clock_mono_ms() + no_more_than(ep, ep->set.at->start_ms);
	struct err why = ERR_INIT;

	for (;;) {
		int rc = ep->set.alive ? ep->set.alive(ep->set.ctx, e) : 0;

		if (rc < 0)
			return rc;
		rc = look(ep, &path, &why);
		if (rc != 0) {
			if (rc < 0)
				*e = why;
			return rc < 0 ? rc : 0;
		}
		if (measure_stopped())
			return err_set(e, ERR_CANCELLED, "stopped");
		if (clock_mono_ms() >= until)
			return err_set(e, ERR_BUSY, "not healthy within %lld s: %s",
				       (long long)(ep->set.at->start_ms / 1000), why.msg);
		pause_ms(HEALTH_EVERY_MS);
	}
}

/* ---- the model's name */

static const char *file_stem(struct arena *a, const char *file)
{
	const char *base = path_basename(file), *dot = strrchr(base, '.');

	return dot && dot != base ? arena_strndup(a, base, (size_t)(dot - base)) : base;
}

static const char *filled(struct endpoint *ep, const char *text, enum measure_escape how)
{
	const struct measure_options *o = ep->base.o;
	const struct measure_var vars[] = { { "file", path_basename(o->file) },
					    { "model", ep->model ? ep->model : o->name },
					    { "name", o->name } };
	const char *out;
	struct buf b;

	buf_init(&b, REQUEST_MAX);
	measure_fill(&b, text, vars, ARRAY_LEN(vars), how);
	out = arena_strdup(ep->a, buf_str(&b));
	buf_release(&b);
	return out;
}

/* Of several the one that is called like the file, its name, or the whole path of it. */
static bool is_ours(const struct endpoint *ep, const char *id)
{
	const struct measure_options *o = ep->base.o;

	return strcmp(id, o->file) == 0 || strcmp(id, path_basename(o->file)) == 0 ||
	       strcmp(id, o->name) == 0 || strcmp(id, file_stem(ep->a, o->file)) == 0;
}

static int choose_model(struct endpoint *ep, const struct json *list, struct err *e)
{
	size_t n = list && list->type == JSON_ARRAY ? list->count : 0;
	char known[300] = "";

	for (size_t i = 0; i < n; i++) {
		const char *id = json_str(list->members[i].value, "id", "");
		size_t at = strlen(known);
		char shown[64];

		if (*id && (n == 1 || is_ours(ep, id))) {
			ep->model = arena_strdup(ep->a, id);
			return 0;
		}
		text_visible(id, shown, sizeof(shown));
		snprintf(known + at, sizeof(known) - at, "%s%s", at ? ", " : "", shown);
	}
	if (n == 0)
		return err_set(e, ERR_ENV,
			       "%s lists no model; load one, or name the call for it with `load`",
			       ep->url);
	return err_set(e, ERR_ENV,
		       "%s lists %zu models and none is called %s; say which with "
		       "`model` (it has %s)",
		       ep->url, n, ep->base.o->name, known);
}

static int find_model(struct endpoint *ep, struct err *e)
{
	struct json *v = NULL;
	int rc;

	if (ep->model)
		return 0;
	rc = call(ep, HTTP_GET, "/v1/models", NULL, no_more_than(ep, LOOK_MS), &v, NULL, e);
	return rc < 0 ? rc : choose_model(ep, json_get(v, "data"), e);
}

/* ---- load, unload */

static int custom(struct endpoint *ep, const struct measure_call *c, int64_t limit_ms,
		  struct err *e)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = { { "GET", HTTP_GET },
			{ "POST", HTTP_POST },
			{ "PUT", HTTP_PUT },
			{ "DELETE", HTTP_DELETE } };
	const char *body = c->body ? filled(ep, c->body, MEASURE_IN_JSON) : NULL;

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(methods[i].name, c->method) == 0)
			return call(ep, methods[i].method, filled(ep, c->path, MEASURE_IN_PATH),
				    body, limit_ms, NULL, NULL, e);
	return err_set(e, ERR_INVALID, "\"%s\" is no method; GET, POST, PUT or DELETE are wanted",
		       c->method);
}

static int load(struct endpoint *ep, struct err *e)
{
	int rc;

	if (!ep->set.at->load.method)
		return 0;
	ep->loaded = true; /* also when it fails: it may have begun */
	rc = custom(ep, &ep->set.at->load, no_more_than(ep, ep->set.at->start_ms), e);
	return rc < 0 ? err_wrap(e, "loading") : 0;
}

/* ---- what it is */

/* Ollama's list of models in memory: what runs the model tells how large it is there. */
static void ask_memory(struct endpoint *ep, struct measure_result *r)
{
	struct err ignored = ERR_INIT;
	const struct json *list;
	struct json *v = NULL;

	if (call(ep, HTTP_GET, "/api/ps", NULL, no_more_than(ep, LOOK_MS), &v, NULL, &ignored) < 0)
		return;
	list = json_get(v, "models");
	for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
		const struct json *m = list->members[i].value;
		int64_t bytes = json_int(m, "size", -1);
		bool same = strcmp(json_str(m, "model", ""), ep->model) == 0 ||
			    strcmp(json_str(m, "name", ""), ep->model) == 0;

		if ((same || list->count == 1) && bytes > r->memory_bytes)
			r->memory_bytes = bytes;
	}
}

static void ask_versions(struct endpoint *ep, struct measure_result *r)
{
	static const char *const paths[] = { "/api/version", "/version" };
	struct err ignored = ERR_INIT;
	struct json *v = NULL;

	if (call(ep, HTTP_GET, "/props", NULL, no_more_than(ep, LOOK_MS), &v, NULL, &ignored) >= 0)
		measure_say_version(r, "llama.cpp", json_str(v, "build_info", NULL));
	for (size_t i = 0; r->n_versions == 0 && i < ARRAY_LEN(paths); i++)
		if (call(ep, HTTP_GET, paths[i], NULL, no_more_than(ep, LOOK_MS), &v, NULL,
			 &ignored) >= 0)
			measure_say_version(r, "server", json_str(v, "version", NULL));
	/* Some servers call a model by its path, which is nobody's business. */
	measure_say_version(r, "model", path_basename(ep->model));
}

static int prepare(struct measure_target *t, struct measure_result *r, struct err *e)
{
	struct endpoint *ep = (struct endpoint *)t;
	int rc = wait_healthy(ep, e);

	if (rc >= 0 && ep->set.at->model)
		ep->model = filled(ep, ep->set.at->model, MEASURE_IN_TEXT);
	if (rc >= 0)
		rc = load(ep, e);
	if (rc >= 0)
		rc = find_model(ep, e);
	if (rc < 0)
		return rc;
	r->host = arena_strdup(r->a, ep->url);
	ask_versions(ep, r);
	return 0;
}

/* ---- asking */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

static void write_messages(struct json_out *w, const struct measure_prompt *p)
{
	jw_key(w, "messages");
	jw_array(w);
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
	jw_key(&w, "stream_options");
	jw_object(&w);
	jw_kbool(&w, "include_usage", 1);
	jw_end_object(&w);
	jw_knum(&w, "temperature", 0);
	if (!ep->plain) {
		jw_kbool(&w, "timings_per_token", 0);
		jw_kint(&w, "top_k", 1);
	}
	jw_end_object(&w);
}

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
		rc = err_set(e, ERR_INVALID, "the answer is longer than %zu MiB", SMALL_MAX >> 20);
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
	int64_t limit_ms = no_more_than(ep, ep->base.o->answer_ms);
	struct stream s = { .form = FORM_UNKNOWN };
	struct http_request rq = { .method = HTTP_POST,
				   .url = path,
				   .headers = headers,
				   .n_headers = ARRAY_LEN(headers),
				   .on_data = on_data,
				   .ctx = &s,
				   .connect_ms = LOOK_MS,
				   .floor_bytes = 1,
				   .floor_s = (unsigned)(limit_ms / 1000 + 1),
				   .total_ms = limit_ms,
				   .policy = &once };
	struct http_response rs;
	struct err low = ERR_INIT;
	struct buf body;
	int rc;

	buf_init(&body, REQUEST_MAX);
	write_request(ep, p, &body);
	rq.body = body.data;
	rq.body_bytes = body.len;
	sse_init(&s.sse, EVENT_MAX);
	buf_init(&s.whole, SMALL_MAX);
	chat_begin(&s.chat, out, p->new_tokens, now_ms);
	rc = http_call(ep->http, &rq, &rs, &low);
	*refused = rs.status == 400 || rs.status == 422;
	if (rc < 0)
		rc = low.code == ERR_CANCELLED ? err_set(e, ERR_CANCELLED, "stopped")
					       : explain(ep, path, &rs, &low, e);
	else
		rc = finish(ep, &s, e);
	chat_release(&s.chat);
	sse_release(&s.sse);
	buf_release(&s.whole);
	buf_release(&body);
	http_response_release(&rs);
	return rc;
}

static int ask(struct measure_target *t, const struct measure_prompt *p, struct measure_answer *out,
	       struct err *e)
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

/* ---- the end */

/* system_fingerprint, unless the server has said the same under another name. */
static void say_build(const struct endpoint *ep, struct measure_result *r)
{
	for (size_t i = 0; i < r->n_versions; i++)
		if (strcmp(r->versions[i].value, ep->fingerprint) == 0)
			return;
	measure_say_version(r, "build", ep->fingerprint);
}

static void release(struct measure_target *t, struct measure_result *r)
{
	struct endpoint *ep = (struct endpoint *)t;
	struct err e = ERR_INIT;

	releasing = true;
	if (ep->model && !ep->set.alive)
		ask_memory(ep, r);
	say_build(ep, r);
	if (ep->loaded && ep->set.at->unload.method &&
	    custom(ep, &ep->set.at->unload, RELEASE_MS, &e) < 0)
		measure_warn(r, MEASURE_WARN_TARGET, "", "it did not let the model go: %s", e.msg);
	ep->loaded = releasing = false;
}

static void endpoint_free(struct measure_target *t)
{
	struct endpoint *ep = (struct endpoint *)t;

	http_close(ep->http);
	arena_free(ep->a);
	free(ep);
}

static int read_key(const struct measure_endpoint *at, const char **key, struct err *e)
{
	*key = NULL;
	if (!at->api_key)
		return 0;
	*key = getenv(at->api_key);
	if (!*key || !**key)
		return err_set(e, ERR_ENV,
			       "the variable %s that should hold the server's key is "
			       "not set",
			       at->api_key);
	return 0;
}

int endpoint_open(const struct measure_options *o, const struct endpoint_settings *s,
		  struct measure_target **out, struct err *e)
{
	static const struct measure_target_ops ops = { prepare, ask, release, endpoint_free };
	struct http_options h = { .direct = s->direct, .stopped = no_more };
	struct endpoint *ep = mem_zalloc(sizeof(*ep));
	int rc = read_key(s->at, &h.token, e);

	ep->base = (struct measure_target){ &ops, o };
	ep->a = arena_new();
	ep->set = *s;
	ep->url = h.endpoint = arena_strdup(ep->a, s->url);
	if (rc >= 0)
		rc = http_open(&h, &ep->http, e);
	if (rc < 0) {
		endpoint_free(&ep->base);
		return rc;
	}
	ep->url = http_endpoint(ep->http);
	*out = &ep->base;
	return 0;
}

int measure_endpoint_new(const struct measure_options *o, struct measure_target **out,
			 struct err *e)
{
	const struct endpoint_settings s = { .at = &o->where->endpoint,
					     .url = o->where->endpoint.url };

	return endpoint_open(o, &s, out, e);
}

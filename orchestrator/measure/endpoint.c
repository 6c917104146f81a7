/* orchestrator/measure/endpoint.c -- an OpenAI-compatible server as a target: wait until it is
 * healthy, let it load the model, find out how it calls it; ask (endpoint_ask.c); let the model go.
 */
#include "orchestrator/measure/endpoint_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"

#define RELEASE_MS 15000

static bool releasing; /* one measurement at a time in a process */

/* What has to be undone is undone after a signal too. */
static bool no_more(void)
{
	return measure_stopped() && !releasing;
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

	buf_init(&b, ENDPOINT_REQUEST_MAX);
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
	rc = endpoint_call(ep, HTTP_GET, "/v1/models", NULL,
			   endpoint_no_more_than(ep, ENDPOINT_LOOK_MS), &v, NULL, e);
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
			return endpoint_call(ep, methods[i].method,
					     filled(ep, c->path, MEASURE_IN_PATH), body, limit_ms,
					     NULL, NULL, e);
	return err_set(e, ERR_INVALID, "\"%s\" is no method; GET, POST, PUT or DELETE are wanted",
		       c->method);
}

static int load(struct endpoint *ep, struct err *e)
{
	int rc;

	if (!ep->set.at->load.method)
		return 0;
	ep->loaded = true; /* also when it fails: it may have begun */
	rc = custom(ep, &ep->set.at->load, endpoint_no_more_than(ep, ep->set.at->start_ms), e);
	return rc < 0 ? err_wrap(e, "loading") : 0;
}

/* ---- what it is */

/* Ollama's list of models in memory: what runs the model tells how large it is there. */
static void ask_memory(struct endpoint *ep, struct measure_result *r)
{
	struct err ignored = ERR_INIT;
	const struct json *list;
	struct json *v = NULL;

	if (endpoint_call(ep, HTTP_GET, "/api/ps", NULL,
			  endpoint_no_more_than(ep, ENDPOINT_LOOK_MS), &v, NULL, &ignored) < 0)
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

	if (endpoint_call(ep, HTTP_GET, "/props", NULL, endpoint_no_more_than(ep, ENDPOINT_LOOK_MS),
			  &v, NULL, &ignored) >= 0)
		measure_say_version(r, "llama.cpp", json_str(v, "build_info", NULL));
	for (size_t i = 0; r->n_versions == 0 && i < ARRAY_LEN(paths); i++)
		if (endpoint_call(ep, HTTP_GET, paths[i], NULL,
				  endpoint_no_more_than(ep, ENDPOINT_LOOK_MS), &v, NULL,
				  &ignored) >= 0)
			measure_say_version(r, "server", json_str(v, "version", NULL));
	/* Some servers call a model by its path, which is nobody's business. */
	measure_say_version(r, "model", path_basename(ep->model));
}

static int prepare(struct measure_target *t, struct measure_result *r, struct err *e)
{
	struct endpoint *ep = (struct endpoint *)t;
	int rc = endpoint_wait_healthy(ep, e);

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
	static const struct measure_target_ops ops = { prepare, endpoint_ask, release,
						       endpoint_free };
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

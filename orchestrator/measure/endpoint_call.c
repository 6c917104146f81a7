/* orchestrator/measure/endpoint_call.c -- small questions to a server that is measured, and the
 * wait until it is healthy. What it says is foreign: bounded, and told in its words only after they
 * were made visible. */
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/log.h"
#include "orchestrator/measure/endpoint_private.h"

#define HEALTH_EVERY_MS 200
#define SAID_MAX 200

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

int endpoint_explain(const struct endpoint *ep, const char *path, const struct http_response *rs,
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

int endpoint_call(struct endpoint *ep, enum http_method method, const char *path, const char *body,
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
				   .body_max = ENDPOINT_SMALL_MAX,
				   .connect_ms = ENDPOINT_LOOK_MS,
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
					       : endpoint_explain(ep, path, &rs, &low, e);
	else if (out && json_parse(ep->a, buf_str(&rs.body), rs.body.len, out, &low) < 0)
		rc = err_set(e, ERR_IO, "%s%s: the answer is no JSON", ep->url, path);
	http_response_release(&rs);
	return rc < 0 ? rc : 0;
}

int64_t endpoint_no_more_than(const struct endpoint *ep, int64_t ms)
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

	rc = endpoint_call(ep, HTTP_GET, *path, NULL, endpoint_no_more_than(ep, ENDPOINT_LOOK_MS),
			   NULL, &status, why);
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

int endpoint_wait_healthy(struct endpoint *ep, struct err *e)
{
	const char *path = ep->set.at->health ? ep->set.at->health : "/health";
	int64_t until = clock_mono_ms() + endpoint_no_more_than(ep, ep->set.at->start_ms);
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

#include "orchestrator/measure/chat.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"

#define TOKENS_BELIEVED 10000000 /* more than any context */
#define PIECES_SLACK 1024	 /* a token may come in several pieces: bytes of a character */
#define SAID_MAX 300

void chat_begin(struct chat *c, struct measure_answer *out, int new_tokens, double (*now_ms)(void))
{
	memset(c, 0, sizeof(*c));
	c->out = out;
	c->a = arena_new();
	c->now_ms = now_ms;
	c->asked_ms = now_ms();
	c->pieces_max = (int64_t)new_tokens * 4 + PIECES_SLACK;
	c->usage_prompt = c->usage_new = c->timed_prompt = c->timed_new = -1;
	c->timed_prompt_ms = c->timed_new_ms = -1;
}

void chat_release(struct chat *c)
{
	arena_free(c->a);
}

/* ---- numbers of a stranger */

static void take_count(const struct json *v, const char *key, int64_t *out)
{
	int64_t n = json_int(v, key, -1);

	if (n >= 0 && n <= TOKENS_BELIEVED)
		*out = n;
}

static void take_ms(const struct json *v, const char *key, double *out)
{
	double ms = json_num(v, key, -1);

	if (isfinite(ms) && ms >= 0)
		*out = ms;
}

/* `usage` of OpenAI, `timings` of llama.cpp's server (tools/server/README.md). Both come with the
 * last event, or with each. */
static void take_numbers(struct chat *c, const struct json *v)
{
	const struct json *usage = json_get(v, "usage"), *timings = json_get(v, "timings");
	const char *fingerprint = json_str(v, "system_fingerprint", NULL);

	take_count(usage, "prompt_tokens", &c->usage_prompt);
	take_count(usage, "completion_tokens", &c->usage_new);
	take_count(json_get(usage, "prompt_tokens_details"), "cached_tokens",
		   &c->out->cached_tokens);
	take_count(timings, "prompt_n", &c->timed_prompt);
	take_count(timings, "predicted_n", &c->timed_new);
	take_count(timings, "cache_n", &c->out->cached_tokens);
	take_ms(timings, "prompt_ms", &c->timed_prompt_ms);
	take_ms(timings, "predicted_ms", &c->timed_new_ms);
	if (fingerprint)
		text_visible(fingerprint, c->fingerprint, sizeof(c->fingerprint));
}

/* ---- text */

static int take_piece(struct chat *c, const struct json *text, struct err *e)
{
	if (!text || text->type != JSON_STRING || text->len == 0)
		return 0;
	if (c->first_ms == 0)
		c->first_ms = c->now_ms();
	c->last_ms = c->now_ms();
	if (++c->pieces > c->pieces_max)
		return err_set(e, ERR_INVALID,
			       "the answer does not stop: %lld pieces of it came, and it was to "
			       "have %lld tokens",
			       (long long)c->pieces, (long long)(c->pieces_max - PIECES_SLACK) / 4);
	if (buf_add(&c->out->text, text->str, text->len) < 0)
		return err_set(e, ERR_INVALID, "the answer is longer than %zu KiB",
			       c->out->text.max >> 10);
	return 0;
}

static int take_choice(struct chat *c, const struct json *choice, struct err *e)
{
	/* What a model thinks aloud is language as well, and takes as much time. */
	static const char *const texts[] = { "reasoning_content", "reasoning", "content" };
	const struct json *message = json_get(choice, c->streamed ? "delta" : "message");
	int rc = take_piece(c, json_get(choice, "text"), e);

	for (size_t i = 0; rc >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		rc = take_piece(c, json_get(message, texts[i]), e);
	if (strcmp(json_str(choice, "finish_reason", ""), "length") == 0)
		c->out->cut = true;
	return rc;
}

static int say_error(const struct json *error, struct err *e)
{
	const char *text = error->type == JSON_STRING ? error->str : json_str(error, "message", "");
	char shown[SAID_MAX];

	text_visible(text, shown, sizeof(shown));
	return err_set(e, ERR_IO, "the server says: %s", shown[0] ? shown : "error");
}

static int take_object(struct chat *c, const char *text, size_t len, struct err *e)
{
	const struct json *choices, *error;
	struct json *v;
	int rc;

	arena_reset(c->a);
	rc = json_parse(c->a, text, len, &v, e);
	if (rc < 0)
		return err_wrap(e, "an answer that is no JSON");
	error = json_get(v, "error");
	if (error && error->type != JSON_NULL)
		return say_error(error, e);
	if (v->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "an answer that is no JSON object");
	take_numbers(c, v);
	choices = json_get(v, "choices");
	if (!choices)
		return 0;
	if (choices->type != JSON_ARRAY)
		return err_set(e, ERR_INVALID, "an answer whose `choices` is no list");
	return choices->count ? take_choice(c, choices->members[0].value, e) : 0;
}

int chat_event(void *chat, const char *data, size_t len, struct err *e)
{
	struct chat *c = chat;

	if (c->done)
		return 0; /* after the end, whatever it is */
	c->streamed = true;
	if (len == 6 && memcmp(data, "[DONE]", 6) == 0) {
		c->done = true;
		return 0;
	}
	return take_object(c, data, len, e);
}

int chat_whole(struct chat *c, const char *text, size_t len, struct err *e)
{
	c->streamed = false;
	c->done = true;
	return take_object(c, text, len, e);
}

/* ---- the end */

/* A server may be proud of itself, but it cannot have worked longer than we waited for it. */
static bool times_fit(const struct chat *c, double total_ms)
{
	return c->timed_new >= 0 && c->timed_new_ms >= 0 &&
	       c->timed_new_ms + (c->timed_prompt_ms > 0 ? c->timed_prompt_ms : 0) <= total_ms + 10;
}

int chat_end(struct chat *c, struct err *e)
{
	struct measure_answer *out = c->out;
	double end_ms = c->now_ms();

	if (!c->done && c->pieces == 0)
		return err_set(e, ERR_INVALID, "the stream ended before an answer came");
	out->total_ms = end_ms - c->asked_ms;
	if (c->streamed && c->pieces > 0) {
		out->ttft_ms = c->first_ms - c->asked_ms;
		out->generate_ms = c->last_ms - c->first_ms;
	}
	out->prompt_tokens = c->usage_prompt;
	if (times_fit(c, out->total_ms)) {
		out->counted_by = COUNTED_TIMINGS;
		out->new_tokens = c->timed_new;
		out->generate_ms = c->timed_new_ms;
		if (c->timed_prompt_ms > 0)
			out->prompt_ms = c->timed_prompt_ms;
		if (out->prompt_tokens < 0 && c->timed_prompt >= 0)
			out->prompt_tokens =
				c->timed_prompt + (out->cached_tokens > 0 ? out->cached_tokens : 0);
	} else if (c->usage_new >= 0 && c->usage_new <= c->pieces_max) {
		out->counted_by = COUNTED_USAGE;
		out->new_tokens = c->usage_new;
	} else if (c->streamed) {
		out->counted_by = COUNTED_CHUNKS;
		out->new_tokens = c->pieces;
	} else {
		out->counted_by = COUNTED_NOT;
	}
	return 0;
}

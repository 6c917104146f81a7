#include "orchestrator/measure/board_talk.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/log.h"

#define SIGN_MS 10000 /* a sign of life; quern-board's patience is BOARD_SILENCE_MS */
#define NUMBER_MAX 1e15

/* ---- lines */

static void signs_of_life(struct board_talk *t)
{
	struct err ignored = ERR_INIT;
	int64_t now = clock_mono_ms();

	if (now - t->sign_ms < SIGN_MS)
		return;
	t->sign_ms = now;
	/* Whoever does not take it is met when it is read from. */
	if (t->channel)
		(void)ssh_send(t->channel, "", &ignored);
	if (t->other)
		(void)ssh_send(t->other, "", &ignored);
}

static void note_log(struct board_talk *t, const char *text)
{
	char visible[1200];
	const char *at = strstr(text, "E rkllm: ");

	text_visible(text, visible, sizeof(visible));
	if (t->log)
		(void)fprintf(t->log, "%s\n", visible);
	if (at)
		text_visible(at + 9, t->last_error, sizeof(t->last_error));
}

/* How a session ended badly. */
static int bad_end(const struct json *v, struct err *e)
{
	const char *code = json_str(v, "code", ""), *cause = json_str(v, "cause", "");
	char said[700];
	int as = ERR_IO;

	text_visible(json_str(v, "message", "it said nothing of why"), said, sizeof(said));
	if (strcmp(code, "invalid") == 0 || strcmp(code, "notfound") == 0)
		as = ERR_INVALID;
	else if (strcmp(code, "env") == 0)
		as = ERR_ENV;
	else if (strcmp(code, "busy") == 0 || strcmp(code, "cancelled") == 0 ||
		 strcmp(cause, "stopped") == 0)
		as = ERR_BUSY;
	return err_set(e, as, "%s", said);
}

/* 1: the event that is waited for; 0: another one. */
static int take_line(struct board_talk *t, struct arena *a, const char *event, const char *line,
		     size_t len, struct json **out, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct json *v = NULL;
	const char *is;

	/* A shell that greets its user on standard output is no reason to give up. */
	if (line[0] != '{' || json_parse(a, line, len, &v, &ignored) < 0)
		return 0;
	is = json_str(v, "event", "");
	if (strcmp(is, event) == 0) {
		*out = v;
		return 1;
	}
	if (strcmp(is, "log") == 0) {
		note_log(t, json_str(v, "text", ""));
	} else if (strcmp(is, "warning") == 0) {
		if (t->r)
			measure_warn(t->r, MEASURE_WARN_TARGET, "", "%s", json_str(v, "text", ""));
	} else if (strcmp(is, "result") == 0) {
		return bad_end(v, e);
	}
	return 0;
}

int board_await(struct board_talk *t, struct arena *a, const char *event, int64_t limit_ms,
		struct json **out, struct err *e)
{
	int64_t until = clock_mono_ms() + limit_ms;

	for (;;) {
		int64_t left = until - clock_mono_ms();
		char *line;
		size_t len;
		int rc;

		signs_of_life(t);
		if (left <= 0)
			return err_set(e, ERR_BUSY,
				       "the board has said nothing of what was asked for %lld s",
				       (long long)limit_ms / 1000);
		rc = ssh_line(t->channel, left < SIGN_MS / 2 ? left : SIGN_MS / 2, &line, &len, e);
		if (rc > 0) {
			struct arena *own = arena_new();

			/* Most lines are log: those do not stay. */
			rc = take_line(t, own, event, line, len, out, e);
			if (rc > 0)
				rc = take_line(t, a, event, line, len, out, e);
			arena_free(own);
		}
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
}

/* ---- members */

static int64_t whole(const struct json *v, const char *key)
{
	double d = json_num(v, key, -1);

	return d >= 0 && d < NUMBER_MAX ? (int64_t)d : -1;
}

static double ms(const struct json *v, const char *key)
{
	double d = json_num(v, key, -1);

	return d >= 0 && d < NUMBER_MAX ? d : -1;
}

void board_read_loaded(const struct json *v, struct board_loaded *out)
{
	*out = (struct board_loaded){
		.runtime = json_str(v, "runtime", NULL),
		.driver = json_str(v, "driver", NULL),
		.platform = json_str(v, "platform", NULL),
		.toolkit = json_str(v, "toolkit", NULL),
		.target = json_str(v, "target", NULL),
		.dtype = json_str(v, "dtype", NULL),
		.max_context = whole(v, "max_context"),
		.cores = whole(v, "cores"),
		.load_ms = ms(v, "load_ms"),
	};
}

int board_read_answer(const struct json *v, struct measure_answer *out, struct err *e)
{
	const struct json *text = json_get(v, "text");
	const char *by = json_str(v, "counted_by", "");
	size_t n;

	if (!text || text->type != JSON_STRING)
		return err_set(e, ERR_IO, "the board answered without a text");
	n = text->len < MEASURE_ANSWER_MAX ? text->len : MEASURE_ANSWER_MAX;
	(void)buf_add(&out->text, text->str, n);
	out->prompt_tokens = whole(v, "prompt_tokens");
	out->new_tokens = whole(v, "new_tokens");
	out->ttft_ms = ms(v, "ttft_ms");
	out->prompt_ms = ms(v, "prompt_ms");
	out->generate_ms = ms(v, "generate_ms");
	out->total_ms = ms(v, "total_ms");
	out->memory_bytes = whole(v, "memory_bytes");
	out->cached_tokens = 0; /* it keeps no history */
	out->cut = json_bool(v, "cut", 0) != 0;
	out->counted_by = strcmp(by, "perf") == 0 || strcmp(by, "log") == 0 ? COUNTED_RUNTIME
									    : COUNTED_CHUNKS;
	return 0;
}

/* ---- is it the file that the job made? */

static void differ(struct measure_result *r, const char *what, const char *job, const char *said)
{
	if (job && job[0] && said && strcasecmp(job, said) != 0)
		measure_warn(r, MEASURE_WARN_MISMATCH, "", "%s: the job says %s, the file says %s",
			     what, job, said);
}

/* A released wheel may write the name of its last beta (1.1.4 writes 1.1.4b5: issue 381 of
 * airockchip/rknn-llm), and a local build its own mark behind a '+'. */
static void differ_version(struct measure_result *r, const char *what, const char *job,
			   const char *said)
{
	size_t a = job ? strspn(job, "0123456789.") : 0, b = said ? strspn(said, "0123456789.") : 0;

	if (!job || !said || (a > 0 && a == b && strncmp(job, said, a) == 0))
		return;
	differ(r, what, job, said);
}

void board_compare(const struct measure_options *o, const struct board_loaded *l,
		   struct measure_result *r)
{
	if (!l->target && !l->dtype && !l->toolkit && l->max_context < 0 && l->cores < 0) {
		measure_warn(r, MEASURE_WARN_TARGET, "",
			     "runtime %s says nothing of the file, so it could not be compared "
			     "with the job",
			     l->runtime ? l->runtime : "of this board");
		return;
	}
	differ(r, "platform", o->platform, l->target);
	differ(r, "quant", o->quant, l->dtype);
	differ_version(r, "toolkit", o->toolkit, l->toolkit);
	if (o->max_context > 0 && l->max_context >= 0 && o->max_context != l->max_context)
		measure_warn(r, MEASURE_WARN_MISMATCH, "",
			     "context: the job says %lld tokens, the file says %lld",
			     (long long)o->max_context, (long long)l->max_context);
	if (o->npu_cores > 0 && l->cores >= 0 && o->npu_cores != l->cores)
		measure_warn(r, MEASURE_WARN_MISMATCH, "",
			     "NPU cores: the job says %d, the file says %lld", o->npu_cores,
			     (long long)l->cores);
}

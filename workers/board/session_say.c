/* workers/board/session_say.c -- what a session tells, as lines of JSON: docs/board.md has their
 * members. */
#include "core/utf8.h"
#include "workers/board/session_private.h"

static void word(struct json_out *o, const char *key, const char *value)
{
	jw_kstr(o, key, value[0] ? value : NULL);
}

static void count(struct json_out *o, const char *key, double v)
{
	jw_key(o, key);
	if (v < 0)
		jw_null(o);
	else
		jw_num(o, v);
}

void session_say_runtime(struct session *s, struct json_out *o)
{
	word(o, "runtime", s->log.runtime);
	word(o, "driver", s->log.driver);
	word(o, "platform", s->log.platform);
	if (s->abi) {
		jw_kstr(o, "abi_first", s->abi->first);
		jw_kstr(o, "abi_last", s->abi->last);
	}
}

void session_say_loaded(struct session *s, double load_ms)
{
	struct json_out *o = wire_event(s->wire, "loaded");

	session_say_runtime(s, o);
	word(o, "toolkit", s->log.toolkit);
	word(o, "target", s->log.target);
	word(o, "dtype", s->log.dtype);
	count(o, "max_context", (double)s->log.max_context);
	count(o, "cores", (double)s->log.cores);
	jw_knum(o, "load_ms", load_ms);
	wire_send(s->wire);
}

void session_say_answer(struct session *s, const struct job_prompt *p, int run,
			const struct frame_answer *a, const char *text, size_t n)
{
	struct json_out *o = wire_event(s->wire, "answer");
	const struct rklog *l = &s->log;
	double ttft = a->first_ms, prompt_ms = -1, generate_ms = -1, memory = -1;
	int64_t prompt_tokens = -1, new_tokens = a->pieces;
	const char *by = "clock";

	if (a->prefill_ms >= 0 && a->prefill_tokens > 0 && a->generate_tokens >= 0) {
		by = "perf";
		ttft = prompt_ms = a->prefill_ms;
		prompt_tokens = a->prefill_tokens;
		generate_ms = a->generate_ms;
		new_tokens = a->generate_tokens;
		memory = a->memory_mb >= 0 ? a->memory_mb * 1024 * 1024 : -1;
	} else if (l->prefill_ms >= 0 && l->generate_ms >= 0) {
		by = "log";
		ttft = prompt_ms = l->prefill_ms;
		prompt_tokens = l->prefill_tokens;
		generate_ms = l->generate_ms;
		new_tokens = l->generate_tokens;
		memory = l->memory_bytes;
	} else if (a->first_ms >= 0) {
		generate_ms = a->total_ms - a->first_ms;
	}
	jw_kstr(o, "name", p->name);
	jw_kint(o, "run", run);
	jw_kstr(o, "counted_by", by);
	count(o, "ttft_ms", ttft);
	count(o, "prompt_ms", prompt_ms);
	count(o, "prompt_tokens", (double)prompt_tokens);
	count(o, "generate_ms", generate_ms);
	count(o, "new_tokens", (double)new_tokens);
	count(o, "total_ms", a->total_ms);
	count(o, "memory_bytes", memory < 0 ? -1 : (double)(int64_t)memory);
	jw_kbool(o, "cut", new_tokens >= p->max_new_tokens);
	jw_kbool(o, "loaded_again", a->loaded_again);
	jw_kbool(o, "text_complete", !a->cut_text);
	jw_kbool(o, "utf8", utf8_valid(text, n));
	jw_key(o, "text");
	jw_strn(o, text, n);
	wire_send(s->wire);
}

void session_say_result(struct session *s, int rc, const struct err *e)
{
	struct json_out *o = wire_event(s->wire, "result");

	jw_kstr(o, "status", rc < 0 ? "error" : "ok");
	if (rc < 0) {
		jw_kstr(o, "code", err_name(e->code));
		jw_kstr(o, "cause", s->cause);
		jw_kstr(o, "message", e->msg);
	}
	jw_kint(o, "answers", s->answers);
	count(o, "peak_rss_bytes", s->peak_rss_bytes ? (double)s->peak_rss_bytes : -1);
	wire_send(s->wire);
}

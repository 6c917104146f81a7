#include "workers/board/session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "workers/board/rklog.h"
#include "workers/board/runner.h"
#include "workers/common/protocol.h"

#define LOG_LINES_MAX 2000  /* told of one session */
#define LOG_LINE_BYTES 1000 /* of each; the rest of a line is dropped */
#define LOOK_MS 60000
#define END_MS 3000 /* for rkllm_destroy() */

struct session {
	const struct job *job; /* NULL: only a look */
	struct wire *wire;
	struct runner runner; /* pid 0: none */
	struct buf frames, line;
	struct rklog log;
	const struct abi *abi;
	int loaded_tokens; /* max_new_tokens that the model was loaded with */
	int log_lines;
	bool looking;
	int status; /* of the runner, once it has ended */
	uint64_t peak_rss_bytes;
	const char *cause; /* one word, when it failed */
	int answers;
};

/* ---- the log */

static void log_line(struct session *s)
{
	if (s->line.len == 0)
		return;
	rklog_line(&s->log, s->line.data, s->line.len);
	/* What is printed for a file that is not there would only confuse, unless it was all. */
	if (s->looking && s->job) {
		buf_clear(&s->line);
		return;
	}
	if (s->log_lines++ < LOG_LINES_MAX) {
		struct json_out *o = wire_event(s->wire, "log");

		jw_key(o, "text");
		jw_strn(o, s->line.data, s->line.len);
		wire_send(s->wire);
	}
	buf_clear(&s->line);
}

static void log_bytes(struct session *s, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n')
			log_line(s);
		else
			(void)buf_addc(&s->line, p[i]); /* full: dropped */
	}
}

static void read_log(struct session *s)
{
	char chunk[8192];
	ssize_t n = read(s->runner.log_fd, chunk, sizeof(chunk));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close(s->runner.log_fd);
		s->runner.log_fd = -1;
		return;
	}
	log_bytes(s, chunk, (size_t)n);
}

/* What was printed before a frame is in the pipe before it; but never more than a pipe holds. */
static void drain_log(struct session *s)
{
	for (int i = 0; i < 64 && s->runner.log_fd >= 0; i++) {
		struct pollfd p = { .fd = s->runner.log_fd, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0)
			return;
		read_log(s);
	}
}

/* ---- the process */

static void reap(struct session *s)
{
	struct rusage used = { 0 };

	if (!s->runner.pid)
		return;
	while (wait4(s->runner.pid, &s->status, 0, &used) < 0 && errno == EINTR)
		;
	s->runner.pid = 0;
	if ((uint64_t)used.ru_maxrss * 1024 > s->peak_rss_bytes)
		s->peak_rss_bytes = (uint64_t)used.ru_maxrss * 1024;
	drain_log(s);
	log_line(s);
	close(s->runner.ask_fd);
	close(s->runner.frame_fd);
	if (s->runner.log_fd >= 0)
		close(s->runner.log_fd);
}

/* It has a moment to give the NPU back; a thread of the runtime may hang in the driver. */
static void end_runner(struct session *s)
{
	int64_t until = clock_mono_ms() + END_MS;
	siginfo_t info;

	if (!s->runner.pid)
		return;
	kill(s->runner.pid, SIGTERM);
	for (;;) {
		struct pollfd p[2] = { { .fd = s->runner.frame_fd, .events = POLLIN },
				       { .fd = s->runner.log_fd, .events = POLLIN } };
		char waste[4096];

		info.si_pid = 0;
		if (waitid(P_PID, (id_t)s->runner.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid)
			break;
		if (clock_mono_ms() >= until) {
			kill(s->runner.pid, SIGKILL);
			break;
		}
		(void)poll(p, 2, 50);
		if (p[0].revents & POLLIN && read(s->runner.frame_fd, waste, sizeof(waste)) < 0)
			break;
		if (p[1].revents & POLLIN)
			read_log(s);
		if ((p[0].revents | p[1].revents) & POLLHUP)
			(void)poll(NULL, 0, 10);
	}
	reap(s);
}

static int fault(struct session *s, const char *cause, struct err *e, int code, const char *fmt,
		 ...) __attribute__((format(printf, 5, 6)));

static int fault(struct session *s, const char *cause, struct err *e, int code, const char *fmt,
		 ...)
{
	va_list ap;

	s->cause = cause;
	va_start(ap, fmt);
	err_setv(e, code, fmt, ap);
	va_end(ap);
	return code;
}

static int died(struct session *s, const char *doing, struct err *e)
{
	const char *last;

	reap(s);
	last = s->log.error;
	if (WIFSIGNALED(s->status) && WTERMSIG(s->status) == SIGKILL)
		return fault(s, "out of memory", e, ERR_IO,
			     "the runtime was killed while %s: the board is probably out of memory",
			     doing);
	if (WIFSIGNALED(s->status))
		return fault(s, "crash", e, ERR_IO,
			     "the runtime crashed while %s: signal %d (%s)%s%s", doing,
			     WTERMSIG(s->status), strsignal(WTERMSIG(s->status)),
			     last[0] ? "; it said: " : "", last);
	return fault(s, "crash", e, ERR_IO,
		     "the runtime ended the process while %s, with code %d%s%s", doing,
		     WEXITSTATUS(s->status), last[0] ? "; it said: " : "", last);
}

/* ---- frames */

/* What the runtime printed tells more than its number. */
static int failed(struct session *s, const char *p, size_t n, struct err *e)
{
	struct frame_failed f;
	const char *last = s->log.error;
	char text[512];

	memcpy(&f, p, sizeof(f));
	n -= sizeof(f);
	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, p + sizeof(f), n);
	text[n] = '\0';
	if (f.code == ERR_ENV || strstr(last, "open rknpu") || strstr(last, "driver"))
		return fault(s, "missing dependency", e, ERR_ENV, "%s%s%s", text,
			     last[0] ? ": " : "", last);
	if (f.code == ERR_INVALID)
		return fault(s, "refused", e, ERR_INVALID,
			     "the runtime does not load this file: %s%s%s", text,
			     last[0] ? ": " : "", last);
	return fault(s, "bad output", e, ERR_IO, "%s%s%s", text, last[0] ? ": " : "", last);
}

/* Wait for the next frame, which must be of kind want. Its payload is at s->frames.data +
 * sizeof(struct frame) until drop_frame(). */
static int await(struct session *s, enum frame_kind want, int64_t limit_ms, const char *doing,
		 const char **payload, size_t *size, struct err *e)
{
	int64_t until = clock_mono_ms() + limit_ms;

	for (;;) {
		struct pollfd p[3] = { { 0 },
				       { .fd = s->runner.frame_fd, .events = POLLIN },
				       { .fd = s->runner.log_fd, .events = POLLIN } };
		int kind = runner_frame(&s->frames, payload, size, e);
		char chunk[16384];
		ssize_t n;

		if (kind < 0)
			return fault(s, "crash", e, kind,
				     "while %s: the runtime wrote into our pipe", doing);
		if (kind) {
			drain_log(s);
			log_line(s);
			if (kind == FRAME_FAILED)
				return failed(s, *payload, *size, e);
			if ((enum frame_kind)kind == want)
				return 0;
			return fault(s, "crash", e, ERR_CORRUPT, "while %s: frame %d came", doing,
				     kind);
		}
		if (!wire_wait(s->wire, p, 3, until)) {
			if (s->wire->ended)
				return fault(s, "stopped", e, ERR_CANCELLED, "%s", s->wire->why);
			return fault(s, "timeout", e, ERR_BUSY,
				     "the runtime has been %s for more than %lld s", doing,
				     (long long)(limit_ms + 999) / 1000);
		}
		if (p[2].revents)
			read_log(s);
		if (!p[1].revents)
			continue;
		n = read(s->runner.frame_fd, chunk, sizeof(chunk));
		if (n == 0)
			return died(s, doing, e);
		if (n > 0 && buf_add(&s->frames, chunk, (size_t)n) < 0)
			return fault(s, "crash", e, ERR_CORRUPT, "while %s: too long a frame",
				     doing);
	}
}

static void drop_frame(struct session *s, size_t size)
{
	buf_drop(&s->frames, sizeof(struct frame) + size);
}

/* ---- which runtime */

static int look(struct session *s, const char *library, struct err *e)
{
	struct runner_setup setup = { .library = library };
	const char *payload;
	size_t size;
	int rc = runner_start(&setup, &s->runner, e);

	if (rc < 0)
		return rc;
	s->looking = true;
	rc = await(s, FRAME_READY, LOOK_MS, "telling its version", &payload, &size, e);
	/* It said what it was asked for; what happened afterwards does not matter. */
	if (rc < 0 && s->log.runtime[0] && rc != ERR_CANCELLED)
		rc = 0;
	end_runner(s);
	s->looking = false;
	if (rc < 0)
		return rc;
	buf_clear(&s->frames);
	s->cause = NULL;
	if (!s->log.runtime[0])
		return fault(s, "missing dependency", e, ERR_ENV,
			     "%s does not say which version it is%s%s", library,
			     s->log.error[0] ? ": " : "; name it in the job as \"abi\"",
			     s->log.error);
	rc = abi_of(s->log.runtime, &s->abi, e);
	if (rc < 0)
		s->cause = "refused";
	return rc;
}

/* ---- load and ask */

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

static void say_runtime(struct session *s, struct json_out *o)
{
	word(o, "runtime", s->log.runtime);
	word(o, "driver", s->log.driver);
	word(o, "platform", s->log.platform);
	if (s->abi) {
		jw_kstr(o, "abi_first", s->abi->first);
		jw_kstr(o, "abi_last", s->abi->last);
	}
}

static void say_loaded(struct session *s, double load_ms)
{
	struct json_out *o = wire_event(s->wire, "loaded");

	say_runtime(s, o);
	word(o, "toolkit", s->log.toolkit);
	word(o, "target", s->log.target);
	word(o, "dtype", s->log.dtype);
	count(o, "max_context", (double)s->log.max_context);
	count(o, "cores", (double)s->log.cores);
	jw_knum(o, "load_ms", load_ms);
	wire_send(s->wire);
}

static int load(struct session *s, int max_new_tokens, struct err *e)
{
	const struct job *j = s->job;
	struct runner_setup setup = { .library = j->library, .model = j->model, .abi = s->abi };
	const struct abi *said = NULL;
	struct frame_ready ready;
	const char *payload;
	size_t size;
	int rc;

	if (access(j->model, R_OK) != 0) {
		s->cause = "refused";
		return err_errno(e, "%s", j->model);
	}
	setup.max_context = j->max_context;
	setup.max_new_tokens = s->loaded_tokens = max_new_tokens;
	s->log.error[0] = '\0';
	rc = runner_start(&setup, &s->runner, e);
	if (rc == 0)
		rc = await(s, FRAME_READY, j->load_ms, "loading the model", &payload, &size, e);
	if (rc != 0)
		return rc;
	memcpy(&ready, payload, sizeof(ready));
	drop_frame(s, size);
	/* A layout that was named by hand and is not the library's reads rubbish from now on. */
	if (s->log.runtime[0] && (abi_of(s->log.runtime, &said, e) < 0 || said != s->abi) &&
	    !j->abi)
		return fault(s, "refused", e, ERR_INVALID, "the runtime says now that it is %s",
			     s->log.runtime);
	if (j->abi && said != s->abi)
		wire_warn(s->wire,
			  "the layout of %s was asked for, and the runtime says that it is %s: "
			  "numbers "
			  "may be wrong",
			  j->abi, s->log.runtime[0] ? s->log.runtime : "no version");
	say_loaded(s, ready.load_ms);
	return 0;
}

static void say_answer(struct session *s, const struct job_prompt *p, int run,
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

static int ask(struct session *s, const struct job_prompt *p, int run, struct err *e)
{
	struct frame_answer a;
	const char *payload;
	int64_t limit_ms = s->job->answer_ms;
	size_t size;
	int rc;

	/* runtime.c loads the model again then. */
	if (p->max_new_tokens != s->loaded_tokens && s->abi->infer.max_new_tokens == ABI_NONE)
		limit_ms += s->job->load_ms;
	s->loaded_tokens = p->max_new_tokens;
	rklog_next(&s->log);
	s->log.error[0] = '\0';
	rc = runner_ask(&s->runner, p->text, strlen(p->text), p->max_new_tokens, e);
	if (rc < 0)
		return died(s, "taking a prompt", e);
	rc = await(s, FRAME_ANSWER, limit_ms, "answering a prompt", &payload, &size, e);
	if (rc != 0)
		return rc;
	memcpy(&a, payload, sizeof(a));
	say_answer(s, p, run, &a, payload + sizeof(a), size - sizeof(a));
	drop_frame(s, size);
	s->answers++;
	return 0;
}

static int ask_job(struct session *s, struct err *e)
{
	const struct job *j = s->job;

	for (size_t i = 0; i < j->n_prompts; i++) {
		for (int run = 1; run <= j->runs; run++) {
			int rc = ask(s, &j->prompts[i], run, e);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* The end of input is the end of the work: that is how it is ended in order. */
static int ask_lines(struct session *s, struct err *e)
{
	for (;;) {
		struct pollfd p[3] = { { 0 },
				       { .fd = s->runner.frame_fd, .events = POLLIN },
				       { .fd = s->runner.log_fd, .events = POLLIN } };
		struct arena *a = arena_new();
		struct job_prompt prompt;
		size_t len;
		char *line = wire_line(s->wire, &len);
		int rc = 0;

		if (line) {
			rc = job_read_ask(a, s->job, line, len, &prompt, e);
			if (rc == 0)
				rc = ask(s, &prompt, 1, e);
			else
				s->cause = "illegal parameters";
		}
		arena_free(a);
		if (rc < 0)
			return rc;
		if (line)
			continue;
		if (s->wire->ended)
			return 0;
		(void)wire_wait(s->wire, p, 3, -1);
		if (p[2].revents)
			read_log(s);
		if (p[1].revents)
			return died(s, "waiting for a prompt", e);
	}
}

static int work(struct session *s, struct err *e)
{
	const struct job *j = s->job;
	int rc = j->abi ? abi_of(j->abi, &s->abi, e) : look(s, j->library, e);

	if (rc == 0)
		rc = load(s, j->n_prompts ? j->prompts[0].max_new_tokens : j->max_new_tokens, e);
	if (rc == 0)
		rc = ask_job(s, e);
	if (rc == 0 && s->wire->listens)
		rc = ask_lines(s, e);
	return rc;
}

static void begin(struct session *s, const struct job *j, struct wire *w)
{
	memset(s, 0, sizeof(*s));
	s->job = j;
	s->wire = w;
	buf_init(&s->frames,
		 sizeof(struct frame) + sizeof(struct frame_answer) + RUNNER_TEXT_MAX + 65536);
	buf_init(&s->line, LOG_LINE_BYTES);
	rklog_init(&s->log);
}

/* As in the worker protocol; protocol.c itself would bring half of core with it. */
static int exit_of(const struct err *e)
{
	switch (e->code) {
	case ERR_INVALID:
	case ERR_NOTFOUND:
		return WORKER_REFUSED;
	case ERR_ENV:
		return WORKER_ENV;
	default:
		return WORKER_FAILED;
	}
}

static int finish(struct session *s, int rc, const struct err *e)
{
	struct json_out *o;

	end_runner(s);
	if (s->log_lines > LOG_LINES_MAX)
		wire_warn(s->wire, "%d more lines of the runtime's log were dropped",
			  s->log_lines - LOG_LINES_MAX);
	o = wire_event(s->wire, "result");
	jw_kstr(o, "status", rc < 0 ? "error" : "ok");
	if (rc < 0) {
		jw_kstr(o, "code", err_name(e->code));
		jw_kstr(o, "cause", s->cause);
		jw_kstr(o, "message", e->msg);
	}
	jw_kint(o, "answers", s->answers);
	count(o, "peak_rss_bytes", s->peak_rss_bytes ? (double)s->peak_rss_bytes : -1);
	wire_send(s->wire);
	buf_release(&s->frames);
	buf_release(&s->line);
	return rc < 0 ? exit_of(e) : WORKER_OK;
}

int session_run(const struct job *j, struct wire *w)
{
	struct session s;
	struct err e = ERR_INIT;
	int rc;

	begin(&s, j, w);
	rc = work(&s, &e);
	return finish(&s, rc, &e);
}

int session_look(const char *library, struct wire *w)
{
	struct session s;
	struct err e = ERR_INIT;
	int rc;

	begin(&s, NULL, w);
	rc = look(&s, library, &e);
	if (rc == 0) {
		say_runtime(&s, wire_event(w, "runtime"));
		wire_send(w);
	}
	return finish(&s, rc, &e);
}

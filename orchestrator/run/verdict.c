#include "orchestrator/run/verdict.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/path.h"
#include "orchestrator/run/jobdir.h"
#include "orchestrator/run/oom.h"

/* Exit codes of docs/worker-protocol.md, and those of the sandbox (workers/launch/place.h). */
enum {
	EXIT_WORKER_FAILED = 1,
	EXIT_WORKER_USAGE = 2,
	EXIT_WORKER_REFUSED = 3,
	EXIT_WORKER_ENV = 4,
};

static void set(struct verdict *v, bool retry, const char *cause, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void set(struct verdict *v, bool retry, const char *cause, const char *fmt, ...)
{
	char text[sizeof(v->message)];
	va_list ap;

	v->retry = retry;
	v->said = -1;
	snprintf(v->cause, sizeof(v->cause), "%s", cause);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_visible(text, v->message, sizeof(v->message)); /* names and words of a stranger */
}

static void show(struct verdict *v, const char *from, const char *text)
{
	snprintf(v->evidence_from, sizeof(v->evidence_from), "%s", from);
	text_visible(text, v->evidence, sizeof(v->evidence));
}

/* The last line of the log that is not empty; "" if there is none. */
static void last_log_line(const char *dir, char *out, unsigned size)
{
	char *path = path_join(dir, "log"), tail[2048], *line, *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = -1;
	off_t len;

	out[0] = '\0';
	free(path);
	if (fd < 0)
		return;
	len = lseek(fd, 0, SEEK_END);
	if (len >= 0)
		n = pread(fd, tail, sizeof(tail) - 1,
			  len > (off_t)sizeof(tail) - 1 ? len - (off_t)sizeof(tail) + 1 : 0);
	close(fd);
	if (n <= 0)
		return;
	for (end = tail + n; end > tail && strchr("\n\r \t", end[-1]); end--)
		;
	*end = '\0';
	line = strrchr(tail, '\n');
	text_visible(line ? line + 1 : tail, out, size);
}

static bool ended_by_us(enum task_end why, struct verdict *v)
{
	switch (why) {
	case END_BY_ITSELF:
		return false;
	case END_TIMEOUT:
		set(v, true, "timeout", "took longer than resources.timeout");
		show(v, "limit", v->message);
		return true;
	case END_STALL:
		set(v, true, "stall", "no progress for resources.stall");
		show(v, "limit", v->message);
		return true;
	case END_LOG:
		set(v, false, "log too large", "its log grew beyond 64 MiB");
		show(v, "limit", v->message);
		return true;
	case END_MEMORY: /* what it used is said later: oom.h */
		set(v, true, OOM_CAUSE, "ended for its memory");
		return true;
	case END_FOLDER:
		set(v, false, "folder too large",
		    "it filled its job folder with more than any such job needs");
		show(v, "limit", v->message);
		return true;
	case END_CANCEL:
		v->cancelled = true;
		return true;
	case END_STOP:
		verdict_lost("stopped with the run", v);
		return true;
	}
	return false;
}

static void by_exit_code(int code, const char *words, struct verdict *v)
{
	char text[24];

	snprintf(text, sizeof(text), "exit code %d", code);
	show(v, "exit", text);
	switch (code) {
	case EXIT_WORKER_FAILED:
		set(v, true, "failed", "%s", words);
		break;
	case EXIT_WORKER_USAGE:
		set(v, false, "protocol", "the worker refuses the call: %s", words);
		break;
	case EXIT_WORKER_REFUSED:
		set(v, false, "refused", "%s", words);
		break;
	case EXIT_WORKER_ENV:
		set(v, false, "environment", "%s", words);
		break;
	case PLACE_CANNOT_SET_UP:
	case PLACE_CANNOT_RUN:
		set(v, true, "launch", "%s", words);
		break;
	default:
		set(v, true, "crash", "exit code %d: %s", code, words);
	}
}

/* Signal or exit code other than success, in words. */
static void by_status(const struct execution *x, const char *said, const char *dir,
		      struct verdict *v)
{
	char words[500], text[80];

	if (said[0])
		text_visible(said, words, sizeof(words));
	else
		last_log_line(dir, words, sizeof(words));
	if (x->start_error) {
		set(v, true, "launch", "cannot start a process: %s", uv_strerror(x->start_error));
		show(v, "error", uv_strerror(x->start_error));
	} else if (x->signal == SIGXFSZ) {
		set(v, false, "folder too large", "it wrote a file larger than any such job needs");
		show(v, "signal", "signal 25 (File size limit exceeded)");
	} else if (x->signal) {
		set(v, true, x->signal == SIGKILL ? "killed" : "crash", "signal %d (%s)%s%s",
		    x->signal, strsignal(x->signal), words[0] ? ": " : "", words);
		snprintf(text, sizeof(text), "signal %d (%s)", x->signal, strsignal(x->signal));
		show(v, "signal", text);
	} else {
		by_exit_code(x->exit_code, words[0] ? words : "it said nothing; see its log", v);
		if (words[0])
			show(v, said[0] ? "result" : "log", words);
	}
}

/* A worker that knows its failure names it; what ended the process is the weaker word. */
static void by_worker(const struct jobdir_error *more, struct verdict *v)
{
	if (more->cause[0]) {
		snprintf(v->cause, sizeof(v->cause), "%s", more->cause);
		show(v, "result", v->message);
	}
	if (more->retry >= 0)
		v->retry = more->retry;
	v->said = more->retry >= 0 ? more->retry
		  : v->retry	   ? -1
				   : 0; /* an exit code is a word too */
}

void verdict_of_worker(const struct execution *x, enum task_end why, const char *dir,
		       struct verdict *v)
{
	char said[500];
	struct jobdir_error more;
	enum jobdir_result r = jobdir_result(dir, said, sizeof(said), &more);
	bool went_well = x->exit_unknown || (!x->start_error && !x->signal && x->exit_code == 0);

	memset(v, 0, sizeof(*v));
	if ((went_well || x->signal) && r == JOBDIR_OK)
		v->good = true; /* killed after its last act, by us or anybody: the work is done and
				   will be checked */
	else if (ended_by_us(why, v))
		return;
	else if (x->exit_unknown && r == JOBDIR_NONE)
		verdict_lost("its orchestrator was killed, and it left no result", v);
	else if (x->exit_unknown && r == JOBDIR_ERROR)
		set(v, true, "failed", "%s", said);
	else if (r == JOBDIR_RUBBISH)
		set(v, true, "bad output", "%s", said);
	else if (went_well)
		set(v, true, "bad output", "it ended well but %s",
		    r == JOBDIR_NONE ? "left no result.json" : "its result says error");
	else
		by_status(x, r == JOBDIR_ERROR ? said : "", dir, v);
	if (!v->good && !v->lost && !v->evidence[0])
		show(v, "result", v->message);
	if (r == JOBDIR_ERROR && !v->good && !v->lost && !x->start_error)
		by_worker(&more, v);
	if (why == END_CANCEL)
		v->good = false, v->cancelled = true;
}

void verdict_of_validation(const struct execution *x, enum task_end why, const char *dir,
			   struct verdict *v)
{
	char words[500];

	memset(v, 0, sizeof(*v));
	if (!x->start_error && !x->signal && x->exit_code == 0) {
		v->good = true;
		return;
	}
	if (ended_by_us(why, v))
		return;
	if (x->exit_code == EXIT_WORKER_REFUSED && !x->signal) {
		last_log_line(dir, words, sizeof(words));
		set(v, true, "bad output", "%s",
		    words[0] ? words : "its own validation refuses it");
		show(v, words[0] ? "log" : "exit", words[0] ? words : "exit code 3");
		return;
	}
	by_status(x, "", dir, v);
}

void verdict_of_error(const struct err *e, struct verdict *v)
{
	memset(v, 0, sizeof(*v));
	switch (e->code) {
	case ERR_NOSPACE:
		set(v, true, "disk full", "%s", e->msg);
		break;
	case ERR_INVALID:
		set(v, true, "bad output", "%s", e->msg);
		break;
	case ERR_ENV:
		set(v, false, "environment", "%s", e->msg);
		break;
	default:
		set(v, true, "io", "%s", e->msg);
	}
	show(v, "error", e->msg);
}

/* Causes that only say how a process ended, not why. */
static bool is_weak(const struct verdict *v)
{
	static const char *const weak[] = { "failed", "crash", "killed", "refused" };

	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		if (strcmp(v->cause, weak[i]) == 0)
			return true;
	}
	return false;
}

void verdict_refine(const char *dir, const struct engine *en, struct verdict *v)
{
	struct evidence ev;
	const char *cause;

	if (v->good || v->lost || v->cancelled)
		return;
	evidence_read(dir, en, &ev);
	if (strcmp(v->evidence_from, "limit") == 0 && ev.last[0]) {
		char text[EVIDENCE_MAX + 640];

		snprintf(text, sizeof(text), "%s; the log ends with: %s", v->message, ev.last);
		show(v, "limit", text);
	}
	if (!is_weak(v))
		return;
	if (ev.known) {
		snprintf(v->cause, sizeof(v->cause), "%s", ev.known->cause->name);
		show(v, "log", ev.line);
		return;
	}
	if (strcmp(v->cause, "failed") != 0 && strcmp(v->cause, "crash") != 0)
		return;
	/* Its own words first; a log's last line may be of somebody else. */
	cause = cause_of_words(v->message);
	if (cause) {
		show(v, strcmp(v->evidence_from, "result") == 0 ? "result" : "log", v->message);
	} else if ((cause = cause_of_words(ev.last)) != NULL) {
		show(v, "log", ev.last);
	}
	if (cause)
		snprintf(v->cause, sizeof(v->cause), "%s", cause);
}

void verdict_lost(const char *message, struct verdict *v)
{
	memset(v, 0, sizeof(*v));
	v->lost = true;
	snprintf(v->cause, sizeof(v->cause), "interrupted");
	snprintf(v->message, sizeof(v->message), "%s", message);
}

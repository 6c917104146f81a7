/* workers/board/session.c -- a runtime, from its version to the last answer: looked at, loaded with
 * the model, asked. */
#include "workers/board/session.h"

#include <string.h>
#include <unistd.h>

#include "workers/board/session_private.h"
#include "workers/common/protocol.h"

#define LOOK_MS 60000

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
	rc = session_await(s, FRAME_READY, LOOK_MS, "telling its version", &payload, &size, e);
	/* It said what it was asked for; what happened afterwards does not matter. */
	if (rc < 0 && s->log.runtime[0] && rc != ERR_CANCELLED)
		rc = 0;
	session_end_runner(s);
	s->looking = false;
	if (rc < 0)
		return rc;
	buf_clear(&s->frames);
	s->cause = NULL;
	if (!s->log.runtime[0])
		return session_fault(s, "missing dependency", e, ERR_ENV,
				     "%s does not say which version it is%s%s", library,
				     s->log.error[0] ? ": " : "; name it in the job as \"abi\"",
				     s->log.error);
	rc = abi_of(s->log.runtime, &s->abi, e);
	if (rc < 0)
		s->cause = "refused";
	return rc;
}

/* ---- load and ask */

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
		rc = session_await(s, FRAME_READY, j->load_ms, "loading the model", &payload, &size,
				   e);
	if (rc != 0)
		return rc;
	memcpy(&ready, payload, sizeof(ready));
	session_drop_frame(s, size);
	/* A layout that was named by hand and is not the library's reads rubbish from now on. */
	if (s->log.runtime[0] && (abi_of(s->log.runtime, &said, e) < 0 || said != s->abi) &&
	    !j->abi)
		return session_fault(s, "refused", e, ERR_INVALID,
				     "the runtime says now that it is %s", s->log.runtime);
	if (j->abi && said != s->abi)
		wire_warn(s->wire,
			  "the layout of %s was asked for, and the runtime says that it is %s: "
			  "numbers "
			  "may be wrong",
			  j->abi, s->log.runtime[0] ? s->log.runtime : "no version");
	session_say_loaded(s, ready.load_ms);
	return 0;
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
		return session_died(s, "taking a prompt", e);
	rc = session_await(s, FRAME_ANSWER, limit_ms, "answering a prompt", &payload, &size, e);
	if (rc != 0)
		return rc;
	memcpy(&a, payload, sizeof(a));
	session_say_answer(s, p, run, &a, payload + sizeof(a), size - sizeof(a));
	session_drop_frame(s, size);
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
			session_read_log(s);
		if (p[1].revents)
			return session_died(s, "waiting for a prompt", e);
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
	buf_init(&s->line, SESSION_LOG_LINE_BYTES);
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
	session_end_runner(s);
	if (s->log_lines > SESSION_LOG_LINES_MAX)
		wire_warn(s->wire, "%d more lines of the runtime's log were dropped",
			  s->log_lines - SESSION_LOG_LINES_MAX);
	session_say_result(s, rc, e);
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
		session_say_runtime(&s, wire_event(w, "runtime"));
		wire_send(w);
	}
	return finish(&s, rc, &e);
}

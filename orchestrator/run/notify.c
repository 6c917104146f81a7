#include "orchestrator/run/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/store_command.h"
#include "upload/hub_env.h"

#define BODY_MAX (1u << 20)
#define FAILURES_TOLD 20
#define BACKOFF_MAX_MS 60000
#define POLL_MS 20

/* ---- what is told */

static int add_failure(void *ctx, const struct job_row *j, struct err *e)
{
	struct json_out *w = ctx;

	(void)e;
	jw_object(w);
	jw_kint(w, "job", j->id);
	jw_kstr(w, "label", j->label);
	jw_kstr(w, "cause", j->cause);
	jw_kstr(w, "message", j->message);
	jw_end_object(w);
	return 0;
}

static void json_counts(struct json_out *w, const int64_t *counts)
{
	jw_kobject(w, "counts");
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		jw_kint(w, job_state_name((enum job_state)i), counts[i]);
	jw_end_object(w);
}

static int write_body(struct session *s, int64_t run_id, const struct scheduler_result *r,
		      int exit_code, const char *error, struct buf *b, struct err *e)
{
	struct job_filter failed = { .run_id = run_id,
				     .state = JOB_FAILED,
				     .limit = FAILURES_TOLD };
	int64_t counts[JOB_STATE_COUNT] = { 0 };
	struct arena *a = arena_new();
	struct run_row run = { 0 };
	struct json_out w;
	int rc = store_run_get(s->store, run_id, a, &run, e);

	if (rc >= 0)
		rc = store_job_counts(s->store, run_id, counts, e);
	jw_init(&w, b, 0);
	jw_object(&w);
	jw_kstr(&w, "event", "run_end");
	/* One line that chats show as it is. */
	jw_kstr(&w, "text",
		arena_printf(a,
			     "quern %s: %lld converted, %lld of %lld points done, %lld failed%s%s",
			     s->cfg->name, (long long)r->finished,
			     (long long)(counts[JOB_DONE] + counts[JOB_READY]),
			     (long long)run.points, (long long)counts[JOB_FAILED],
			     error[0] ? "; the run ended with: " : "", error));
	jw_kstr(&w, "matrix", s->cfg->name);
	jw_kstr(&w, "host", run.host);
	jw_kint(&w, "run", run_id);
	jw_kint(&w, "exit_code", exit_code);
	jw_kstr(&w, "error", error);
	jw_time(&w, "started", run.started_ms);
	jw_time(&w, "ended", run.ended_ms);
	jw_kint(&w, "converted", r->finished);
	jw_kint(&w, "failed", r->failed);
	jw_kint(&w, "retried", r->retried);
	jw_kint(&w, "published", r->published);
	jw_kint(&w, "bytes_sent", (int64_t)r->bytes_sent);
	json_counts(&w, counts);
	jw_karray(&w, "failures");
	if (rc >= 0)
		rc = store_job_each(s->store, &failed, add_failure, &w, e);
	jw_end_array(&w);
	jw_end_object(&w);
	buf_addc(b, '\n');
	arena_free(a);
	return rc;
}

/* ---- one attempt: a process with the body on its standard input */

/* A file in memory, read from its start. For notify-post the address goes before the body, where no
 * list of processes shows it. */
static int input_of(const struct notify *n, const struct buf *body)
{
	int fd = memfd_create("quern-notify", MFD_CLOEXEC);
	bool good = fd >= 0;

	if (good && n->url)
		good = dprintf(fd, "%s\n", n->url) > 0;
	if (good)
		good = write(fd, body->data, body->len) == (ssize_t)body->len &&
		       lseek(fd, 0, SEEK_SET) == 0;
	if (!good && fd >= 0)
		close(fd);
	return good ? fd : -1;
}

/* In the new process. What it prints goes to where we talk. */
_Noreturn static void become(const char *const *argv, int input)
{
	hub_env_forget();
	(void)setsid();
	if (!argv[0] || dup2(input, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(127);
	(void)signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "quern: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void nap(int64_t ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

/* 0: it was told. Else why says how it went. */
static int wait_for(pid_t pid, int64_t timeout_ms, char *why, size_t size)
{
	int64_t end = clock_mono_ms() + timeout_ms;
	int status = 0;
	pid_t got;

	while ((got = waitpid(pid, &status, WNOHANG)) == 0 && clock_mono_ms() < end)
		nap(POLL_MS);
	if (got == 0) {
		(void)kill(-pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		snprintf(why, size, "it took longer than its timeout");
		return -1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status))
		snprintf(why, size, "exit code %d", WEXITSTATUS(status));
	else
		snprintf(why, size, "signal %d", WTERMSIG(status));
	return -1;
}

static int try_once(const struct notify *n, const struct buf *body, char *why, size_t size)
{
	static const char *const post[] = { "/proc/self/exe", "notify-post", NULL };
	const char **argv = mem_array(n->command.n + 1, sizeof(*argv));
	int input = input_of(n, body), rc = -1;
	pid_t pid;

	for (size_t i = 0; i < n->command.n; i++)
		argv[i] = n->command.v[i];
	argv[n->command.n] = NULL;
	fflush(NULL);
	pid = input < 0 ? -1 : fork();
	if (pid == 0)
		become(n->url ? post : argv, input);
	if (pid < 0)
		snprintf(why, size, "no process can be started: %s", strerror(errno));
	else
		rc = wait_for(pid, n->timeout_ms, why, size);
	if (input >= 0)
		close(input);
	free(argv);
	return rc;
}

/* ---- until it is told */

/* A program by its name, a URL by its host: the rest may be a secret. */
static void say_failure(const struct notify *n, const char *why)
{
	size_t host = n->url ? strcspn(strstr(n->url, "://") + 3, "/?#") : 0;

	fputs("quern: notify: ", stderr);
	if (n->url)
		fprintf(stderr, "%.*s", (int)(strstr(n->url, "://") + 3 + host - n->url), n->url);
	else
		cli_print_text(stderr, n->command.v[0]);
	fprintf(stderr, " was not told, after %d attempt%s: %s\n", n->attempts,
		n->attempts == 1 ? "" : "s", why);
}

static void tell(const struct notify *n, const struct buf *body)
{
	int64_t wait_ms = n->backoff_ms;
	char why[200] = "";

	for (int i = 0; i < n->attempts; i++) {
		if (i > 0)
			nap(wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS);
		if (i > 0)
			wait_ms *= 2;
		if (try_once(n, body, why, sizeof(why)) == 0)
			return;
	}
	say_failure(n, why);
}

/* A night on which nothing was to be done is no news. */
static bool is_news(const struct scheduler_result *r)
{
	return r->finished || r->failed || r->retried || r->commits || r->publish_failed;
}

void notify_all(struct session *s, int64_t run_id, const struct scheduler_result *r, int exit_code,
		const char *error)
{
	struct err e = ERR_INIT;
	struct buf body;

	if (!s->cfg->n_notify)
		return;
	buf_init(&body, BODY_MAX);
	if (write_body(s, run_id, r, exit_code, error, &body, &e) < 0 || body.overflow)
		fprintf(stderr, "quern: notify: nobody was told: %s\n",
			e.msg[0] ? e.msg : "there is too much to tell");
	for (size_t i = 0; !e.code && !body.overflow && i < s->cfg->n_notify; i++) {
		const struct notify *n = &s->cfg->notify[i];

		if (exit_code != EXIT_GOOD || (n->on == NOTIFY_END && is_news(r)))
			tell(n, &body);
	}
	buf_release(&body);
}

/* orchestrator/command/cmd_logs.c -- quern logs: what a worker wrote to its standard error. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/proc.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/workdir.h"

#define POLL_MS 200
#define ATTEMPTS_MAX 100    /* older ones are not looked for */
#define LINE_MAX_SHOWN 8192 /* bytes of a line before it is broken */

struct log_view {
	struct store_command sc;
	struct job_row job;
	int number;    /* of the attempt */
	bool raw;      /* bytes as they are */
	bool returned; /* the last byte was '\r' and ended a line */
	const char *path;
	int fd;
	char line[LINE_MAX_SHOWN + 1]; /* the line so far */
	size_t len;
};

/* ---- printing */

/* A log is foreign text: nothing of it may steer a terminal, also not one behind a pager or in a
 * mail. */
static void flush_line(struct log_view *v)
{
	char shown[4 * LINE_MAX_SHOWN + 1];

	v->line[v->len] = '\0';
	text_visible(v->line, shown, sizeof(shown));
	puts(shown);
	v->len = 0;
}

static void print_visible(struct log_view *v, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool again = v->returned && p[i] == '\n'; /* "\r\n" ends one line */

		v->returned = p[i] == '\r';
		if (p[i] == '\n') {
			if (!again)
				flush_line(v);
			continue;
		}
		if (v->len == LINE_MAX_SHOWN)
			flush_line(v);
		/* Progress bars of frameworks go back to the line's start: each state is shown on
		 * its own. */
		if (p[i] == '\r' && v->len)
			flush_line(v);
		else if (p[i] == '\r')
			v->returned = false; /* a line of its own, empty */
		else if (p[i] == '\t')
			v->line[v->len++] = ' ';
		else if (p[i] != '\0')
			v->line[v->len++] = p[i];
	}
}

/* Print what has been written since. Returns 0, or ERR_IO. */
static int print_new(struct log_view *v, struct err *e)
{
	char chunk[65536];
	ssize_t n;

	while ((n = read(v->fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "%s", v->path);
		if (v->raw)
			fwrite(chunk, 1, (size_t)n, stdout);
		else
			print_visible(v, chunk, (size_t)n);
	}
	if (fflush(stdout) != 0)
		return err_errno(e, "standard output");
	return 0;
}

/* ---- finding */

/* The attempt's row: 1 with the numbers in *out, 0 when there is none of that number. */
static int find_attempt(struct log_view *v, struct attempt_row *out, struct err *e)
{
	struct attempt_row rows[ATTEMPTS_MAX];
	struct arena *a = arena_new(); /* -f asks again and again */
	int n = store_attempts(v->sc.store, v->job.id, a, rows, ATTEMPTS_MAX, e), found = 0;

	for (int i = 0; i < n && !found; i++) {
		found = v->number == 0 || rows[i].number == v->number;
		if (found)
			*out = rows[i];
	}
	arena_free(a);
	return n < 0 ? n : found;
}

static int no_attempt(const struct log_view *v, struct err *e)
{
	if (v->job.tries == 0)
		return err_set(e, ERR_NOTFOUND,
			       "job %lld has no log: it is %s and was never started",
			       (long long)v->job.id, job_state_name(v->job.state));
	return err_set(e, ERR_NOTFOUND, "job %lld has no attempt %d; the last one is %d",
		       (long long)v->job.id, v->number, v->job.tries);
}

static int no_log(const struct log_view *v, const struct attempt_row *at, struct err *e)
{
	if (!at->ended_ms)
		return err_set(e, ERR_NOTFOUND, "attempt %d of job %lld has no log yet", at->number,
			       (long long)v->job.id);
	return err_set(
		e, ERR_NOTFOUND,
		"attempt %d of job %lld has no log any more (%s); quern gc removes old ones, "
		"quern show %lld has what was recorded",
		at->number, (long long)v->job.id, v->path, (long long)v->job.id);
}

static int open_log(struct log_view *v, const struct attempt_row *at, struct err *e)
{
	struct stat st;

	v->path = arena_printf(v->sc.a, "%s/log",
			       workdir_job(v->sc.a, v->sc.work, v->job.key, v->number));
	v->fd = open(v->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (v->fd < 0 && errno == ENOENT)
		return no_log(v, at, e);
	if (v->fd < 0)
		return err_errno(e, "%s", v->path);
	if (fstat(v->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "%s is not a regular file", v->path);
	return 0;
}

/* ---- following */

static void pause_a_little(void)
{
	const struct timespec t = { .tv_nsec = POLL_MS * 1000000L };

	nanosleep(&t, NULL);
}

/* Does anybody still write? An attempt has ended when its row says so, or when quern and the worker
 * are gone. */
static int still_going(struct log_view *v, struct err *e)
{
	struct attempt_row at;
	int64_t holder;
	int rc = find_attempt(v, &at, e);

	if (rc <= 0 || at.ended_ms)
		return rc < 0 ? rc : 0;
	rc = workdir_holder(v->sc.work, &holder, e);
	if (rc != 0)
		return rc;
	return lock_held(arena_printf(v->sc.a, "%s/lock",
				      workdir_job(v->sc.a, v->sc.work, v->job.key, at.number)),
			 e);
}

/* With -f a job that waits in a going run is waited for. */
static int wait_for_attempt(struct log_view *v, struct attempt_row *at, struct err *e)
{
	int64_t holder;
	int rc;

	while ((rc = find_attempt(v, at, e)) == 0) {
		if (v->job.state != JOB_PENDING || workdir_holder(v->sc.work, &holder, e) != 1)
			return 0;
		pause_a_little();
		rc = store_job_get(v->sc.store, v->job.id, v->sc.a, &v->job, e);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int print_log(struct log_view *v, const char *name, bool follow, struct err *e)
{
	struct attempt_row at;
	int rc = store_job_find(v->sc.store, name, v->sc.a, &v->job, e), going = 1;

	if (rc < 0)
		return rc;
	rc = follow ? wait_for_attempt(v, &at, e) : find_attempt(v, &at, e);
	if (rc <= 0)
		return rc < 0 ? rc : no_attempt(v, e);
	v->number = at.number;
	rc = open_log(v, &at, e);
	/* The attempt is recorded before its folder is made. */
	while (rc == ERR_NOTFOUND && follow && still_going(v, e) == 1) {
		pause_a_little();
		rc = open_log(v, &at, e);
	}
	while (rc >= 0 && going > 0) {
		going = follow ? still_going(v, e)
			       : 0; /* asked first: what comes before the end is read */
		rc = going < 0 ? going : print_new(v, e);
		if (going > 0)
			pause_a_little();
	}
	if (v->len)
		flush_line(v);
	return rc;
}

int cmd_logs(int argc, char **argv)
{
	struct log_view v = { .fd = -1 };
	bool follow = false, help;
	int64_t number = 0;
	const struct option_def opts[] = {
		{ "follow", 'f', OPT_FLAG, NULL, "go on until the attempt ends", &follow },
		{ "attempt", 0, OPT_INT, "N", "this attempt, not the last one", &number },
		{ "raw", 0, OPT_FLAG, NULL,
		  "print the log's bytes as they are, for a file or a program", &v.raw },
		/* As STORE_COMMAND_OPTIONS, but -f follows here, as in tail(1). */
		{ "file", 0, OPT_STRING, "FILE", "the jobs file (default jobs.yaml)", &v.sc.file },
		{ "work", 0, OPT_STRING, "DIR",
		  "the work folder (default: `work` of the jobs file)", &v.sc.work_option },
	};
	struct err e = ERR_INIT;
	int at = cli_parse("logs", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && argc - at != 1)
		at = err_set(&e, ERR_INVALID,
			     "logs: name one job, by its number or the start of its key");
	if (at >= 0 && number > INT32_MAX)
		at = err_set(&e, ERR_INVALID, "--attempt: %lld is no number of an attempt",
			     (long long)number);
	if (at < 0)
		return cli_fail(&e);
	v.number = (int)number;
	rc = store_command_open(&v.sc, 1);
	if (rc == 0)
		rc = print_log(&v, argv[at], follow, &e) < 0 ? cli_fail(&e) : EXIT_GOOD;
	if (v.fd >= 0)
		close(v.fd);
	store_command_close(&v.sc);
	return rc;
}

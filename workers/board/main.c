/* workers/board/main.c -- quern-board: tries a converted model on the board that it was made for.
 * docs/board.md. It runs on the board, started by quern over ssh or by hand. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "workers/board/abi.h"
#include "workers/board/hold.h"
#include "workers/board/session.h"
#include "workers/common/protocol.h"

static int usage(void)
{
	fputs("usage: quern-board run JOB.json         load the model, ask its prompts (-: "
	      "standard input)\n"
	      "       quern-board serve                 the same; job, then prompts, as lines of "
	      "input\n"
	      "       quern-board hold --dir DIR [--clocks] [--wait MS] [--silence MS] [--sysfs "
	      "DIR]\n"
	      "       quern-board look [LIBRARY]        which runtime is this?\n"
	      "       quern-board layouts               which versions are known\n"
	      "       quern-board --version\n",
	      stderr);
	return WORKER_USAGE;
}

static int complain(const struct err *e)
{
	fprintf(stderr, "quern-board: %s\n", e->msg);
	return WORKER_USAGE;
}

/* ---- run */

static int read_job(const char *path, struct buf *b, struct err *e)
{
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	char chunk[8192];
	ssize_t n = 1;
	int rc = 0;

	if (fd < 0)
		return err_errno(e, "%s", path);
	while (rc == 0 && n > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			rc = err_errno(e, "%s", path);
		else if (buf_add(b, chunk, (size_t)n) < 0)
			rc = err_set(e, ERR_INVALID, "%s is longer than %zu bytes", path,
				     WIRE_LINE_MAX);
	}
	if (fd != STDIN_FILENO)
		close(fd);
	return rc;
}

static int run(int argc, char **argv)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct wire w;
	struct buf b;
	struct job j = { 0 };
	int rc;

	if (argc != 2)
		return usage();
	buf_init(&b, WIRE_LINE_MAX);
	rc = read_job(argv[1], &b, &e);
	if (rc == 0)
		rc = job_read(a, buf_str(&b), b.len, &j, &e);
	if (rc == 0 && !j.n_prompts)
		rc = err_set(&e, ERR_INVALID, "%s has no prompts", argv[1]);
	if (rc == 0) {
		wire_init(&w, false, 0);
		rc = session_run(&j, &w);
		wire_release(&w);
	} else {
		rc = complain(&e);
	}
	buf_release(&b);
	arena_free(a);
	return rc;
}

/* ---- serve */

static int serve(int argc, char **argv)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	char *line = NULL;
	struct wire w;
	struct job j = { 0 };
	size_t len = 0;
	int rc = 0;

	(void)argv;
	if (argc != 1)
		return usage();
	wire_init(&w, true, 60000); /* for the job itself */
	while (!(line = wire_line(&w, &len)) && !w.ended) {
		struct pollfd p[1];

		(void)wire_wait(&w, p, 1, -1);
	}
	if (!line)
		rc = err_set(&e, ERR_INVALID, "no job came: %s", w.why);
	else
		rc = job_read(a, line, len, &j, &e);
	if (rc == 0) {
		w.silence_ms = j.silence_ms;
		rc = session_run(&j, &w);
	} else {
		rc = complain(&e);
	}
	wire_release(&w);
	arena_free(a);
	return rc;
}

/* ---- hold */

static int milliseconds(const char *text, int64_t *out)
{
	char *end;
	long long v = strtoll(text, &end, 10);

	if (end == text || *end || v < 0 || v > (int64_t)7 * 24 * 3600 * 1000)
		return ERR_INVALID;
	*out = v;
	return 0;
}

static int hold(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "clocks", no_argument, NULL, 'c' },
		{ "wait", required_argument, NULL, 'w' },
		{ "sysfs", required_argument, NULL, 's' },
		{ "silence", required_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	const char *elsewhere = getenv("QUERN_BOARD_SYSFS"); /* for tests */
	struct hold_options o = { .sysfs = elsewhere ? elsewhere : "/sys" };
	int64_t silence_ms = 0;
	struct wire w;
	int c, rc = 0;

	while (rc == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			o.dir = optarg;
		else if (c == 'c')
			o.clocks = true;
		else if (c == 's')
			o.sysfs = optarg;
		else if (c == 'w')
			rc = milliseconds(optarg, &o.wait_ms);
		else if (c == 'q')
			rc = milliseconds(optarg, &silence_ms);
		else
			rc = ERR_INVALID;
	}
	if (rc < 0 || optind != argc || !o.dir || access(o.dir, X_OK) != 0)
		return usage();
	wire_init(&w, true, silence_ms);
	rc = hold_run(&o, &w);
	wire_release(&w);
	return rc;
}

/* ---- look, layouts */

static int look(int argc, char **argv)
{
	struct wire w;
	int rc;

	if (argc > 2)
		return usage();
	wire_init(&w, false, 0);
	rc = session_look(argc == 2 ? argv[1] : "librkllmrt.so", &w);
	wire_release(&w);
	return rc;
}

static int layouts(int argc, char **argv)
{
	const struct abi *r;

	(void)argv;
	if (argc != 1)
		return usage();
	printf("%-8s %-8s %6s %6s %6s %6s  %s\n", "FIRST", "LAST", "PARAM", "INFER", "INPUT",
	       "RESULT", "TIMES FROM");
	for (unsigned i = 0; (r = abi_row(i)) != NULL; i++)
		printf("%-8s %-8s %6u %6u %6u %6u  %s\n", r->first, r->last, r->param.size,
		       r->infer.size, r->input.size, r->result.size,
		       r->result.perf == ABI_NONE ? "the log" : "RKLLMPerfStat");
	return fflush(stdout) == 0 ? WORKER_OK : WORKER_FAILED;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {
		{ "run", run },	  { "serve", serve },	  { "hold", hold },
		{ "look", look }, { "layouts", layouts },
	};

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("quern-board " QUERN_VERSION);
		return WORKER_OK;
	}
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	return usage();
}

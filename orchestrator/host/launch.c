#include "orchestrator/host/launch.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/host/capture.h"
#include "orchestrator/host/spawn.h"

extern char **environ;

/* ---- where our own programs are */

static const char *runnable(struct arena *a, const char *folder, const char *name)
{
	const char *path = arena_printf(a, "%s/%s", folder, name);
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? path : NULL;
}

const char *launch_program(struct arena *a, const char *name)
{
	char *here = path_program_dir(), *prefix;
	const char *found;

	if (!here)
		return NULL;
	found = runnable(a, here, name);
	if (!found) {
		prefix = path_dirname(here);
		found = runnable(a, arena_printf(a, "%s/libexec/quern", prefix), name);
		free(prefix);
	}
	free(here);
	return found;
}

/* ---- quern-launch around a program */

#define FIXED_ARGS 8 /* quern-launch, its options as below, --, the program and the last NULL */

/* NULL: quern-launch is missing. */
static const char **launch_argv(struct arena *a, const struct launch_place *p, const char *program,
				const char *const *args, size_t n_args, struct err *e)
{
	const char **v = arena_array(a, FIXED_ARGS + 2 * p->n_read + n_args, sizeof(*v));
	size_t n = 0;

	v[n++] = launch_program(a, "quern-launch");
	if (!v[0]) {
		err_set(e, ERR_ENV,
			"quern-launch is missing beside quern and in libexec/quern; install quern "
			"completely");
		return NULL;
	}
	v[n++] = "--job";
	v[n++] = p->dir;
	v[n++] = "--lock-fd";
	v[n++] = arena_printf(a, "%d", SPAWN_LOCK_FD);
	for (size_t i = 0; i < p->n_read; i++) {
		v[n++] = "--read";
		v[n++] = p->read[i];
	}
	v[n++] = "--";
	v[n++] = program;
	for (size_t i = 0; i < n_args; i++)
		v[n++] = args[i];
	v[n] = NULL;
	return v;
}

/* ---- run to the end */

static int run_captured(const char *program, const char **argv, int lock_fd, bool echo,
			struct buf *out, struct err *e)
{
	struct capture c = {
		.argv = argv, .name = program, .lock_fd = lock_fd, .out = out, .echo = echo
	};

	capture_run(&c, 1, 1);
	if (c.rc != 0 && e)
		*e = c.err;
	return c.rc;
}

int launch_worker(const struct launch_place *p, const char *program, const char *const *args,
		  size_t n_args, struct buf *out, struct err *e)
{
	struct arena *a = arena_new();
	int lock_fd = lock_take(arena_printf(a, "%s/lock", p->dir), e), rc;
	const char **argv = lock_fd < 0 ? NULL : launch_argv(a, p, program, args, n_args, e);

	rc = argv ? run_captured(program, argv, lock_fd, p->echo, out, e) : e->code;
	if (lock_fd >= 0)
		close(lock_fd);
	arena_free(a);
	return rc;
}

char *launch_folder(struct err *e)
{
	const char *base = getenv("TMPDIR");
	char *dir = mem_printf("%s/quern-XXXXXX", base && base[0] == '/' ? base : "/tmp");

	if (mkdtemp(dir))
		return dir;
	(void)err_errno(e, "%s", dir);
	free(dir);
	return NULL;
}

int launch_capture(const char *program, const char *const *args, size_t n_args,
		   const char *read_path, struct buf *out, struct err *e)
{
	struct err ignored = ERR_INIT;
	char *dir = launch_folder(e);
	const struct launch_place p = { .dir = dir,
					.read = &read_path,
					.n_read = read_path != NULL };
	int rc;

	if (!dir)
		return e->code;
	rc = launch_worker(&p, program, args, n_args, out, e);
	(void)path_remove_tree(
		dir, &ignored); /* a throw-away folder in the system's own place for such */
	free(dir);
	return rc;
}

int launch_output(const char *program, const char *const *args, size_t n_args, struct buf *out,
		  struct err *e)
{
	const char **argv = mem_array(n_args + 2, sizeof(*argv));
	int rc;

	argv[0] = program;
	memcpy(argv + 1, args, n_args * sizeof(*args));
	rc = run_captured(program, argv, -1, false, out, e);
	free(argv);
	return rc;
}

int launch_plain(const char *program, const char *const *args, size_t n_args, struct err *e)
{
	const char **argv = mem_array(n_args + 2, sizeof(*argv));
	struct sigaction ignore = { .sa_handler = SIG_IGN }, was_int, was_quit;
	posix_spawnattr_t attr;
	sigset_t dfl;
	pid_t pid;
	int rc;

	argv[0] = program;
	memcpy(argv + 1, args, n_args * sizeof(*args));
	/* The terminal sends its signals to both; the child decides, and we report how it ended. */
	sigaction(SIGINT, &ignore, &was_int);
	sigaction(SIGQUIT, &ignore, &was_quit);
	sigemptyset(&dfl);
	sigaddset(&dfl, SIGINT);
	sigaddset(&dfl, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &dfl);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(&pid, program, NULL, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc) {
		errno = rc;
		rc = err_errno(e, "%s", program);
	} else {
		rc = capture_wait(pid);
	}
	sigaction(SIGINT, &was_int, NULL);
	sigaction(SIGQUIT, &was_quit, NULL);
	free(argv);
	return rc;
}

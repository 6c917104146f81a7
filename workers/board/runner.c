#include "workers/board/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define OPEN_FILES                                                                                 \
	102400 /* the vendor's servers set it: reference of the runtime, "Board side"              \
		*/

/* The largest model makes this process the first that a board without memory ends, and not the one
 * that has to put the clocks back. */
static void die_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "1000", 4) < 0)
			errno = 0;
		close(fd);
	}
}

static void open_files(void)
{
	struct rlimit have;

	if (getrlimit(RLIMIT_NOFILE, &have) != 0)
		return;
	if (have.rlim_max < OPEN_FILES) {
		struct rlimit more = { OPEN_FILES, OPEN_FILES };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	have.rlim_cur = have.rlim_max < OPEN_FILES ? have.rlim_max : OPEN_FILES;
	(void)setrlimit(RLIMIT_NOFILE, &have);
}

static _Noreturn void begin(const struct runner_setup *s, pid_t parent, int ask, int frames,
			    int log_fd)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
		_exit(125);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	die_first();
	open_files();
	setvbuf(stdout, NULL, _IOLBF, 0); /* a crash must not take its last lines with it */
	/* 1.1.x and 1.2.0 tell their times nowhere else. */
	setenv("RKLLM_LOG_LEVEL", "1", 1);
	runtime_main(s, ask, frames);
}

static void close_pipes(int p[3][2])
{
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 2; j++) {
			if (p[i][j] >= 0)
				close(p[i][j]);
		}
	}
}

int runner_start(const struct runner_setup *s, struct runner *out, struct err *e)
{
	int p[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } }; /* asks, frames, log */
	pid_t parent = getpid(), pid;

	for (int i = 0; i < 3; i++) {
		if (pipe2(p[i], O_CLOEXEC) != 0) {
			close_pipes(p);
			return err_errno(e, "pipe");
		}
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		close_pipes(p);
		return err_errno(e, "fork");
	}
	if (pid == 0) {
		close(p[0][1]); /* else it would not see the end of asks */
		close(p[1][0]);
		close(p[2][0]);
		begin(s, parent, p[0][0], p[1][1], p[2][1]);
	}
	close(p[0][0]);
	close(p[1][1]);
	close(p[2][1]);
	*out = (struct runner){
		.pid = pid, .ask_fd = p[0][1], .frame_fd = p[1][0], .log_fd = p[2][0]
	};
	return 0;
}

static int send_all(int fd, const char *p, size_t n, struct err *e)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_errno(e, "the runtime's process takes no questions");
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int runner_ask(struct runner *r, const char *prompt, size_t n, int max_new_tokens, struct err *e)
{
	struct ask a = { .max_new_tokens = (uint32_t)max_new_tokens, .size = (uint32_t)n };
	int rc = send_all(r->ask_fd, (const char *)&a, sizeof(a), e);

	return rc < 0 ? rc : send_all(r->ask_fd, prompt, n, e);
}

int runner_frame(const struct buf *b, const char **payload, size_t *size, struct err *e)
{
	struct frame f;
	size_t least;

	if (b->len < sizeof(f))
		return 0;
	memcpy(&f, b->data, sizeof(f));
	least = f.kind == FRAME_READY	 ? sizeof(struct frame_ready)
		: f.kind == FRAME_ANSWER ? sizeof(struct frame_answer)
		: f.kind == FRAME_FAILED ? sizeof(struct frame_failed)
					 : (size_t)-1;
	if (f.size < least || f.size > sizeof(struct frame_answer) + RUNNER_TEXT_MAX)
		return err_set(e, ERR_CORRUPT,
			       "the runtime's process wrote nonsense into our pipe");
	if (b->len < sizeof(f) + f.size)
		return 0;
	*payload = b->data + sizeof(f);
	*size = f.size;
	return (int)f.kind;
}

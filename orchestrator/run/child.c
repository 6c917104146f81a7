#include "orchestrator/run/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/host/spawn.h"
#include "orchestrator/run/orphans.h"

#define LINGER_MS 2000 /* to read what is in the pipe: 64 KiB */

static void part_done(struct child *c)
{
	if (--c->open == 0) {
		buf_release(&c->line);
		c->on_done(c); /* may free c */
	}
}

static void closed(uv_handle_t *h)
{
	part_done(h->data);
}

/* ---- standard output */

static void give_line(struct child *c)
{
	if (!c->skipping && c->line.len && c->on_line)
		c->on_line(c, c->line.data, c->line.len);
	c->skipping = 0;
	buf_clear(&c->line);
}

static void take_bytes(struct child *c, const char *p, size_t n)
{
	while (n) {
		const char *nl = memchr(p, '\n', n);
		size_t part = nl ? (size_t)(nl - p) : n;

		if (!c->skipping && buf_add(&c->line, p, part) < 0) {
			c->skipping = 1; /* too long: forget it up to its end */
			c->lines_dropped++;
		}
		if (nl) {
			give_line(c);
			part++;
		}
		p += part;
		n -= part;
	}
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct child *c = s->data;

	if (n > 0) {
		take_bytes(c, b->base, (size_t)n);
	} else if (n < 0) {
		give_line(c); /* a last line without its newline */
		uv_close((uv_handle_t *)s, closed);
		if (c->lingers)
			uv_close((uv_handle_t *)&c->linger, closed);
	}
}

/* Whoever the process started may hold the other end for ever, and write there. Those that can be
 * found are ended by now, so the end of the pipe comes at once; else nobody listens any more. */
static void on_lingered(uv_timer_t *t)
{
	struct child *c = t->data;

	give_line(c);
	uv_close((uv_handle_t *)&c->out, closed);
	uv_close((uv_handle_t *)&c->linger, closed);
}

static void linger(struct child *c)
{
	if (uv_is_closing((uv_handle_t *)&c->out))
		return;
	c->open++;
	c->lingers = true;
	uv_timer_init(c->out.loop, &c->linger);
	c->linger.data = c;
	uv_timer_start(&c->linger, on_lingered, LINGER_MS, 0);
}

static void on_alloc(uv_handle_t *h, size_t wanted, uv_buf_t *b)
{
	struct child *c = h->data;

	(void)wanted;
	*b = uv_buf_init(c->chunk, sizeof(c->chunk));
}

/* ---- endings */

static int64_t rounded_ms(const struct timeval *t)
{
	return (int64_t)t->tv_sec * 1000 + (t->tv_usec + 999) / 1000;
}

static void ended(struct child *c, int status, const struct rusage *used)
{
	c->used.user_ms = rounded_ms(&used->ru_utime);
	c->used.system_ms = rounded_ms(&used->ru_stime);
	c->used.peak_rss_bytes = (uint64_t)used->ru_maxrss * 1024;
	c->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	c->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (c->own_session)
		(void)kill(-c->pid, SIGKILL); /* stragglers of its group */
	c->pid = 0;
	linger(c);
	part_done(c);
}

static bool is_live(void *ctx, pid_t pid)
{
	const struct children *kids = ctx;

	for (const struct child *c = kids->live; c; c = c->next) {
		if (c->pid == pid)
			return true;
	}
	return false;
}

static void on_sigchld(uv_signal_t *h, int sig)
{
	struct children *kids = h->data;
	struct child **at = &kids->live;
	bool worker_ended = false;

	(void)sig;
	while (*at) {
		struct child *c = *at;
		struct rusage used;
		int status;

		if (wait4(c->pid, &status, WNOHANG, &used) != c->pid) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		worker_ended |= c->own_session;
		ended(c, status, &used);
		at = &kids->live; /* on_done may have started another one */
	}
	/* The end of an orphan comes here too, and may make others of its children. */
	kids->orphans |= worker_ended;
	if (kids->orphans)
		kids->orphans = orphans_end(is_live, kids) > 0;
}

void children_open(struct children *kids, uv_loop_t *loop)
{
	kids->loop = loop;
	kids->live = NULL;
	kids->orphans = false;
	orphans_adopt();
	uv_signal_init(loop, &kids->ended);
	kids->ended.data = kids;
	uv_signal_start(&kids->ended, on_sigchld, SIGCHLD);
}

void children_close(struct children *kids)
{
	uv_close((uv_handle_t *)&kids->ended, NULL);
}

/* ---- start */

/* The process and the reading end of its standard output. 0, or -1 with errno. */
static int start_process(struct child *c, int *out)
{
	struct spawn s = { .place = c->place,
			   .argv = c->argv,
			   .env = c->env,
			   .err_fd = c->log_fd >= 0 ? c->log_fd : STDERR_FILENO,
			   .lock_fd = c->lock_fd };
	int ends[2], pid, saved;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	s.out_fd = ends[1];
	pid = spawn_start(&s);
	saved = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		errno = saved;
		return -1;
	}
	c->pid = pid;
	*out = ends[0];
	return 0;
}

void child_start(struct child *c, struct children *kids)
{
	int out;

	uv_pipe_init(kids->loop, &c->out, 0);
	c->out.data = c;
	c->open = 1; /* the pipe; 2 with a process */
	c->own_session = c->place != NULL;
	c->lingers = false;
	c->spawn_err = 0;
	c->exit_code = -1;
	c->signal = c->pid = 0;
	c->used = (struct child_usage){ 0 };
	c->lines_dropped = 0;
	c->skipping = 0;
	buf_init(&c->line, CHILD_LINE_MAX);
	if (start_process(c, &out) != 0) {
		c->spawn_err = uv_translate_sys_error(errno);
		uv_close((uv_handle_t *)&c->out, closed);
		return;
	}
	c->open = 2;
	c->next = kids->live;
	kids->live = c;
	uv_pipe_open(&c->out, out);
	uv_read_start((uv_stream_t *)&c->out, on_alloc, on_read);
}

void child_signal(struct child *c, int sig)
{
	if (c->pid > 0)
		(void)kill(c->own_session ? -c->pid : c->pid, sig);
}

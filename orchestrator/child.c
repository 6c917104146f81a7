#include "orchestrator/child.h"

#include <signal.h>
#include <string.h>

#include "orchestrator/launch.h"

static void closed(uv_handle_t *h)
{
	struct child *c = h->data;

	if (--c->open == 0) {
		buf_release(&c->line);
		c->on_done(c); /* may free c */
	}
}

static void close_once(uv_handle_t *h)
{
	if (!uv_is_closing(h))
		uv_close(h, closed);
}

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
		close_once((uv_handle_t *)s);
	}
}

static void on_alloc(uv_handle_t *h, size_t wanted, uv_buf_t *b)
{
	struct child *c = h->data;

	(void)wanted;
	*b = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static void on_exit(uv_process_t *p, int64_t status, int sig)
{
	struct child *c = p->data;

	c->exit_code = (int)status;
	c->signal = sig;
	if (c->own_session)
		(void)uv_kill(-p->pid, SIGKILL); /* stragglers of its group hold the pipe */
	c->pid = 0;
	close_once((uv_handle_t *)p);
}

void child_start(struct child *c, uv_loop_t *loop)
{
	uv_stdio_container_t io[LAUNCH_LOCK_FD + 1];
	uv_process_options_t opt = { 0 };

	uv_pipe_init(loop, &c->out, 0);
	c->out.data = c->proc.data = c;
	c->open = 2; /* uv_spawn() wants uv_close() even when it fails */
	c->exit_code = -1;
	c->signal = 0;
	c->lines_dropped = 0;
	c->skipping = 0;
	buf_init(&c->line, CHILD_LINE_MAX);

	io[0].flags = UV_IGNORE;
	io[1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
	io[1].data.stream = (uv_stream_t *)&c->out;
	io[2].flags = UV_INHERIT_FD;
	io[2].data.fd = c->log_fd >= 0 ? c->log_fd : 2;
	io[3].flags = c->lock_fd >= 0 ? UV_INHERIT_FD : UV_IGNORE;
	io[3].data.fd = c->lock_fd;

	opt.file = c->argv[0];
	opt.args = (char **)c->argv; /* libuv's type lacks the const it keeps */
	opt.env = (char **)c->env;
	opt.cwd = c->cwd;
	opt.stdio = io;
	opt.stdio_count = c->lock_fd >= 0 ? 4 : 3;
	opt.flags = c->own_session ? UV_PROCESS_DETACHED : 0;
	opt.exit_cb = on_exit;

	c->spawn_err = uv_spawn(loop, &c->proc, &opt);
	if (c->spawn_err) {
		close_once((uv_handle_t *)&c->proc);
		close_once((uv_handle_t *)&c->out);
		return;
	}
	c->pid = c->proc.pid;
	uv_read_start((uv_stream_t *)&c->out, on_alloc, on_read);
}

void child_signal(struct child *c, int sig)
{
	if (c->pid > 0)
		(void)uv_kill(c->own_session ? -c->pid : c->pid, sig);
}

/* tests/sim/executor.c -- exec_local, whose object the linker then leaves out: workers that are
 * rows of a table. Each ends at its time, as its key's fate says, whether its quern lives or not;
 * the parent holds its lock until then. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/run/executor.h"
#include "sim.h"

#define OBEYS_MS 40 /* from SIGTERM to its end */

int sim_socket = -1;

struct run {
	struct execution *x;
	struct sim_worker *w;
	uv_timer_t end;
};

static void tell_parent(int worker, int lock_fd)
{
	struct sim_message m = { .worker = worker, .released = lock_fd < 0 };
	struct iovec iov = { &m, sizeof(m) };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (lock_fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &lock_fd, sizeof(int));
	}
	if (sendmsg(sim_socket, &msg, 0) != sizeof(m))
		abort();
}

static void run_closed(uv_handle_t *h)
{
	struct run *r = h->data;
	struct execution *x = r->x;

	x->impl = NULL;
	free(r);
	x->on_done(x);
}

static void end(struct run *r)
{
	struct sim_worker *w = r->w;

	life_is_a_workers = true;
	sim_worker_ends(w);
	life_is_a_workers = false;
	r->x->exit_code = w->exit_code;
	r->x->signal = w->signal;
	tell_parent((int)(w - world->workers), -1);
	uv_close((uv_handle_t *)&r->end, run_closed);
}

static void at_end(uv_timer_t *t)
{
	end(t->data);
}

static struct run *run_new(struct children *kids, struct execution *x, struct sim_worker *w)
{
	struct run *r = mem_zalloc(sizeof(*r));

	r->x = x;
	r->w = w;
	x->impl = r;
	x->pid = 0;
	uv_timer_init(kids->loop, &r->end);
	r->end.data = r;
	if (w->end_ms != INT64_MAX)
		uv_timer_start(
			&r->end, at_end,
			w->end_ms > world->mono_ms ? (uint64_t)(w->end_ms - world->mono_ms) : 0, 0);
	return r;
}

/* For whoever reads the life's output. */
static void tell_workers(void)
{
	for (int i = 0; i < world->n_workers; i++) {
		const struct sim_worker *w = &world->workers[i];

		if (w->live)
			fprintf(stderr, "sim: at %lld ms: %s %s until %lld\n",
				(long long)world->mono_ms, w->validates ? "validates" : "converts",
				w->dir, (long long)w->end_ms);
	}
}

static void check_neighbours(const struct sim_worker *w)
{
	int n = 0;

	for (int i = 0; i < world->n_workers; i++) {
		const struct sim_worker *o = &world->workers[i];

		if (!o->live || o == w)
			continue;
		n += !o->validates;
		if (o->key == w->key && !o->validates)
			sim_wrong("%s has two workers at once", world->keys[w->key].hex);
	}
	if (!w->validates && n >= world->slots)
		tell_workers();
	if (!w->validates && n >= world->slots)
		sim_wrong("%d workers at once, and resources.jobs is %d", n + 1, world->slots);
}

static const char *key_of(const char *dir, char out[SIM_KEY])
{
	const char *end = strrchr(dir, '/'), *from = end;

	while (from > dir && from[-1] != '/')
		from--;
	snprintf(out, SIM_KEY, "%.*s", (int)(end - from), from);
	return out;
}

static void start(const struct executor *ex, struct children *kids, struct execution *x,
		  const struct place *place)
{
	struct sim_worker *w = &world->workers[world->n_workers];
	char hex[SIM_KEY];
	struct sim_key *k = sim_key(key_of(x->dir, hex));
	struct rng r = { mix64(world->seed, (uint64_t)world->n_workers) };
	enum fate fate = sim_fate(world->seed, k->hex);
	const char *const *verb = place->program;

	(void)ex;
	if (world->n_workers == SIM_WORKERS_MAX) {
		sim_wrong("more than %d workers were started: it does not come to an end",
			  SIM_WORKERS_MAX);
		_exit(1);
	}
	while (verb[2])
		verb++;
	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "%s", x->dir);
	w->key = (int)(k - world->keys);
	w->live = true;
	w->validates = strcmp(verb[0], "validate") == 0;
	w->end_ms = world->mono_ms + 1 + rng_below(&r, w->validates ? 50 : 4000);
	if (!w->validates && (fate == FATE_HANGS || fate == FATE_STUBBORN))
		w->end_ms = INT64_MAX;
	if (!w->validates && k->finished > k->forgiven && !world->faulty)
		sim_wrong("%s is converted again after it had finished", k->hex);
	check_neighbours(w);
	world->n_workers++;
	world->started++;
	tell_parent((int)(w - world->workers), x->lock_fd);
	close(x->lock_fd);
	x->lock_fd = -1;
	x->exit_unknown = 0;
	x->start_error = 0;
	(void)run_new(kids, x, w);
}

static void reattach(const struct executor *ex, struct children *kids, struct execution *x)
{
	(void)ex;
	x->start_error = 0;
	x->exit_unknown = 1;
	x->signal = 0;
	for (int i = world->n_workers - 1; i >= 0; i--) {
		struct sim_worker *w = &world->workers[i];

		if (w->live && !w->validates && strcmp(w->dir, x->dir) == 0) {
			(void)run_new(kids, x, w);
			return;
		}
	}
	sim_wrong("%s is adopted, and nobody works there", x->dir);
	_exit(1);
}

static void send_signal(const struct executor *ex, struct execution *x, int sig)
{
	struct run *r = x->impl;
	enum fate fate;

	(void)ex;
	if (!r || uv_is_closing((uv_handle_t *)&r->end))
		return;
	fate = sim_fate(world->seed, world->keys[r->w->key].hex);
	if (sig != SIGKILL && fate == FATE_STUBBORN && !r->w->validates)
		return;
	r->w->signal = sig;
	r->w->end_ms = world->mono_ms + (sig == SIGKILL ? 0 : OBEYS_MS);
	uv_timer_start(&r->end, at_end, (uint64_t)(r->w->end_ms - world->mono_ms), 0);
}

/* ---- a run that is being prepared looks for processes by their locks, and kills them */

#define PID_BASE 0x40000000 /* above all pids that Linux gives */

pid_t __wrap_lock_signer(const char *path, int lock_fd);
pid_t __wrap_lock_signer(const char *path, int lock_fd)
{
	char *dir = path_dirname(path);
	bool validates = strcmp(path_basename(path), "lock.validate") == 0;
	pid_t pid = 0;

	(void)lock_fd;
	for (int i = 0; i < world->n_workers; i++) {
		const struct sim_worker *w = &world->workers[i];

		if (w->live && w->validates == validates && strcmp(w->dir, dir) == 0)
			pid = PID_BASE + i;
	}
	free(dir);
	return pid;
}

int kill(pid_t pid, int sig)
{
	if (pid > -PID_BASE)
		return (int)syscall(SYS_kill, pid, sig);
	world->workers[-pid - PID_BASE].signal = sig;
	world->workers[-pid - PID_BASE].live = false;
	tell_parent(-pid - PID_BASE, -1);
	return 0;
}

const struct executor exec_local = {
	.name = "simulated", .start = start, .reattach = reattach, .signal = send_signal
};

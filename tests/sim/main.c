/* tests/sim/main.c -- quern-sim [--nights N] [--from SEED] [--seeds FILE] [--keep]: nights one
 * after the other; the first thing that must not be ends it, with the seed that showed it. Threads
 * of a life run as they like, so a seed may need a few tries: --nights 50 --same. Seeds that once
 * showed a fault of quern are in seeds.txt, with what it was; --seeds runs them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "sim.h"

/* cli.c prints help of this table, which main.c of quern has. */
const struct command commands[] = { { .name = NULL } };

#define LIFE_SECONDS 120 /* of real time; a calm one needs a tenth */
#define CANCELLED_MAX 32

struct night {
	char *dir;
	struct rng rng;
	struct sim_matrix matrix;
	int slots;
	int locks[SIM_WORKERS_MAX]; /* descriptors; -1: not held */
	int64_t cancelled[CANCELLED_MAX];
	int n_cancelled;
	bool ever_faulty;
};

static struct {
	int64_t nights, lives, kills, faults, started, points;
} sum;

static const char *const trouble_names[] = { "none",	  "kill",      "kill in a write",
					     "disk full", "I/O error", "read-only",
					     "no memory" };

/* ---- a life */

static void take_message(struct night *n, const struct sim_message *m, int fd)
{
	int *lock = &n->locks[m->worker];

	if (m->released) {
		if (*lock >= 0)
			close(*lock);
		*lock = -1;
	} else {
		*lock = fd;
	}
}

/* Until the life has gone and all it said is heard. */
static void listen_to(struct night *n, int fd)
{
	for (;;) {
		struct sim_message m;
		struct iovec iov = { &m, sizeof(m) };
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int))];
		} control;
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control.space,
				      .msg_controllen = sizeof(control.space) };
		struct cmsghdr *c;
		int lock = -1;

		if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) != sizeof(m))
			return;
		c = CMSG_FIRSTHDR(&msg);
		if (c)
			memcpy(&lock, CMSG_DATA(c), sizeof(lock));
		take_message(n, &m, lock);
	}
}

static void live(struct night *n, int (*cmd)(int, char **), char **argv, enum trouble trouble,
		 int64_t at, int fd)
{
	int argc = 0, out, code;

	while (argv[argc])
		argc++;
	if (chdir(n->dir) != 0)
		abort();
	out = open("output", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	dup2(out, 1);
	dup2(out, 2);
	alarm(LIFE_SECONDS);
	sim_socket = fd;
	life_arm(trouble, at);
	code = cmd(argc, argv);
	life_arm(TROUBLE_NONE, 0);
	fflush(NULL);
	_exit(code);
}

/* What a person would read after the night. */
static void judge_end(const struct night *n, int (*cmd)(int, char **), int status,
		      enum trouble trouble)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		sim_wrong("a life did not end in %d s", LIFE_SECONDS);
	else if (WIFSIGNALED(status) && !(trouble == TROUBLE_MEMORY && WTERMSIG(status) == SIGABRT))
		sim_wrong("a life ended by signal %d", WTERMSIG(status));
	/* A person may ask for what cannot be: to cancel what has failed (2), and to do something
	 * with a store that no life has made yet (4). */
	else if (code == SIM_EXIT_KILLED || (code >= 0 && code <= 2) ||
		 (code == 4 && cmd != cmd_run) || world->faulty)
		return;
	else if (!WIFSIGNALED(status))
		sim_wrong("a life ended with exit code %d; see %s/output", code, n->dir);
}

/* Returns its exit code; -1: a signal. */
static int one_life(struct night *n, int (*cmd)(int, char **), char **argv, enum trouble trouble,
		    int64_t at)
{
	int pair[2], status = 0;
	pid_t pid;

	world->faulty = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		close(pair[0]);
		for (int i = 0; i < world->n_workers; i++)
			if (n->locks[i] >= 0)
				close(n->locks[i]); /* the parent alone holds them */
		live(n, cmd, argv, trouble, at, pair[1]);
	}
	close(pair[1]);
	listen_to(n, pair[0]);
	close(pair[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	judge_end(n, cmd, status, trouble);
	if (world->faulty) {
		n->ever_faulty = true;
		sum.faults++;
		for (int i = 0; i < world->n_keys; i++)
			world->keys[i].forgiven = world->keys[i].finished;
	}
	sum.lives++;
	sum.kills += WIFEXITED(status) && WEXITSTATUS(status) == SIM_EXIT_KILLED;
	if (!world->wrong[0])
		model_check_always(n->dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- between two lives */

static void release(struct night *n, int worker)
{
	if (n->locks[worker] >= 0)
		close(n->locks[worker]);
	n->locks[worker] = -1;
}

/* The machine went down, or only quern: then its workers go on, and some come to their end. */
static void pass_time(struct night *n, bool machine_too)
{
	for (int i = 0; i < world->n_workers; i++) {
		struct sim_worker *w = &world->workers[i];

		if (!w->live || !machine_too)
			continue;
		w->live = false;
		release(n, i);
	}
	world->mono_ms += rng_below(&n->rng, 6000);
	for (int i = 0; i < world->n_workers; i++) {
		struct sim_worker *w = &world->workers[i];

		if (!w->live || w->end_ms > world->mono_ms)
			continue;
		sim_worker_ends(w);
		release(n, i);
	}
}

static void cancel_one(struct night *n)
{
	int64_t id = model_some_job(n->dir, &n->rng);
	char number[24];
	char *argv[] = { "cancel", number, NULL };

	if (!id || n->n_cancelled == CANCELLED_MAX)
		return;
	snprintf(number, sizeof(number), "%lld", (long long)id);
	(void)one_life(n, cmd_cancel, argv, TROUBLE_NONE, 0);
	if (model_cancelled(n->dir, id))
		n->cancelled[n->n_cancelled++] = id;
}

static enum trouble some_trouble(struct rng *r)
{
	return rng_once_in(r, 3) ? (enum trouble)(1 + rng_below(r, TROUBLE_COUNT - 1))
				 : (enum trouble)(TROUBLE_KILL + rng_below(r, 2));
}

static void wall_clock(struct night *n)
{
	world->jump_at_ms = 0;
	if (rng_once_in(&n->rng, 3)) {
		world->jump_at_ms = world->mono_ms + rng_below(&n->rng, 8000);
		world->jump_to_ms =
			1700000000000 + (int64_t)rng_below(&n->rng, 1u << 31) - (1u << 30);
	}
}

static bool verbose; /* QUERN_SIM_VERBOSE: each life on a line */
static char *run_argv[] = { "run", NULL };

static void bad_lives(struct night *n)
{
	int lives = 8 + (int)rng_below(&n->rng, 40);
	bool over = false;

	for (int i = 0; i < lives && !over && !world->wrong[0]; i++) {
		enum trouble t = some_trouble(&n->rng);
		int64_t at = 1 + rng_below(&n->rng,
					   8u << rng_below(&n->rng, t == TROUBLE_MEMORY ? 12 : 7));
		int code;

		wall_clock(n);
		code = one_life(n, cmd_run, run_argv, t, at);
		if (verbose)
			fprintf(stderr, "  life %d: %s at %lld: exit %d%s\n", i, trouble_names[t],
				(long long)at, code, world->faulty ? ", faulty" : "");
		over = (code == 0 || code == 1) && !world->faulty; /* nothing is left to disturb */
		pass_time(n, rng_once_in(&n->rng, 4));
		if (rng_once_in(&n->rng, 8))
			cancel_one(n);
		if (rng_once_in(&n->rng, 12))
			(void)one_life(n, cmd_gc, (char *[]){ "gc", NULL }, TROUBLE_NONE, 0);
		if (rng_once_in(&n->rng, 8)) {
			matrix_grow(&n->rng, &n->matrix);
			matrix_write(&n->matrix, n->dir, n->slots);
			over = false;
		}
	}
}

/* Nothing befalls this one: when it ends, all is as it must be, and one more has nothing to do. */
static void calm_life(struct night *n)
{
	char *retry[] = { "retry", "--failed", NULL };
	int64_t before;
	int code;

	world->jump_at_ms = 0;
	if (n->ever_faulty)
		(void)one_life(n, cmd_retry, retry, TROUBLE_NONE, 0);
	code = one_life(n, cmd_run, run_argv, TROUBLE_NONE, 0);
	if (!world->wrong[0] && code != 0 && code != 1)
		sim_wrong("a calm run ended with %d", code);
	if (!world->wrong[0])
		model_check_end(n->dir, &n->matrix, n->cancelled, n->n_cancelled);
	if (world->wrong[0])
		return;
	before = world->started;
	(void)one_life(n, cmd_run, run_argv, TROUBLE_NONE, 0);
	if (world->started != before)
		sim_wrong("a run with nothing to do started %lld workers",
			  (long long)(world->started - before));
}

static void begin(struct night *n, uint64_t seed)
{
	char name[] = "/dev/shm/quern-sim-XXXXXX";
	char *engines;

	memset(n, 0, sizeof(*n));
	memset(world, 0, sizeof(*world));
	memset(n->locks, 0xff, sizeof(n->locks));
	world->seed = seed;
	world->mono_ms = 1000000;
	world->wall_offset_ms = 1700000000000;
	n->rng.s = seed;
	n->dir = mkdtemp(name);
	if (!n->dir) {
		perror("quern-sim: /dev/shm");
		exit(1);
	}
	n->dir = mem_strdup(n->dir);
	n->slots = world->slots = 1 + (int)rng_below(&n->rng, 6);
	engines = path_join(n->dir, "engines");
	setenv("QUERN_ENGINES", engines, 1);
	free(engines);
	matrix_make(&n->rng, &n->matrix);
	matrix_write(&n->matrix, n->dir, n->slots);
}

static bool night(uint64_t seed, bool keep)
{
	static struct night n;
	struct err e = ERR_INIT;
	bool good;

	begin(&n, seed);
	bad_lives(&n);
	if (!world->wrong[0])
		calm_life(&n);
	sum.nights++;
	sum.started += world->started;
	sum.points += matrix_points(&n.matrix);
	good = !world->wrong[0];
	if (!good)
		fprintf(stderr, "quern-sim: seed %llu: %s\n  it is in %s\n",
			(unsigned long long)seed, world->wrong, n.dir);
	for (int i = 0; i < world->n_workers; i++)
		release(&n, i);
	if (good && !keep)
		(void)path_remove_tree(n.dir, &e);
	free(n.dir);
	return good;
}

/* Lines: a seed, and what it showed; # begins a comment. */
static bool nights_of_file(const char *path, bool keep)
{
	FILE *f = fopen(path, "re");
	char line[512];
	bool good = f != NULL;

	if (!f)
		perror(path);
	while (good && fgets(line, sizeof(line), f)) {
		if (line[0] >= '0' && line[0] <= '9')
			good = night(strtoull(line, NULL, 10), keep);
	}
	if (f)
		fclose(f);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t from = 1;
	int64_t nights = 100;
	bool keep = false, same = false, good = true;
	const char *seeds = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--keep") == 0)
			keep = true;
		else if (strcmp(argv[i], "--same") == 0)
			same = true;
		else if (strcmp(argv[i], "--nights") == 0 && i + 1 < argc)
			nights = strtoll(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
			from = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
			seeds = argv[++i];
		else
			return fprintf(stderr,
				       "usage: quern-sim [--nights N] [--from SEED] [--same] "
				       "[--seeds FILE] [--keep]\n"),
			       2;
	}
	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (world == MAP_FAILED)
		return 1;
	verbose = getenv("QUERN_SIM_VERBOSE") != NULL;
	clearenv();
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("HOME", "/nonexistent", 1);
	if (seeds)
		good = nights_of_file(seeds, keep);
	for (int64_t i = 0; !seeds && good && i < nights; i++)
		good = night(from + (same ? 0 : (uint64_t)i), keep);
	printf("%lld nights of %lld points: %lld lives, %lld killed, %lld with a fault, %lld "
	       "workers "
	       "started\n",
	       (long long)sum.nights, (long long)sum.points, (long long)sum.lives,
	       (long long)sum.kills, (long long)sum.faults, (long long)sum.started);
	return good ? 0 : 1;
}

/* tests/sim/sim.h -- random nights in virtual time.
 *
 * A night is a matrix made from a seed, run by quern's own code (cmd_run, cmd_cancel, cmd_retry) in
 * processes of its own, its lives, which are killed at random system calls, run into full and
 * broken disks, run out of memory, and are started again. Workers are not processes: executor.c
 * stands in for exec_local.c and says what each does, by the seed and the job's key alone. No time
 * passes: clock.c moves a clock that all lives share. At the end model.c, which knows nothing of
 * how quern works, says what must be there.
 *
 * The parent holds what outlives a life: the clock, the workers and the locks that they hold. */
#ifndef QUERN_TESTS_SIM_H
#define QUERN_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SIM_JOBS_MAX 256
#define SIM_WORKERS_MAX 4096
#define SIM_ATTEMPTS 4 /* retry.attempts of each night */
#define SIM_KEY 65     /* hex digits of a key, and the end */

/* ---- chance: the same for the same seed, on every machine */

struct rng {
	uint64_t s;
};
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0..n-1; n 0: 0 */
bool rng_once_in(struct rng *r, uint32_t n);
uint64_t mix64(uint64_t a, uint64_t b);

/* ---- what a job's worker does, whoever runs it and whenever */

enum fate {
	FATE_GOOD,
	FATE_FLAKY,    /* ends badly once or twice, then well */
	FATE_REFUSES,  /* says that it never will */
	FATE_CRASHES,  /* each time */
	FATE_HANGS,    /* each time, without a word */
	FATE_STUBBORN, /* as hangs, and it ignores SIGTERM */
	FATE_LIES,     /* its output is not what it says */
	FATE_INVALID,  /* its own validation refuses the output */
	FATE_COUNT
};
enum fate sim_fate(uint64_t seed, const char *key_hex);
/* Of a flaky one: how often it ends badly; fewer than SIM_ATTEMPTS. */
int sim_bad_ends(uint64_t seed, const char *key_hex);

/* ---- what outlives a life; shared memory */

struct sim_key {
	char hex[SIM_KEY];
	int bad_ends; /* times its worker ended badly by itself */
	int finished; /* times a good result came into being */
	int forgiven; /* of these, how many may be made again: a disk failed, a person cancelled */
};

struct sim_worker {
	char dir[512]; /* its job folder, absolute */
	int key;       /* index of struct sim_key */
	bool live, validates;
	int64_t end_ms;	       /* of the clock; INT64_MAX: never */
	int exit_code, signal; /* once it has ended; a signal once it was sent and heeded */
};

struct sim_world {
	uint64_t seed;
	int64_t mono_ms, wall_offset_ms;
	int64_t jump_at_ms, jump_to_ms; /* the wall clock jumps: another offset from then on */
	struct sim_key keys[SIM_JOBS_MAX];
	int n_keys;
	struct sim_worker workers[SIM_WORKERS_MAX];
	int n_workers;
	int slots;	  /* resources.jobs */
	bool faulty;	  /* something failed that a machine has: disk or memory */
	char wrong[1024]; /* the first thing that must not be; "" none */
	/* for the summary */
	int64_t started;
};
extern struct sim_world *world;

void sim_wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
struct sim_key *sim_key(const char *hex);
/* The worker's last act, at its time: what it leaves in its folder, and how it ends. */
void sim_worker_ends(struct sim_worker *w);

/* ---- life.c: what befalls this process */

enum trouble {
	TROUBLE_NONE,
	TROUBLE_KILL,	  /* at the call */
	TROUBLE_KILL_MID, /* a write is half done */
	TROUBLE_NOSPACE,  /* for some calls */
	TROUBLE_IO,	  /* this call fails */
	TROUBLE_READONLY, /* from then on */
	TROUBLE_MEMORY,	  /* this allocation fails */
	TROUBLE_COUNT
};
#define SIM_EXIT_KILLED 99
/* From now on; at: which call (or allocation) it is. */
void life_arm(enum trouble trouble, int64_t at);
/* What this thread does now, a worker does: nothing befalls it. */
extern _Thread_local bool life_is_a_workers;

/* ---- executor.c: its socket to the parent, which keeps the locks of workers */
extern int sim_socket;
struct sim_message {
	int worker;
	bool released; /* else the lock comes along */
};

/* ---- model.c */

struct sim_matrix {
	int n_models, n_quants, n_opts, n_hybrids;
	int excluded_quant, excluded_opt; /* -1: nothing is excluded */
};
void matrix_make(struct rng *r, struct sim_matrix *m);
void matrix_grow(struct rng *r, struct sim_matrix *m);
int matrix_points(const struct sim_matrix *m);
void matrix_write(const struct sim_matrix *m, const char *dir, int slots);
/* What must hold at any time. */
void model_check_always(const char *dir);
/* What must hold when a calm run has ended. cancelled: ids of jobs that a person cancelled. */
void model_check_end(const char *dir, const struct sim_matrix *m, const int64_t *cancelled,
		     int n_cancelled);
int64_t model_some_job(const char *dir, struct rng *r);
bool model_cancelled(const char *dir, int64_t id);

#endif

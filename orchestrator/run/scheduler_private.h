/* orchestrator/run/scheduler_private.h -- shared by scheduler.c, task.c, recover.c,
 * sealing.c, making*.c, room.c, dropping.c and
 * publish.c, and by nobody else. */
#ifndef QUERN_ORCHESTRATOR_SCHEDULER_PRIVATE_H
#define QUERN_ORCHESTRATOR_SCHEDULER_PRIVATE_H

#include <uv.h>

#include "orchestrator/host/machine.h"
#include "orchestrator/plan/matrix.h"
#include "orchestrator/plan/turns.h"
#include "orchestrator/run/admission.h"
#include "orchestrator/run/child.h"
#include "orchestrator/run/control.h"
#include "orchestrator/run/early.h"
#include "orchestrator/run/executor.h"
#include "orchestrator/run/ladder.h"
#include "orchestrator/run/scheduler.h"
#include "orchestrator/run/seal.h"
#include "orchestrator/view/display.h"

enum stop_level {
	STOP_NOT,
	STOP_STARTING, /* nothing new; what runs may finish within the grace time */
	STOP_WORKERS,  /* workers were sent SIGTERM */
	STOP_NOW,      /* workers were sent SIGKILL */
};

enum task_phase {
	TASK_SETUP, /* a pool thread looks for the artifact, makes the job folder */
	TASK_CONVERT,
	TASK_VALIDATE,
	TASK_SEAL, /* a pool thread checks, hashes, renames: sealing.c */
};

enum task_end { /* why we ended a worker */
		END_BY_ITSELF,
		END_TIMEOUT,
		END_STALL,
		END_LOG,    /* its log grew over the limit */
		END_MEMORY, /* its processes did; task.memory_words says it */
		END_FOLDER, /* its folder did */
		END_CANCEL,
		END_STOP, /* the run is stopping */
};

struct verdict;

/* One job in work: from claim to its next resting state. */
struct task {
	struct task *next;
	struct scheduler *sched;
	struct arena *a;
	struct job_row job;
	const struct engine *engine;
	const struct environment *environment; /* NULL: the engine needs none */
	const struct resolved *source;
	const char *dir, *artifact, *key_hex;
	struct rungs rungs; /* that this attempt stands on */
	int64_t attempt_id;
	int number;
	enum task_phase phase;
	bool adopted;
	bool slot_free; /* given back before the end: only the disk is still claimed */

	struct execution x;
	enum task_end end_reason;
	int64_t killed_ms;   /* when SIGTERM was sent, monotonic; 0: not */
	int64_t phase_ms;    /* monotonic start of the phase */
	int64_t progress_ms; /* last sign of progress, monotonic */
	int64_t folder_ms;   /* last look at its folder, monotonic */
	int64_t out_bytes;   /* size of out/ at the last look, for adopted workers */
	char stage[32], unit[16];
	int64_t done, total;
	bool progress_dirty; /* not in the store yet */
	bool pid_recorded;
	struct child_usage used; /* by all processes of this attempt so far */
	/* memory: set aside by the admission, at least the estimate; its end (0: none); as it was
	 * seen last and at most, and how; so many looks */
	uint64_t claim_bytes, limit_bytes, memory_now, memory_peak;
	const char *memory_by;
	int looks;
	char memory_words[200];
	const char *group;	 /* its control group; NULL: none */
	bool group_has_files;	 /* in memory: what it counts is not only its processes' */
	uint64_t group_kills;	 /* of the kernel, in it */
	const char *kernel_line; /* of the kernel's log, about a process that it killed; or NULL */
	int64_t worked_ms;	 /* its workers together, without pauses */
	int64_t paused_ms;	 /* its workers together */
	uint64_t scratch_bytes, output_bytes; /* of its folder, at most */
	int lines_logged;
	const char *file_facts; /* JSON object that validation read from the files; NULL: none */

	struct verdict *judged; /* while a pool thread reads what the log says of it */
	uv_work_t work;
	struct err work_err;
	int work_rc, lock_fd;	/* of setup */
	struct early *early;	/* reads its output beside the validation; NULL: no */
	struct seal_job seal;	/* its `sealed` also when setup finds the artifact there */
	struct task *seal_next; /* in its group, or waiting for one */
};

struct making;
struct measuring;
struct dropping;
struct publisher;
struct watch;

/* What the last look found. */
struct watch_state {
	struct machine machine;
	uint64_t memory_bytes; /* of all workers */
	uint64_t disk_free_bytes;
	int64_t cache_free_bytes; /* -1: on the same file system, or not used */
};

/* timeline.c */
struct timeline {
	int64_t step, next; /* in numbers of samples; 0: none yet */
	int n;
	uint64_t received_bytes, sent_bytes; /* when it began */
	enum admit why;			     /* nothing starts */
	int64_t job_id, said_ms;
};

struct scheduler {
	uv_loop_t loop;
	uv_timer_t tick;
	uv_signal_t sigint, sigterm;
	struct children children;
	uv_prepare_t before_wait; /* commits what this turn of the loop moved */
	uv_check_t after_events;
	bool in_batch;
	struct session *session;
	const struct config *cfg;
	struct matrix *matrix; /* of cfg: knows the parameters outside the keys */
	struct store *store;
	struct scheduler_options opt;
	struct scheduler_result *res;
	const struct executor *ex;
	struct display *display;

	struct admission adm;
	struct task *tasks;
	int sealing, hashing;
	struct task *to_seal; /* by seal_next */
	size_t n_to_seal;
	int sealers;
	struct making *makings;
	struct control control;
	struct turns turns;
	size_t ahead_at;   /* of turns.order: the model whose source is fetched ahead next */
	const char *cache; /* HF_HUB_CACHE; NULL until a source of a hub was asked for */
	struct dropping *dropping;
	int64_t room_changes; /* jobs and fetches that ended, drops that freed something */
	int64_t kicks;	      /* times that work was looked for */
	bool kicking, kick_again;
	struct publisher *publisher;
	struct measuring *measuring;
	struct watch *watch;
	struct timeline timeline;
	/* disk: free when the run began, and what the run has put there since; since when a job
	 * that would have found room then has found none, as somebody else has it (0: it is not so)
	 */
	uint64_t disk_at_start, disk_written;
	int64_t full_since_ms;
	bool learned;				      /* something was measured in this run */
	bool machine_short, disk_taken, said_waiting; /* in this look for work */
	int64_t short_since_ms; /* the machine is too short for the next job; 0: it is not */

	/* pending jobs looked at next; refilled when used up */
	struct arena *window_arena;
	struct job_row *window;
	int window_n, window_at;
	int64_t next_retry_ms; /* earliest time of a job that waits, 0: none */

	int64_t wall_base_ms, mono_base_ms; /* our wall clock does not jump: base + monotonic */
	enum stop_level stop;
	int64_t stop_ms;
	bool finished;
	struct err fatal; /* code 0: none */
	uv_work_t checkpoint;
	bool checkpointing;
	int64_t checkpoint_ms, metrics_ms;
	struct err metrics_err; /* of the pool thread; said once */
	bool metrics_said;
};

int64_t sched_now(const struct scheduler *s); /* wall, ms */
/* Open the transaction of this turn of the loop, if it is not open yet; it is committed before the
 * loop waits again, and before anything that was queued in this turn can come back. One commit then
 * serves many moves. */
int sched_batch(struct scheduler *s, struct err *e);
/* Commit it now: somebody else is about to look. */
void sched_flush(struct scheduler *s);
void sched_raise_stop(struct scheduler *s, enum stop_level level);
/* Something the whole run cannot go on without: stop now, and say it. */
void sched_fatal(struct scheduler *s, const struct err *e);
/* Look for work to start, or for the end. Safe from any callback. */
void sched_kick(struct scheduler *s);

/* What a job is made from: its model, with the adapter if it has one. NULL: the matrix has no model
 * of that name any more. */
const struct resolved *sched_source(const struct scheduler *s, const struct job_row *job);
/* What a job claims of memory, under the rungs that it stands on. */
int64_t sched_claim(const struct scheduler *s, const struct job_row *job, bool *alone);

/* task.c */
/* Claim and begin. Returns 1 started, 0 somebody was first, negative: fatal. */
int task_start(struct scheduler *s, const struct job_row *job, struct err *e);
/* From recovery: a worker that is alive, or a result that waits for its validation. */
void task_adopt(struct scheduler *s, const struct job_row *job, const struct attempt_row *at,
		bool alive);
void task_stop(struct task *t, enum task_end why, int sig);
void task_tick(struct task *t, int64_t mono_ms);

/* watch.c: what workers use, and what follows from it. Add after each start, forget after the end.
 */
void watch_init(struct scheduler *s);
void watch_free(struct scheduler *s);
void watch_add(struct task *t);
void watch_forget(struct task *t);
void watch_tick(struct scheduler *s, int64_t mono_ms);
const struct watch_state *watch_now(const struct scheduler *s);
/* What the kernel's log says of a process of its worker that it killed; NULL: nothing. Before
 * watch_forget(); valid until the next call. */
const char *watch_kernel_line(struct task *t);
/* All processes of its worker that were seen, also those that left its group. */
void watch_kill(struct task *t, int sig);

/* timeline.c: after each look; and when nothing starts, or something does (ADMIT_YES). */
void timeline_tick(struct scheduler *s);
void timeline_waiting(struct scheduler *s, enum admit why, int64_t job_id, const char *words);

/* task_memory.c: the estimates of a job that is to start, if something was learned since the plan.
 */
int task_memory_estimate(struct scheduler *s, struct job_row *job, const struct resolved *source,
			 struct err *e);

/* waiting.c: around each look for work, and for each job that was asked about in it. */
void waiting_begin(struct scheduler *s);
void waiting_note(struct scheduler *s, const struct job_row *job, enum admit why,
		  uint64_t disk_bytes, uint64_t disk_free);
void waiting_end(struct scheduler *s);

/* ballast.c: room for the store, also when the disk is full. At the start, and after each look. */
void ballast_take(struct scheduler *s);

/* task_container.c: a container outlived its quern-contain: begin another one, which holds the lock
 * of dir again. False if there is none, or it cannot be done. */
bool container_revive(struct arena *a, const char *note, const char *dir);

/* recover.c: put right what a dead run left. */
int recover(struct scheduler *s, struct err *e);

/* making.c: sources that are made (fake models) or fetched (of a hub) before their first job. */
enum making_state {
	MAKING_IDLE, /* nobody asks for it */
	MAKING_READY,
	MAKING_BUSY,	/* or about to be */
	MAKING_WAITING, /* for room on the disk */
	MAKING_FAILED,
};
/* For a job that would start now. Failed: *cause, *why, and when it is tried again (*retry_ms,
 * wall; 0: not in this run). */
enum making_state making_need(struct scheduler *s, const struct resolved *r, const char **cause,
			      const char **why, int64_t *retry_ms);
/* A job of it was started. */
void making_used(struct scheduler *s, const struct resolved *r);
/* While jobs run: fetch what comes next in the matrix. */
void making_ahead(struct scheduler *s);
/* Those that go on, for the display; returns how many. */
int making_draw(const struct scheduler *s, int64_t mono_ms, struct display_job *jobs, int max);
bool making_busy(const struct scheduler *s);
/* Say which wait for room that never came; returns how many. */
int making_say_waiting(struct scheduler *s);
void making_stop(struct scheduler *s, int sig);
void making_free(struct scheduler *s);

/* room.c: free disk for what jobs write, less what running fetches will take of it. */
int room_for_jobs(const struct scheduler *s, uint64_t *bytes, struct err *e);
/* Cache and work folder are on one file system. */
bool room_is_shared(const struct scheduler *s);

/* dropping.c: sources that this run needs no more leave the disk. */
void drop_init(struct scheduler *s);
void drop_free(struct scheduler *s);
/* So many bytes are missing in the work folder's file system, or else in the cache's. True: some
 * may come, ask again after the next kick; false: nothing can be dropped now. */
bool drop_for_room(struct scheduler *s, uint64_t bytes, bool for_work);
bool drop_busy(const struct scheduler *s);
/* Something ended: what could not be dropped then may be dropped now. */
void drop_reconsider(struct scheduler *s);

/* control.c: pause, drain and the end of the time. */
void control_tick(struct scheduler *s, int64_t mono_ms);
/* May anything new begin? */
bool control_may_start(const struct scheduler *s);
/* Would this job, by what the like took, end before the deadline? */
bool control_fits(struct scheduler *s, const struct job_row *job);
/* Nothing more begins in this run, whatever waits. */
bool control_is_closing(const struct scheduler *s);
/* The run waits for quern resume, and has something to wait for. */
bool control_waits(struct scheduler *s);
/* Workers are stopped (SIGSTOP). */
bool control_is_frozen(const struct scheduler *s);

/* publish.c: repositories that have something ready, one child of quern at a time. */
void publish_init(struct scheduler *s);
void publish_free(struct scheduler *s);
/* A job of repo reached ready: by upload.when this may start a child now. */
void publish_job_ready(struct scheduler *s, const char *repo);
/* Everything converted: publish what is ready. Returns true while something is going on. */
bool publish_at_end(struct scheduler *s);
/* The disk is short: publish what is ready, where artifacts leave after that. */
void publish_for_room(struct scheduler *s);
bool publish_busy(const struct scheduler *s);
/* After a pause. */
void publish_go_on(struct scheduler *s);
void publish_stop(struct scheduler *s, int sig);
/* A job of repo is held no more. */
void publish_released(struct scheduler *s, const char *repo);
/* Published again though nothing of it is ready: its card has more to say. */
void publish_again(struct scheduler *s, const char *repo);

/* measuring.c, measuring_wanted.c: artifacts that are tried where they will run, one child of quern
 * each. */
int measuring_init(struct scheduler *s, struct err *e);
void measuring_free(struct scheduler *s);
/* In the transaction that makes the job ready: it will be measured, and may be held until then. */
int measuring_job_ready(struct scheduler *s, const struct job_row *job, struct err *e);
/* Begin what may begin. quiet: nothing else is in work, or can be. True while something is measured
 * or will be. */
bool measuring_start(struct scheduler *s, bool quiet);
bool measuring_busy(const struct scheduler *s);
/* One goes on that nothing may disturb. */
bool measuring_alone(const struct scheduler *s);
/* A repository that should be published again, or NULL; and that it is being published. */
const char *measuring_refresh(struct scheduler *s);
void measuring_published(struct scheduler *s, const char *repo);
void measuring_tick(struct scheduler *s, int64_t mono_ms);
void measuring_stop(struct scheduler *s, int sig);
int measuring_draw(const struct scheduler *s, int64_t mono_ms, struct display_job *jobs, int max);

#endif

/* db/store.h -- jobs and all that happens to them, in one SQLite file (WAL).
 * Only this module speaks SQL. Open, use from one thread, close. Every function
 * returns 0 or more, or ERR_BUSY (file locked for more than 5 s), ERR_IO,
 * ERR_NOSPACE (disk full), ERR_CORRUPT (said with what to do), or as told.
 * Strings in rows are valid until the next call of the same iterator or, for
 * single rows, live in the arena that was passed.
 *
 * Durability: a commit is in the file for every other process at once and
 * survives kill -9. Against loss of power the last commits may be undone (WAL,
 * synchronous=NORMAL), never half-done; the artifact under its final name is
 * then what recovery believes (docs/adr/0004). */
#ifndef QUERN_DB_STORE_H
#define QUERN_DB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "db/job.h"

struct store;

/* Open (creating and migrating if writable). ERR_INVALID: made by a newer quern (says which
 * version); ERR_CORRUPT: damaged (says how to move it away); ERR_NOTFOUND: read-only and absent. */
int store_open(const char *path, int read_only, struct store **out, struct err *e);
/* Another connection to the same file, from any thread, for writing if the first one is. */
int store_open_again(const struct store *s, struct store **out, struct err *e);
void store_close(struct store *s); /* NULL is fine */

/* Group several calls into one commit; nests by counting. rollback ends all levels. */
int store_begin(struct store *s, struct err *e);
int store_commit(struct store *s, struct err *e);
void store_rollback(struct store *s);
/* Move the WAL into the database. Only from a store of its own (any thread): the loop must not
 * wait. */
int store_checkpoint(struct store *s, struct err *e);

/* ---- runs: one row a `quern run` */
struct run_row {
	int64_t id, started_ms, ended_ms; /* ended_ms 0: still going, or died */
	int64_t pid;
	const char *host, *config, *name;
	int exit_code; /* -1 until ended */
	int64_t points, added, changed, duplicates, illegal;
	const char *waiting; /* why no job starts though a slot is free; "" */
};
int store_run_begin(struct store *s, const char *name, const char *config_path, int64_t now_ms,
		    int64_t *run_id, struct err *e);
int store_run_totals(struct store *s, int64_t run_id, int64_t points, int64_t added,
		     int64_t changed, int64_t duplicates, int64_t illegal, struct err *e);
/* Points of a run that nobody begins, one row for each reason. */
struct refusal_row {
	const char *cause, *message;
	const char *label; /* of the first of them */
	int64_t points;
};
int store_refusal_put(struct store *s, int64_t run_id, const struct refusal_row *r, struct err *e);
/* At most n, the most frequent first. Returns how many. */
int store_refusals(struct store *s, int64_t run_id, struct arena *a, struct refusal_row *out, int n,
		   struct err *e);
int store_run_end(struct store *s, int64_t run_id, int exit_code, int64_t now_ms, struct err *e);
/* run_id 0: the last one. ERR_NOTFOUND. */
int store_run_get(struct store *s, int64_t run_id, struct arena *a, struct run_row *out,
		  struct err *e);

struct night_row {
	int64_t run_id, started_ms, ended_ms; /* ended_ms 0: still going, or died */
	int exit_code;			      /* -1 until ended */
	int64_t points, converted, uploaded, retried, failed;
};
/* The last n runs, newest first. Returns how many. */
int store_nights(struct store *s, struct night_row *out, int n, struct err *e);

/* ---- jobs */
struct job_row {
	int64_t id;
	uint8_t key[SHA256_LEN];
	struct job_spec spec;
	const char *label;
	enum job_state state;
	int attempts;	       /* lasting counter of attempts that count against retry.attempts */
	int tries;	       /* all attempts ever: number of the next attempt folder is tries+1 */
	int64_t run_id;	       /* last run whose matrix had this job */
	int64_t not_before_ms; /* retry time; 0 now */
	int64_t created_ms, changed_ms;
	int64_t memory_bytes, output_bytes, scratch_bytes; /* estimates */
	const char *cause, *message;			   /* of the last failure; "" if none */
	const char *repo; /* target repository "ns/name"; "" without upload */
	const char *file; /* base name of the artifact, without the engine's extension */
	unsigned file_params, repo_params; /* what these two names say: bits of enum job_param */
	const char *rungs; /* of the ladder, which its next attempt stands on: "alone, memory x2" */
	int64_t turn;	   /* its place in the queue; equal ones go by id */
};

struct job_new {
	struct job_spec spec;
	const uint8_t *key;
	const char *label, *repo, *file;
	unsigned file_params, repo_params;
	int64_t turn;
	int64_t memory_bytes, output_bytes, scratch_bytes;
};

enum job_added {
	JOB_ADDED_NEW,	     /* inserted, pending */
	JOB_ADDED_KNOWN,     /* was there; now marked as part of this run */
	JOB_ADDED_DUPLICATE, /* already marked as part of this same run: a duplicate point */
};
/* Insert or mark, in one statement each; repo, file and estimates of a known job are refreshed when
 * they differ. row_state (may be NULL): state the job has. Aim: 1,000,000 in under 6 s inside
 * begin/commit, with a page cache of at most 24 MiB. */
int store_job_add(struct store *s, const struct job_new *j, int64_t run_id, int64_t now_ms,
		  enum job_added *how, int64_t *id, enum job_state *row_state, struct err *e);

/* Look up by key: 1 found, 0 not. */
int store_job_by_key(struct store *s, const uint8_t key[SHA256_LEN], struct arena *a,
		     struct job_row *out, struct err *e);
/* The newest other job of the same model, engine, platform, quant, hybrid and opt whose key is not
 * `key` (to say what changed): 1 found, 0 not. Uses an index on a hash of those fields. */
int store_job_same_point(struct store *s, const struct job_spec *spec,
			 const uint8_t key[SHA256_LEN], struct arena *a, struct job_row *out,
			 struct err *e);
/* By number ("17") or unique key prefix (at least 4 hex digits; digits only: the number wins).
 * ERR_NOTFOUND, ERR_INVALID (ambiguous, and names some). */
int store_job_find(struct store *s, const char *name, struct arena *a, struct job_row *out,
		   struct err *e);
int store_job_get(struct store *s, int64_t id, struct arena *a, struct job_row *out, struct err *e);

/* Up to n pending jobs of run_id that may start at now_ms, oldest first, skipping the first `skip`.
 * Returns how many. *next_ms: earliest not_before of one that must wait, 0 if none. */
int store_job_candidates(struct store *s, int64_t run_id, int64_t now_ms, int skip, int n,
			 struct arena *a, struct job_row *out, int64_t *next_ms, struct err *e);

/* How long the like took: the longest of the last five good attempts at the same model with the
 * same engine, and quant if asked. 1 known, 0 not. */
int store_duration(struct store *s, const struct job_spec *spec, bool same_quant, int64_t *ms,
		   struct err *e);

/* Forget the waiting times of run_id's pending jobs: a run started by hand or by cron tries at
 * once. */
int store_wake(struct store *s, int64_t run_id, struct err *e);
/* 1 if a job of run_id for this repository is pending, running or validating; 0 if none. */
int store_repo_pending(struct store *s, int64_t run_id, const char *repo, struct err *e);

/* Repositories of a hub, adapters too, that unfinished jobs read: those of run_id that wait, and
 * those of any run that are in work. Walks all of these jobs. */
struct source_row {
	const char *repo, *commit; /* fake: spec and version of a generated model */
};
int store_sources_wanted(struct store *s, int64_t run_id, bool fake, struct arena *a,
			 struct source_row **out, size_t *n, struct err *e);

/* THE transition: compare-and-swap from `from` by ev, with its event row, in one transaction (or
 * the enclosing one). ERR_CONFLICT: the job is no longer in `from`. ERR_INVALID: no such edge in
 * job.c. EV_CLAIM adds one to attempts and tries; EV_LOST from running or validating takes the one
 * from attempts back; EV_RETRY sets attempts to 0. not_before_ms is stored as it is; cause and
 * message (NULL: "") replace the old ones and go to the event. */
struct job_move {
	int64_t id;
	enum job_state from;
	enum job_event ev;
	int64_t now_ms, not_before_ms;
	const char *cause, *message;
	const char *rungs; /* NULL: as they are. EV_RETRY forgets them */
	int64_t run_id;	   /* of the process that does it; 0 for a command */
};
int store_job_move(struct store *s, const struct job_move *m, enum job_state *to, struct err *e);

/* Counts by state: of run_id's matrix, or of all jobs when run_id is 0. Below 5 ms for 100,000
 * jobs. */
int store_job_counts(struct store *s, int64_t run_id, int64_t counts[JOB_STATE_COUNT],
		     struct err *e);

/* Iterate. Filters that are 0/NULL/-1 do not filter; glob is matched against label. Order: id. */
struct job_filter {
	int64_t run_id;
	int state; /* enum job_state, or -1 */
	const char *glob, *repo, *cause;
	int64_t after_id;
	int64_t limit; /* 0: none */
};
typedef int (*job_row_fn)(void *ctx, const struct job_row *row,
			  struct err *e); /* negative stops, and is returned */
int store_job_each(struct store *s, const struct job_filter *f, job_row_fn fn, void *ctx,
		   struct err *e);

/* ---- attempts */
struct attempt_row {
	int64_t id, job_id;
	int number;			      /* names jobs/KEY/N */
	int64_t run_id, started_ms, ended_ms; /* ended_ms 0: going on */
	int64_t pid;
	uint64_t pid_start;    /* proc_start_time() */
	const char *verb;      /* "convert" or "validate" */
	int exit_code, signal; /* -1 and 0 until known */
	const char *cause, *message;
	int64_t peak_rss_bytes, user_ms, system_ms;
	int64_t done, total; /* last progress, in `unit` */
	const char *stage, *unit;
	const char *evidence_from, *evidence; /* what the cause was read from; "" if nothing */
	const char *rungs;		      /* of job_row, when it began */
	/* of the worker and all that it started; 0: not measured */
	int64_t memory_bytes;
	const char *memory_by; /* "cgroup", "pss", "rss" or "" */
	int64_t limit_bytes;   /* 0: none */
	int64_t scratch_bytes, output_bytes;
	int64_t paused_ms; /* of its time; -1: not known. Not read back */
};
int store_attempt_begin(struct store *s, int64_t job_id, int number, int64_t run_id, int64_t now_ms,
			int64_t *attempt_id, struct err *e);
int store_attempt_pid(struct store *s, int64_t attempt_id, int64_t pid, uint64_t pid_start,
		      struct err *e);
int store_attempt_progress(struct store *s, int64_t attempt_id, const char *stage, const char *unit,
			   int64_t done, int64_t total, struct err *e);
int store_attempt_end(struct store *s, const struct attempt_row *r, struct err *e); /* by r->id */
/* The last six members, by r->id. */
int store_attempt_used(struct store *s, const struct attempt_row *r, struct err *e);
/* Attempts that never ended, of jobs that are not in work: a person moved the job while quern was
 * dead, and its worker may live. each returns < 0 to stop. */
struct attempt_left {
	int64_t id, job_id;
	int number;
	uint8_t key[SHA256_LEN];
};
int store_attempts_left(struct store *s,
			int (*each)(void *ctx, const struct attempt_left *left, struct err *e),
			void *ctx, struct err *e);
/* Newest first. Returns count, at most n. */
int store_attempts(struct store *s, int64_t job_id, struct arena *a, struct attempt_row *out, int n,
		   struct err *e);

/* ---- events: what happened to a job, in order */
struct event_row {
	int64_t id, job_id, at_ms, run_id;
	const char *event, *from, *to, *cause, *message;
};
int store_events(struct store *s, int64_t job_id, struct arena *a, struct event_row *out, int n,
		 struct err *e); /* oldest first; the last n of them */

/* ---- what attempts used, by all that drives it */
struct measured_class {
	const char *engine, *engine_version, *platform, *quant;
	double hybrid;
	int opt;
	const char *params; /* canonical JSON */
	int threads, lora;
	const char *architecture;
	int64_t weights; /* of the model: not part of the class, but of the question */
};

struct measured_row {
	/* of the same weights; samples 0: none */
	int64_t samples, memory_min_bytes, memory_max_bytes, scratch_max_bytes, output_max_bytes;
	int64_t ms_sum, ms_min, ms_max;
	/* an attempt with as many weights or fewer was ended for want of memory at so much, and not
	 * three went well since; 0: none */
	int64_t more_than_bytes;
	/* of all sizes */
	int64_t all_samples, smaller_max_bytes; /* of as many weights or fewer */
	int64_t largest_weights;
	double ratio_min, ratio_max; /* of the memory to the manifest's formula */
	double ms_per_weight, ms_per_weight_min, ms_per_weight_max;
};

struct measured_new {
	int64_t memory_bytes, formula_bytes, scratch_bytes, output_bytes, ms, now_ms;
};

/* 1: something is known, 0: nothing (then *out holds zeros). */
int store_measured(struct store *s, const struct measured_class *c, struct measured_row *out,
		   struct err *e);
/* An attempt that ended well. */
int store_measured_add(struct store *s, const struct measured_class *c,
		       const struct measured_new *m, struct err *e);
/* One that was ended for want of memory when it had memory_bytes. */
int store_measured_more(struct store *s, const struct measured_class *c,
			const struct measured_new *m, struct err *e);

/* ---- the time line of a run */
#define SAMPLES_MAX 720 /* of a run; above it every second one goes */

struct sample_row {
	int64_t at_ms;
	int64_t memory_bytes, claimed_bytes; /* used by workers; set aside for them */
	int64_t available_bytes;	     /* of the machine */
	int pressure; /* thousandths of 10 s that something waited for memory; -1: not known */
	int64_t disk_free_bytes, cache_free_bytes; /* -1: the same file system, or not used */
	int running, slots;
	int64_t received_bytes, sent_bytes; /* by the machine since the run began */
};
int store_sample_add(struct store *s, int64_t run_id, int64_t number, const struct sample_row *r,
		     struct err *e);
/* Keep those whose number is a multiple of step. */
int store_samples_thin(struct store *s, int64_t run_id, int64_t step, struct err *e);
/* In their order. Returns how many, at most n. */
int store_samples(struct store *s, int64_t run_id, struct sample_row *out, int n, struct err *e);
/* Why no job starts though a slot is free; "": nothing waits. */
int store_run_waiting(struct store *s, int64_t run_id, const char *why, struct err *e);

/* ---- sums, for monitoring. They read whole tables: not while a loop waits. */
struct cause_sum {
	const char *cause; /* "": it went well */
	int64_t count, took_ms, cpu_ms;
};
#define STORE_CAUSES_MAX 64
struct store_metrics {
	struct cause_sum attempts[STORE_CAUSES_MAX]; /* all that have ended */
	struct cause_sum failed[STORE_CAUSES_MAX];   /* jobs of the run; only cause and count */
	int n_attempts, n_failed;
	int64_t artifact_bytes, published_bytes;
	int64_t good_run_ms; /* end of the last run with exit code 0; 0: none */
};
int store_metrics(struct store *s, int64_t run_id, struct arena *a, struct store_metrics *out,
		  struct err *e);

/* ---- artifacts: files of a job that passed validation */
struct artifact_row {
	int64_t id, job_id;
	const char *name; /* file name inside artifacts/KEY */
	int64_t size_bytes, mtime_ns;
	uint8_t sha256[SHA256_LEN];
	const char *facts; /* JSON object by origin: db/facts.h */
	int64_t created_ms;
	int64_t dropped_ms; /* the hub has it, and it has left the disk; 0: it is here */
};
int store_artifact_put(struct store *s, const struct artifact_row *r,
		       struct err *e); /* by job_id+name */
int store_artifacts(struct store *s, int64_t job_id, struct arena *a, struct artifact_row *out,
		    int n, struct err *e);
/* Files of done jobs in a repository that a hub was seen to have, and that have not left the disk.
 */
struct confirmed_row {
	int64_t id, job_id;
	uint8_t key[SHA256_LEN];
	const char *name;
	int64_t size_bytes;
	int64_t left; /* of store_artifacts_left(), for the caller */
};
int store_artifacts_confirmed(struct store *s, const char *hub, const char *repo, struct arena *a,
			      struct confirmed_row *out, int n, struct err *e);
/* It is about to leave the disk. store_artifact_put() takes that back. */
int store_artifact_drop(struct store *s, int64_t artifact_id, int64_t now_ms, struct err *e);
/* Files of a job that have not left. */
int store_artifacts_left(struct store *s, int64_t job_id, int64_t *n, struct err *e);
/* 1: a done job has a file here that a hub has, and nothing keeps it; 0: not. */
int store_artifact_may_leave(struct store *s, int64_t job_id, struct err *e);
int store_artifacts_clear(struct store *s, int64_t job_id, struct err *e);

/* ---- uploads: one row per (hub, repository, path): what should be there and what is */
struct upload_row {
	int64_t id, job_id; /* job_id 0: a file of the repository itself, like README.md */
	const char *hub, *repo, *path;
	uint8_t sha256[SHA256_LEN];
	int64_t size_bytes;
	const char *state; /* "pending", "sent" (content is there), "done" (committed and listed),
			      "failed" */
	const char *commit, *message;
	int64_t changed_ms;
};
int store_upload_put(struct store *s, const struct upload_row *r,
		     struct err *e); /* by hub, repo, path */
int store_uploads(struct store *s, const char *hub, const char *repo, struct arena *a,
		  struct upload_row **out, size_t *n, struct err *e);
/* Of one job, by path. Returns how many, at most n. */
int store_job_uploads(struct store *s, int64_t job_id, struct arena *a, struct upload_row *out,
		      int n, struct err *e);
/* Git's id (40 hex digits) of a plain file's content, as far as it was told: 1 known, 0 not. */
int store_blob_get(struct store *s, const uint8_t sha256[SHA256_LEN], char blob_id[41],
		   struct err *e);
int store_blob_put(struct store *s, const uint8_t sha256[SHA256_LEN], const char *blob_id,
		   struct err *e);
/* A stored part of a multipart upload: number (from 0) of the upload that the server calls so. */
struct part_row {
	uint8_t sha256[SHA256_LEN]; /* of the object */
	const char *upload;
	int64_t chunk_bytes, number;
	const char *etag; /* the server's name of it */
};
int store_part_put(struct store *s, const struct part_row *r, struct err *e);
/* Fills etag, in a: 1 known, 0 not. */
int store_part_get(struct store *s, struct part_row *r, struct arena *a, struct err *e);
/* The object is complete. */
int store_parts_clear(struct store *s, const uint8_t sha256[SHA256_LEN], struct err *e);
/* Repositories that have jobs in state ready (or uploading left by a dead run). */
int store_repos_ready(struct store *s, struct arena *a, const char ***repos, size_t *n,
		      struct err *e);

/* ---- measurements of artifacts where they run (docs/measuring.md) */
struct measurement_row {
	int64_t id, job_id, run_id;   /* run_id 0: quern bench */
	const char *stage, *settings; /* name in jobs.yaml; hash of what is measured how */
	const char *kind;	      /* "endpoint", "serve", "board" */
	int64_t started_ms, ended_ms; /* ended_ms 0: going on */
	const char *state;	      /* "running", "done", "failed", "interrupted" */
	const char *message, *host, *machine;
	int64_t warnings;
	const char *result; /* JSON; NULL unless done */
};
/* Uses job_id, run_id, stage, settings, kind and started_ms. */
int store_measure_begin(struct store *s, const struct measurement_row *r, int64_t *id,
			struct err *e);
/* By r->id; uses ended_ms, state, message, host, machine, warnings, result. 1; 0: it had ended. */
int store_measure_end(struct store *s, const struct measurement_row *r, struct err *e);
/* One that has not ended: as if it had never begun. */
int store_measure_forget(struct store *s, int64_t id, struct err *e);
/* Those of dead runs: interrupted. Only under the run's lock. Returns how many. */
int store_measures_lost(struct store *s, int64_t now_ms, struct err *e);
/* When this was measured last with these settings (0: never), and how often since then, and since a
 * failure, it began without an end. */
int store_measure_settled(struct store *s, int64_t job_id, const char *stage, const char *settings,
			  int64_t *last_ms, int64_t *interrupted, struct err *e);
/* Of a job, newest first. Returns how many, at most n. */
int store_measures(struct store *s, int64_t job_id, struct arena *a, struct measurement_row *out,
		   int n, struct err *e);
/* The last good one of each stage of a job, by stage. */
int store_measures_last(struct store *s, int64_t job_id, struct arena *a,
			struct measurement_row *out, int n, struct err *e);
/* Of a run, oldest first. */
int store_measures_of_run(struct store *s, int64_t run_id, struct arena *a,
			  struct measurement_row *out, int n, struct err *e);
/* The last good one before `id` of the same point of the matrix, in its stage and on this host: 1
 * found, 0 not. */
int store_measure_before(struct store *s, int64_t id, const char *host, struct arena *a,
			 struct measurement_row *out, struct err *e);

/* How often it failed since then. */
int store_measure_failures(struct store *s, int64_t job_id, const char *stage, const char *settings,
			   int64_t *n, struct err *e);

/* What keeps a ready job from being published, or HOLD_KEPT: only its files from leaving the disk.
 */
#define HOLD_KEPT "kept"
struct hold_row {
	int64_t job_id;
	/* "waiting" and "kept": for the measurement; else what it found */
	const char *stage, *reason;
	int64_t since_ms;
};
int store_hold_put(struct store *s, const struct hold_row *r, struct err *e); /* by job, stage */
/* stage NULL: everything that keeps any job from being published. Returns how many there were. */
int store_hold_clear(struct store *s, int64_t job_id, const char *stage, struct err *e);
/* What waits for its measurement may be published, and stays on the disk until then. */
int store_holds_keep_waiting(struct store *s, struct err *e);
/* Of a job, of all jobs, and of all jobs but HOLD_KEPT. Return how many, at most n. */
int store_holds(struct store *s, int64_t job_id, struct arena *a, struct hold_row *out, int n,
		struct err *e);
int store_holds_all(struct store *s, struct arena *a, struct hold_row *out, int n, struct err *e);
int store_holds_publication(struct store *s, struct arena *a, struct hold_row *out, int n,
			    struct err *e);
/* 1: something keeps the job from being published, 0: nothing. */
int store_job_is_held(struct store *s, int64_t job_id, struct err *e);

/* ---- cache of local file hashes, so that a plan does not read models again */
int store_hash_get(struct store *s, const char *path, int64_t size_bytes, int64_t mtime_ns,
		   int64_t ctime_ns, uint64_t inode, uint8_t sha256[SHA256_LEN],
		   struct err *e); /* 1 or 0 */
int store_hash_put(struct store *s, const char *path, int64_t size_bytes, int64_t mtime_ns,
		   int64_t ctime_ns, uint64_t inode, const uint8_t sha256[SHA256_LEN],
		   struct err *e);

/* "3.40.1": of the SQLite that runs. */
const char *store_library_version(void);

/* ---- for gc: keys of jobs in any state; fn as above */
int store_meta_get(struct store *s, const char *name, struct arena *a, const char **value,
		   struct err *e); /* 1, 0 */
int store_meta_set(struct store *s, const char *name, const char *value, struct err *e);

#endif

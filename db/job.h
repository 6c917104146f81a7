/* db/job.h -- the job: a point of the matrix with everything that can change
 * its output, the key hashed over that, and the one table of its life. Pure. */
#ifndef QUERN_DB_JOB_H
#define QUERN_DB_JOB_H

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/hash.h"

enum job_state {
	JOB_PENDING,	/* to be done, perhaps not before a time */
	JOB_RUNNING,	/* a worker converts */
	JOB_VALIDATING, /* the worker ended well; its output is being checked and sealed */
	JOB_READY,	/* artifact under its final name; not on the hub */
	JOB_UPLOADING,	/* an uploader has it */
	JOB_DONE,	/* the hub's own listing shows it, or what replaced it */
	JOB_FAILED,	/* will not be tried again by itself */
	JOB_CANCELLED,	/* a person said so */
	JOB_STATE_COUNT
};

#define JOB_CAUSE_REPLACED "replaced" /* of a done job: a newer one has its place on the hub */

enum job_event {
	EV_CLAIM,	  /* scheduler starts an attempt; the attempt counter grows */
	EV_EXIT_OK,	  /* worker exited 0 with a result */
	EV_EXIT_RETRY,	  /* worker failed, attempts are left */
	EV_EXIT_FAIL,	  /* worker failed for good */
	EV_VALID,	  /* artifact checked and renamed into place */
	EV_INVALID_RETRY, /* output was wrong, attempts are left */
	EV_INVALID_FAIL,  /* output was wrong, for good */
	EV_LOST,	  /* we died, not the worker: back to before */
	EV_FOUND,	  /* recovery found the artifact complete under its final name */
	EV_UPLOAD,	  /* an uploader takes it */
	EV_UPLOADED,	  /* confirmed by the hub's listing */
	EV_UPLOAD_FAIL,	  /* the hub refused; the artifact stays ready */
	EV_ARTIFACT_GONE, /* an artifact that should be there is not: do it again */
	EV_RETRY,	  /* a person asked: counter back to zero */
	EV_CANCEL,	  /* a person asked */
	EV_REPLACED,	  /* a newer job's files have the place of this one's */
	EV_WANTED,	  /* a matrix has the replaced job again */
	JOB_EVENT_COUNT
};

/* Next state, or -1 if the table has no such edge. */
int job_next(enum job_state from, enum job_event ev);
const char *job_state_name(enum job_state s); /* "pending" ... */
const char *job_event_name(enum job_event e); /* "claim", "exit_ok" ... */
int job_state_parse(const char *name);	      /* -1 if unknown */
int job_state_is_end(enum job_state s); /* nothing happens by itself: done, failed, cancelled */

/* A point of the matrix. Strings belong to whoever made the spec (an arena). */
struct job_spec {
	const char *model; /* name, also inside files and in their names */
	const char *engine;
	const char *engine_version; /* with a toolkit's after a '+': "0.1.0+1.2.3" */
	const char *toolkit;	    /* that part of it; NULL without one. Not stored */
	const char *source_kind;    /* "path", "hub" or "fake" */
	const char *source; /* absolute folder, hub id, or fake spec; only hub and fake specs enter
			       the key */
	const char *source_version; /* content hash of a folder, commit of a repository; enters the
				       key */
	const char *source_file;    /* which file of a repository is the model; NULL: not one alone.
				       Enters the key; not stored */
	int runs_code; /* the checkpoint's own Python, trusted by the user. Enters the key; not
			  stored */
	const char *lora, *lora_version; /* NULL without one */
	const char *platform;		 /* "" when the engine has no platforms */
	const char *quant;
	double hybrid;
	int opt;
	const char *with; /* canonical JSON object of the parameters that change the output: "{}" */
};

/* The parameters that an engine gives a meaning to, as bits: what a name says, what a worker
 * confirmed. Stored in job.file_params and job.repo_params. */
enum job_param {
	JOB_PARAM_PLATFORM = 1,
	JOB_PARAM_QUANT = 2,
	JOB_PARAM_HYBRID = 4,
	JOB_PARAM_OPT = 8,
};

/* The canonical JSON the key is hashed over; appended to b. Members, sorted: engine {name,
 * version}, hybrid, lora (null or {repo, version}), model, opt, platform, quant, source {file
 * (when there is one), kind, repo, runs_code (when it does), version}, with. */
int job_canonical(const struct job_spec *s, struct buf *b);
/* SHA-256 of job_canonical(). scratch: any buffer of the caller, cleared here; may not be NULL. */
void job_key(const struct job_spec *s, struct buf *scratch, uint8_t key[SHA256_LEN]);

/* "kjv-llama/gguf/Q8_0", "m/rkllm/rk3588/w8a8/opt-1/hybrid-0.5": what --only globs match and people
 * read. opt and hybrid appear when they are not zero. */
void job_label(const struct job_spec *s, char *out, size_t size);

#endif

/* workers/common/protocol.h -- a native worker's side of docs/worker-protocol.md:
 * read job.json, tell progress on stdout, write result.json last. */
#ifndef QUERN_WORKERS_COMMON_PROTOCOL_H
#define QUERN_WORKERS_COMMON_PROTOCOL_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"

/* Exit codes of the protocol. */
enum worker_exit {
	WORKER_OK = 0,
	WORKER_FAILED = 1,  /* something went wrong; another try may help */
	WORKER_USAGE = 2,   /* called wrongly, or job.json is not one */
	WORKER_REFUSED = 3, /* the input or the parameters cannot work: do not try again */
	WORKER_ENV = 4,	    /* this machine lacks something: do not try again before it is there */
};

struct worker_job {
	const char *dir; /* the job folder, absolute */
	const char *key; /* 64 hex digits */
	int attempt;
	const char *name;	 /* of the model, for metadata */
	const char *source;	 /* folder to read, absolute */
	const char *source_file; /* which GGUF file of it; NULL: the folder as it is */
	const char *out;	 /* folder to write, absolute; exists and is empty */
	const char *file;	 /* base name for the output, without extension */
	const char *platform, *quant;
	double hybrid;
	int opt;
	int threads;
	const struct json *with; /* object */
	const struct json *root; /* everything */
};

/* Parse JOBDIR/job.json. ERR_INVALID, ERR_IO. */
int worker_job_read(struct arena *a, const char *path, struct worker_job *out, struct err *e);

/* One progress line: {"event":"progress","stage":...,"done":...,"total":...,"unit":...}. Calls
 * closer than 100 ms are dropped unless done == total. Thread-safe. Write errors are ignored:
 * nobody may be listening. */
void worker_progress(const char *stage, uint64_t done, uint64_t total, const char *unit);
/* {"event":"warning","text":...} */
void worker_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* {"event":"facts","facts":...}: what `validate` read from the finished files. facts: text of a
 * JSON object on one line. */
void worker_facts(const char *facts);

struct worker_output {
	const char *path; /* relative to out */
	uint64_t size_bytes;
	const char *sha256; /* hex, or NULL: left out */
};

/* Write result.json (status ok). facts: a JSON object text of what is in the files ("{}"). */
int worker_result_ok(const struct worker_job *j, const struct worker_output *files, size_t n,
		     const char *facts, struct err *e);
/* Write result.json (status error) with the error's text; returns worker_exit_of(why). */
int worker_result_error(const struct worker_job *j, const struct err *why);

/* The exit code that fits: ERR_INVALID, ERR_CORRUPT, ERR_NOTFOUND: REFUSED; ERR_ENV: ENV; else
 * FAILED. */
int worker_exit_of(const struct err *why);

/* For validate: read result.json again and compare its list with the files below out, by name, size
 * and SHA-256. ERR_CORRUPT names the file that differs; ERR_INVALID: result.json is none, or says
 * error. */
int worker_result_check(struct arena *a, const struct worker_job *j, struct err *e);

#endif

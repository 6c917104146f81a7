/* orchestrator/run/seal.h -- from a worker's word to an artifact. What result.json
 * lists is compared with what lies in out/ (plain files only, same sizes, same
 * hashes, nothing more), everything is made read-only and synced, a record
 * (.quern.json: key, files, facts) is put beside the files, and the folder is
 * renamed to artifacts/KEY. Existence there means complete. Several outputs go
 * together, because the disk makes them durable at little more than the price
 * of one. Blocking: for a pool thread. */
#ifndef QUERN_ORCHESTRATOR_SEAL_H
#define QUERN_ORCHESTRATOR_SEAL_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/hash.h"
#include "db/job.h"

#define SEAL_RECORD ".quern.json"
/* An output as large takes a while to be read: it is hashed early, and sealed alone, so that others
 * need not wait for it. By the estimate of the plan, since this only decides about speed. */
#define SEAL_LARGE_BYTES (64 << 20)

struct sealed_file {
	const char *name;
	uint64_t size_bytes;
	int64_t mtime_ns;
	uint8_t sha256[SHA256_LEN];
	int claimed; /* the worker gave a hash, which must then be right */
};

struct sealed {
	struct sealed_file *files; /* sorted by name */
	size_t n;
	const char *facts; /* JSON object by origin: db/facts.h */
};

struct early;

struct seal_job {
	const char *dir;      /* the attempt's folder */
	const char *artifact; /* artifacts/KEY */
	const char *key_hex;
	const char *canonical;	      /* the JSON the key is hashed over */
	const struct job_spec *asked; /* what the facts are held against */
	const char *source_facts;     /* JSON object of origin "source"; NULL: none */
	const char *file_facts;	      /* of origin "file", from the validate verb; NULL: none */
	const char *rung_facts;	      /* of origin "rung"; NULL: it is what was asked for */
	const char *name_facts;	      /* of origin "name", of an imported file; NULL: none */
	const struct early *early;    /* what is hashed already; NULL: nothing */
	struct arena *a;	      /* of what sealed holds */

	/* set by seal() */
	struct sealed sealed;
	struct err err;
	int rc; /* 0, or ERR_INVALID: the worker's output is not what it says, or what it says of it
		   is not what was asked for (tried again); ERR_IO, ERR_NOSPACE: ours */
};

/* Seal n outputs whose artifacts lie in one folder. Each succeeds or fails by itself. */
void seal(struct seal_job *const *jobs, size_t n);

/* Read the record of a sealed artifact and compare names and sizes with the disk. 1 good, 0 absent,
 * ERR_CORRUPT when something is there that is not a complete artifact of this key (it is then left
 * alone: the caller says so). */
int seal_read(const char *artifact, const char *key_hex, struct arena *a, struct sealed *s,
	      struct err *e);

#endif

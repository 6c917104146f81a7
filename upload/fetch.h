/* upload/fetch.h -- one model of a hub into the standard cache of the official
 * clients: first what it is (fetch_look, no weights), then its files
 * (fetch_files), resumed and checked by hash. Blocking; used in a child of
 * quern. docs/hub.md tells it for users. */
#ifndef QUERN_UPLOAD_FETCH_H
#define QUERN_UPLOAD_FETCH_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/json.h"
#include "core/source.h"
#include "upload/http.h"

struct fetch_file {
	const char *name; /* in the repository's root; safe as a file name */
	const char *etag; /* SHA-256 (64 hex digits) or git's SHA-1 of the blob (40); "": unknown,
			   * the file is in the snapshot already */
	uint64_t size_bytes;
};

/* A repository at one commit, without its weights. */
struct fetch_model {
	const char *repo;   /* as asked for */
	const char *id;	    /* what the hub calls it now: another name when it was renamed */
	const char *commit; /* 40 hex digits */
	const char *gated;  /* "no", "auto" or "manual" */
	bool is_private;
	struct source_facts facts; /* all zero for adapters */
	struct fetch_file *files;  /* those we need, sorted by name */
	size_t n_files;
	uint64_t size_bytes; /* of all files */
};

struct fetch_options {
	struct http *http;
	bool offline;	      /* answer from what is on the disk */
	const char *cache;    /* HF_HUB_CACHE */
	const char *memory;   /* folder where facts are kept, made when missing; NULL: none */
	const char *repo;     /* "org/name" or "name" */
	const char *revision; /* branch, tag or commit */
	bool adapter;	      /* a LoRA adapter, not a model */
	bool code;	      /* its Python too: the user trusts it */
	bool known;	      /* it was looked at before: fetch_look() without facts */
	const char *file;     /* the GGUF file, or its first part, that is the model; NULL: the
			       * safetensors, or the only one */
	unsigned stall_s;     /* so long almost nothing may come of a range; 0: as http.h has it */
	/* May be NULL: bytes that are there, of all bytes; after each range and file. */
	void (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
	void *ctx;
};

/*
 * What the revision is now. One request when its commit was looked at before, none offline. Strings
 * live in a. ERR_NOTFOUND, ERR_ENV (gated, disabled, token, offline and not here), ERR_INVALID (no
 * model that we can take: pickles only, hostile names ...), ERR_BUSY (later it may work), ERR_IO.
 */
int fetch_look(const struct fetch_options *o, struct arena *a, struct fetch_model *out,
	       struct err *e);

struct fetch_result {
	uint64_t bytes_fetched;
	int files_fetched, files_kept;
};

/*
 * All files of m into the cache; o->revision becomes a ref when it is no commit. Killed at any
 * time, the next call goes on: at most the ranges in flight are asked for again. ERR_NOSPACE: the
 * disk is full, what came stays.
 */
int fetch_files(const struct fetch_options *o, const struct fetch_model *m, struct fetch_result *r,
		struct err *e);

/* The folder of the files: CACHE/models--org--name/snapshots/COMMIT. In a. */
const char *fetch_snapshot(struct arena *a, const char *cache, const char *repo,
			   const char *commit);

/* Facts as JSON, for those who keep them or pass them on. Strings are copied into a. */
void fetch_write_facts(struct json_out *w, const struct source_facts *f);
void fetch_read_facts(struct arena *a, const struct json *v, struct source_facts *f);

#endif

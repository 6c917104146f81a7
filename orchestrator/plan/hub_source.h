/* orchestrator/plan/hub_source.h -- models and adapters of a hub as the orchestrator
 * sees them: what a child of quern (fetch-repo), which alone holds the token,
 * says about them. */
#ifndef QUERN_ORCHESTRATOR_HUB_SOURCE_H
#define QUERN_ORCHESTRATOR_HUB_SOURCE_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/source.h"

struct hub_source {
	const char *repo, *revision; /* as in jobs.yaml */
	const char *id;		     /* its name now: another one when it was renamed */
	const char *commit;
	const char *gated; /* "no", "auto", "manual" */
	const char *cache; /* HF_HUB_CACHE, absolute */
	const char *dir;   /* the snapshot's folder; complete when hub_source_ready() */
	const char *blobs; /* where the links in dir lead to */
	bool is_private, adapter;
	bool code;	  /* its Python is part of it: trust_remote_code */
	const char *file; /* of jobs.yaml, or NULL; facts.file is the one that was found */
	struct source_facts facts;
	struct hub_source_file {
		const char *name;
		const char *etag; /* of its blob; "": not known, it is in the snapshot */
		uint64_t size_bytes;
	} * files;
	size_t n_files;
	uint64_t size_bytes;
};

/* What is to be known of a repository, and the answer. */
struct hub_question {
	const char *repo, *revision;
	bool adapter, code;
	const char *file;	   /* a GGUF file, or NULL */
	struct hub_source *answer; /* NULL when rc is negative */
	int rc;
	struct err err;
	char cause[32]; /* of a negative rc: what the hub has to do with it; "": nothing */
};

/* Ask about all n, blocking, HUB_QUESTIONS_AT_ONCE children at a time: one request each when the
 * commit is known under work, none with HF_HUB_OFFLINE. Errors are the child's, in its words.
 * Answers live in a. */
#define HUB_QUESTIONS_AT_ONCE 8
void hub_source_look(struct arena *a, const char *work, struct hub_question *v, size_t n);

/* All files are in the snapshot with their sizes. */
bool hub_source_ready(const struct hub_source *s);
/* Bytes of the files that are not there yet. */
uint64_t hub_source_missing_bytes(const struct hub_source *s);

/* Bytes that fetching them would still take from the disk: a file on its way has its room already.
 */
uint64_t hub_source_room_bytes(const struct hub_source *s);

/* The child that fetches it: NULL-ended argv in a. */
const char **hub_source_argv(struct arena *a, const char *work, const struct hub_source *s);
/* The error a child's line tells; 0 when the line is no error. */
struct json;
int hub_source_error(const struct json *line, struct err *e);

#endif

/* upload/uploader.h -- bring one repository of a hub to what the store says it
 * should hold: the artifacts of its ready and done jobs, a card, a manifest
 * (quern.json) and .gitattributes, in one commit, or in as many as the hub's
 * limits ask for. Blocking. Every step is in the store before and after: an
 * interrupted upload goes on. */
#ifndef QUERN_UPLOAD_UPLOADER_H
#define QUERN_UPLOAD_UPLOADER_H

#include "core/err.h"
#include "db/store.h"
#include "upload/hub.h"

struct uploader_options {
	const char *work;     /* absolute; artifacts are in WORK/artifacts/KEY/ */
	const char *hub_name; /* as in jobs.yaml: "local" */
	int is_private;
	const char *const *exclude; /* globs of file names never published */
	size_t n_exclude;
	const char *quantized_by;  /* for the card; NULL: not said */
	const char *template_name; /* of a user's template, for messages */
	const char *template_text; /* NULL: quern's own */
	int drop;		   /* artifacts leave the disk once the hub's listing shows them */
	int64_t run_id;
	/* may be NULL; called for each file: bytes done and total of this repository */
	void (*progress)(void *ctx, const char *path, uint64_t done, uint64_t total);
	void *ctx;
};

struct uploader_result {
	int files_sent, files_kept, commits;
	uint64_t bytes_sent, bytes_dropped;
	char commit[72];
	char url[512]; /* where a person finds it */
};

/* All ready jobs of repo (jobs left `uploading` by a dead process count as ready: EV_LOST first).
 * Each job's files are checked against the store's size and hash by name before they are sent; a
 * missing or changed artifact moves that job by EV_ARTIFACT_GONE and the others go on. Jobs go
 * EV_UPLOAD before, EV_UPLOADED after the hub's own listing shows each file with its hash; on
 * failure EV_UPLOAD_FAIL with the cause. */
int uploader_run(struct store *s, struct hub *h, const char *repo, const struct uploader_options *o,
		 struct uploader_result *out, struct err *e);

/* The files of the repository itself, as uploader_run() would write them. NULL: nothing would be
 * published. */
struct uploader_own {
	const char *readme, *manifest;
};

/* Make them without changing anything, from a store that may be read-only. published_only: of the
 * jobs that are done, without those that are ready. Texts are in a. */
int uploader_preview(struct store *s, struct hub *h, const char *repo,
		     const struct uploader_options *o, int published_only, struct arena *a,
		     struct uploader_own *out, struct err *e);

#endif

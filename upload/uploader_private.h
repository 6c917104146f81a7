/* upload/uploader_private.h -- one upload: what should be in the repository
 * (uploader_plan.c, uploader_companions.c), what of it the hub has and whether we can give the rest
 * (uploader_check.c), how it gets there (uploader_send.c), what the store is
 * told about it (uploader_journal.c), and the steps in their order
 * (uploader.c). */
#ifndef QUERN_UPLOAD_UPLOADER_PRIVATE_H
#define QUERN_UPLOAD_UPLOADER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "upload/uploader.h"

#define UP_README "README.md"
#define UP_MANIFEST "quern.json"
#define UP_ATTRIBUTES ".gitattributes"

/* A verified file of a job and its place in the repository. */
struct up_file {
	struct artifact_row row;
	const char *path, *local;
	/* a companion may stand in the root, where variants share it: path is one of these two */
	const char *own, *shared; /* shared NULL: only own */
	char blob[HUB_BLOB_ID];	  /* git's id of a plain file's content; "" not known yet */
	bool blob_kept;		  /* the store knows it too */
	size_t group;		  /* files with the same path have the same */
	size_t own_group, shared_group;
	bool at_own, at_shared; /* of companions: the head has it there, with this content */
	bool is_ours;		/* what stands at shared is what we had put there */
	bool is_twin;		/* another variant's file stands for it */
	bool lfs;
	bool listed; /* the head has it, with this content */
	bool stored; /* the hub has the content */
	bool parted; /* the store knows parts of it */
	bool hashed; /* the local file has been compared with the store */
};

enum up_fate {
	UP_WANTED,   /* its files should be in the repository */
	UP_REPLACED, /* a newer job writes one of its paths */
	UP_DROPPED,  /* gone, moved by somebody else, or refused: no part of this upload */
};

struct up_job {
	struct job_row row;
	const char *name;      /* of the variant in the repository */
	struct up_file *files; /* without the excluded ones */
	size_t n;
	enum up_fate fate;
	struct up_job *by; /* UP_REPLACED: the newer job */
	bool taken;	   /* we moved it to uploading */
	bool is_placed;	   /* its companions are in the root */
};

struct upload {
	struct store *store;
	struct hub *hub;
	const char *repo;
	const struct uploader_options *opt;
	struct uploader_result *res;
	struct arena *a;     /* lives as long as the upload */
	struct up_job *jobs; /* newest first: of the latest run, then the highest id */
	size_t n_jobs, n_groups;
	struct up_file **root;	 /* of each group: the companion that stands for all of it */
	struct upload_row *rows; /* what the store knows of the repository's files */
	size_t n_rows;
	struct up_job **owners; /* of each group: the wanted job that writes the path, or NULL */
	/* the hub's own listing; renewed after a conflict and after the commit */
	struct hub_file *listing;
	size_t n_listing;
	const char *head;
	/* the repository's own files, and git's ids of them */
	struct hub_file own[3];
	char own_blob[3][HUB_BLOB_ID];
	size_t n_own;
	size_t commit_files; /* of one commit at most; 0: any number */
	uint64_t done_bytes, total_bytes;
	bool look;	     /* only a preview: the store is not changed */
	bool published_only; /* of done jobs */
};

/* ---- uploader_plan.c */

struct up_ids {
	int64_t *v; /* free() */
	size_t n, cap;
};
/* Add the ids of the repository's jobs in this state. */
int up_collect(struct upload *u, enum job_state state, struct up_ids *l, struct err *e);
/* Load the ready and done jobs of the repository with their files and paths. */
int up_plan_load(struct upload *u, struct err *e);
/* Decide who is wanted and who is replaced, and where files stand. Dropped jobs stay dropped. */
int up_plan_resolve(struct upload *u, struct err *e);
/* The file of that path in the last listing, or NULL. */
const struct hub_file *up_listed(const struct upload *u, const char *path);
/* True when the listing has path with this content; blob: git's id of it, "" when not known. */
bool up_is_listed(const struct upload *u, const char *path, const uint8_t sha256[SHA256_LEN],
		  const char *blob);
bool up_file_is_listed(const struct upload *u, const struct up_file *f);
bool up_own_is_listed(const struct upload *u, size_t i);

/* ---- uploader_companions.c */

/* Which files of a job may be shared. */
void up_find_companions(struct up_job *j);
/* Choose between root and folder for those of the wanted jobs. */
int up_place_companions(struct upload *u, struct err *e);

/* ---- uploader_check.c */

/* Does the last listing have path with the content of f? */
int up_is_at(struct upload *u, struct up_file *f, const char *path, bool *there, struct err *e);

/* Renew the listing. */
int up_list(struct upload *u, struct err *e);
/* What the hub has of the wanted files, and whether we can give the rest. *dropped is set when a
 * job turned out to be none that can be published. */
int up_check_wanted(struct upload *u, bool *dropped, struct err *e);
/* The hub's own listing has the last word: ERR_CONFLICT when something is not there as it was sent.
 */
int up_confirm(struct upload *u, struct err *e);

/* ---- uploader_send.c */

/* The commit to be: what changes against the listing. */
struct up_change {
	struct hub_file *files; /* .gitattributes first, the card last */
	size_t n, n_own;
	const char **gone;
	size_t n_gone;
};
void up_make_change(struct upload *u, struct up_change *c);
/* Tell the hub what is to come. *again: it wants a file otherwise, or not at all. */
int up_prepare(struct upload *u, bool *again, struct err *e);
/* Put the LFS objects. *again: a file is not what the store says, and its job was dropped. */
int up_put_objects(struct upload *u, bool *again, struct err *e);
/* Commit, in parts where the hub has limits; u->head is the last of them. */
int up_commit(struct upload *u, const struct up_change *c, struct err *e);

/* ---- uploader_content.c: the repository's own files */

/* Fill u->own with card, manifest and .gitattributes for the wanted jobs. */
int up_make_own(struct upload *u, struct err *e);

/* ---- uploader_journal.c: every change of the store */

/* Jobs that a dead upload left uploading are ready again. */
int up_recover(struct upload *u, struct err *e);
/* The artifact is not what the store says: the job is pending again and dropped. */
int up_gone(struct upload *u, struct up_job *j, const char *why, struct err *e);
/* The job cannot be published as it is; it stays ready with the reason. Said once, not at each
 * upload. */
int up_refuse(struct upload *u, struct up_job *j, const char *cause, const char *why,
	      struct err *e);
/* Take the wanted ready jobs: uploading, and a row for each file that is not there yet. *dropped is
 * set when somebody else moved one. */
int up_take(struct upload *u, bool *dropped, struct err *e);
int up_sent(struct upload *u, const struct up_job *j, const struct up_file *f, struct err *e);
/* uploader_drop.c: what the hub was seen to have leaves the disk. */
int up_drop(struct upload *u, struct err *e);
/* All is listed: rows and jobs are done, also the jobs that they replace. */
int up_done(struct upload *u, const char *commit, struct err *e);
/* The jobs we took are ready again, with what is in why. */
void up_failed(struct upload *u, const struct err *why);

#endif

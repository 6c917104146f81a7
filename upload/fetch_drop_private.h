/* upload/fetch_drop_private.h -- what is there of a repository in the cache, and what of it is
 * ours: fetch_drop_look.c for fetch_drop.c. */
#ifndef QUERN_UPLOAD_FETCH_DROP_PRIVATE_H
#define QUERN_UPLOAD_FETCH_DROP_PRIVATE_H

#include "upload/fetch_drop.h"
#include "upload/fetch_private.h"

#define DROP_DEPTH_MAX 16 /* of folders in a snapshot or below refs/ */

struct drop_entry { /* of a snapshot; folders are not listed themselves */
	const char *commit, *name;
	const char *etag; /* of the blob it links to; NULL: it is no such link */
	bool ours;
};

struct drop_snapshot {
	const char *commit;
	bool only_ours; /* else there is something that another program put there */
	bool keep;
	uint64_t gain_bytes;
	int64_t used_ns;
	const struct drop_repo *repo;
};

struct drop_repo {
	struct arena *a;
	const struct fetch_drop *o;
	const char *folder, *root;
	struct fetch_owned owned;
	struct drop_entry *entries; /* heap */
	size_t n_entries, cap;
	struct drop_snapshot *snapshots; /* in a */
	size_t n_snapshots;
	bool keep; /* one of its snapshots is kept */
};

/* Everything that links to blobs of this repository (a folder of the cache). Strings in a; release
 * what is not. */
void drop_repo_read(struct drop_repo *r, const struct fetch_drop *o, const char *folder,
		    struct arena *a);
void drop_repo_release(struct drop_repo *r);

/* Is the blob of something that stays when the snapshot (NULL: none) goes? */
bool drop_is_needed(const struct drop_repo *r, const char *etag,
		    const struct drop_snapshot *without);
/* Bytes on the disk of a blob that is ours; 0 when it is not, or has another name elsewhere. */
uint64_t drop_our_bytes(const struct drop_repo *r, const char *etag);

/* The names in a folder, sorted, ended by NULL; none when it cannot be read. In a. */
const char **drop_names(struct arena *a, const char *dir);

#endif

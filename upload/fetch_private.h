/* upload/fetch_private.h -- shared by fetch*.c. */
#ifndef QUERN_UPLOAD_FETCH_PRIVATE_H
#define QUERN_UPLOAD_FETCH_PRIVATE_H

#include <sys/stat.h>

#include "core/hash.h"
#include "core/json.h"
#include "upload/fetch.h"

#define FETCH_CONNECTIONS 8
#define FETCH_CHUNK ((uint64_t)16 << 20) /* one range; 8 of them are what a kill may cost */

bool fetch_is_commit(const char *s); /* 40 hex digits */
bool fetch_is_etag(const char *s);   /* 40 or 64 lower-case hex digits */
/* "/org/name/resolve/COMMIT/NAME", quoted; heap. */
char *fetch_resolve_path(const char *repo, const char *commit, const char *name);

/* ---- fetch_facts.c: config and tensor headers by range requests */
int fetch_facts(const struct fetch_options *o, struct arena *a, struct fetch_model *m,
		struct err *e);

/* ---- fetch_choose.c: the files of a listing that we need */
/* all: every file of the repository's root. Fills m->files. */
int fetch_choose(const struct fetch_options *o, struct arena *a, const struct fetch_file *all,
		 size_t n, struct fetch_model *m, struct err *e);

/* ---- fetch_memory.c: what was learned about a commit, as JSON */
/* 1 found, 0 not known (also when what is there cannot be read: it is made again). */
int fetch_recall(const struct fetch_options *o, const char *commit, struct arena *a,
		 struct fetch_model *m);
/* Losing it costs requests, so a failure is none. */
void fetch_remember(const struct fetch_options *o, const struct fetch_model *m);

/* ---- fetch_cache.c: the layout on the disk (huggingface_hub file_download.py) */
struct fetch_cache {
	char *root;	/* CACHE/models--org--name */
	char *blobs;	/* root/blobs */
	char *snapshot; /* root/snapshots/COMMIT */
	char *locks;	/* CACHE/.locks/models--org--name */
	int use_fd;	/* nobody drops the snapshot meanwhile: fetch_drop.h; -1: no locks here */
};
int fetch_cache_open(struct fetch_cache *c, const struct fetch_options *o, const char *commit,
		     struct err *e);
void fetch_cache_close(struct fetch_cache *c);
/* True when the snapshot has the file with its size. */
bool fetch_cache_has(const struct fetch_cache *c, const struct fetch_file *f);
/* True when the blob is there with its size: of this or another commit, ours or theirs. */
bool fetch_cache_has_blob(const struct fetch_cache *c, const struct fetch_file *f);
/* The lock of a blob: descriptor; -1 when the file system has no locks; ERR_BUSY when another
 * process has it and wait is false. */
int fetch_cache_lock(const struct fetch_cache *c, const char *etag, bool wait, int *fd,
		     struct err *e);
/* The link in the snapshot. */
int fetch_cache_link(const struct fetch_cache *c, const struct fetch_file *f, struct err *e);
/* refs/REVISION names the commit; nothing for a revision that is a commit. */
int fetch_cache_ref(const struct fetch_options *o, const char *commit, struct err *e);
/* 1 with the commit of refs/REVISION in out, 0 when there is none. */
int fetch_cache_read_ref(const struct fetch_options *o, char out[41]);

/* "models--org--name"; heap. */
char *fetch_cache_folder(const char *repo);

/* ---- fetch_owned.c: what quern itself put into the cache */
#define FETCH_OWNED_FILE ".quern" /* in a repository's folder of the cache */

struct fetch_owned_line {
	bool is_link;
	const char *word; /* etag or commit */
	const char *name; /* of the link; "" for blobs */
	int64_t inode, mtime_ns;
};
struct fetch_owned {
	struct fetch_owned_line *v;
	size_t n;
};
/* Before it gets its name; a failure is none. */
void fetch_owned_add_blob(const struct fetch_cache *c, const char *etag, const struct stat *st);
void fetch_owned_add_link(const struct fetch_cache *c, const char *name, const struct stat *st);
/* root: the repository's folder. Lines that cannot be understood are left out. */
void fetch_owned_read(struct arena *a, const char *root, struct fetch_owned *out);
/* Did quern put it there? st: lstat() of what is there now. */
bool fetch_owned_blob(const struct fetch_owned *o, const char *etag, const struct stat *st);
bool fetch_owned_link(const struct fetch_owned *o, const char *commit, const char *name,
		      const struct stat *st);

/* ---- fetch_use.c: fetch_drop.h's fetch_use() from the other side */
/* flock(2): 1 locked, 0 somebody has it, -1 no locks here. */
int fetch_flock(int fd, int operation);
/* Nobody uses the snapshot, nor may from now on: the descriptor to close, or -1. */
int fetch_use_alone(const char *cache, const char *folder, const char *commit);
/* Its last use, ns since the epoch; 0: none that is known. */
int64_t fetch_use_last(const char *cache, const char *folder, const char *commit);

/* ---- fetch_part.c: one blob on its way */
enum chunk_state { CHUNK_TODO, CHUNK_ASKED, CHUNK_DONE };

struct fetch_part {
	const struct fetch_cache *cache;
	const struct fetch_file *file;
	char *path, *journal; /* blobs/ETAG.quern-part, ....quern-part.done */
	int fd, journal_fd, lock_fd;
	unsigned char *chunks; /* chunk_state of each */
	uint64_t n_chunks, n_done;
	uint64_t n_ready; /* the first that are done */
	/* of the thread that hashes */
	uint64_t hashed_chunks;
	struct sha256 *sha256;
	struct sha1 *sha1;
};

/* Open what an earlier try left, or begin; all room is taken now. lock_fd is the part's from here.
 * ERR_NOSPACE says how much is missing. */
int fetch_part_open(struct fetch_part *p, const struct fetch_cache *c, const struct fetch_file *f,
		    int lock_fd, struct err *e);
void fetch_part_close(struct fetch_part *p); /* what came stays */
/* The blob is there: nobody will go on with what an earlier try left. Under the blob's lock. */
void fetch_part_forget(const struct fetch_cache *c, const char *etag);
uint64_t fetch_part_done_bytes(const struct fetch_part *p);
/* The next chunk nobody asked for: 1 with its place, 0 none. */
int fetch_part_next(struct fetch_part *p, uint64_t *chunk, uint64_t *first, uint64_t *bytes);
int fetch_part_write(struct fetch_part *p, uint64_t offset, const void *data, size_t n,
		     struct err *e);
int fetch_part_chunk_done(struct fetch_part *p, uint64_t chunk, struct err *e);
/* How many chunks are done from the first one on. */
uint64_t fetch_part_ready(struct fetch_part *p);
/* Hash the next one, which is done. May run beside all of the above. */
int fetch_part_hash(struct fetch_part *p, struct err *e);
/* All chunks are done: 1 it has the right hash and is a blob now; 0 it has not, and is begun anew.
 */
int fetch_part_finish(struct fetch_part *p, struct err *e);

#endif

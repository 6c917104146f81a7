/* upload/hub.h -- what every hub can do, whatever it speaks. Blocking; used in
 * a child process of quern or in `quern upload`. hub_local.c is a folder,
 * hub_http.c the Hub's API, hub_git.c any git server with LFS. */
#ifndef QUERN_UPLOAD_HUB_H
#define QUERN_UPLOAD_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/hash.h"

#define HUB_BLOB_ID 41 /* SHA-1 in hex and the NUL */

/* One file of a repository, as it is or as it should be. */
struct hub_file {
	const char *path;  /* in the repository; path_relative_ok() */
	const char *local; /* absolute path of the content; NULL: data */
	const char *data;  /* content in memory, for small generated files */
	uint64_t size_bytes;
	uint8_t sha256[SHA256_LEN]; /* of the content; in a listing only when blob is NULL */
	const char *blob; /* in a listing: the git blob's id, of a plain file whose content the hub
			   * does not hash otherwise */
	int lfs;	  /* stored as an LFS object behind a pointer: lfs_wanted() */
};

struct hub;

struct hub_part {
	const char *upload; /* the server's name of the upload, nothing secret in it */
	uint64_t chunk_bytes;
	size_t number; /* from 0 */
};

/* What put() reports, file by file, in any order. Negative stops it, with that code. */
struct hub_put {
	/* The hub has the content of files[i]; sent: its bytes went over the wire just now. */
	int (*stored)(void *ctx, size_t i, bool sent, struct err *e);
	/* The local content is not what files[i] says: nothing of it is on the hub. */
	int (*changed)(void *ctx, size_t i, const char *why, struct err *e);
	/* For objects that go in parts, so that an interrupted upload goes on with the missing
	 * ones: a part is there under this ETag; and which ETag did an earlier life hear, heap,
	 * NULL if none. Both may be NULL. */
	int (*part_stored)(void *ctx, size_t i, const struct hub_part *p, const char *etag,
			   struct err *e);
	int (*part_known)(void *ctx, size_t i, const struct hub_part *p, char **etag,
			  struct err *e);
	void *ctx;
};

/* LFS contents of `files` are already put; `gone` paths go, the rest stays. */
struct hub_commit {
	const char *parent;  /* the head the caller saw; "" for none */
	const char *message; /* a line, and after an empty line more */
	const struct hub_file *files;
	size_t n;
	const char *const *gone;
	size_t n_gone;
};

struct hub_ops {
	const char *kind; /* "local", "git", "http" */
	/* More than this in one commit is refused or slow; the caller splits. 0: no limit. */
	size_t commit_files;
	uint64_t commit_inline_bytes; /* of plain files */
	/* Make the repository if it is not there ("ns/name"). Never called before there is
	 * something to commit. */
	int (*create)(struct hub *h, const char *repo, int is_private, struct err *e);
	/* The files of the default branch's head, sorted by path, into a; n 0 and *head "" when
	 * there is no repository or no commit. LFS files report the object's size and hash, not the
	 * pointer's. */
	int (*list)(struct hub *h, const char *repo, struct arena *a, struct hub_file **files,
		    size_t *n, const char **head, struct err *e);
	/* have[i]: the hub has this LFS content for this repository. */
	int (*have)(struct hub *h, const char *repo, const struct hub_file *files, size_t n,
		    bool *have, struct err *e);
	/* Ask how the hub will take these files, before anything is sent; the repository is there.
	 * Sets lfs where the hub wants it. refused[i] (in a): why the hub would not take files[i],
	 * else NULL. NULL: whatever the caller decides is fine. */
	int (*prepare)(struct hub *h, const char *repo, struct hub_file *files, size_t n,
		       struct arena *a, const char **refused, struct err *e);
	/* ERR_INVALID: the hub would refuse this README.md; the repository need not be there. NULL:
	 * every card is fine. */
	int (*check_card)(struct hub *h, const char *text, size_t len, struct err *e);
	/* Put LFS objects; safe to repeat; each complete or absent after a crash. The repository is
	 * there. Each content is compared with its hash before the hub may believe it. The first
	 * error ends it, after what was in flight. */
	int (*put)(struct hub *h, const char *repo, const struct hub_file *files, size_t n,
		   const struct hub_put *report, struct err *e);
	/* Read a small file of the head (at most max bytes) into a. ERR_NOTFOUND; ERR_NOSPACE: it
	 * has more. */
	int (*read)(struct hub *h, const char *repo, const char *path, size_t max, struct arena *a,
		    const char **data, size_t *len, struct err *e);
	/* Read up to len bytes of a listed file's content, from offset; *got is less only at its
	 * end. They are what the hub has: nothing is compared with f->sha256. ERR_NOTFOUND: the
	 * content is not there; ERR_CORRUPT: it has another size than the hub lists. */
	int (*read_at)(struct hub *h, const char *repo, const struct hub_file *f, uint64_t offset,
		       void *data, size_t len, size_t *got, struct err *e);
	/* One commit. ERR_CONFLICT if the branch moved, or perhaps did: list again. The caller
	 * leaves out what the listing has already: a hub may commit even nothing. */
	int (*commit)(struct hub *h, const char *repo, const struct hub_commit *c, struct arena *a,
		      const char **id, struct err *e);
	/* Where a person finds it: a page, or a URL for `git clone`, in a. */
	const char *(*url)(struct hub *h, const char *repo, struct arena *a);
	void (*close)(struct hub *h);
};

struct hub {
	const struct hub_ops *ops;
	bool slow_down; /* the last failure was the hub asking for less */
};

/* What a failure of an operation says about the rest of the work. */
enum hub_verdict {
	HUB_STOP,      /* this repository needs a person; others may be fine */
	HUB_LATER,     /* the same request may work later: 5xx, timeouts, conflicts */
	HUB_SLOW_DOWN, /* 429 to the end of patience: all uploads should wait */
};
enum hub_verdict hub_verdict(const struct hub *h, int code);
const char *hub_verdict_name(enum hub_verdict v); /* "stop", "later", "slow_down" */

struct hub_options {
	const char *work;  /* absolute: WORK/hub, WORK/cache and scratch files */
	int jobs;	   /* files and parts in flight; 0: the default */
	bool pull_request; /* propose commits in a pull request, where the hub has them */
	const char *user;  /* of a git server, beside the token; NULL: "quern" */
};

/* Open a hub by its name in jobs.yaml: "local" is WORK/hub, "https://HOST" speaks the Hub's API
 * (huggingface.co is where HF_ENDPOINT says), "git+https://HOST/PATH" is a git server with LFS.
 * Sends nothing. The token comes from the environment: as the official client finds it, for a git
 * server QUERN_GIT_TOKEN. ERR_INVALID: not the name of a hub. */
int hub_open(const char *hub_name, const struct hub_options *o, struct hub **out, struct err *e);
/* Is all there that publishing to it needs? ERR_ENV: no token, and how to get one. Sends nothing.
 */
int hub_check_token(const char *hub_name, struct err *e);
void hub_close(struct hub *h); /* NULL is fine */

/* Open the hub at a folder, absolute; made when there is something to put there. */
int hub_local_open(const char *folder, struct hub **out, struct err *e);

/* "ns/name", as folders and as hubs take it: two parts of A-Z a-z 0-9 _ . -, each starting with a
 * letter, a digit or '_', no "..", not ending in '.', ".git" or ".lock"; at most 96 bytes.
 * ERR_INVALID says what is wrong. */
int hub_repo_check(const char *repo, struct err *e);
/* Git's id of this content: SHA-1 over "blob SIZE", a NUL, and the content. */
void hub_blob_id(const void *data, size_t len, char blob[HUB_BLOB_ID]);
/* True for a path that may stand in a repository: path_relative_ok(), and no component that git or
 * a hub's client takes for its own (".git" in any spelling, ".cache"). */
int hub_path_ok(const char *path);

#endif

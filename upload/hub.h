/* upload/hub.h -- what every hub can do, whatever it speaks. Blocking; used in
 * a child process of quern or in `quern upload`. The local hub is hub_local.c;
 * git servers and the Hub's HTTP API implement the same table. */
#ifndef QUERN_UPLOAD_HUB_H
#define QUERN_UPLOAD_HUB_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/hash.h"

/* One file of a repository, as it is or as it should be. */
struct hub_file {
	const char *path;  /* in the repository; path_relative_ok() */
	const char *local; /* absolute path of the content; NULL: data */
	const char *data;  /* content in memory, for small generated files */
	uint64_t size_bytes;
	uint8_t sha256[SHA256_LEN]; /* of the content */
	int lfs;		    /* stored as an LFS object behind a pointer: lfs_wanted() */
};

struct hub;

struct hub_ops {
	const char *kind; /* "local", "git", "http" */
	/* Make the repository if it is not there ("ns/name"). Never called before there is
	 * something to commit. */
	int (*create)(struct hub *h, const char *repo, int is_private, struct err *e);
	/* The files of the default branch's head, sorted by path, into a; n 0 and *head "" when
	 * there is no repository or no commit. LFS files report the object's size and hash, not the
	 * pointer's. */
	int (*list)(struct hub *h, const char *repo, struct arena *a, struct hub_file **files,
		    size_t *n, const char **head, struct err *e);
	/* 1 if the hub has this content for this repository, 0 if not. */
	int (*have)(struct hub *h, const char *repo, const uint8_t sha256[SHA256_LEN],
		    uint64_t size_bytes, struct err *e);
	/* Put one LFS object; safe to repeat; complete or absent after a crash. The repository is
	 * there. The caller has just compared the content with f->sha256. */
	int (*put)(struct hub *h, const char *repo, const struct hub_file *f, struct err *e);
	/* Read a small file of the head (at most max bytes) into a. ERR_NOTFOUND. */
	int (*read)(struct hub *h, const char *repo, const char *path, size_t max, struct arena *a,
		    const char **data, size_t *len, struct err *e);
	/* Read up to len bytes of a listed file's content, from offset; *got is less only at its
	 * end. They are what the hub has: nothing is compared with f->sha256. ERR_NOTFOUND: the
	 * content is not there. */
	int (*read_at)(struct hub *h, const char *repo, const struct hub_file *f, uint64_t offset,
		       void *data, size_t len, size_t *got, struct err *e);
	/* One commit: add or replace `files` (LFS contents are already put), remove `gone` paths,
	 * keep the rest. parent: the head the caller saw ("" for none); ERR_CONFLICT if the branch
	 * moved. No change of the tree: no commit, *commit is the parent. */
	int (*commit)(struct hub *h, const char *repo, const char *parent, const char *message,
		      const struct hub_file *files, size_t n, const char *const *gone,
		      size_t n_gone, struct arena *a, const char **commit, struct err *e);
	/* Where a person finds it: a URL for `git clone`, in a. What to tell people (the third
	 * command does nothing for those who have Git LFS set up already; without it, pull checks
	 * nothing out): git clone URL DIR && cd DIR && git lfs install --local && git lfs pull */
	const char *(*url)(struct hub *h, const char *repo, struct arena *a);
	void (*close)(struct hub *h);
};

struct hub {
	const struct hub_ops *ops;
};

/* Open a hub by its name in jobs.yaml: "local" is WORK/hub. work: absolute. ERR_ENV: a hub that
 * this version does not speak to; ERR_INVALID: not the name of a hub. */
int hub_open(const char *hub_name, const char *work, struct hub **out, struct err *e);
void hub_close(struct hub *h); /* NULL is fine */

/* Open the hub at a folder, absolute; made when there is something to put there. */
int hub_local_open(const char *folder, struct hub **out, struct err *e);

/* "ns/name", as folders and as hubs take it: two parts of A-Z a-z 0-9 _ . -, each starting with a
 * letter, a digit or '_', no "..", not ending in '.', ".git" or ".lock"; at most 96 bytes.
 * ERR_INVALID says what is wrong. */
int hub_repo_check(const char *repo, struct err *e);
/* True for a path that may stand in a repository: path_relative_ok(), and no component that git or
 * a hub's client takes for its own (".git" in any spelling, ".cache"). */
int hub_path_ok(const char *path);

#endif

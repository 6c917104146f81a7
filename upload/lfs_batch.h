/* upload/lfs_batch.h -- the batch API of Git LFS and the Hub's multipart form of
 * it: the request, and the answer of a stranger. Pure. Sources: git-lfs
 * docs/api/batch.md, docs/api/basic-transfers.md; huggingface_hub lfs.py. */
#ifndef QUERN_UPLOAD_LFS_BATCH_H
#define QUERN_UPLOAD_LFS_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "upload/hub.h"

#define LFS_BATCH_MAX 256 /* objects a call; huggingface_hub UPLOAD_BATCH_MAX_NUM_FILES */
#define LFS_MIME "application/vnd.git-lfs+json"

enum lfs_operation { LFS_UPLOAD, LFS_DOWNLOAD };

/* Append the request for files[n] (n <= LFS_BATCH_MAX, no content twice). */
void lfs_batch_write(struct buf *b, enum lfs_operation op, const struct hub_file *files, size_t n);

enum lfs_way {
	LFS_STORED,    /* the server has it: nothing to do */
	LFS_BASIC,     /* one PUT */
	LFS_MULTIPART, /* a PUT for each part, then a POST with their ETags */
	LFS_REFUSED,   /* error and error_code say why */
};

struct http_header;

struct lfs_action {
	const char *href; /* NULL: there is no such action */
	struct http_header *headers;
	size_t n_headers;
};

struct lfs_answer {
	enum lfs_way way;
	struct lfs_action upload; /* of LFS_MULTIPART: where to complete it; no headers */
	struct lfs_action verify;
	struct lfs_action download; /* where it can be read */
	uint64_t chunk_bytes;	    /* of LFS_MULTIPART: of each part but the last */
	const char **parts;	    /* URLs, the first part's first */
	size_t n_parts;
	int error_code;
	const char *error;
};

/* out[i] is what the answer says of files[i]; all strings in a, unread and unresolved URLs. ERR_IO:
 * it is no answer to what was asked. */
int lfs_batch_parse(struct arena *a, enum lfs_operation op, const char *text, size_t len,
		    const struct hub_file *files, size_t n, struct lfs_answer *out, struct err *e);

/* The body that completes a multipart upload: etags[n], as the server gave them. */
void lfs_complete_write(struct buf *b, const struct hub_file *f, const char *const *etags,
			size_t n);
/* The body of a verify action. */
void lfs_verify_write(struct buf *b, const struct hub_file *f);

#endif

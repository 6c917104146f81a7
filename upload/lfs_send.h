/* upload/lfs_send.h -- LFS objects to a server over HTTP: batch, basic PUT, the
 * Hub's multipart, verify; several files and several parts of one at once. Each
 * file is hashed once, by a thread that reads ahead of the sending; a basic PUT
 * begins, and a multipart upload is completed, only when the hash is right. */
#ifndef QUERN_UPLOAD_LFS_SEND_H
#define QUERN_UPLOAD_LFS_SEND_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "upload/http.h"
#include "upload/hub.h"
#include "upload/lfs_batch.h"

struct lfs_remote {
	struct http *http;
	const char *path; /* of the LFS API, below the endpoint: "/org/name.git/info/lfs" */
	struct http_subject about;
	int jobs;	 /* files and parts in flight, at least 1 */
	bool *slow_down; /* set when a failure was a 429; may be NULL */
};

/* have[i]: what the operation's batch says of files[i]: LFS_UPLOAD: it need not be sent;
 * LFS_DOWNLOAD: it can be fetched. */
int lfs_ask(const struct lfs_remote *r, enum lfs_operation op, const struct hub_file *files,
	    size_t n, bool *have, struct err *e);

/* As put() of struct hub_ops. */
int lfs_send(const struct lfs_remote *r, const struct hub_file *files, size_t n,
	     const struct hub_put *report, struct err *e);

#endif

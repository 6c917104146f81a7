/* upload/lfs_send_private.h -- lfs_send.c asks the batch API and decides what is
 * in flight; lfs_object.c brings one object to the server. */
#ifndef QUERN_UPLOAD_LFS_SEND_PRIVATE_H
#define QUERN_UPLOAD_LFS_SEND_PRIVATE_H

#include "core/arena.h"
#include "upload/lfs_hasher.h"
#include "upload/lfs_send.h"

struct lfs_sender;

/* A content to be sent; several files may have it. */
struct lfs_object {
	struct lfs_sender *sender;
	const struct hub_file *f;
	size_t place; /* among those of its batch that are sent: the hasher's index */
	size_t first; /* of the files with this content: an index into sender->order */
	size_t n;     /* how many they are */
	struct lfs_answer answer;
	struct arena *a; /* of an answer of its own, after the first ran out; or NULL */
	int fd;		 /* -1: not open */
	bool started, over;
	bool hash_ok;
	bool expired;	 /* its addresses are not valid any more */
	int renewals;	 /* without a part stored since */
	int completions; /* that the server refused */
	/* of a multipart upload */
	char *upload_name; /* NULL: nothing names it, so no other life can go on with it */
	bool distrusted;   /* parts of other lives: the server did not take them */
	char **etags;	   /* NULL: not stored yet */
	size_t next_part, parts_stored;
	int parts_active;
};

struct lfs_sender {
	const struct lfs_remote *r;
	const struct hub_file *files;
	size_t *order; /* indices of files, by content */
	const struct hub_put *report;
	struct http_pool *pool;
	struct lfs_hasher *hasher;
	struct lfs_object *objects; /* of one batch, those that are sent */
	size_t n_objects, next;	    /* the first one that is not started */
	size_t n_hashed;	    /* results that were looked at */
	int active;
	struct err err; /* the first failure: nothing new starts */
};

/* ---- lfs_send.c */

/* The first failure stays; the rest in flight goes on to its end. */
void lfs_sender_fail(struct lfs_sender *s, const struct err *e);
/* Start what has room. */
void lfs_sender_pump(struct lfs_sender *s);
/* The object has its end: stored, changed, or failed. What is under way of it still uses its file.
 */
void lfs_object_over(struct lfs_object *o);
/* A batch of one object, into a: 0 with *out set. */
int lfs_read_batch(const struct lfs_remote *r, struct arena *a, const struct http_response *rs,
		   enum lfs_operation op, const struct hub_file *files, size_t n,
		   struct lfs_answer *out, struct err *e);
/* The request of a batch; body: of lfs_batch_write(). */
void lfs_batch_request(const struct lfs_remote *r, const struct buf *body, const char *path,
		       struct http_header headers[2], struct http_request *rq);

/* ---- lfs_object.c */

/* Begin to send. A basic upload is started when its hash is right. */
void lfs_object_start(struct lfs_object *o);
/* The hash has come, and is right. */
void lfs_object_hashed(struct lfs_object *o);
void lfs_object_release(struct lfs_object *o);

#endif

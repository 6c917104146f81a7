/* upload/lfs_send_private.h -- lfs_send.c asks the batch API and decides what is
 * in flight; lfs_object.c brings one object to the server, by the requests of
 * lfs_step.c, lfs_parts.c knowing which parts are there. */
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
/* Ask about files[n], at most LFS_BATCH_MAX: 0 with out[n] set, in a. */
int lfs_ask_batch(const struct lfs_remote *r, struct arena *a, enum lfs_operation op,
		  const struct hub_file *files, size_t n, struct lfs_answer *out, struct err *e);
/* What an answer of LFS_REFUSED means; returns the code. */
int lfs_refusal(const struct hub_file *f, const struct lfs_answer *answer, struct err *e);
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
/* It cannot be sent; nothing new starts. */
void lfs_object_fail(struct lfs_object *o, const struct err *e);
void lfs_object_fail_with(struct lfs_object *o, int code, const char *what);
/* The ending of every step: http_done_fn. */
void lfs_object_on_done(void *ctx, const struct http_request *rq, struct http_response *rs,
			const struct err *e);

/* ---- lfs_step.c */

#define LFS_HEADERS_ROOM 72 /* lfs_batch.c lets 64 through, and ours */

enum lfs_step_kind {
	LFS_STEP_PUT,
	LFS_STEP_PART,
	LFS_STEP_COMPLETE,
	LFS_STEP_VERIFY,
	LFS_STEP_RENEW,
};

/* One request of an object; it owns what the request points to. */
struct lfs_step {
	struct lfs_object *o;
	enum lfs_step_kind kind;
	size_t part;
	char *url;
	struct buf body;
	struct http_header headers[LFS_HEADERS_ROOM];
	size_t n_headers;
};

void lfs_step_put(struct lfs_object *o);
void lfs_step_part(struct lfs_object *o, size_t part);
void lfs_step_complete(struct lfs_object *o);
void lfs_step_verify(struct lfs_object *o);
void lfs_step_renew(struct lfs_object *o); /* the batch again, of this object */
void lfs_step_free(struct lfs_step *q);

/* An address of the server's answer, as it is to be used: absolute, and at home behind a mirror.
 * Heap; NULL: it is none. */
char *lfs_address(const struct lfs_remote *r, const char *href);
/* Append an action's own headers, without those that the client decides itself; returns whether
 * they say who we are. */
bool lfs_action_headers(const struct lfs_action *action,
			struct http_header headers[LFS_HEADERS_ROOM], size_t *n);

/* ---- lfs_parts.c */

/* Send what is missing; parts of an earlier life are not. */
void lfs_parts_start(struct lfs_object *o);
/* More parts, or the completion when all are there and the hash is right. */
void lfs_parts_pump(struct lfs_object *o);
void lfs_parts_stored(struct lfs_step *q, const struct http_response *rs);
void lfs_parts_forget(struct lfs_object *o);
/* Parts that are stored stay so when the server goes on with the same upload. */
bool lfs_parts_same(const struct lfs_answer *x, const struct lfs_answer *y);

#endif

/* upload/http_private.h -- what the client's files share. */
#ifndef QUERN_UPLOAD_HTTP_PRIVATE_H
#define QUERN_UPLOAD_HTTP_PRIVATE_H

#include <curl/curl.h>

#include "upload/http.h"

#define HTTP_BODY_MAX ((size_t)16 << 20)  /* of a good answer, when the caller says nothing */
#define HTTP_ERROR_MAX ((size_t)64 << 10) /* of a bad answer; the rest is dropped */
#define HTTP_HEADERS_MAX 128
#define HTTP_HEADERS_BYTES_MAX ((size_t)64 << 10)
#define HTTP_HOPS_MAX 10

struct http_field {
	char *name, *value;
};

struct http {
	char *endpoint, *token, *user;
	char *authorization; /* the header's value; NULL: anonymous */
	bool offline, own_budget, direct;
	bool (*stopped)(void);
	enum http_fault_class last_fault; /* of the last bad ending */
	struct http_budget *budget;
	struct http_policy policy;
	struct http_clock clock;
	struct http_pool *calls; /* of http_call(): its connections stay open between calls */
};

struct http_ending { /* for the caller of http_call() */
	struct http_response rs;
	struct err err;
};

/* One request from its start to its ending. */
struct http_transfer {
	struct http_transfer *next;
	struct http *h;
	struct http_request rq;
	struct http_ending *call; /* NULL: rq.on_done */
	struct http_response rs;
	char *url;  /* of this hop; rs.url is a copy for the caller */
	char *home; /* the request's own URL, absolute */
	int hops;
	int failures, slow; /* without progress; 429 are counted apart */
	int64_t failing_since_ms, not_before_ms;

	/* of this attempt */
	CURL *easy;
	struct curl_slist *headers;
	char reason[CURL_ERROR_SIZE];
	uint64_t sent_bytes;	       /* of the request's body */
	uint64_t attempt_bytes;	       /* of the answer's body */
	enum http_fault_class verdict; /* a callback stopped it, with the sentence in err */
	struct err err;
};

/* ---- http_transfer.c: one attempt */

/* A request that fails before anything is sent (offline, no URL) has verdict set. */
struct http_transfer *http_transfer_new(struct http *h, const struct http_request *rq);
void http_transfer_free(struct http_transfer *t);
/* Make t->easy for t->url. */
void http_transfer_begin(struct http_transfer *t);
/* Close t->easy. rc is how it ended; t->rs.fault says what that means: NONE also for a 3xx. */
void http_transfer_end(struct http_transfer *t, CURLcode rc);
/* After an end with a 3xx: 1 when t->url is now the next hop, 0 when the 3xx is the ending,
 * negative when the fault is set. */
int http_transfer_redirect(struct http_transfer *t);

/* ---- http_fault.c: what an ending means */

/* Class of an answer; elsewhere: it is not from the endpoint. Fills code and wait_ms too. */
void http_fault_of_answer(const struct http_response *rs, bool elsewhere, struct http_fault *f);
/* RateLimit and Retry-After; -1: the hub names no time. */
int64_t http_asked_wait_ms(const struct http_response *rs);
/* The sentence of an ending; returns the err_code of its class. */
int http_explain(const struct http_transfer *t, struct err *e);
/* "404", "403" ... as a class may be tried again. */
bool http_fault_repeats(const struct http_transfer *t);

/* ---- http_wait.c: when the next attempt is */

/* Milliseconds until the next attempt, or -1: give up. Counts the failure. */
int64_t http_next_attempt(struct http_transfer *t, int64_t now_ms);
/* The n-th wait (from 0) of a policy; random: any 32 bits. */
int64_t http_backoff_ms(const struct http_policy *p, int n, uint32_t random);
/* ms to wait before anything may be asked. */
int64_t http_budget_wait_ms(struct http_budget *b, int64_t now_ms);
void http_budget_delay(struct http_budget *b, int64_t now_ms, int64_t wait_ms);

/* ---- http_url.c */

/* Absolute form of a request's URL, or NULL. Heap. */
char *http_url_absolute(const struct http *h, const char *url);

#endif

/* upload/http.h -- one HTTP client for hubs: retries, redirects by hand, a
 * shared budget, and endings that say what to do. http*.c are the only users
 * of curl/curl.h. Open, call or fill a pool, close; one thread a client.
 *
 * The token goes to the endpoint's scheme, host and port and nowhere else,
 * whatever a redirect or a URL says. No message holds a token or the query of
 * a URL. */
#ifndef QUERN_UPLOAD_HTTP_H
#define QUERN_UPLOAD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

/* ---- the client */

/* When a request is tried again. 429 waits and 5xx with Retry-After wait as the hub says. */
struct http_policy {
	int attempts;	  /* without progress, 429 not counted; 1: never again */
	int64_t first_ms; /* wait after the first failure, doubled each time, half of it random */
	int64_t max_ms;	  /* longest such wait */
	int64_t deadline_ms; /* of all attempts since the last progress; 0: none */
};
/* 6 attempts, 1 s to 30 s, an hour (a hub's quotas per hour are waited for). */
extern const struct http_policy http_policy_default;

/* Time and chance, for tests; NULL in the options: the real ones. */
struct http_clock {
	int64_t (*now_ms)(void *ctx);
	void (*sleep_ms)(void *ctx, int64_t ms); /* while nothing is being transferred */
	uint32_t (*random)(void *ctx);
	void *ctx;
};

/* One wait for all: what was told to slow down delays every request that shares the budget. With a
 * path (may be NULL), all processes that give the same one share it, and it outlives them. */
struct http_budget;
struct http_budget *http_budget_new(const char *path);
void http_budget_free(struct http_budget *b); /* NULL is fine */

struct http_options {
	const char *endpoint;	    /* "https://host[:port][/prefix]", no slash at the end needed */
	const char *token;	    /* copied, wiped at close; NULL: anonymous */
	const char *user;	    /* of a git server: Basic with the token as password; NULL: a
				     * hub, Bearer. Copied. */
	bool offline;		    /* every request is refused here */
	struct http_budget *budget; /* borrowed; NULL: one of its own */
	const struct http_policy *policy; /* copied; NULL: the default */
	const struct http_clock *clock;	  /* copied; NULL: real */
	bool direct; /* through no proxy, whatever the environment says */
	/* Asked about once a second and more often: when it says true, what goes on ends with
	 * ERR_CANCELLED. NULL: never. */
	bool (*stopped)(void);
};

struct http;

/* ERR_INVALID: the endpoint is no http(s) URL, or the token cannot stand in a header. */
int http_open(const struct http_options *o, struct http **out, struct err *e);
void http_close(struct http *h);		 /* NULL is fine */
const char *http_endpoint(const struct http *h); /* without a slash at the end */
/* The cause (db/cause.h) that the last bad ending is of; "" before one, or when it is of none. */
const char *http_last_cause(const struct http *h);
bool http_has_token(const struct http *h);
bool http_is_basic(const struct http *h); /* opened with a user */

/* ---- a request */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE };

enum http_redirects {
	HTTP_REDIRECT_SAME, /* inside the endpoint's origin; another target is a good ending with
			     * its 3xx and Location */
	HTTP_REDIRECT_NONE, /* a 3xx is a good ending */
	HTTP_REDIRECT_ANY,  /* also elsewhere: without the token and the request's headers */
};

struct http_header {
	const char *name, *value;
};

/* What it is about, for the sentence of an error; all may be NULL. */
struct http_subject {
	const char *repo; /* "org/name" */
	const char *page; /* its page below the endpoint, "datasets/org/name"; NULL: repo */
	const char *revision, *file;
};

struct http_response;
struct http_request;

/* Body bytes of a good answer, in order; offset: in the whole resource when `range_bytes` is set,
 * else in the body. Negative stops the request with that code. A second attempt without a range
 * starts again at offset 0. */
typedef int (*http_data_fn)(void *ctx, uint64_t offset, const void *p, size_t n, struct err *e);
/* The one ending of a request in a pool: e->code is 0 or what http_call() would have returned. */
typedef void (*http_done_fn)(void *ctx, const struct http_request *rq, struct http_response *rs,
			     const struct err *e);

/* All pointers are borrowed until the ending. Zero is a good default everywhere. */
struct http_request {
	enum http_method method;
	const char *url; /* absolute, or a path below the endpoint that starts with '/' */
	const struct http_header *headers;
	size_t n_headers;
	struct http_subject about;

	const void *body; /* in memory, or from body_fd by pread() when NULL and body_bytes > 0 */
	int body_fd;
	uint64_t body_offset, body_bytes;

	uint64_t range_first, range_bytes; /* Range; bytes 0: the whole resource. Anything but a
					    * fitting 206 is HTTP_FAULT_RANGE, but for a 200 of
					    * exactly the whole range from 0. An attempt goes on
					    * where the last one broke. */
	enum http_redirects redirects;

	http_data_fn on_data; /* NULL: into http_response.body */
	size_t body_max;      /* of http_response.body; 0: 16 MiB. More is HTTP_FAULT_PROTOCOL */
	bool want_json;	      /* a good answer of another type is HTTP_FAULT_PROTOCOL */
	bool bulk;	      /* its own connection (HTTP/1.1): parallel streams add up */
	bool no_token;	      /* do not send the token even to the endpoint */

	int64_t connect_ms;   /* 0: 15 s */
	unsigned floor_bytes; /* slower than this (bytes/s) ... 0: 1024 */
	unsigned floor_s;     /* ... for so long is a stall, also while the hub thinks; 0: 30 s */
	int64_t total_ms;     /* of one attempt; 0: none */
	const struct http_policy *policy; /* NULL: the client's */

	http_done_fn on_done; /* for pools */
	void *ctx;	      /* for on_data and on_done */
};

/* ---- an ending */

enum http_fault_class {
	HTTP_FAULT_NONE,
	HTTP_FAULT_RETRY, /* 408, 5xx, broken connection: was tried again until the policy's end */
	HTTP_FAULT_SLOW_DOWN, /* 429 until the policy's end */
	HTTP_FAULT_AUTH,      /* the token is missing, wrong, or may not do this */
	HTTP_FAULT_GATED,
	HTTP_FAULT_DISABLED,
	HTTP_FAULT_NOT_FOUND, /* repository, revision or file: see code */
	HTTP_FAULT_EXPIRED,   /* 403 of a signed URL elsewhere: ask for a new one */
	HTTP_FAULT_CONFLICT,  /* 409, 412 */
	HTTP_FAULT_TOO_LARGE, /* 413 */
	HTTP_FAULT_RANGE,     /* 416, or the range was ignored or answered wrongly */
	HTTP_FAULT_INVALID,   /* any other 4xx */
	HTTP_FAULT_TLS,
	HTTP_FAULT_DNS,
	HTTP_FAULT_OFFLINE,  /* HF_HUB_OFFLINE; nothing was sent */
	HTTP_FAULT_PROTOCOL, /* HTML in place of JSON, a redirect loop, a lie */
	HTTP_FAULT_LOCAL,    /* on_data refused: disk full ... */
};

#define HTTP_CODE_MAX 48

struct http_fault {
	enum http_fault_class class;
	int status;		  /* 0: no answer */
	char code[HTTP_CODE_MAX]; /* X-Error-Code, "" if none */
	int64_t wait_ms;	  /* what the hub asked for; -1: nothing */
};

struct http_response {
	int status;
	struct http_fault fault;
	struct http_field *headers; /* of the last answer; http_header() */
	size_t n_headers, headers_cap, headers_bytes;
	struct buf body;    /* of a good answer without on_data, or of a bad one (64 KiB at most) */
	char *url;	    /* the last one asked, with its query: not for messages */
	uint64_t got_bytes; /* given to on_data or body by the attempts, ranges joined */
	uint64_t total_bytes; /* of the resource: Content-Range or Content-Length; 0: not told */
	int attempts;
};
void http_response_release(struct http_response *rs);

/* Value of a header of the last answer (any case), or NULL. */
const char *http_header(const struct http_response *rs, const char *name);

/*
 * One request, tried as the policy says, to its ending. rs is initialised here and always has to be
 * released. 0: a 2xx (or a 3xx that is not followed). Else, with one sentence in e and rs->fault:
 * ERR_NOTFOUND (not found), ERR_ENV (auth, gated, disabled, tls, offline), ERR_CONFLICT,
 * ERR_NOSPACE (too large), ERR_INVALID (invalid), ERR_BUSY (retry, slow down, dns: later it may
 * work), ERR_IO (protocol, range, expired), or what on_data returned.
 */
int http_call(struct http *h, const struct http_request *rq, struct http_response *rs,
	      struct err *e);

/* ---- many at once */

struct http_pool;

/* At most max_active requests are in flight; the others wait in the order in which they came. */
struct http_pool *http_pool_new(struct http *h, int max_active);
void http_pool_free(struct http_pool *p); /* NULL is fine; what is in flight ends without on_done */
void http_pool_add(struct http_pool *p, const struct http_request *rq); /* rq->on_done is set */
/* Until every request, also those that endings add, has ended. ERR_CANCELLED after a stop. */
int http_pool_run(struct http_pool *p, struct err *e);
/* For work that other threads do for the pool: wake() may come from any of them, and on_wake is
 * then called inside run(), which goes on while something is held. */
void http_pool_on_wake(struct http_pool *p, void (*on_wake)(void *ctx), void *ctx);
void http_pool_wake(struct http_pool *p);
void http_pool_hold(struct http_pool *p, bool held);
/* From a callback: run() returns; requests that have not ended stay until free(). */
void http_pool_stop(struct http_pool *p);

/* ---- URLs */

/* "https://host/path": what may be shown. On the heap. */
char *http_url_public(const char *url);
/* Scheme, host and port are the same. */
bool http_same_origin(const char *a, const char *b);
/* url resolved against base, as a Location or Link is; heap, NULL if it is no http(s) URL. */
char *http_url_join(const char *base, const char *url);
/* url with an origin of https://huggingface.co moved to the endpoint: mirrors answer with such. */
char *http_url_rehome(const struct http *h, const char *url);
/* Percent-encode all but unreserved characters; slashes too unless keep_slashes. Appends. */
void http_quote(struct buf *b, const char *s, bool keep_slashes);
/* The URL of `Link: <...>; rel="next"`, made absolute and moved home; NULL: no next page. */
char *http_next_page(const struct http *h, const struct http_response *rs);

#endif

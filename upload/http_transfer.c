/* upload/http_transfer.c -- one attempt of one request: what is sent, and a
 * first look at each header and byte that comes back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "upload/http_private.h"

#define CONNECT_MS 15000
#define FLOOR_BYTES 1024
#define FLOOR_S 30
/* Of each connection; what is sent comes from the page cache, and larger pieces save 3 % of the
 * processor at four times the memory. */
#define RECEIVE_BUFFER (512L << 10)
#define SEND_BUFFER (128L << 10)

/* ---- birth and death */

static void forget_headers(struct http_response *rs)
{
	for (size_t i = 0; i < rs->n_headers; i++) {
		free(rs->headers[i].name);
		free(rs->headers[i].value);
	}
	rs->n_headers = 0;
	rs->headers_bytes = 0;
}

void http_response_release(struct http_response *rs)
{
	forget_headers(rs);
	free(rs->headers);
	buf_release(&rs->body);
	free(rs->url);
	memset(rs, 0, sizeof(*rs));
}

/* End the attempt from a callback. */
static void stop(struct http_transfer *t, enum http_fault_class verdict, const char *why)
{
	t->verdict = verdict;
	err_set(&t->err, ERR_IO, "%s", why);
}

struct http_transfer *http_transfer_new(struct http *h, const struct http_request *rq)
{
	struct http_transfer *t = mem_zalloc(sizeof(*t));

	t->h = h;
	t->rq = *rq;
	t->rs.fault.wait_ms = -1;
	buf_init(&t->rs.body, HTTP_BODY_MAX);
	t->home = http_url_absolute(h, rq->url);
	t->url = mem_strdup(t->home);
	if (!t->home) {
		t->verdict = t->rs.fault.class = HTTP_FAULT_PROTOCOL;
		err_set(&t->err, ERR_INVALID, "not an http address");
	} else if (h->offline) {
		t->rs.fault.class = HTTP_FAULT_OFFLINE;
		t->verdict = HTTP_FAULT_OFFLINE;
	}
	return t;
}

static void end_easy(struct http_transfer *t)
{
	curl_easy_cleanup(t->easy);
	for (struct curl_slist *l = t->headers; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data)); /* one of them is the token's */
	curl_slist_free_all(t->headers);
	t->easy = NULL;
	t->headers = NULL;
}

void http_transfer_free(struct http_transfer *t)
{
	end_easy(t);
	http_response_release(&t->rs);
	free(t->url);
	free(t->home);
	free(t);
}

/* ---- headers of the answer */

static void keep_header(struct http_transfer *t, const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);
	struct http_response *rs = &t->rs;
	const char *v;

	if (!colon || colon == line)
		return;
	if (rs->n_headers == HTTP_HEADERS_MAX || rs->headers_bytes + n > HTTP_HEADERS_BYTES_MAX) {
		stop(t, HTTP_FAULT_PROTOCOL, "the answer has more headers than are read");
		return;
	}
	v = colon + 1;
	while (v < line + n && (*v == ' ' || *v == '\t'))
		v++;
	MEM_GROW(rs->headers, rs->n_headers, rs->headers_cap);
	rs->headers[rs->n_headers].name = mem_strndup(line, (size_t)(colon - line));
	rs->headers[rs->n_headers++].value = mem_strndup(v, (size_t)(line + n - v));
	rs->headers_bytes += n;
}

static bool parse_u64(const char **p, uint64_t *out)
{
	size_t n = strspn(*p, "0123456789");

	if (n == 0 || n > 18)
		return false;
	*out = strtoull(*p, NULL, 10);
	*p += n;
	return true;
}

/* "bytes FIRST-LAST/TOTAL" must go on exactly where we are and end inside what was asked. */
static bool content_range_fits(struct http_transfer *t, const char *v, uint64_t *total)
{
	uint64_t first, last, asked = t->rq.range_first + t->rs.got_bytes;

	if (!v || strncasecmp(v, "bytes ", 6) != 0)
		return false;
	v += 6;
	if (!parse_u64(&v, &first) || *v++ != '-' || !parse_u64(&v, &last) || *v++ != '/' ||
	    !parse_u64(&v, total) || *v)
		return false;
	return first == asked && last >= first && last < *total &&
	       last <= t->rq.range_first + t->rq.range_bytes - 1;
}

static void judge_range(struct http_transfer *t)
{
	const char *length = http_header(&t->rs, "content-length");
	uint64_t total = 0, whole = 0;

	if (t->rs.status == 200 && t->rq.range_first == 0 && length && parse_u64(&length, &whole) &&
	    !*length && whole == t->rq.range_bytes) {
		t->rs.got_bytes = 0; /* the whole from its start */
		t->rs.total_bytes = whole;
	} else if (t->rs.status != 206) {
		stop(t, HTTP_FAULT_RANGE, "the server does not answer ranges");
	} else if (!content_range_fits(t, http_header(&t->rs, "content-range"), &total)) {
		stop(t, HTTP_FAULT_RANGE, "the server answers another range than was asked for");
	} else if (t->rs.total_bytes && t->rs.total_bytes != total) {
		stop(t, HTTP_FAULT_RANGE, "the size of the file changed while it was read");
	} else {
		t->rs.total_bytes = total;
	}
}

/* All headers are there. */
static void judge_head(struct http_transfer *t)
{
	const char *length = http_header(&t->rs, "content-length");
	const char *type = http_header(&t->rs, "content-type");
	bool good = t->rs.status >= 200 && t->rs.status < 300;

	t->rs.body.max = !good ? HTTP_ERROR_MAX : t->rq.body_max ? t->rq.body_max : HTTP_BODY_MAX;
	if (!good)
		return;
	if (t->rq.want_json && t->rs.status != 204 && !(type && strcasestr(type, "json")))
		stop(t, HTTP_FAULT_PROTOCOL,
		     "the answer is no JSON; something between here and the hub answers in its "
		     "place, or "
		     "HF_ENDPOINT is no hub");
	else if (t->rq.range_bytes)
		judge_range(t);
	else if (length && !parse_u64(&length, &t->rs.total_bytes))
		stop(t, HTTP_FAULT_PROTOCOL, "the length of the answer is no number");
}

static size_t on_header(char *line, size_t size, size_t n, void *data)
{
	struct http_transfer *t = data;
	size_t len = size * n, bare = len;
	long status = 0;

	while (bare && (line[bare - 1] == '\r' || line[bare - 1] == '\n'))
		bare--;
	if (bare >= 5 && strncmp(line, "HTTP/", 5) == 0) {
		forget_headers(&t->rs); /* of an interim answer */
	} else if (bare) {
		keep_header(t, line, bare);
	} else {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		t->rs.status = (int)status;
		if (status >= 200)
			judge_head(t);
	}
	return t->verdict == HTTP_FAULT_NONE ? len : 0;
}

/* ---- bodies */

static void deliver(struct http_transfer *t, const char *p, size_t n)
{
	uint64_t at = t->rq.range_bytes ? t->rq.range_first + t->rs.got_bytes : t->attempt_bytes;

	if (t->rq.range_bytes && n > t->rq.range_bytes - t->rs.got_bytes) {
		stop(t, HTTP_FAULT_RANGE, "the server sends more than was asked for");
	} else if (t->rq.on_data) {
		if (t->rq.on_data(t->rq.ctx, at, p, n, &t->err) < 0)
			t->verdict = HTTP_FAULT_LOCAL;
	} else if (buf_add(&t->rs.body, p, n) < 0) {
		stop(t, HTTP_FAULT_PROTOCOL, "the answer is larger than anything a hub says here");
	}
	if (t->verdict != HTTP_FAULT_NONE)
		return;
	t->attempt_bytes += n;
	t->rs.got_bytes += n;
}

static size_t on_body(char *p, size_t size, size_t n, void *data)
{
	struct http_transfer *t = data;
	size_t len = size * n, room;

	if (t->rs.status >= 200 && t->rs.status < 300) {
		deliver(t, p, len);
		return t->verdict == HTTP_FAULT_NONE ? len : 0;
	}
	room = t->rs.body.max - t->rs.body.len;
	(void)buf_add(&t->rs.body, p, len < room ? len : room);
	return len;
}

static size_t give_body(char *out, size_t size, size_t n, void *data)
{
	struct http_transfer *t = data;
	uint64_t left = t->rq.body_bytes - t->sent_bytes;
	size_t want = size * n < left ? size * n : (size_t)left;
	ssize_t got;

	if (!want)
		return 0;
	if (t->rq.body) {
		memcpy(out, (const char *)t->rq.body + t->sent_bytes, want);
		got = (ssize_t)want;
	} else {
		do {
			got = pread(t->rq.body_fd, out, want,
				    (off_t)(t->rq.body_offset + t->sent_bytes));
		} while (got < 0 && errno == EINTR);
	}
	if (got <= 0) {
		t->verdict = HTTP_FAULT_LOCAL;
		if (got < 0)
			err_errno(&t->err, "cannot read what is to be sent");
		else
			err_set(&t->err, ERR_IO, "the file became shorter while it was sent");
		return CURL_READFUNC_ABORT;
	}
	t->sent_bytes += (uint64_t)got;
	return (size_t)got;
}

/* curl wants it again from the start: a connection that was closed while idle. */
static int seek_body(void *data, curl_off_t offset, int origin)
{
	struct http_transfer *t = data;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->rq.body_bytes)
		return CURL_SEEKFUNC_FAIL;
	t->sent_bytes = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* ---- what is sent */

static void add_header(struct http_transfer *t, const char *name, const char *value)
{
	char *line = *value ? mem_printf("%s: %s", name, value) : mem_printf("%s;", name);
	struct curl_slist *l = curl_slist_append(t->headers, line);

	explicit_bzero(line, strlen(line));
	free(line);
	if (l)
		t->headers = l;
}

static void set_headers(struct http_transfer *t)
{
	const struct http_request *rq = &t->rq;
	struct curl_slist *l;

	add_header(t, "Accept-Encoding", "identity"); /* sizes are those of the file */
	/* No "Expect: 100-continue", which costs a second where nobody answers it, and no type that
	 * curl invents for a POST. */
	l = curl_slist_append(t->headers, "Expect:");
	l = l ? curl_slist_append(l, "Content-Type:") : NULL;
	if (l)
		t->headers = l;
	if (t->h->token && !rq->no_token && http_same_origin(t->url, t->h->endpoint))
		add_header(t, "Authorization", t->h->authorization);
	if (http_same_origin(t->url, t->home)) {
		for (size_t i = 0; i < rq->n_headers; i++)
			add_header(t, rq->headers[i].name, rq->headers[i].value);
	}
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
}

static void set_method(struct http_transfer *t)
{
	static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "DELETE" };
	const struct http_request *rq = &t->rq;
	bool has_body = rq->body_bytes || rq->method == HTTP_POST || rq->method == HTTP_PUT;

	if (rq->method == HTTP_HEAD) {
		curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (!has_body) {
		curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
	} else {
		curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body_bytes);
		curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
		curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, seek_body);
		curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
	}
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, names[rq->method]);
}

static void set_range(struct http_transfer *t)
{
	uint64_t first = t->rq.range_first + t->rs.got_bytes;
	char range[64];

	if (!t->rq.range_bytes)
		return;
	snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)first,
		 (unsigned long long)(t->rq.range_first + t->rq.range_bytes - 1));
	curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
}

/* As requests, httpx and curl read them; a folder of certificates is allowed too. */
static void set_trust(struct http_transfer *t)
{
	static const char *const names[] = { "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
					     "SSL_CERT_FILE" };
	const char *path = NULL, *dir = getenv("SSL_CERT_DIR");

	for (size_t i = 0; i < ARRAY_LEN(names) && !path; i++) {
		path = getenv(names[i]);
		if (path && !*path)
			path = NULL;
	}
	if (path && access(path, X_OK) == 0)
		curl_easy_setopt(t->easy, CURLOPT_CAPATH, path);
	else if (path)
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, path);
	if (!path && dir && *dir)
		curl_easy_setopt(t->easy, CURLOPT_CAPATH, dir);
}

/* curl reads the proxy variables itself, but for HTTP_PROXY: a web server's clients can set that.
 * We are no CGI, and the official client takes it. NO_PROXY still counts. */
static void set_proxy(struct http_transfer *t)
{
	const char *proxy = getenv("HTTP_PROXY");

	if (t->h->direct) {
		curl_easy_setopt(t->easy, CURLOPT_NOPROXY, "*");
		return;
	}
	if (proxy && *proxy && !getenv("http_proxy") && !getenv("REQUEST_METHOD") &&
	    strncmp(t->url, "http://", 7) == 0)
		curl_easy_setopt(t->easy, CURLOPT_PROXY, proxy);
	curl_easy_setopt(t->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void set_limits(struct http_transfer *t)
{
	const struct http_request *rq = &t->rq;

	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)(rq->connect_ms ? rq->connect_ms : CONNECT_MS));
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT,
			 (long)(rq->floor_bytes ? rq->floor_bytes : FLOOR_BYTES));
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME,
			 (long)(rq->floor_s ? rq->floor_s : FLOOR_S));
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)rq->total_ms);
	if (!rq->bulk)
		return;
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (rq->body_bytes)
		curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
	else
		curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
}

void http_transfer_begin(struct http_transfer *t)
{
	t->easy = curl_easy_init();
	if (!t->easy) { /* out of memory, as mem_alloc() would say it */
		fputs("quern: out of memory\n", stderr);
		_exit(4);
	}
	if (!t->rq.range_bytes)
		t->rs.got_bytes = 0;
	t->sent_bytes = t->attempt_bytes = 0;
	t->reason[0] = '\0';
	t->rs.status = 0;
	t->rs.total_bytes = t->rq.range_bytes ? t->rs.total_bytes : 0;
	t->rs.attempts += t->hops == 0;
	buf_clear(&t->rs.body);
	forget_headers(&t->rs);
	curl_easy_setopt(t->easy, CURLOPT_URL, t->url);
	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->reason);
	curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "quern/" QUERN_VERSION);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	set_method(t);
	set_range(t);
	set_headers(t);
	set_trust(t);
	set_proxy(t);
	set_limits(t);
}

/* ---- the ending of an attempt */

static enum http_fault_class class_of_curl(CURLcode rc)
{
	switch (rc) {
	case CURLE_OK:
		return HTTP_FAULT_NONE;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return HTTP_FAULT_DNS;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return HTTP_FAULT_TLS;
	case CURLE_URL_MALFORMAT:
		return HTTP_FAULT_INVALID;
	default: /* also CURLE_UNSUPPORTED_PROTOCOL: an answer that is no HTTP */
		return HTTP_FAULT_RETRY;
	}
}

/* All that was asked for, or all up to the end of the resource. */
static bool range_is_whole(const struct http_transfer *t)
{
	uint64_t end = t->rq.range_first + t->rs.got_bytes;

	return t->rq.range_bytes && t->rs.status >= 200 && t->rs.status < 300 &&
	       (t->rs.got_bytes == t->rq.range_bytes ||
		(t->rs.total_bytes && end == t->rs.total_bytes));
}

void http_transfer_end(struct http_transfer *t, CURLcode rc)
{
	struct http_fault *f = &t->rs.fault;

	if (!t->reason[0])
		snprintf(t->reason, sizeof(t->reason), "%s",
			 rc == CURLE_OK ? "the answer stopped early" : curl_easy_strerror(rc));
	end_easy(t);
	free(t->rs.url);
	t->rs.url = mem_strdup(t->url);
	http_fault_of_answer(&t->rs, !http_same_origin(t->url, t->h->endpoint), f);
	if (t->verdict != HTTP_FAULT_NONE)
		f->class = t->verdict;
	else if (f->class == HTTP_FAULT_NONE && range_is_whole(t))
		f->class = HTTP_FAULT_NONE; /* whatever happened to the connection after it */
	else if (rc != CURLE_OK && f->class == HTTP_FAULT_NONE)
		f->class = class_of_curl(rc); /* a refusal that was read counts more */
	else if (f->class == HTTP_FAULT_NONE && t->rq.range_bytes && t->rs.status < 300)
		f->class = HTTP_FAULT_RETRY; /* it stopped early: the rest is asked for */
}

/* ---- redirects */

static int refuse_hop(struct http_transfer *t, const char *why)
{
	stop(t, HTTP_FAULT_PROTOCOL, why);
	t->rs.fault.class = HTTP_FAULT_PROTOCOL;
	return ERR_IO;
}

static bool may_follow(const struct http_transfer *t, const char *to)
{
	if (t->rq.redirects == HTTP_REDIRECT_ANY)
		return true;
	return t->rq.redirects == HTTP_REDIRECT_SAME && http_same_origin(to, t->h->endpoint);
}

int http_transfer_redirect(struct http_transfer *t)
{
	const char *location = http_header(&t->rs, "location");
	bool reads = t->rq.method == HTTP_GET || t->rq.method == HTTP_HEAD;
	bool keeps = t->rs.status == 307 || t->rs.status == 308;
	char *to;

	if (t->rs.status < 300 || t->rs.status == 304 || t->rq.redirects == HTTP_REDIRECT_NONE)
		return 0;
	to = location ? http_url_join(t->url, location) : NULL;
	if (!to)
		return refuse_hop(t, "a redirect without an address");
	if (!may_follow(t, to)) {
		free(to);
		return 0;
	}
	if (t->hops++ >= HTTP_HOPS_MAX || (!reads && !keeps) ||
	    (strncmp(t->url, "https:", 6) == 0 && strncmp(to, "https:", 6) != 0)) {
		free(to);
		return refuse_hop(t, t->hops > HTTP_HOPS_MAX ? "redirects without an end"
				     : !reads && !keeps	     ? "a redirect that drops what is sent"
							     : "a redirect away from https");
	}
	free(t->url);
	t->url = to;
	return 1;
}

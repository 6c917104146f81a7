/* upload/http_fault.c -- what an ending means: its class, how long the hub asks
 * to wait, and one sentence with the page to visit or the command to run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/arena.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/units.h"
#include "upload/http_private.h"

#define SAID_MAX 300	/* bytes of the hub's own words in a sentence */
#define WAIT_MAX_S 3600 /* longer waits are a mistake or a ban; the deadline ends those */
#define DISABLED_TEXT "Access to this resource is disabled." /* huggingface_hub _http.py */

/* ---- headers */

const char *http_header(const struct http_response *rs, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < rs->n_headers; i++) {
		if (strcasecmp(rs->headers[i].name, name) == 0)
			found = rs->headers[i].value;
	}
	return found;
}

/* A whole decimal number of seconds, or -1. */
static int64_t seconds_of(const char *s)
{
	size_t n = strspn(s, "0123456789");
	int64_t v;

	if (n == 0 || n > 9)
		return -1;
	v = strtoll(s, NULL, 10);
	return v > WAIT_MAX_S ? WAIT_MAX_S : v;
}

/* "\"api\";r=0;t=55", several with commas: t+1 s of the longest with nothing remaining. With
 * something remaining t is another limit's, and says nothing about this refusal. */
static int64_t rate_limit_ms(const char *v)
{
	int64_t wait_ms = -1;

	while (v && *v) {
		size_t n = strcspn(v, ",");
		char *item = mem_strndup(v, n), *r = strstr(item, ";r="), *t = strstr(item, ";t=");
		int64_t left = r ? seconds_of(r + 3) : -1, reset = t ? seconds_of(t + 3) : -1;

		if (left == 0 && reset >= 0 && (reset + 1) * 1000 > wait_ms)
			wait_ms = (reset + 1) * 1000;
		free(item);
		v += n + (v[n] == ',');
	}
	return wait_ms;
}

int64_t http_asked_wait_ms(const struct http_response *rs)
{
	const char *after = http_header(rs, "retry-after");
	int64_t wait_ms = rate_limit_ms(http_header(rs, "ratelimit"));

	if (wait_ms >= 0 || !after || after[strspn(after, "0123456789")])
		return wait_ms; /* dates are ignored, as the official client does */
	wait_ms = seconds_of(after);
	return wait_ms < 0 ? -1 : wait_ms * 1000;
}

/* ---- the hub's own words */

static bool is_json(const struct http_response *rs)
{
	const char *type = http_header(rs, "content-type");

	return type && strcasestr(type, "json");
}

static void add_words(struct buf *b, const struct json *v)
{
	if (!v)
		return;
	if (v->type == JSON_STRING)
		buf_addf(b, "%s%s", b->len ? "; " : "", v->str);
	else if (v->type == JSON_OBJECT)
		add_words(b, json_get(v, "message"));
	for (size_t i = 0; v->type == JSON_ARRAY && i < v->count; i++)
		add_words(b, v->members[i].value);
}

/* X-Error-Message, else "error" and "errors" of the body; "" when it says nothing readable. */
static void said(const struct http_response *rs, char out[SAID_MAX])
{
	const char *header = http_header(rs, "x-error-message");
	struct arena *a = arena_new();
	struct err ignored = ERR_INIT;
	struct json *v = NULL;
	struct buf b;

	buf_init(&b, HTTP_ERROR_MAX);
	if (header) {
		buf_adds(&b, header);
	} else if (is_json(rs) &&
		   json_parse(a, buf_str(&rs->body), rs->body.len, &v, &ignored) >= 0) {
		add_words(&b, json_get(v, "error"));
		if (!b.len)
			add_words(&b, json_get(v, "message"));
		add_words(&b, json_get(v, "errors"));
	}
	text_visible(buf_str(&b), out, SAID_MAX);
	buf_release(&b);
	arena_free(a);
}

/* ---- classes */

static enum http_fault_class class_of_403(const struct http_response *rs, const char *code,
					  bool elsewhere)
{
	char text[SAID_MAX];

	if (elsewhere)
		return HTTP_FAULT_EXPIRED;
	if (strcmp(code, "GatedRepo") == 0)
		return HTTP_FAULT_GATED;
	said(rs, text);
	return strcmp(text, DISABLED_TEXT) == 0 ? HTTP_FAULT_DISABLED : HTTP_FAULT_AUTH;
}

/* The table of errors of hub-protocol: the Hub answers 401 with a code to those without a token
 * where others get 404. */
static enum http_fault_class class_of_status(const struct http_response *rs, const char *code,
					     bool elsewhere)
{
	switch (rs->status) {
	case 401:
		if (strcmp(code, "GatedRepo") == 0)
			return HTTP_FAULT_GATED;
		return strcmp(code, "RepoNotFound") == 0 ? HTTP_FAULT_NOT_FOUND : HTTP_FAULT_AUTH;
	case 403:
		return class_of_403(rs, code, elsewhere);
	case 404:
	case 410:
		return HTTP_FAULT_NOT_FOUND;
	case 408:
		return HTTP_FAULT_RETRY;
	case 409:
	case 412:
		return HTTP_FAULT_CONFLICT;
	case 413:
		return HTTP_FAULT_TOO_LARGE;
	case 416:
		return HTTP_FAULT_RANGE;
	case 429:
		return HTTP_FAULT_SLOW_DOWN;
	default:
		return rs->status >= 500 ? HTTP_FAULT_RETRY : HTTP_FAULT_INVALID;
	}
}

void http_fault_of_answer(const struct http_response *rs, bool elsewhere, struct http_fault *f)
{
	const char *code = http_header(rs, "x-error-code");

	f->status = rs->status;
	f->wait_ms = -1;
	f->class = HTTP_FAULT_NONE;
	snprintf(f->code, sizeof(f->code), "%s", code ? code : "");
	if (rs->status < 400) /* or no answer at all */
		return;
	f->class = class_of_status(rs, f->code, elsewhere);
	if (rs->status == 429 || rs->status >= 500)
		f->wait_ms = http_asked_wait_ms(rs);
}

bool http_fault_repeats(const struct http_transfer *t)
{
	switch (t->rs.fault.class) {
	case HTTP_FAULT_RETRY:
	case HTTP_FAULT_SLOW_DOWN:
	case HTTP_FAULT_DNS:
		return true;
	case HTTP_FAULT_EXPIRED:
		return t->hops > 0; /* the endpoint signs another one */
	default:
		return false;
	}
}

/* ---- sentences */

static int code_of(enum http_fault_class class)
{
	switch (class) {
	case HTTP_FAULT_RETRY:
	case HTTP_FAULT_SLOW_DOWN:
	case HTTP_FAULT_DNS:
		return ERR_BUSY;
	case HTTP_FAULT_AUTH:
	case HTTP_FAULT_GATED:
	case HTTP_FAULT_DISABLED:
	case HTTP_FAULT_TLS:
	case HTTP_FAULT_OFFLINE:
		return ERR_ENV;
	case HTTP_FAULT_NOT_FOUND:
		return ERR_NOTFOUND;
	case HTTP_FAULT_CONFLICT:
		return ERR_CONFLICT;
	case HTTP_FAULT_TOO_LARGE:
		return ERR_NOSPACE;
	case HTTP_FAULT_INVALID:
		return ERR_INVALID;
	default:
		return ERR_IO;
	}
}

struct sentence {
	const struct http_transfer *t;
	const char *repo, *page, *home; /* repo is the address when nothing is named */
	char *where;			/* the address without its query */
	char said[SAID_MAX];
	bool token; /* one was sent */
};

#define GET_TOKEN "run `hf auth login` or set HF_TOKEN"

static int say_missing(const struct sentence *s, struct err *e)
{
	const struct http_subject *about = &s->t->rq.about;
	const char *code = s->t->rs.fault.code;

	if (strcmp(code, "RevisionNotFound") == 0)
		return err_set(e, ERR_NOTFOUND,
			       "%s has no branch, tag or commit \"%s\"; see %s/%s/commits/main",
			       s->repo, about->revision ? about->revision : "?", s->home, s->page);
	if (strcmp(code, "EntryNotFound") == 0)
		return err_set(e, ERR_NOTFOUND, "%s has no file \"%s\"%s%s; see %s/%s/tree/main",
			       s->repo, about->file ? about->file : "of this name",
			       about->revision ? " at " : "",
			       about->revision ? about->revision : "", s->home, s->page);
	if (!about->repo)
		return err_set(e, ERR_NOTFOUND, "%s: nothing there (%d)%s%s", s->where,
			       s->t->rs.status, *s->said ? ": " : "", s->said);
	if (s->token)
		return err_set(
			e, ERR_NOTFOUND,
			"%s does not exist, or is private and your token may not see it; check "
			"the name at %s/%s and the token at %s/settings/tokens",
			s->repo, s->home, s->page, s->home);
	return err_set(
		e, ERR_NOTFOUND,
		"%s does not exist, or is private; check the name at %s/%s, and for a private "
		"one " GET_TOKEN,
		s->repo, s->home, s->page);
}

static int say_gated(const struct sentence *s, struct err *e)
{
	if (s->token)
		return err_set(e, ERR_ENV,
			       "%s is gated and your token has no access; ask for it at %s/%s",
			       s->repo, s->home, s->page);
	return err_set(e, ERR_ENV, "%s is gated; accept its conditions at %s/%s, then " GET_TOKEN,
		       s->repo, s->home, s->page);
}

static int say_basic_auth(const struct sentence *s, struct err *e)
{
	if (!s->token)
		return err_set(e, ERR_ENV,
			       "%s wants a token; set QUERN_GIT_TOKEN to one that may write there",
			       s->repo);
	if (s->t->rs.status == 401)
		return err_set(e, ERR_ENV,
			       "%s does not accept the token; correct QUERN_GIT_TOKEN (and "
			       "upload.user, if the server wants a certain name)",
			       s->home);
	return err_set(e, ERR_ENV,
		       "%s: the token in QUERN_GIT_TOKEN may not do this%s%s; give it the right to "
		       "write",
		       s->repo, *s->said ? ": " : "", s->said);
}

static int say_auth(const struct sentence *s, struct err *e)
{
	if (s->t->h->user)
		return say_basic_auth(s, e);
	if (!s->token)
		return err_set(e, ERR_ENV, "%s wants a token; " GET_TOKEN, s->repo);
	if (s->t->rs.status == 401)
		return err_set(
			e, ERR_ENV,
			"%s does not accept the token; make a new one at %s/settings/tokens, then "
			"run `hf auth login` or correct HF_TOKEN",
			s->home, s->home);
	return err_set(e, ERR_ENV,
		       "%s: the token may not do this%s%s; give it the right at %s/settings/tokens",
		       s->repo, *s->said ? ": " : "", s->said, s->home);
}

static int say_slow(const struct sentence *s, struct err *e)
{
	char wait[32] = "a while";

	if (s->t->rs.fault.wait_ms > 0)
		units_format_duration(s->t->rs.fault.wait_ms, wait, sizeof(wait));
	return err_set(e, ERR_BUSY,
		       "%s: the hub's limit of requests is reached (429)%s%s; go on in %s",
		       s->where, *s->said ? ": " : "", s->said, wait);
}

static int say_broken(const struct sentence *s, struct err *e)
{
	const struct http_transfer *t = s->t;
	const char *id = http_header(&t->rs, "x-request-id");
	int tries = t->rs.attempts;

	if (t->rs.fault.class == HTTP_FAULT_RETRY && t->rs.status >= 400)
		return err_set(
			e, ERR_BUSY,
			"%s: the hub failed (%d)%s%s after %d attempt%s%s%.64s; try again later",
			s->where, t->rs.status, *s->said ? ": " : "", s->said, tries,
			tries == 1 ? "" : "s", id ? ", request " : "", id ? id : "");
	return err_set(e, ERR_BUSY, "%s: %s after %d attempt%s; check the network and the proxy",
		       s->where, t->reason, tries, tries == 1 ? "" : "s");
}

static int say(const struct sentence *s, struct err *e)
{
	const struct http_transfer *t = s->t;
	const char *colon = *s->said ? ": " : "";

	switch (t->rs.fault.class) {
	case HTTP_FAULT_RETRY:
	case HTTP_FAULT_DNS:
		return say_broken(s, e);
	case HTTP_FAULT_SLOW_DOWN:
		return say_slow(s, e);
	case HTTP_FAULT_AUTH:
		return say_auth(s, e);
	case HTTP_FAULT_GATED:
		return say_gated(s, e);
	case HTTP_FAULT_DISABLED:
		return err_set(e, ERR_ENV, "%s was disabled by the hub; see %s/%s", s->repo,
			       s->home, s->page);
	case HTTP_FAULT_NOT_FOUND:
		return say_missing(s, e);
	case HTTP_FAULT_EXPIRED:
		return err_set(e, ERR_IO, "%s: this signed address is not valid any more (403)",
			       s->where);
	case HTTP_FAULT_TLS:
		return err_set(e, ERR_ENV,
			       "%s: no trust in the server's certificate (%s); for an authority of "
			       "your own set SSL_CERT_FILE",
			       s->where, t->reason);
	case HTTP_FAULT_OFFLINE:
		return err_set(e, ERR_ENV,
			       "%s is not asked: HF_HUB_OFFLINE is set; unset it, or fetch before",
			       s->where);
	case HTTP_FAULT_RANGE:
		if (t->rs.status == 416)
			return err_set(e, ERR_IO, "%s: the file is shorter than was told (416)",
				       s->where);
		return err_set(e, ERR_IO, "%s: the server does not answer ranges", s->where);
	default:
		if (t->rs.status < 400)
			return err_set(e, code_of(t->rs.fault.class), "%s: %s", s->where,
				       t->reason);
		return err_set(e, code_of(t->rs.fault.class), "%s: refused (%d)%s%s", s->where,
			       t->rs.status, colon, s->said);
	}
}

const char *http_last_cause(const struct http *h)
{
	switch (h->last_fault) {
	case HTTP_FAULT_AUTH:
	case HTTP_FAULT_GATED:
		return "gated";
	case HTTP_FAULT_SLOW_DOWN:
		return "hub limit";
	case HTTP_FAULT_RETRY:
	case HTTP_FAULT_DNS:
	case HTTP_FAULT_TLS:
	case HTTP_FAULT_OFFLINE:
	case HTTP_FAULT_EXPIRED:
	case HTTP_FAULT_RANGE:
	case HTTP_FAULT_PROTOCOL:
		return "network";
	default:
		return "";
	}
}

/* ---- nothing secret in a sentence */

/* Cut the query of every URL in text: signed ones are keys. */
static void cut_queries(char *text)
{
	char *p = text;

	while ((p = strstr(p, "://"))) {
		char *end = p + strcspn(p, " \t\"'<>`,)"),
		     *query = memchr(p, '?', (size_t)(end - p));

		if (query)
			memmove(query, end, strlen(end) + 1);
		p = query ? query : end;
	}
}

static void cut_token(char *text, const char *token)
{
	size_t n = token ? strlen(token) : 0;
	char *p;

	while (n && (p = strstr(text, token))) {
		memset(p, '*', n < 3 ? n : 3);
		if (n > 3)
			memmove(p + 3, p + n, strlen(p + n) + 1);
	}
}

int http_explain(const struct http_transfer *t, struct err *e)
{
	struct err own = ERR_INIT;
	struct sentence s = { .t = t };
	const char *url = t->url ? t->url : t->rq.url;
	int rc;

	t->h->last_fault = t->rs.fault.class;
	s.where = http_url_public(url);
	if (!s.where)
		s.where = mem_strdup("an address that is none");
	s.home = t->h->endpoint;
	s.repo = t->rq.about.repo ? t->rq.about.repo : s.where;
	s.page = t->rq.about.page ? t->rq.about.page : t->rq.about.repo ? t->rq.about.repo : "";
	s.token = t->h->token && !t->rq.no_token && http_same_origin(url, t->h->endpoint);
	said(&t->rs, s.said);
	if (t->verdict != HTTP_FAULT_NONE && t->err.code < 0) {
		own = t->err;
		rc = own.code;
		if (t->verdict != HTTP_FAULT_LOCAL)
			(void)err_wrap(&own, "%s", s.where);
	} else {
		rc = say(&s, &own);
	}
	cut_queries(own.msg);
	cut_token(own.msg, t->h->token);
	if (t->h->authorization) /* a server may say back what it was told */
		cut_token(own.msg, strchr(t->h->authorization, ' ') + 1);
	if (e)
		*e = own;
	free(s.where);
	return rc;
}

/* upload/http_url.c -- URLs by curl's own parser, so that what is compared here
 * is what will be connected to. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "upload/http_private.h"

#define HUB_ORIGIN "https://huggingface.co"

static bool is_http(CURLU *u)
{
	char *scheme = NULL;
	bool ok = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		  (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	curl_free(scheme);
	return ok;
}

static CURLU *parse(const char *url)
{
	CURLU *u = curl_url();

	/* No user names: "https://hub@evil/" is not the hub. */
	if (u && curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
	    is_http(u))
		return u;
	curl_url_cleanup(u);
	return NULL;
}

static char *whole(CURLU *u)
{
	char *s = NULL, *copy = NULL;

	if (curl_url_get(u, CURLUPART_URL, &s, 0) == CURLUE_OK)
		copy = mem_strdup(s);
	curl_free(s);
	return copy;
}

char *http_url_public(const char *url)
{
	CURLU *u = parse(url);
	char *out = NULL;

	if (u && curl_url_set(u, CURLUPART_QUERY, NULL, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK)
		out = whole(u);
	curl_url_cleanup(u);
	return out;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	char *x = NULL, *y = NULL;
	bool same = curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		    curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		    strcasecmp(x, y) == 0;

	curl_free(x);
	curl_free(y);
	return same;
}

bool http_same_origin(const char *a, const char *b)
{
	CURLU *x = parse(a), *y = parse(b);
	bool same = x && y && same_part(x, y, CURLUPART_SCHEME) &&
		    same_part(x, y, CURLUPART_HOST) && same_part(x, y, CURLUPART_PORT);

	curl_url_cleanup(x);
	curl_url_cleanup(y);
	return same;
}

char *http_url_join(const char *base, const char *url)
{
	CURLU *u = parse(base);
	char *out = NULL;

	if (u &&
	    curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER | CURLU_URLENCODE) ==
		    CURLUE_OK &&
	    is_http(u))
		out = whole(u);
	curl_url_cleanup(u);
	return out;
}

char *http_url_absolute(const struct http *h, const char *url)
{
	char *joined, *out;

	if (url[0] != '/')
		return http_url_join(h->endpoint, url);
	joined = mem_printf("%s%s", h->endpoint, url); /* keeps a prefix of the endpoint */
	out = http_url_join(h->endpoint, joined);
	free(joined);
	return out;
}

char *http_url_rehome(const struct http *h, const char *url)
{
	const char *path;

	if (!http_same_origin(url, HUB_ORIGIN) || http_same_origin(h->endpoint, HUB_ORIGIN))
		return mem_strdup(url);
	path = strstr(url, "://");
	path = path ? strpbrk(path + 3, "/?#") : NULL;
	return mem_printf("%s%s", h->endpoint, path ? path : "/");
}

void http_quote(struct buf *b, const char *s, bool keep_slashes)
{
	/* RFC 3986, 2.3: unreserved. */
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~";

	for (; *s; s++) {
		if (strchr(plain, *s) || (keep_slashes && *s == '/'))
			buf_addc(b, *s);
		else
			buf_addf(b, "%%%02X", (unsigned char)*s);
	}
}

/* One link of a Link header (RFC 8288): "<URL>; rel=\"next\"; ..." up to the comma of the next. */
static char *next_of(const char *v)
{
	while ((v = strchr(v, '<'))) {
		const char *close = strchr(v, '>'), *end;
		char *params, *hit;

		if (!close)
			return NULL;
		end = strchr(close, '<');
		params = mem_strndup(close, end ? (size_t)(end - close) : strlen(close));
		hit = strcasestr(params, "rel=\"next\"");
		if (!hit)
			hit = strcasestr(params, "rel=next");
		free(params);
		if (hit)
			return mem_strndup(v + 1, (size_t)(close - v - 1));
		v = close;
	}
	return NULL;
}

char *http_next_page(const struct http *h, const struct http_response *rs)
{
	const char *link = http_header(rs, "link");
	char *raw = link ? next_of(link) : NULL, *joined = NULL, *out = NULL;

	if (raw)
		joined = http_url_join(rs->url, raw);
	if (joined)
		out = http_url_rehome(h, joined);
	free(raw);
	free(joined);
	return out;
}

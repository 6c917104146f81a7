/* orchestrator/measure/prompts.c -- a set of prompts from its JSON file: what speed is measured
 * with, and what answers are judged by. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "core/utf8.h"
#include "orchestrator/measure/garbage.h"
#include "orchestrator/measure/measure.h"

#define FILE_MAX_BYTES ((size_t)4 << 20)
#define TOPIC_MAX 64
#define NEW_TOKENS_DEFAULT 64 /* as in the vendor's tables from 1.2.1 */

struct reading {
	struct arena *a;
	const char *list; /* "performance" */
	size_t at;	  /* entry of it, from 1 */
};

static int wrong(const struct reading *r, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int wrong(const struct reading *r, struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_setv(e, ERR_INVALID, fmt, ap);
	va_end(ap);
	return r->list ? err_wrap(e, "prompt %zu of `%s`", r->at, r->list) : ERR_INVALID;
}

/* No member that means nothing: it is misspelled. */
static int known_members(const struct reading *r, const struct json *v, const char *const *names,
			 size_t n, struct err *e)
{
	for (size_t i = 0; i < v->count; i++) {
		const char *key = v->members[i].key, *near;
		size_t k = 0;

		while (k < n && strcmp(names[k], key) != 0)
			k++;
		if (k < n)
			continue;
		near = nearest_name(key, names, n);
		if (near)
			return wrong(r, e, "unknown member \"%.60s\"; did you mean \"%s\"?", key,
				     near);
		return wrong(r, e, "unknown member \"%.60s\"; remove it", key);
	}
	return 0;
}

/* 1 and the text, 0 when it is not there. */
static int text_member(const struct reading *r, const struct json *v, const char *key,
		       const char **out, struct err *e)
{
	const struct json *x = json_get(v, key);

	if (!x || x->type == JSON_NULL)
		return 0;
	if (x->type != JSON_STRING || x->len == 0 || strlen(x->str) != x->len)
		return wrong(r, e, "`%s` is no text", key);
	if (x->len > MEASURE_PROMPT_BYTES)
		return wrong(r, e, "`%s` is longer than 64 KiB", key);
	*out = x->str;
	return 1;
}

static bool name_ok(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return n > 0 && n <= 64 && !s[n];
}

static int read_name(const struct reading *r, const struct json *v, struct measure_prompt *p,
		     struct err *e)
{
	int rc = text_member(r, v, "name", &p->name, e);

	if (rc < 0)
		return rc;
	if (rc == 0)
		p->name = arena_printf(r->a, "%s-%zu", r->list, r->at);
	if (!name_ok(p->name))
		return wrong(r, e,
			     "the name \"%.70s\" is none; letters, digits, '.', '_' and '-' are "
			     "wanted, at most 64",
			     p->name);
	return 0;
}

static int read_tokens(const struct reading *r, const struct json *v, struct measure_prompt *p,
		       struct err *e)
{
	const struct json *x = json_get(v, "new_tokens");

	p->new_tokens = NEW_TOKENS_DEFAULT;
	if (!x)
		return 0;
	if (x->type != JSON_NUMBER || !x->is_integer || x->integer < 1 ||
	    x->integer > MEASURE_TOKENS_MAX)
		return wrong(r, e, "`new_tokens` is no whole number from 1 to %d",
			     MEASURE_TOKENS_MAX);
	p->new_tokens = (int)x->integer;
	return 0;
}

static int read_language(const struct reading *r, const struct json *v, struct measure_prompt *p,
			 struct err *e)
{
	const char *const *known;
	size_t n = garbage_languages(&known);
	int rc = text_member(r, v, "language", &p->language, e);

	if (rc <= 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (strcmp(known[i], p->language) == 0)
			return 0;
	return wrong(r, e,
		     "the language \"%.20s\" is not known; docs/measuring.md lists those "
		     "that are, like en, de or zh",
		     p->language);
}

static int read_topic(const struct reading *r, const struct json *v, struct measure_prompt *p,
		      struct err *e)
{
	const struct json *x = json_get(v, "topic");
	const char **words;

	if (!x)
		return 0;
	if (x->type != JSON_ARRAY || x->count == 0 || x->count > TOPIC_MAX)
		return wrong(r, e, "`topic` is no list of words, of %d at most", TOPIC_MAX);
	words = arena_array(r->a, x->count, sizeof(*words));
	for (size_t i = 0; i < x->count; i++) {
		const struct json *w = x->members[i].value;

		if (w->type != JSON_STRING || w->len == 0 || strlen(w->str) != w->len)
			return wrong(r, e, "`topic` is no list of words, of %d at most", TOPIC_MAX);
		words[i] = w->str;
	}
	p->topic = words;
	p->n_topic = x->count;
	return 0;
}

static int read_prompt(const struct reading *r, const struct json *v, bool quality,
		       struct measure_prompt *p, struct err *e)
{
	static const char *const names[] = { "name",	   "prompt",   "system",
					     "new_tokens", "language", "topic" };
	int rc;

	if (v->type != JSON_OBJECT)
		return wrong(r, e, "an object like {\"prompt\": \"...\"} is wanted");
	rc = known_members(r, v, names, quality ? 6 : 4, e);
	if (rc >= 0)
		rc = read_name(r, v, p, e);
	if (rc >= 0)
		rc = text_member(r, v, "system", &p->system, e);
	if (rc >= 0)
		rc = text_member(r, v, "prompt", &p->text, e);
	if (rc == 0)
		rc = wrong(r, e, "it has no `prompt`");
	if (rc >= 0)
		rc = read_tokens(r, v, p, e);
	if (rc >= 0 && quality)
		rc = read_language(r, v, p, e);
	if (rc >= 0 && quality)
		rc = read_topic(r, v, p, e);
	return rc;
}

static int read_list(struct reading *r, const struct json *root, const char *key,
		     struct measure_prompt **out, size_t *n, struct err *e)
{
	const struct json *v = json_get(root, key);

	*out = NULL;
	*n = 0;
	if (!v)
		return 0;
	r->list = NULL;
	if (v->type != JSON_ARRAY || v->count > MEASURE_PROMPTS_MAX)
		return wrong(r, e, "`%s` is no list of prompts, of %d at most", key,
			     MEASURE_PROMPTS_MAX);
	r->list = key;
	*out = arena_array(r->a, v->count + 1, sizeof(**out));
	for (r->at = 1; r->at <= v->count; r->at++) {
		int rc = read_prompt(r, v->members[r->at - 1].value, strcmp(key, "quality") == 0,
				     &(*out)[r->at - 1], e);

		if (rc < 0)
			return rc;
		for (size_t i = 0; i + 1 < r->at; i++)
			if (strcmp((*out)[i].name, (*out)[r->at - 1].name) == 0)
				return wrong(r, e, "the name \"%s\" is taken by prompt %zu",
					     (*out)[i].name, i + 1);
	}
	*n = v->count;
	return 0;
}

int measure_prompts_read(struct arena *a, const char *text, size_t len,
			 struct measure_prompt_set *out, struct err *e)
{
	static const char *const names[] = { "name", "performance", "quality" };
	struct reading r = { .a = a };
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX];
	struct json *root;
	int rc = json_parse(a, text, len, &root, e);

	memset(out, 0, sizeof(*out));
	if (rc < 0)
		return rc;
	if (root->type != JSON_OBJECT)
		return wrong(&r, e, "an object with `performance` and `quality` is wanted");
	rc = known_members(&r, root, names, ARRAY_LEN(names), e);
	if (rc >= 0)
		rc = text_member(&r, root, "name", &out->name, e);
	if (rc == 0)
		out->name = "prompts";
	if (rc >= 0 && !name_ok(out->name))
		rc = wrong(&r, e,
			   "the name \"%.70s\" is none; letters, digits, '.', '_' and '-' "
			   "are wanted",
			   out->name);
	if (rc >= 0)
		rc = read_list(&r, root, "performance", &out->performance, &out->n_performance, e);
	if (rc >= 0)
		rc = read_list(&r, root, "quality", &out->quality, &out->n_quality, e);
	r.list = NULL;
	if (rc >= 0 && out->n_performance + out->n_quality == 0)
		rc = wrong(&r, e, "it has no prompts; list some under `performance` or `quality`");
	if (rc < 0)
		return rc;
	sha256_bytes(text, len, hash);
	hex_encode(hash, SHA256_LEN, hex);
	out->hash = arena_printf(a, "sha256:%s", hex);
	return 0;
}

int measure_prompts_load(struct arena *a, const char *path, struct measure_prompt_set *out,
			 struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX_BYTES);
	rc = path_read(path, FILE_MAX_BYTES, &b, e);
	if (rc >= 0) {
		rc = measure_prompts_read(a, buf_str(&b), b.len, out, e);
		if (rc < 0)
			(void)err_wrap(e, "%s", path);
	}
	buf_release(&b);
	return rc < 0 ? rc : 0;
}

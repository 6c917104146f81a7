#include "orchestrator/start/file_name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/path.h"

#define NAME_MAX_BYTES 255
#define PARTS_MAX 128
#define CONTEXT_MAX 16384 /* the toolkit's limit up to 1.3.0: "32k" in a name is the model's */
#define CORES_MAX 3	  /* of the largest chip, rk3588 */

/* ---- the words of a name: parts between '-' and '_' */

struct words {
	const char *v[PARTS_MAX];
	size_t at[PARTS_MAX]; /* where each begins in the name */
	size_t n;
};

static bool split(struct arena *a, const char *name, size_t len, struct words *w)
{
	size_t from = 0;

	w->n = 0;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && name[i] != '-' && name[i] != '_')
			continue;
		if (w->n == PARTS_MAX)
			return false;
		w->at[w->n] = from;
		w->v[w->n++] = arena_strndup(a, name + from, i - from);
		from = i + 1;
	}
	return true;
}

/* Digits only, up to max. */
static bool small_number(const char *s, long max, int *out)
{
	long v = 0;

	if (!*s || strlen(s) > 6)
		return false;
	for (; *s; s++) {
		if (!isdigit((unsigned char)*s))
			return false;
		v = v * 10 + (*s - '0');
	}
	*out = (int)v;
	return v <= max;
}

/* "0.5", "1", ".25": no sign and no exponent. */
static bool ratio(const char *s, double *out)
{
	size_t n = strspn(s, "0123456789.");
	const char *dot = strchr(s, '.');

	if (!n || s[n] || n > 8 || (dot && strchr(dot + 1, '.')) || strcmp(s, ".") == 0)
		return false;
	*out = strtod(s, NULL);
	return *out <= 1;
}

static bool begins(const char *s, const char *word)
{
	return strncasecmp(s, word, strlen(word)) == 0;
}

static const char *lower(struct arena *a, const char *s)
{
	char *text = arena_strdup(a, s);

	for (char *p = text; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return text;
}

/* ---- settings: each returns how many words it took, 0 when they are none of it */

static size_t take_platform(struct arena *a, const struct words *w, size_t i, struct name_claims *c)
{
	static const char *const known[] = { "rk3588", "rk3576", "rk3562", "rv1126b" };

	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		if (strcasecmp(w->v[i], known[k]) == 0 && !c->platform) {
			c->platform = lower(a, w->v[i]);
			return 1;
		}
	}
	return 0;
}

/* "w8a8", "w4a16_g128": letters and digits between them, then perhaps a group. */
static size_t take_quant(struct arena *a, const struct words *w, size_t i, struct name_claims *c)
{
	const char *s = w->v[i];
	size_t bits, other = 0;
	int group;

	if (tolower((unsigned char)s[0]) != 'w' || c->quant)
		return 0;
	bits = strspn(s + 1, "0123456789");
	if (bits < 1 || bits > 2)
		return 0;
	s += 1 + bits;
	if (tolower((unsigned char)*s) == 'a')
		other = strspn(s + 1, "0123456789");
	if (other < 1 || other > 2 || s[1 + other])
		return 0;
	c->quant = lower(a, w->v[i]);
	if (i + 1 == w->n || tolower((unsigned char)w->v[i + 1][0]) != 'g' ||
	    !small_number(w->v[i + 1] + 1, 4096, &group))
		return 1;
	c->quant = lower(a, arena_printf(a, "%s_%s", w->v[i], w->v[i + 1]));
	return 2;
}

static size_t take_opt(const struct words *w, size_t i, struct name_claims *c)
{
	bool apart = strcasecmp(w->v[i], "opt") == 0;
	const char *number = "";

	if (!begins(w->v[i], "opt") || c->has_opt)
		return 0;
	if (!apart)
		number = w->v[i] + strlen("opt");
	else if (i + 1 < w->n)
		number = w->v[i + 1];
	if (!small_number(number, 9, &c->opt))
		return 0;
	c->has_opt = true;
	return apart ? 2 : 1;
}

static size_t take_hybrid(const struct words *w, size_t i, struct name_claims *c)
{
	bool apart = strcasecmp(w->v[i], "hybrid") == 0 && i + 2 < w->n &&
		     strcasecmp(w->v[i + 1], "ratio") == 0;

	if (!begins(w->v[i], "hybrid") || c->has_hybrid ||
	    !ratio(apart ? w->v[i + 2] : w->v[i] + 6, &c->hybrid))
		return 0;
	c->has_hybrid = true;
	return apart ? 3 : 1;
}

/* "4k", "ctx4096". */
static size_t take_context(const struct words *w, size_t i, struct name_claims *c)
{
	const char *s = w->v[i];
	char number[8] = "";
	size_t n = strlen(s);
	int v;

	if (c->max_context)
		return 0;
	if (begins(s, "ctx") && small_number(s + 3, CONTEXT_MAX, &v) && v > 0) {
		c->max_context = v;
		return 1;
	}
	if (n < 2 || n > 3 || tolower((unsigned char)s[n - 1]) != 'k')
		return 0;
	memcpy(number, s, n - 1);
	if (!small_number(number, CONTEXT_MAX / 1024, &v) || v == 0)
		return 0;
	c->max_context = v * 1024;
	return 1;
}

static size_t take_cores(const struct words *w, size_t i, struct name_claims *c)
{
	int v;

	if (!begins(w->v[i], "npu") || c->cores || !small_number(w->v[i] + 3, CORES_MAX, &v) || !v)
		return 0;
	c->cores = v;
	return 1;
}

static size_t take_any(struct arena *a, const struct words *w, size_t i, struct name_claims *c)
{
	size_t n = take_platform(a, w, i, c);

	n = n ? n : take_quant(a, w, i, c);
	n = n ? n : take_opt(w, i, c);
	n = n ? n : take_hybrid(w, i, c);
	n = n ? n : take_context(w, i, c);
	return n ? n : take_cores(w, i, c);
}

/* ---- the whole */

/* All words from i on are settings. */
static bool settings(struct arena *a, const struct words *w, size_t i, struct name_claims *c)
{
	*c = (struct name_claims){ 0 };
	while (i < w->n) {
		size_t n = take_any(a, w, i, c);

		if (!n)
			return false;
		i += n;
	}
	return c->quant || c->platform;
}

int file_name_claims(struct arena *a, const char *path, struct name_claims *out)
{
	const char *name = path_basename(path), *dot = strrchr(name, '.');
	size_t len = dot && dot > name ? (size_t)(dot - name) : strlen(name);
	struct name_claims c;
	struct words w;

	if (len > NAME_MAX_BYTES || !split(a, name, len, &w) || settings(a, &w, 0, &c))
		return 0; /* the last: there is no model in it */
	/* From the left: what is no setting belongs to the model, and so does all before it. */
	for (size_t i = 1; i < w.n; i++) {
		struct name_claims one = { 0 };

		if (take_platform(a, &w, i - 1, &one))
			return 0; /* no model has a chip in its name: something behind is unknown */
		if (w.at[i] < 2 || !settings(a, &w, i, &c))
			continue;
		c.model = arena_strndup(a, name, w.at[i] - 1);
		*out = c;
		return 1;
	}
	return 0;
}

void file_name_json(struct json_out *w, const struct name_claims *c)
{
	if (c->model)
		jw_kstr(w, "model", c->model);
	if (c->platform)
		jw_kstr(w, "platform", c->platform);
	if (c->quant)
		jw_kstr(w, "quant", c->quant);
	if (c->has_hybrid)
		jw_knum(w, "hybrid", c->hybrid);
	if (c->has_opt)
		jw_kint(w, "opt", c->opt);
	if (c->max_context)
		jw_kint(w, "max_context", c->max_context);
	if (c->cores)
		jw_kint(w, "num_npu_core", c->cores);
}

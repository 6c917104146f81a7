/* orchestrator/config/template.c -- names of repositories and files from a point. */
#include <stdio.h>
#include <string.h>

#include "core/hash.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/plan/matrix.h"

#define TEMPLATE_MAX 200 /* bytes of a template */
#define NAME_LEN_MAX 200 /* of what it makes: room for an extension and a shard number in 255 */
#define HASH_DIGITS 12	 /* stand for what a longer name loses */

enum variable {
	V_MODEL,
	V_ENGINE,
	V_PLATFORM,
	V_QUANT,
	V_TOOLKIT,
	V_HYBRID,
	V_OPT,
	V_MORE_HYBRID,
	V_MORE_OPT
};

static const char *const variables[] = {
	[V_MODEL] = "model",	     [V_ENGINE] = "engine", [V_PLATFORM] = "platform",
	[V_QUANT] = "quant",	     [V_HYBRID] = "hybrid", [V_OPT] = "opt",
	[V_MORE_HYBRID] = "+hybrid", [V_MORE_OPT] = "+opt", [V_TOOLKIT] = "toolkit",
};

/* The variable whose name is s[0..n), or -1. */
static int find_variable(const char *s, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		if (strlen(variables[i]) == n && strncmp(variables[i], s, n) == 0)
			return (int)i;
	}
	return -1;
}

/* ---- checking */

static int refuse_variable(const char *s, size_t n, struct err *e)
{
	char name[24];
	const char *near;

	(void)snprintf(name, sizeof(name), "%.*s", (int)(n < 20 ? n : 20), s);
	near = nearest_name(name, variables, ARRAY_LEN(variables));
	if (near)
		return err_set(e, ERR_INVALID, "unknown variable {%s}; did you mean {%s}?", name,
			       near);
	return err_set(e, ERR_INVALID,
		       "unknown variable {%s}; there are {model} {engine} {platform} {quant} "
		       "{toolkit} {hybrid} {opt} {+hybrid} {+opt}",
		       name);
}

static int is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._-", c));
}

int template_check(const char *tmpl, struct err *e)
{
	int never_empty = 0; /* it holds something that is there for every point */

	if (strlen(tmpl) > TEMPLATE_MAX)
		return err_set(e, ERR_INVALID, "longer than %d bytes; make it shorter",
			       TEMPLATE_MAX);
	if (strstr(tmpl, "..") || strstr(tmpl, "--"))
		return err_set(e, ERR_INVALID,
			       "\"..\" and \"--\" are not allowed in names on a hub; "
			       "use one of them");
	for (const char *p = tmpl; *p; p++) {
		size_t n = strcspn(p, "}");
		int v;

		if (*p != '{') {
			if (!is_plain(*p))
				return err_set(
					e, ERR_INVALID,
					"the character '%c' cannot be in a name; use letters, "
					"digits, '.', '_' and '-'",
					*p);
			never_empty |= !strchr("-.", *p);
			continue;
		}
		if (!p[n])
			return err_set(e, ERR_INVALID,
				       "\"{\" without \"}\"; a variable is written {model}");
		v = find_variable(p + 1, n - 1);
		if (v < 0)
			return refuse_variable(p + 1, n - 1, e);
		never_empty |=
			v != V_PLATFORM && v != V_TOOLKIT && v != V_MORE_HYBRID && v != V_MORE_OPT;
		p += n;
	}
	return never_empty ? 0
			   : err_set(e, ERR_INVALID,
				     "it can make an empty name; add {model} or {quant}");
}

/* ---- filling */

const char *matrix_repo_template(const struct config *c, const struct engine *en)
{
	if (c->upload.repo)
		return c->upload.repo;
	return en && en->repo_template ? en->repo_template : "{model}";
}

const char *matrix_file_template(const struct config *c, const struct engine *en)
{
	if (c->upload.file)
		return c->upload.file;
	return en && en->file_template ? en->file_template
				       : "{model}-{platform}-{quant}{+opt}{+hybrid}";
}

/* "0.0", "0.5", "0.125": as people write a ratio. */
static void format_ratio(double v, char out[40])
{
	char text[32];

	json_format_number(v, text);
	(void)snprintf(out, 40, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static const char *value_of(int variable, const struct job_spec *s, char text[80])
{
	char ratio[40];

	text[0] = '\0';
	switch (variable) {
	case V_MODEL:
		return s->model;
	case V_ENGINE:
		return s->engine;
	case V_PLATFORM:
		return s->platform;
	case V_QUANT:
		return s->quant;
	case V_TOOLKIT:
		return s->toolkit ? s->toolkit : "";
	case V_HYBRID:
		format_ratio(s->hybrid, text);
		break;
	case V_OPT:
		(void)snprintf(text, 80, "%d", s->opt);
		break;
	case V_MORE_HYBRID:
		format_ratio(s->hybrid, ratio);
		if (s->hybrid > 0)
			(void)snprintf(text, 80, "-hybrid-ratio-%s", ratio);
		break;
	case V_MORE_OPT:
		if (s->opt)
			(void)snprintf(text, 80, "-opt-%d", s->opt);
		break;
	default:
		break;
	}
	return text;
}

/* Too long: the end becomes digits of a hash over all of it, so that two names stay two. */
static void shorten(struct buf *b)
{
	char hex[SHA256_HEX];
	uint8_t sha[SHA256_LEN];

	if (b->len <= NAME_LEN_MAX)
		return;
	sha256_bytes(b->data, b->len, sha);
	hex_encode(sha, sizeof(sha), hex);
	b->len = NAME_LEN_MAX - HASH_DIGITS - 1;
	(void)buf_addf(b, "-%.*s", HASH_DIGITS, hex);
}

static int is_edge(char c)
{
	return c == '-' || c == '.';
}

const char *template_fill(struct arena *a, const char *tmpl, const struct job_spec *s)
{
	size_t start = 0;
	const char *out;
	char text[80];
	struct buf b;

	/* Even the longest template of the longest names is far below. */
	buf_init(&b, 64u << 10);
	for (const char *p = tmpl; *p; p++) {
		size_t n = strcspn(p, "}");
		const char *v;

		if (*p != '{' || !p[n]) {
			(void)buf_addc(&b, *p);
			continue;
		}
		v = value_of(find_variable(p + 1, n - 1), s, text);
		if (!*v && p[1] != '+' && b.len && b.data[b.len - 1] == '-')
			b.data[--b.len] = '\0';
		for (; *v; v++)
			(void)buf_addc(&b, is_plain(*v) || *v == '+' ? *v : '-');
		p += n;
	}
	/* The first or last part was empty; a name that begins with '.' would hide the file. */
	while (start < b.len && is_edge(b.data[start]))
		start++;
	while (b.len > start && is_edge(b.data[b.len - 1]))
		b.data[--b.len] = '\0';
	buf_drop(&b, start);
	shorten(&b);
	out = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return out;
}

unsigned template_params(const char *tmpl, const struct job_spec *s)
{
	static const unsigned bit[] = {
		[V_MODEL] = 0,
		[V_ENGINE] = 0,
		[V_PLATFORM] = JOB_PARAM_PLATFORM,
		[V_QUANT] = JOB_PARAM_QUANT,
		[V_TOOLKIT] = 0,
		[V_HYBRID] = JOB_PARAM_HYBRID,
		[V_OPT] = JOB_PARAM_OPT,
		[V_MORE_HYBRID] = JOB_PARAM_HYBRID,
		[V_MORE_OPT] = JOB_PARAM_OPT,
	};
	unsigned bits = 0;
	char text[80];

	for (const char *p = strchr(tmpl, '{'); p; p = strchr(p + 1, '{')) {
		int v = find_variable(p + 1, strcspn(p, "}") - 1);

		if (v >= 0 && *value_of(v, s, text))
			bits |= bit[v];
	}
	return bits;
}

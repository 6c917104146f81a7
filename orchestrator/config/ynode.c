/* orchestrator/config/ynode.c -- looking at a YAML tree: keys, numbers, booleans, JSON. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "orchestrator/config/yaml_tree.h"

#define SHOWN_MAX 60 /* bytes of foreign text in a message */
#define CANONICAL_MAX                                                                              \
	(1u << 20) /* bytes of one value as JSON; aliases could repeat a long text                 \
		    */

const struct yentry *ynode_entry(const struct ynode *map, const char *key)
{
	if (!map || map->type != YNODE_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++) {
		if (strcmp(map->entries[i].key, key) == 0)
			return &map->entries[i];
	}
	return NULL;
}

struct ynode *ynode_get(const struct ynode *map, const char *key)
{
	const struct yentry *en = ynode_entry(map, key);

	return en ? en->value : NULL;
}

const char *ynode_shown(struct arena *a, const struct ynode *v)
{
	size_t n;

	if (v->type == YNODE_MAP)
		return "a map";
	if (v->type == YNODE_LIST)
		return v->n ? "a list" : "an empty list";
	if (!v->text[0])
		return "nothing";
	n = strlen(v->text);
	if (n <= SHOWN_MAX)
		return arena_printf(a, "\"%s\"", v->text);
	return arena_printf(a, "\"%.*s...\"", (int)utf8_cut(v->text, SHOWN_MAX), v->text);
}

int ynode_number(const struct ynode *v, double *out)
{
	char *end;
	double d;

	/* The characters first: strtod() also reads "inf", "nan" and "0x10". */
	if (v->type != YNODE_SCALAR || v->quoted || !v->text[0] ||
	    v->text[strspn(v->text, "+-.0123456789eE")])
		return 0;
	errno = 0;
	d = strtod(v->text, &end);
	if (errno || end == v->text || *end || !isfinite(d))
		return 0;
	*out = d;
	return 1;
}

int ynode_bool(const struct ynode *v, int *out)
{
	static const char *const yes[] = { "true", "True", "TRUE", "yes", "Yes",
					   "YES",  "on",   "On",   "ON" };
	static const char *const no[] = { "false", "False", "FALSE", "no", "No",
					  "NO",	   "off",   "Off",   "OFF" };

	if (v->type != YNODE_SCALAR || v->quoted)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcmp(v->text, yes[i]) == 0 || strcmp(v->text, no[i]) == 0) {
			*out = strcmp(v->text, yes[i]) == 0;
			return 1;
		}
	}
	return 0;
}

/* ---- JSON */

/* RFC 8259: so that a version like 1.10.2, 007 or +5 stays text. */
static int is_json_number(const char *s)
{
	size_t n;

	s += *s == '-';
	n = strspn(s, "0123456789");
	if (n == 0 || (n > 1 && s[0] == '0'))
		return 0;
	s += n;
	if (*s == '.') {
		n = strspn(++s, "0123456789");
		if (n == 0)
			return 0;
		s += n;
	}
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '+' || *s == '-';
		n = strspn(s, "0123456789");
		if (n == 0)
			return 0;
		s += n;
	}
	return !*s;
}

static void number_json(const struct ynode *v, double d, struct json_out *w)
{
	char *end;
	long long whole;

	errno = 0;
	whole = strtoll(v->text, &end, 10);
	if (!errno && !*end)
		jw_int(w, whole);
	else
		jw_num(w, d);
}

static void scalar_json(const struct ynode *v, struct json_out *w)
{
	double d;

	if (v->quoted)
		jw_str(w, v->text);
	else if (strcmp(v->text, "true") == 0 || strcmp(v->text, "false") == 0)
		jw_bool(w, v->text[0] == 't');
	else if (!v->text[0] || strcmp(v->text, "~") == 0 || strcmp(v->text, "null") == 0)
		jw_null(w);
	else if (is_json_number(v->text) && ynode_number(v, &d))
		number_json(v, d, w);
	else
		jw_str(w, v->text);
}

void ynode_json(const struct ynode *v, struct json_out *w)
{
	if (v->type == YNODE_SCALAR) {
		scalar_json(v, w);
	} else if (v->type == YNODE_LIST) {
		jw_array(w);
		for (size_t i = 0; i < v->n; i++)
			ynode_json(v->items[i], w);
		jw_end_array(w);
	} else {
		jw_object(w);
		for (size_t i = 0; i < v->n; i++) {
			jw_key(w, v->entries[i].key);
			ynode_json(v->entries[i].value, w);
		}
		jw_end_object(w);
	}
}

const char *ynode_canonical(struct arena *a, const struct ynode *v)
{
	struct err e = ERR_INIT;
	struct json_out w;
	struct json *j;
	struct buf b;
	const char *text = NULL;

	buf_init(&b, CANONICAL_MAX);
	jw_init(&w, &b, 0);
	ynode_json(v, &w);
	if (!b.overflow && json_parse(a, buf_str(&b), b.len, &j, &e) == 0) {
		buf_clear(&b);
		if (json_write_canonical(&b, j) == 0 && !b.overflow)
			text = arena_strdup(a, buf_str(&b));
	}
	buf_release(&b);
	return text;
}

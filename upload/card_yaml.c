/* upload/card_yaml.c -- is front matter what a hub takes? A hub refuses the whole
 * commit over a bad line (400, "metadata verification"), so it is found before
 * anything is sent, also in what a person wrote. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"
#include "core/yaml.h"
#include "upload/card_private.h"

#define DEPTH_MAX 32
#define EVENTS_MAX 100000
#define KEYS_MAX 500

enum shape { SHAPE_TEXT, SHAPE_LIST, SHAPE_EITHER };

/* hub-docs "Model cards" and hub-protocol.md section 7. Other keys may have any value. */
static const struct {
	const char *key;
	enum shape shape;
} known[] = {
	{ "base_model", SHAPE_EITHER },	  { "base_model_relation", SHAPE_TEXT },
	{ "datasets", SHAPE_EITHER },	  { "language", SHAPE_EITHER },
	{ "library_name", SHAPE_TEXT },	  { "license", SHAPE_EITHER },
	{ "license_link", SHAPE_TEXT },	  { "license_name", SHAPE_TEXT },
	{ "metrics", SHAPE_EITHER },	  { "model-index", SHAPE_LIST },
	{ "new_version", SHAPE_TEXT },	  { "pipeline_tag", SHAPE_TEXT },
	{ "quantized_by", SHAPE_EITHER }, { "tags", SHAPE_EITHER },
};

struct check {
	struct yaml *yaml;
	struct arena *a;
	int first_line; /* of the front matter's text in README.md */
	int events;
	const char *keys[KEYS_MAX];
	size_t n_keys;
	struct err *e;
};

static int fault(struct check *c, struct yaml_place at, const char *what)
{
	return err_set(c->e, ERR_INVALID, "front matter, line %d column %d: %s",
		       c->first_line + at.line - 1, at.column, what);
}

static int take(struct check *c, struct yaml_event *ev)
{
	struct yaml_problem p;

	if (yaml_next(c->yaml, ev) < 0) {
		p = yaml_problem(c->yaml);
		return fault(c, p.at, p.text ? p.text : "this is not YAML");
	}
	if (++c->events > EVENTS_MAX)
		return fault(c, ev->at, "more values than a card can mean");
	return 0;
}

/* The rest of the value that ev begins: nothing of a scalar, all of a list or map. */
static int skip(struct check *c, const struct yaml_event *ev)
{
	struct yaml_event inner;
	int depth = ev->kind == YAML_LIST || ev->kind == YAML_MAP;

	while (depth > 0) {
		if (take(c, &inner) < 0)
			return c->e->code;
		depth += inner.kind == YAML_LIST || inner.kind == YAML_MAP;
		depth -= inner.kind == YAML_LIST_END || inner.kind == YAML_MAP_END;
		if (depth > DEPTH_MAX)
			return fault(c, inner.at, "nested more than 32 levels deep");
	}
	return 0;
}

/* ---- values of known keys */

static int not_text(struct check *c, struct yaml_place at, const char *key, const char *why)
{
	return fault(c, at, arena_printf(c->a, "%s %s", key, why));
}

static int check_text(struct check *c, const struct yaml_event *ev, const char *key)
{
	static const char number[] = "0123456789+-.eE_";

	if (ev->kind == YAML_ALIAS)
		return 0; /* a repeated value was looked at where it stands first */
	if (ev->kind != YAML_SCALAR)
		return not_text(c, ev->at, key, "holds a list or a map where text is wanted");
	if (ev->len == 0 || (ev->plain && strcmp(ev->text, "~") == 0))
		return not_text(c, ev->at, key, "is empty; remove the key");
	if (ev->plain && (yaml_is_word(ev->text) || strspn(ev->text, number) == ev->len))
		return not_text(c, ev->at, key,
				"is a number or a truth value to YAML; write it in quotes");
	return 0;
}

static int check_list(struct check *c, const char *key)
{
	struct yaml_event ev;

	for (;;) {
		if (take(c, &ev) < 0)
			return c->e->code;
		if (ev.kind == YAML_LIST_END)
			return 0;
		if (strcmp(key, "model-index") == 0 ? skip(c, &ev) < 0
						    : check_text(c, &ev, key) < 0)
			return c->e->code;
	}
}

static int check_value(struct check *c, const char *key)
{
	struct yaml_event ev;
	size_t i = 0;

	if (take(c, &ev) < 0)
		return c->e->code;
	while (i < ARRAY_LEN(known) && strcmp(known[i].key, key) != 0)
		i++;
	if (i == ARRAY_LEN(known))
		return skip(c, &ev);
	if (ev.kind == YAML_LIST && known[i].shape != SHAPE_TEXT)
		return check_list(c, key);
	if (ev.kind != YAML_LIST && ev.kind != YAML_ALIAS && known[i].shape == SHAPE_LIST)
		return not_text(c, ev.at, key, "is no list");
	return check_text(c, &ev, key);
}

/* ---- the map */

static int check_key(struct check *c, const struct yaml_event *ev)
{
	if (ev->kind != YAML_SCALAR || strlen(ev->text) != ev->len)
		return fault(c, ev->at, "a key that is no plain text");
	for (size_t i = 0; i < c->n_keys; i++)
		if (strcmp(c->keys[i], ev->text) == 0)
			return fault(c, ev->at,
				     arena_printf(c->a, "the key \"%.60s\" stands here twice",
						  ev->text));
	if (c->n_keys == KEYS_MAX)
		return fault(c, ev->at, "more than 500 keys");
	c->keys[c->n_keys++] = arena_strdup(c->a, ev->text);
	return 0;
}

static int check_map(struct check *c)
{
	struct yaml_event ev;

	for (;;) {
		if (take(c, &ev) < 0)
			return c->e->code;
		if (ev.kind == YAML_MAP_END)
			return 0;
		if (check_key(c, &ev) < 0 || check_value(c, c->keys[c->n_keys - 1]) < 0)
			return c->e->code;
	}
}

static int check_document(struct check *c)
{
	struct yaml_event ev;

	do {
		if (take(c, &ev) < 0)
			return c->e->code;
	} while (ev.kind == YAML_DOCUMENT);
	if (ev.kind == YAML_DONE)
		return 0;
	if (ev.kind != YAML_MAP)
		return fault(c, ev.at, "no \"key: value\"");
	if (check_map(c) < 0 || take(c, &ev) < 0)
		return c->e->code;
	return ev.kind == YAML_DONE ? 0 : fault(c, ev.at, "a second document");
}

static int line_of(const char *text, const char *p)
{
	int line = 1;

	for (; text < p; text++)
		line += *text == '\n';
	return line;
}

int card_check_front(const char *readme, struct err *e)
{
	struct card_front f;
	struct check *c;
	struct arena *a;
	size_t len;
	int rc;

	card_front_split(readme, &f);
	len = (size_t)(f.end - f.begin);
	if (!utf8_valid(f.begin, len))
		return err_set(e, ERR_INVALID,
			       "front matter: a byte that is not UTF-8; save the file as UTF-8");
	a = arena_new();
	c = arena_alloc(a, sizeof(*c));
	c->a = a;
	c->e = e;
	c->first_line = line_of(readme, f.begin);
	c->yaml = yaml_open(f.begin, len);
	rc = check_document(c);
	yaml_close(c->yaml);
	arena_free(a);
	return rc;
}

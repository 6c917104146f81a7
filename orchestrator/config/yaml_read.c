#include "orchestrator/config/yaml_read.h"

#include <stdbool.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"

#define KEYS_MAX 32

/* ---- maps */

/* Names under which people keep what must not be in a file that is shared. */
static bool names_a_secret(const char *key)
{
	static const char *const words[] = { "token",	"password", "passwd",	 "secret",
					     "api_key", "apikey",   "credential" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasestr(key, words[i]))
			return true;
	return false;
}

static void unknown_key(struct reader *r, const struct yentry *en, const char *what,
			const struct key *keys, size_t n)
{
	const char *names[KEYS_MAX], *near;

	if (names_a_secret(en->key)) {
		faults_add(r->f, en->at,
			   "\"%.60s\" in %s: secrets do not belong into this file; the token of a "
			   "hub comes from HF_TOKEN or `hf auth login`, that of a git server from "
			   "QUERN_GIT_TOKEN",
			   en->key, what);
		return;
	}
	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	near = nearest_name(en->key, names, n);
	if (near)
		faults_add(r->f, en->at, "unknown key \"%.60s\" in %s; did you mean \"%s\"?",
			   en->key, what, near);
	else
		faults_add(r->f, en->at, "unknown key \"%.60s\" in %s; remove it", en->key, what);
}

void read_map(struct reader *r, const struct ynode *v, const char *what, const struct key *keys,
	      size_t n)
{
	const char *outer = r->key;

	if (v->type != YNODE_MAP) {
		faults_add(r->f, v->at, "%s is %s; a map of keys is wanted", what,
			   ynode_shown(r->a, v));
		return;
	}
	for (size_t i = 0; i < v->n; i++) {
		const struct yentry *en = &v->entries[i];
		size_t k = 0;

		while (k < n && strcmp(keys[k].name, en->key) != 0)
			k++;
		if (k == n) {
			unknown_key(r, en, what, keys, n);
			continue;
		}
		r->key = keys[k].name;
		keys[k].read(r, en->value, keys[k].target);
	}
	r->key = outer;
}

int read_has(const struct ynode *map, const char *key)
{
	for (size_t i = 0; map->type == YNODE_MAP && i < map->n; i++) {
		if (nearest_name(map->entries[i].key, &key, 1))
			return 1;
	}
	return 0;
}

/* ---- single values */

void read_wrong(struct reader *r, const struct ynode *v, const char *want)
{
	if (v->bad)
		return; /* its own fault has been said */
	faults_add(r->f, v->at, "%s is %s; %s is wanted", r->key, ynode_shown(r->a, v), want);
}

int read_is_text(struct reader *r, const struct ynode *v, const char *want)
{
	if (v->type == YNODE_SCALAR && v->text[0])
		return 1;
	read_wrong(r, v, want);
	return 0;
}

int read_checked(struct reader *r, const struct ynode *v, const char *want,
		 int (*ok)(const char *text), const char **out)
{
	if (!read_is_text(r, v, want))
		return 0;
	if (!ok(v->text)) {
		read_wrong(r, v, want);
		return 0;
	}
	*out = v->text;
	return 1;
}

void read_word(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_checked(r, v, "a name of letters, digits, '.', '_', '-' and '+'", read_word_ok,
			   target);
}

void read_text(struct reader *r, const struct ynode *v, void *target)
{
	if (read_is_text(r, v, "text"))
		*(const char **)target = v->text;
}

void read_flag(struct reader *r, const struct ynode *v, void *target)
{
	if (!ynode_bool(v, target))
		read_wrong(r, v, "true or false (without quotes)");
}

void read_size(struct reader *r, const struct ynode *v, void *target)
{
	uint64_t bytes;

	if (v->type == YNODE_SCALAR && units_parse_size(v->text, &bytes) == 0)
		*(uint64_t *)target = bytes;
	else
		read_wrong(r, v, "a size like 512MiB or 16GiB");
}

static const char a_duration[] = "a duration like 30s, 10min or 6h";

void read_duration(struct reader *r, const struct ynode *v, void *target)
{
	int64_t ms;

	if (v->type == YNODE_SCALAR && units_parse_duration(v->text, &ms) == 0)
		*(int64_t *)target = ms;
	else
		read_wrong(r, v, a_duration);
}

void read_limit(struct reader *r, const struct ynode *v, void *target)
{
	int64_t ms;

	if (v->type == YNODE_SCALAR && units_parse_duration(v->text, &ms) == 0 && ms > 0)
		*(int64_t *)target = ms;
	else
		read_wrong(r, v, "a duration above 0 like 30s, 10min or 6h");
}

int read_number(struct reader *r, const struct ynode *v, double min, double max, double *out)
{
	double d;

	if (ynode_number(v, &d) && d >= min && d <= max) {
		*out = d == 0 ? 0 : d; /* -0 is 0 */
		return 1;
	}
	read_wrong(r, v, arena_printf(r->a, "a number from %g to %g", min, max));
	return 0;
}

int read_whole(struct reader *r, const struct ynode *v, int min, int max, int *out)
{
	double d;

	if (ynode_number(v, &d) && d >= min && d <= max && d == (double)(int)d) {
		*out = (int)d;
		return 1;
	}
	read_wrong(r, v, arena_printf(r->a, "a whole number from %d to %d", min, max));
	return 0;
}

int read_word_ok(const char *s)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-+";
	size_t n = strspn(s, allowed);

	return n > 0 && n <= 64 && !s[n] && !strchr("-.", s[0]);
}

/* ---- lists; one value is a list of one */

size_t read_items(struct reader *r, const struct ynode *const *v, struct ynode *const **out)
{
	const struct ynode *list = *v;

	if (list->type == YNODE_SCALAR) {
		*out = (struct ynode *const *)v;
		return 1;
	}
	if (list->type == YNODE_MAP || list->n == 0)
		read_wrong(r, list, "a value, or a list of values,");
	*out = list->items;
	return list->type == YNODE_LIST ? list->n : 0;
}

void read_strings(struct reader *r, const struct ynode *v, void *target)
{
	struct string_list *l = target;
	struct ynode *const *items;
	size_t n = read_items(r, &v, &items);

	*l = (struct string_list){ arena_array(r->a, n + 1, sizeof(*l->v)), 0,
				   arena_array(r->a, n + 1, sizeof(*l->at)) };
	for (size_t i = 0; i < n; i++) {
		if (!read_is_text(r, items[i], "text"))
			continue;
		l->v[l->n] = items[i]->text;
		l->at[l->n++] = items[i]->at;
	}
}

void read_hybrids(struct reader *r, const struct ynode *v, void *target)
{
	struct number_list *l = target;
	struct ynode *const *items;
	size_t n = read_items(r, &v, &items);

	*l = (struct number_list){ arena_array(r->a, n + 1, sizeof(*l->v)), 0 };
	for (size_t i = 0; i < n; i++)
		l->n += (size_t)read_number(r, items[i], 0, 1, &l->v[l->n]);
}

void read_opts(struct reader *r, const struct ynode *v, void *target)
{
	struct int_list *l = target;
	struct ynode *const *items;
	size_t n = read_items(r, &v, &items);

	*l = (struct int_list){ arena_array(r->a, n + 1, sizeof(*l->v)), 0 };
	for (size_t i = 0; i < n; i++)
		l->n += (size_t)read_whole(r, items[i], 0, 9, &l->v[l->n]);
}

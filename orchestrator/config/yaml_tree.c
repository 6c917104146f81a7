#include "orchestrator/config/yaml_tree.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "core/yaml.h"

/* Values are made from events, not from libyaml's documents: a bound is met when it is met, and
 * not after everything has been loaded. */
struct anchor {
	const char *name;
	struct ynode *node; /* NULL: still being read */
};

struct reading {
	struct arena *a;
	struct faults *f;
	const char *text;
	size_t len;
	struct yaml *yaml;
	struct anchor anchors[YAML_ANCHORS_MAX];
	size_t n_anchors;
	int nodes;
	size_t filled; /* bytes that came from variables */
};

static struct mark mark_of(struct yaml_place p)
{
	return (struct mark){ p.line, p.column };
}

/* ---- ${VAR}, ${VAR:-default}, $${ for a literal ${ */

static int name_ok(const char *s)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return s[0] && !strchr("0123456789", s[0]) && !s[strspn(s, allowed)];
}

/* The value of "NAME" or "NAME:-default" (as in sh, also for an empty variable); NULL: none, said.
 */
static const char *variable(struct reading *r, char *inside, struct mark at)
{
	char *dflt = strstr(inside, ":-");
	const char *value;

	if (dflt) {
		*dflt = '\0';
		dflt += 2;
	}
	if (!name_ok(inside)) {
		faults_add(
			r->f, at,
			"\"%s\" is no name of a variable; write ${NAME} or ${NAME:-text}, or $${ "
			"for a literal ${",
			inside);
		return NULL;
	}
	if (dflt && strstr(dflt, "${")) {
		faults_add(r->f, at, "${%s:-...} with a variable inside; a default is plain text",
			   inside);
		return NULL;
	}
	value = getenv(inside);
	if (!value || (!*value && dflt))
		value = dflt;
	if (!value)
		faults_add(r->f, at,
			   "the variable %s is not set; set it in the environment, or write "
			   "${%s:-text}",
			   inside, inside);
	else if (!utf8_valid(value, strlen(value)))
		faults_add(r->f, at, "the variable %s is not UTF-8; correct the environment",
			   inside);
	else if ((r->filled += strlen(value)) > YAML_FILLED_MAX)
		faults_add(r->f, at, "variables bring in more than %u bytes; use fewer",
			   YAML_FILLED_MAX);
	else
		return value;
	return NULL;
}

static void fill_in(struct reading *r, struct ynode *v)
{
	const char *s = v->text;
	struct buf b;

	buf_init(&b, YAML_TEXT_MAX + YAML_FILLED_MAX);
	while (*s) {
		const char *close, *value;

		if (strncmp(s, "$${", 3) == 0) {
			buf_adds(&b, "${");
			s += 3;
		} else if (strncmp(s, "${", 2) != 0) {
			buf_addc(&b, *s++);
		} else if ((close = strchr(s, '}'))) {
			value = variable(r, arena_strndup(r->a, s + 2, (size_t)(close - s - 2)),
					 v->at);
			v->bad |= !value;
			buf_adds(&b, value ? value : "");
			s = close + 1;
		} else {
			faults_add(r->f, v->at,
				   "\"${\" without \"}\"; write ${NAME}, or $${ for a literal ${");
			v->bad = 1;
			break;
		}
	}
	v->text = v->bad ? "?" : arena_strdup(r->a, buf_str(&b));
	buf_release(&b);
}

/* ---- anchors */

static int add_anchor(struct reading *r, const char *name, struct mark at, size_t *index)
{
	if (r->n_anchors == YAML_ANCHORS_MAX) {
		faults_add(r->f, at, "more than %d anchors; use fewer", YAML_ANCHORS_MAX);
		return ERR_INVALID;
	}
	*index = r->n_anchors++;
	r->anchors[*index] = (struct anchor){ arena_strdup(r->a, name), NULL };
	return 0;
}

static struct ynode *aliased(struct reading *r, const struct yaml_event *ev, int depth)
{
	/* Copied: it is said after the next event may have been taken. */
	const char *name = arena_strdup(r->a, ev->anchor);
	struct mark at = mark_of(ev->at);

	/* From the end: a name may be given again. */
	for (size_t i = r->n_anchors; i-- > 0;) {
		struct ynode *v = r->anchors[i].node;

		if (strcmp(r->anchors[i].name, name) != 0)
			continue;
		if (!v) {
			faults_add(r->f, at, "*%s stands inside &%s: it would never end; remove it",
				   name, name);
			return NULL;
		}
		r->nodes += v->size;
		if (r->nodes > YAML_NODES_MAX || depth + v->height > YAML_DEPTH_MAX) {
			faults_add(r->f, at,
				   "with *%s the file has more than %d values or %d levels; write "
				   "it with fewer",
				   name, YAML_NODES_MAX, YAML_DEPTH_MAX);
			return NULL;
		}
		return v;
	}
	faults_add(r->f, at, "*%s has no anchor before it; write &%s at the value it repeats", name,
		   name);
	return NULL;
}

/* ---- values */

enum role { ROLE_VALUE, ROLE_KEY };

static struct ynode *read_value(struct reading *r, const struct yaml_event *ev, enum role role,
				int depth);

/* The text of the line and column where libyaml stopped; "" behind the end. */
static const char *text_at(const struct reading *r, struct mark at)
{
	size_t i = 0;
	uint32_t cp;

	for (int line = 1; line < at.line && i < r->len; i++)
		line += r->text[i] == '\n';
	for (int column = 1; column < at.column && i < r->len; column++)
		i += (size_t)utf8_next(r->text + i, r->len - i, &cp);
	return i < r->len ? r->text + i : "";
}

static void syntax_fault(struct reading *r)
{
	struct yaml_problem p = yaml_problem(r->yaml);
	struct mark at = mark_of(p.at);
	const char *here = text_at(r, at);

	if (*here == '\t')
		faults_add(r->f, at, "a tab; YAML is indented with spaces");
	else if (*here == '{' && here > r->text && here[-1] == '$')
		faults_add(r->f, at,
			   "${...} inside [ ] or { } without quotes; write \"${NAME}\" there");
	else if (p.context && p.context_at.line != p.at.line)
		faults_add(r->f, at,
			   "%s %s that began on line %d; correct the YAML between the two", p.text,
			   p.context, p.context_at.line);
	else
		faults_add(r->f, at, "%s%s%s; correct the YAML here or just before",
			   p.text ? p.text : "this is not YAML", p.context ? " " : "",
			   p.context ? p.context : "");
}

static int next_event(struct reading *r, struct yaml_event *ev)
{
	if (yaml_next(r->yaml, ev) == 0)
		return 0;
	syntax_fault(r);
	return ERR_INVALID;
}

static struct ynode *new_value(struct reading *r, enum ynode_type type, const struct yaml_event *ev,
			       int depth)
{
	struct mark at = mark_of(ev->at);
	struct ynode *v;

	if (depth > YAML_DEPTH_MAX) {
		faults_add(r->f, at, "nested more than %d levels deep; write it flatter",
			   YAML_DEPTH_MAX);
		return NULL;
	}
	if (++r->nodes > YAML_NODES_MAX) {
		faults_add(r->f, at, "more than %d values in one file; write it with fewer",
			   YAML_NODES_MAX);
		return NULL;
	}
	v = arena_alloc(r->a, sizeof(*v));
	v->type = type;
	v->at = at;
	v->size = 1;
	return v;
}

static void refuse_tag(struct reading *r, const char *s, struct ynode *v)
{
	static const char standard[] = "tag:yaml.org,2002:";
	int is_standard = s && strncmp(s, standard, strlen(standard)) == 0;

	if (!s)
		return;
	faults_add(r->f, v->at, "the tag %s%.60s; tags are not read, write the plain value",
		   is_standard ? "!!" : "", is_standard ? s + strlen(standard) : s);
	v->bad = 1;
}

static struct ynode *scalar(struct reading *r, const struct yaml_event *ev, enum role role,
			    int depth)
{
	struct ynode *v = new_value(r, YNODE_SCALAR, ev, depth);

	if (!v)
		return NULL;
	v->quoted = !ev->plain;
	v->text = arena_strndup(r->a, ev->text, ev->len);
	refuse_tag(r, ev->tag, v);
	if (strlen(v->text) != ev->len) /* "\0" in double quotes */
		faults_add(r->f, v->at, "a NUL character in the text; remove it");
	if (role == ROLE_VALUE && strstr(v->text, "${")) {
		fill_in(r, v);
		v->quoted =
			0; /* YAML wants quotes around ${VAR} in [ ] and { }, also for numbers */
	}
	return v;
}

static void count_child(struct ynode *v, const struct ynode *child)
{
	v->size += child->size;
	if (child->height >= v->height)
		v->height = child->height + 1;
}

static struct ynode *list(struct reading *r, const struct yaml_event *start, int depth)
{
	struct ynode *v = new_value(r, YNODE_LIST, start, depth), **items = NULL;
	size_t n = 0, cap = 0;
	struct yaml_event ev;
	int done = 0, rc = 0;

	if (!v)
		return NULL;
	refuse_tag(r, start->tag, v);
	while (rc == 0 && !done) {
		struct ynode *item;

		rc = next_event(r, &ev);
		if (rc < 0)
			break;
		done = ev.kind == YAML_LIST_END;
		item = done ? NULL : read_value(r, &ev, ROLE_VALUE, depth + 1);
		if (item) {
			MEM_GROW(items, n, cap);
			items[n++] = item;
			count_child(v, item);
		} else if (!done) {
			rc = ERR_INVALID;
		}
	}
	v->n = n;
	v->items = arena_array(r->a, n + 1, sizeof(struct ynode *));
	for (size_t i = 0; i < n; i++)
		v->items[i] = items[i];
	free(items);
	return rc == 0 ? v : NULL;
}

/* ---- maps */

struct entries { /* of a map that is being read; on the heap */
	struct yentry *v;
	size_t n, cap;
};

static const struct yentry *find_entry(const struct yentry *v, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].key, key) == 0)
			return &v[i];
	}
	return NULL;
}

static int add_entry(struct reading *r, struct entries *es, struct yentry en)
{
	if (es->n == YAML_KEYS_MAX) {
		faults_add(r->f, en.at, "more than %d keys in one map; use fewer", YAML_KEYS_MAX);
		return ERR_INVALID;
	}
	MEM_GROW(es->v, es->n, es->cap);
	es->v[es->n++] = en;
	return 0;
}

/* `<<`: the keys of a map, or of each map of a list, that are not there yet. */
static int merge(struct reading *r, struct entries *es, const struct ynode *from)
{
	if (from->type == YNODE_LIST) {
		for (size_t i = 0; i < from->n; i++) {
			if (from->items[i]->type == YNODE_LIST)
				faults_add(r->f, from->at,
					   "\"<<\" merges a list of lists; it takes a map or a "
					   "list of maps");
			else if (merge(r, es, from->items[i]) < 0)
				return ERR_INVALID;
		}
		return 0;
	}
	if (from->type == YNODE_SCALAR) {
		faults_add(r->f, from->at, "\"<<\" merges %s; it takes a map or a list of maps",
			   ynode_shown(r->a, from));
		return 0;
	}
	for (size_t i = 0; i < from->n; i++) {
		if (!find_entry(es->v, es->n, from->entries[i].key) &&
		    add_entry(r, es, from->entries[i]) < 0)
			return ERR_INVALID;
	}
	return 0;
}

/* One key, whose event is ev, and its value. A value to be merged goes to *merged. */
static int pair(struct reading *r, struct ynode *v, struct entries *es, struct ynode **merged,
		const struct yaml_event *ev, int depth)
{
	struct ynode *key = read_value(r, ev, ROLE_KEY, depth + 1), *value = NULL;
	struct yaml_event next;
	int is_merge;

	if (!key || next_event(r, &next) < 0)
		return ERR_INVALID;
	value = read_value(r, &next, ROLE_VALUE, depth + 1);
	if (!value)
		return ERR_INVALID;
	count_child(v, key);
	count_child(v, value);
	if (key->type != YNODE_SCALAR) {
		faults_add(r->f, key->at, "%s as a key; keys are names", ynode_shown(r->a, key));
		return 0;
	}
	is_merge = strcmp(key->text, "<<") == 0 && !key->quoted;
	if (is_merge && !*merged) {
		*merged = value;
		return 0;
	}
	if (is_merge || find_entry(es->v, es->n, key->text)) {
		faults_add(r->f, key->at, "the key \"%.60s\" stands here twice; keep one%s",
			   key->text, is_merge ? ", with a list of maps" : "");
		return 0;
	}
	return add_entry(r, es, (struct yentry){ key->text, key->at, value });
}

static struct ynode *map(struct reading *r, const struct yaml_event *start, int depth)
{
	struct ynode *v = new_value(r, YNODE_MAP, start, depth), *merged = NULL;
	struct entries es = { NULL, 0, 0 };
	struct yaml_event ev;
	int done = 0, rc = 0;

	if (!v)
		return NULL;
	refuse_tag(r, start->tag, v);
	while (rc == 0 && !done) {
		rc = next_event(r, &ev);
		if (rc < 0)
			break;
		done = ev.kind == YAML_MAP_END;
		if (!done)
			rc = pair(r, v, &es, &merged, &ev, depth);
	}
	if (rc == 0 && merged)
		rc = merge(r, &es, merged);
	v->n = es.n;
	v->entries = arena_array(r->a, es.n + 1, sizeof(struct yentry));
	if (es.n)
		memcpy(v->entries, es.v, es.n * sizeof(struct yentry));
	free(es.v);
	return rc == 0 ? v : NULL;
}

/* The value that begins with ev. NULL: it cannot be read on, and why has been said. */
static struct ynode *read_value(struct reading *r, const struct yaml_event *ev, enum role role,
				int depth)
{
	int anchored = ev->anchor && ev->kind != YAML_ALIAS;
	struct ynode *v = NULL;
	size_t index = 0;

	if (anchored && add_anchor(r, ev->anchor, mark_of(ev->at), &index) < 0)
		return NULL;
	if (ev->kind == YAML_ALIAS)
		return aliased(r, ev, depth);
	if (ev->kind == YAML_SCALAR)
		v = scalar(r, ev, role, depth);
	else if (ev->kind == YAML_LIST)
		v = list(r, ev, depth);
	else if (ev->kind == YAML_MAP)
		v = map(r, ev, depth);
	if (anchored && v)
		r->anchors[index].node = v;
	return v;
}

/* ---- documents */

/* What libyaml would refuse with an offset in bytes, told with a place. */
static int check_text(struct reading *r)
{
	struct mark at = { 1, 1 };

	for (size_t i = 0; i < r->len;) {
		uint32_t cp = 0;
		int n = utf8_next(r->text + i, r->len - i, &cp);

		if (n == 0) {
			faults_add(r->f, at,
				   "a byte (0x%02x) that is not UTF-8; save the file as UTF-8",
				   (unsigned)(unsigned char)r->text[i]);
			return ERR_INVALID;
		}
		if ((utf8_is_control(cp) && !strchr("\t\n\r", (int)cp) && cp != 0x85) || cp == 0 ||
		    (cp & 0xfffe) == 0xfffe) {
			faults_add(r->f, at, "the control character U+%04X; remove it",
				   (unsigned)cp);
			return ERR_INVALID;
		}
		i += (size_t)n;
		at.column++;
		if (cp == '\n')
			at = (struct mark){ at.line + 1, 1 };
	}
	return 0;
}

static int one_document(struct reading *r, struct ynode **out)
{
	struct yaml_event ev;
	int rc;

	do { /* up to the first value, or the end when there is none */
		rc = next_event(r, &ev);
		if (rc < 0)
			return rc;
	} while (ev.kind == YAML_DOCUMENT);
	if (ev.kind == YAML_DONE)
		return 0;
	*out = read_value(r, &ev, ROLE_VALUE, 1);
	if (!*out)
		return ERR_INVALID;
	rc = next_event(r, &ev);
	if (rc == 0 && ev.kind == YAML_DOCUMENT)
		faults_add(r->f, mark_of(ev.at),
			   "a second document; one file holds one, remove the \"---\"");
	return rc;
}

static int has_bom(const char *text, size_t len)
{
	return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
}

int yaml_tree_parse(struct arena *a, const char *text, size_t len, struct faults *f,
		    struct ynode **out)
{
	struct reading *r = arena_alloc(a, sizeof(*r));
	int rc;

	*out = NULL;
	r->a = a;
	r->f = f;
	r->text = has_bom(text, len) ? text + 3 : text;
	r->len = has_bom(text, len) ? len - 3 : len;
	if (len > YAML_TEXT_MAX) {
		faults_add(f, (struct mark){ 1, 1 }, "the file has %zu bytes; at most %u are read",
			   len, YAML_TEXT_MAX);
		return ERR_INVALID;
	}
	if (check_text(r) < 0)
		return ERR_INVALID;
	r->yaml = yaml_open(r->text, r->len);
	rc = one_document(r, out);
	yaml_close(r->yaml);
	return rc;
}

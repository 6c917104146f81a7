/* Chat templates: how turns of a talk are written. They are in tokenizer_config.json, as a text or
 * as a list with names; else in chat_template.jinja and, under their names, in a folder beside it;
 * else in chat_template.json. Source: gguf-py/gguf/vocab.py,
 * SpecialVocab._try_load_from_tokenizer_json(). */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/path.h"
#include "core/source.h"
#include "workers/gguf/tokenizer.h"

#define TEMPLATE_MAX (4u << 20)

struct template
{
	const char *name; /* as it is in a key */
	const char *text;
};

struct templates {
	struct arena *a;
	struct template *v;
	size_t n;
};

/* In a key, all but letters and digits become "_". Source: gguf-py/gguf/gguf_writer.py,
 * add_chat_template(). */
static const char *key_name(struct arena *a, const char *name)
{
	char *out = arena_strdup(a, name);

	for (char *p = out; *p; p++) {
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9')))
			*p = '_';
	}
	return out;
}

/* There is room for it. A name is the whole of a key: two that are alike would make no file. */
static int add(struct templates *t, const char *name, const char *text, struct err *e)
{
	struct template new = { key_name(t->a, name), text };

	if (!*name || !text || !*text)
		return 0;
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->v[i].name, new.name) == 0)
			return err_set(
				e, ERR_INVALID,
				"two chat templates are named \"%.60s\" (in the file, all but "
				"letters and digits become \"_\"); rename one of them",
				new.name);
	}
	t->v[t->n++] = new;
	return 0;
}

/* A text, or a list of objects with "name" and "template". */
static int add_value(struct templates *t, const struct json *v, struct err *e)
{
	size_t n = v && v->type == JSON_ARRAY ? v->count : 0;

	t->v = arena_array(t->a, n + 1, sizeof(*t->v));
	if (v && v->type == JSON_STRING)
		return add(t, "default", v->str, e);
	for (size_t i = 0; i < n; i++) {
		const struct json *x = v->members[i].value;

		if (add(t, json_str(x, "name", ""), json_str(x, "template", NULL), e) < 0)
			return e->code;
	}
	return 0;
}

static int read_text(struct templates *t, const char *path, const char **out, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEMPLATE_MAX);
	rc = path_read(path, TEMPLATE_MAX, &b, e);
	if (rc >= 0)
		*out = arena_strdup(t->a, buf_str(&b));
	buf_release(&b);
	return rc < 0 ? rc : 0;
}

/* "rag" of additional_chat_templates/rag.jinja. */
static const char *name_of(struct arena *a, const char *name)
{
	const char *base = path_basename(name);

	return arena_strndup(a, base, strlen(base) - strlen(".jinja"));
}

/* chat_template.jinja, and those in the folder. 1 when there are some. */
static int add_files(struct templates *t, const char *dir, struct err *e)
{
	struct source_files files;
	const char *text;

	if (source_list(t->a, dir, &files, e) < 0)
		return e->code;
	t->v = arena_array(t->a, files.n + 1, sizeof(*t->v));
	for (size_t i = 0; i < files.n; i++) {
		const char *name = files.v[i].name;
		int folder = strchr(name, '/') != NULL;

		if (!folder && strcmp(name, "chat_template.jinja") != 0)
			continue;
		if (read_text(t, files.v[i].path, &text, e) < 0 ||
		    add(t, folder ? name_of(t->a, name) : "default", text, e) < 0)
			return e->code;
	}
	return t->n > 0;
}

static int find(struct templates *t, const struct tokenizer *from, struct err *e)
{
	const struct json *v = json_get(from->config, "chat_template");
	struct json *file;
	int rc;

	if (v && (v->type == JSON_STRING || v->type == JSON_ARRAY))
		return add_value(t, v, e);
	rc = add_files(t, from->dir, e);
	if (rc != 0)
		return rc;
	if (tokenizer_read_json(t->a, from->dir, "chat_template.json", &file, e) < 0)
		return e->code;
	return add_value(t, json_get(file, "chat_template"), e);
}

int tokenizer_write_templates(struct arena *a, const struct tokenizer *t, struct gguf_writer *w,
			      struct err *e)
{
	struct templates all = { .a = a };
	uint64_t named = 0;

	if (find(&all, t, e) < 0)
		return e->code;
	for (size_t i = 0; i < all.n; i++) {
		const char *name = all.v[i].name;
		int is_default = strcmp(name, "default") == 0;

		gguf_str(w,
			 is_default ? "tokenizer.chat_template"
				    : arena_printf(a, "tokenizer.chat_template.%s", name),
			 all.v[i].text);
		named += !is_default;
	}
	if (named)
		gguf_array(w, "tokenizer.chat_templates", GGUF_STRING, named);
	for (size_t i = 0; i < all.n; i++) {
		if (strcmp(all.v[i].name, "default") != 0)
			gguf_put_str(w, all.v[i].name, strlen(all.v[i].name));
	}
	return 0;
}

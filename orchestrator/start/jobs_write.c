#include "orchestrator/start/jobs_write.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "core/json.h"

/* YAML needs no quotes around these, wherever they stand. */
static bool is_plain(const char *s)
{
	if (!isalnum((unsigned char)s[0]) && s[0] != '.' && s[0] != '/')
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("._/+-", *s))
			return false;
	}
	return true;
}

void jobs_write_text(struct buf *b, const char *text)
{
	struct json_out w;
	struct buf own;

	if (is_plain(text)) {
		buf_adds(b, text);
		return;
	}
	buf_init(&own, b->max);
	for (const char *p = text; *p; p++) {
		if (p[0] == '$' && p[1] == '{')
			buf_addc(&own, '$');
		buf_addc(&own, *p);
	}
	jw_init(&w, b, 0); /* a string of JSON is one of YAML */
	jw_str(&w, buf_str(&own));
	buf_release(&own);
}

static void comment(struct buf *b, const char *indent, const char *text)
{
	while (text && *text) {
		size_t n = strcspn(text, "\n");

		buf_addf(b, "%s# ", indent);
		/* Foreign text may stand in a note: only the end of a line ends a comment. */
		for (size_t i = 0; i < n; i++)
			buf_addc(b, (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
		buf_addc(b, '\n');
		text += n + (text[n] == '\n');
	}
}

static void member(struct buf *b, const char *indent, const char *key, const char *text)
{
	if (!text)
		return;
	buf_addf(b, "%s%s: ", indent, key);
	jobs_write_text(b, text);
	buf_addc(b, '\n');
}

static void model(struct buf *b, const struct model *m)
{
	const char *key = m->id ? "id" : m->path ? "path" : "fake";

	member(b, "  - ", key, m->id ? m->id : m->path ? m->path : m->fake);
	if (m->id)
		member(b, "    ", "revision", m->revision);
	member(b, "    ", "file", m->file);
	member(b, "    ", "lora", m->lora);
	member(b, "    ", "lora_path", m->lora_path);
	if (m->lora)
		member(b, "    ", "lora_revision", m->lora_revision);
	member(b, "    ", "name", m->name);
}

static void texts(struct buf *b, const char *key, const struct string_list *l)
{
	if (!l->n)
		return;
	buf_addf(b, "    %s: [", key);
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			buf_adds(b, ", ");
		jobs_write_text(b, l->v[i]);
	}
	buf_adds(b, "]\n");
}

static void numbers(struct buf *b, const struct target *t)
{
	char text[32];

	if (t->hybrid.n) {
		buf_adds(b, "    hybrid: [");
		for (size_t i = 0; i < t->hybrid.n; i++) {
			json_format_number(t->hybrid.v[i], text);
			buf_addf(b, "%s%s", i ? ", " : "", text);
		}
		buf_adds(b, "] # share kept at higher precision, 0 to 1\n");
	}
	if (t->opt.n) {
		buf_adds(b, "    opt: [");
		for (size_t i = 0; i < t->opt.n; i++)
			buf_addf(b, "%s%d", i ? ", " : "", t->opt.v[i]);
		buf_adds(b, "] # work spent on a better result\n");
	}
}

static void target(struct buf *b, const struct target *t)
{
	member(b, "  - ", "engine", t->engine);
	texts(b, "model", &t->models);
	texts(b, "platform", &t->platform);
	texts(b, "quant", &t->quant);
	numbers(b, t);
	if (!t->n_with)
		return;
	buf_adds(b, "    with:\n");
	for (size_t i = 0; i < t->n_with; i++) {
		buf_adds(b, "      ");
		jobs_write_text(b, t->with[i].name);
		/* Canonical JSON; a "${" in it must not be filled in. */
		buf_adds(b, ": ");
		for (const char *p = t->with[i].value; *p; p++) {
			if (p[0] == '$' && p[1] == '{')
				buf_addc(b, '$');
			buf_addc(b, *p);
		}
		buf_addc(b, '\n');
	}
}

static void environment(struct buf *b, const struct jobs_sketch *s)
{
	if (!s->environment && !s->container)
		return;
	buf_adds(b, "engines:\n  ");
	jobs_write_text(b, s->environment_of);
	buf_adds(b, ":\n    environments:\n");
	if (s->container)
		member(b, "      - ", "container", s->container);
	else
		member(b, "      - ", "path", s->environment);
}

static void upload(struct buf *b, const struct jobs_sketch *s)
{
	comment(b, "", s->hub_note);
	if (!s->hub)
		return;
	buf_adds(b, "upload:\n");
	member(b, "  ", "hub", s->hub);
	member(b, "  ", "namespace", s->namespace_);
	member(b, "  ", "repo", s->repo);
	member(b, "  ", "file", s->file);
	if (s->is_private)
		buf_adds(b, "  private: true\n");
}

void jobs_write(struct buf *b, const struct jobs_sketch *s)
{
	comment(b, "", s->note);
	buf_adds(b, "version: 1\n");
	member(b, "", "work", s->work);
	buf_adds(b, "models:\n");
	for (size_t i = 0; i < s->n_models; i++) {
		comment(b, "  ", s->model_notes ? s->model_notes[i] : NULL);
		model(b, &s->models[i]);
	}
	environment(b, s);
	buf_adds(b, "targets:\n");
	for (size_t i = 0; i < s->n_targets; i++) {
		comment(b, "  ", s->target_notes ? s->target_notes[i] : NULL);
		target(b, &s->targets[i]);
	}
	upload(b, s);
}

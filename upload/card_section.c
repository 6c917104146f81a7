/* upload/card_section.c -- the generated section: the table of files, how to
 * get and run them, what they were made from. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "upload/card_private.h"

#define TEXT_MAX ((size_t)4 << 20)
#define SHORT_HASH 12 /* digits in the table; quern.json has all */

/* Columns that only some repositories need. */
struct columns {
	bool model, engine, platform, hybrid, opt;
};

static struct columns needed_columns(const struct card *c)
{
	struct columns k = { 0 };

	for (size_t i = 0; i < c->n; i++) {
		const struct job_spec *s = &c->v[i]->job->spec, *first = &c->v[0]->job->spec;

		k.model |= strcmp(s->model, first->model) != 0;
		k.engine |= strcmp(s->engine, first->engine) != 0;
		k.platform |= s->platform[0] != '\0';
		k.hybrid |= s->hybrid != 0;
		k.opt |= s->opt != 0;
	}
	return k;
}

static void add_head(struct buf *b, const char *name, bool wanted, struct buf *rule)
{
	if (!wanted)
		return;
	buf_addf(b, " %s |", name);
	buf_adds(rule, " --- |");
}

static void add_file_head(struct buf *b, const struct columns *k)
{
	struct buf rule;

	buf_init(&rule, 256);
	buf_addc(b, '|');
	buf_addc(&rule, '|');
	add_head(b, "file", true, &rule);
	add_head(b, "model", k->model, &rule);
	add_head(b, "engine", k->engine, &rule);
	add_head(b, "platform", k->platform, &rule);
	add_head(b, "quant", true, &rule);
	add_head(b, "hybrid", k->hybrid, &rule);
	add_head(b, "opt", k->opt, &rule);
	add_head(b, "size", true, &rule);
	add_head(b, "SHA-256", true, &rule);
	buf_addf(b, "\n%s\n", buf_str(&rule));
	buf_release(&rule);
}

static void add_cell(struct buf *b, const char *text, bool wanted)
{
	if (!wanted)
		return;
	buf_addc(b, ' ');
	md_text(b, text);
	buf_adds(b, " |");
}

static void add_code_cell(struct buf *b, const char *text)
{
	buf_addc(b, ' ');
	if (*text)
		md_code(b, text, true);
	buf_adds(b, " |");
}

static void add_file_row(struct buf *b, const struct columns *k, const struct card_variant *v,
			 size_t i)
{
	const struct job_spec *s = &v->job->spec;
	char hex[SHA256_HEX], size[16], hybrid[32], opt[16];

	hex_encode(v->files[i].sha256, SHA256_LEN, hex);
	hex[SHORT_HASH] = '\0';
	units_format_size((uint64_t)v->files[i].size_bytes, size, sizeof(size));
	json_format_number(s->hybrid, hybrid);
	(void)snprintf(opt, sizeof(opt), "%d", s->opt);
	buf_addc(b, '|');
	add_code_cell(b, v->paths[i]);
	add_cell(b, s->model, k->model);
	add_cell(b, s->engine, k->engine);
	add_cell(b, s->platform, k->platform);
	add_code_cell(b, s->quant);
	add_cell(b, hybrid, k->hybrid);
	add_cell(b, opt, k->opt);
	buf_addf(b, " %s | `%s` |\n", size, hex);
}

static void add_files(struct buf *b, const struct card *c)
{
	struct columns k = needed_columns(c);

	add_file_head(b, &k);
	for (size_t i = 0; i < c->n; i++)
		for (size_t f = 0; f < c->v[i]->n_files; f++)
			add_file_row(b, &k, c->v[i], f);
}

/* Rows of a table that many variants share are shown once, in the order of their first variant. */
static void add_unique_row(struct buf *b, const struct card *c, struct card_set *seen,
			   const char *row)
{
	if (card_set_has(seen, row))
		return;
	card_set_add(seen, arena_strdup(c->a, row));
	buf_adds(b, row);
}

static void source_row(struct buf *b, const struct job_spec *s)
{
	buf_addc(b, '|');
	add_cell(b, s->model, true);
	buf_addc(b, ' ');
	if (strcmp(s->source_kind, "path") == 0) {
		buf_adds(b, "a local folder, hash of its content");
	} else if (strcmp(s->source_kind, "fake") == 0) {
		buf_adds(b, "made-up weights, not a trained model: ");
		md_code(b, s->source, true);
	} else {
		md_code(b, s->source, true);
	}
	buf_adds(b, " |");
	add_code_cell(b, s->source_version);
	if (s->lora) {
		buf_addc(b, ' ');
		md_code(b, s->lora[0] == '/' ? "a local folder" : s->lora, true);
		buf_adds(b, ", ");
		md_code(b, s->lora_version ? s->lora_version : "", true);
		buf_adds(b, " |\n");
	} else {
		buf_adds(b, " |\n");
	}
}

static void engine_row(struct buf *b, const struct job_spec *s)
{
	buf_addc(b, '|');
	add_cell(b, s->engine, true);
	add_cell(b, s->engine_version, true);
	if (strcmp(s->with, "{}") == 0)
		buf_adds(b, " none |");
	else
		add_code_cell(b, s->with);
	buf_addc(b, '\n');
}

static void add_table(struct buf *b, const struct card *c, const char *head,
		      void (*write_row)(struct buf *, const struct job_spec *))
{
	struct card_set seen = { 0 };
	struct buf row;

	buf_adds(b, head);
	buf_init(&row, TEXT_MAX);
	for (size_t i = 0; i < c->n; i++) {
		buf_clear(&row);
		write_row(&row, &c->v[i]->job->spec);
		add_unique_row(b, c, &seen, buf_str(&row));
	}
	buf_release(&row);
	card_set_release(&seen);
}

/* The first file of the first variant that `engine` made, as a word for a shell. NULL: any engine.
 */
static const char *example_file(const struct card *c, const char *engine)
{
	struct buf b;
	const char *word = "";

	for (size_t i = 0; i < c->n; i++) {
		const struct card_variant *v = c->v[i];

		if (v->n_files == 0 || (engine && strcmp(v->job->spec.engine, engine) != 0))
			continue;
		buf_init(&b, TEXT_MAX);
		sh_word(&b, v->paths[0]);
		word = arena_strdup(c->a, buf_str(&b));
		buf_release(&b);
		break;
	}
	return word;
}

/* The text cards/usage-ENGINE.md for each engine that has one. */
static int add_usage(struct buf *b, const struct card *c, struct err *e)
{
	struct card_set engines = { 0 };
	int rc = 0;

	for (size_t i = 0; i < c->n; i++)
		card_set_add(&engines, c->v[i]->job->spec.engine);
	for (size_t i = 0; rc >= 0 && i < engines.n; i++) {
		const char *text = card_template(arena_printf(c->a, "usage-%s", engines.v[i]));
		const struct card_var vars[] = { { "file", example_file(c, engines.v[i]) } };

		if (text)
			rc = card_fill(b, text, vars, ARRAY_LEN(vars), e);
	}
	card_set_release(&engines);
	return rc;
}

int card_section_write(struct buf *b, const struct card *c, struct err *e)
{
	struct buf files, usage, sources, engines;
	int rc;

	buf_init(&files, TEXT_MAX);
	buf_init(&usage, TEXT_MAX);
	buf_init(&sources, TEXT_MAX);
	buf_init(&engines, TEXT_MAX);
	add_files(&files, c);
	add_table(&sources, c,
		  "| model | source | version | adapter |\n| --- | --- | --- | --- |\n",
		  source_row);
	add_table(&engines, c, "| engine | version | parameters |\n| --- | --- | --- |\n",
		  engine_row);
	rc = add_usage(&usage, c, e);

	const struct card_var vars[] = {
		{ "files", buf_str(&files) },	  { "file", example_file(c, NULL) },
		{ "usage", buf_str(&usage) },	  { "sources", buf_str(&sources) },
		{ "engines", buf_str(&engines) },
	};
	if (rc >= 0)
		rc = card_fill(b, card_template("section"), vars, ARRAY_LEN(vars), e);
	if (files.overflow || usage.overflow || sources.overflow || engines.overflow)
		b->overflow = 1;
	buf_release(&files);
	buf_release(&usage);
	buf_release(&sources);
	buf_release(&engines);
	return rc;
}

/* upload/card_section.c -- the generated section: the table of files, how to
 * get and run them, what they were made from. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "db/quality.h"
#include "upload/card_private.h"
#include "upload/companion.h"

#define TEXT_MAX ((size_t)4 << 20)
#define UNCONFIRMED "not confirmed"
#define CLAIMED ", claimed by a file name, not confirmed"

/* Columns that only some repositories need. */
struct columns {
	bool model, engine, platform, hybrid, opt, error;
};

static struct columns needed_columns(const struct card *c)
{
	struct columns k = { 0 };
	struct quality_facts q;

	for (size_t i = 0; i < c->n; i++) {
		const struct job_spec *s = &c->v[i]->job->spec, *first = &c->v[0]->job->spec;

		k.model |= strcmp(s->model, first->model) != 0;
		k.engine |= strcmp(s->engine, first->engine) != 0;
		k.platform |= s->platform[0] != '\0';
		k.hybrid |= s->hybrid != 0;
		k.opt |= s->opt != 0;
		k.error |= quality_read(&c->facts[i], &q);
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
	add_head(b, "error", k->error, &rule);
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

/* A parameter that nobody confirmed is not repeated; what the name of an imported file claims is,
 * as the claim that it is. */
static void add_param(struct buf *b, const struct facts *f, const char *name, const char *text,
		      bool confirmed, bool wanted)
{
	const struct json *claim = facts_claimed(f, name);
	struct buf shown;

	if (confirmed || !claim) {
		add_cell(b, confirmed ? text : UNCONFIRMED, wanted);
		return;
	}
	buf_init(&shown, TEXT_MAX);
	if (claim->type == JSON_STRING)
		buf_adds(&shown, claim->str);
	else
		json_write_canonical(&shown, claim);
	buf_adds(&shown, CLAIMED);
	add_cell(b, buf_str(&shown), wanted);
	buf_release(&shown);
}

static void add_file_row(struct buf *b, const struct columns *k, const struct card *c, size_t i,
			 size_t file)
{
	const struct card_variant *v = c->v[i];
	const struct job_spec *s = &v->job->spec;
	const struct facts *f = &c->facts[i];
	unsigned sure = c->confirmed[i];
	char hex[SHA256_HEX], size[16], hybrid[32], opt[16];
	struct quality_facts q;

	hex_encode(v->files[file].sha256, SHA256_LEN, hex);
	units_format_size((uint64_t)v->files[file].size_bytes, size, sizeof(size));
	json_format_number(s->hybrid, hybrid);
	(void)snprintf(opt, sizeof(opt), "%d", s->opt);
	buf_addc(b, '|');
	add_code_cell(b, v->paths[file]);
	add_cell(b, s->model, k->model);
	add_cell(b, s->engine, k->engine);
	add_param(b, f, "platform", s->platform, sure & JOB_PARAM_PLATFORM, k->platform);
	if (sure & JOB_PARAM_QUANT)
		add_code_cell(b, s->quant);
	else
		add_param(b, f, "quant", s->quant, false, true);
	add_param(b, f, "hybrid", hybrid, sure & JOB_PARAM_HYBRID, k->hybrid);
	add_param(b, f, "opt", opt, sure & JOB_PARAM_OPT, k->opt);
	add_cell(b, quality_read(&c->facts[i], &q) ? quality_error_text(c->a, &q.all) : "",
		 k->error);
	buf_addf(b, " %s | `%s` |\n", size, hex);
}

/* The file that a variant is about: its first in the root of the repository that is no companion,
 * else its first. */
static size_t main_file(const struct card_variant *v)
{
	for (size_t f = 0; f < v->n_files; f++)
		if (!strchr(v->paths[f], '/') && !companion_name(v->paths[f]))
			return f;
	return 0;
}

/* Configuration, tokenizer and licence beside a model: in the root for all variants, or in a folder
 * of its own. */
static bool is_companion(const struct card_variant *v, size_t file)
{
	const char *main = v->paths[main_file(v)], *path = v->paths[file];

	if (strchr(main, '/') || companion_name(main))
		return false;
	return strchr(path, '/') || companion_name(path);
}

static void add_files(struct buf *b, const struct card *c)
{
	struct columns k = needed_columns(c);
	bool in_root = false, in_folder = false;

	add_file_head(b, &k);
	for (size_t i = 0; i < c->n; i++) {
		for (size_t f = 0; f < c->v[i]->n_files; f++) {
			if (!is_companion(c->v[i], f))
				add_file_row(b, &k, c, i, f);
			else if (strchr(c->v[i]->paths[f], '/'))
				in_folder = true;
			else
				in_root = true;
		}
	}
	if (in_root)
		buf_addf(b,
			 "\nConfiguration, tokenizer and licence of these files are beside "
			 "them%s.\n",
			 in_folder ? "; a file with others has them in a folder of its name" : "");
	else if (in_folder)
		buf_adds(b, "\nWhat belongs to a file beside it, such as its configuration, its "
			    "tokenizer and its licence, is in a folder of its name.\n");
	if (k.error)
		buf_adds(b, "\nThe error is what conversion changed in the weights, as root mean "
			    "square relative to theirs; the converter measured it.\n");
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

static void source_row(struct buf *b, const struct card *c, size_t i)
{
	const struct job_spec *s = &c->v[i]->job->spec;

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

static bool is_imported(const struct facts *f)
{
	return facts_claimed(f, "imported_from") != NULL;
}

/* "rkllm-toolkit 1.2.1": what the worker says did the work. */
static void add_tools(struct buf *b, const struct facts *f)
{
	const struct json *tools = facts_get(f, "tools");
	bool any = is_imported(f);

	buf_addc(b, ' ');
	if (any)
		buf_adds(b, "imported: made elsewhere, it is not known how");
	for (size_t i = 0; tools && tools->type == JSON_OBJECT && i < tools->count; i++) {
		const struct json *version = tools->members[i].value;

		if (version->type != JSON_STRING)
			continue;
		buf_adds(b, any ? ", " : "");
		md_text(b, tools->members[i].key);
		buf_addc(b, ' ');
		md_text(b, version->str);
		any = true;
	}
	buf_adds(b, any ? " |" : "|");
}

/* With the version of the toolkit that did it, should it be another than the key's. */
static const char *given_version(const struct card *c, size_t i)
{
	const char *version = c->v[i]->job->spec.engine_version;
	const char *toolkit = facts_str(&c->facts[i], FACT_RUNG, "toolkit");

	if (!toolkit)
		return version;
	return arena_printf(c->a, "%.*s+%s", (int)strcspn(version, "+"), version, toolkit);
}

static void put_code(struct buf *b, const char *with)
{
	if (strcmp(with, "{}") == 0)
		buf_adds(b, "none");
	else
		md_code(b, with, true);
}

/* What the engine was given; and what was asked for, when a rung of the ladder changed it. */
static void add_with(struct buf *b, const struct card *c, size_t i)
{
	const struct job_spec *s = &c->v[i]->job->spec;
	const struct facts *f = &c->facts[i];
	const char *because = facts_str(f, FACT_RUNG, "because");

	buf_addc(b, ' ');
	put_code(b, facts_with(c->a, f, s->with));
	if (f->of[FACT_RUNG]->count) {
		buf_adds(b, "; asked for: ");
		md_text(b, s->engine_version);
		buf_adds(b, ", ");
		put_code(b, s->with);
		buf_adds(b, "; changed after: ");
		md_text(b, because ? because : "a failure");
	}
	buf_adds(b, " |");
}

static void engine_row(struct buf *b, const struct card *c, size_t i)
{
	const struct job_spec *s = &c->v[i]->job->spec;

	buf_addc(b, '|');
	add_cell(b, s->engine, true);
	add_cell(b, is_imported(&c->facts[i]) ? "not known" : given_version(c, i), true);
	add_tools(b, &c->facts[i]);
	add_with(b, c, i);
	buf_addc(b, '\n');
}

static void add_table(struct buf *b, const struct card *c, const char *head,
		      void (*write_row)(struct buf *, const struct card *, size_t))
{
	struct card_set seen = { 0 };
	struct buf row;

	buf_adds(b, head);
	buf_init(&row, TEXT_MAX);
	for (size_t i = 0; i < c->n; i++) {
		buf_clear(&row);
		write_row(&row, c, i);
		add_unique_row(b, c, &seen, buf_str(&row));
	}
	buf_release(&row);
	card_set_release(&seen);
}

/* The main file of the first variant that `engine` made, as a word for a shell. NULL: any engine.
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
		sh_word(&b, v->paths[main_file(v)]);
		word = arena_strdup(c->a, buf_str(&b));
		buf_release(&b);
		break;
	}
	return word;
}

/* The text cards/usage-ENGINE.md for each engine; one that has none is told so. */
static int add_usage(struct buf *b, const struct card *c, struct err *e)
{
	struct card_set engines = { 0 };
	int rc = 0;

	for (size_t i = 0; i < c->n; i++)
		card_set_add(&engines, c->v[i]->job->spec.engine);
	for (size_t i = 0; rc >= 0 && i < engines.n; i++) {
		const char *text = card_template(arena_printf(c->a, "usage-%s", engines.v[i]));
		const char *file = example_file(c, engines.v[i]);
		struct buf name;

		buf_init(&name, TEXT_MAX);
		md_code(&name, engines.v[i], false);
		const struct card_var vars[] = { { "engine", buf_str(&name) }, { "file", file } };

		rc = card_fill(b, text ? text : card_template("usage-none"), vars, ARRAY_LEN(vars),
			       e);
		buf_release(&name);
	}
	card_set_release(&engines);
	return rc;
}

/* ---- variables; card_variables[] names them in the same order */

enum {
	VAR_ENGINES,
	VAR_FILE,
	VAR_FILES,
	VAR_LICENSE,
	VAR_MEASURED,
	VAR_QUANTIZED_BY,
	VAR_REPO,
	VAR_SOURCES,
	VAR_TITLE,
	VAR_USAGE,
	VAR_COUNT
};

const char *const card_variables[VAR_COUNT] = { "engines",  "file",	    "files", "license",
						"measured", "quantized_by", "repo",  "sources",
						"title",    "usage" };
const size_t card_n_variables = VAR_COUNT;

static int fill_variables(struct buf v[VAR_COUNT], const struct card *c, struct err *e)
{
	const char *license = card_common(c, "license");

	add_table(&v[VAR_ENGINES], c,
		  "| engine | version | tools | parameters given |\n| --- | --- | --- | --- |\n",
		  engine_row);
	buf_adds(&v[VAR_FILE], example_file(c, NULL));
	add_files(&v[VAR_FILES], c);
	md_text(&v[VAR_LICENSE], license ? license : "");
	card_measured_write(&v[VAR_MEASURED], c);
	md_text(&v[VAR_QUANTIZED_BY], c->set->quantized_by ? c->set->quantized_by : "");
	md_text(&v[VAR_REPO], c->set->repo);
	add_table(&v[VAR_SOURCES], c,
		  "| model | source | version | adapter |\n| --- | --- | --- | --- |\n",
		  source_row);
	md_text(&v[VAR_TITLE], path_basename(c->set->repo));
	return add_usage(&v[VAR_USAGE], c, e);
}

int card_section_write(struct buf *b, const struct card *c, struct err *e)
{
	const char *text = c->set->template_text;
	struct card_var vars[VAR_COUNT];
	struct buf v[VAR_COUNT];
	int rc;

	for (size_t i = 0; i < VAR_COUNT; i++)
		buf_init(&v[i], TEXT_MAX);
	rc = fill_variables(v, c, e);
	for (size_t i = 0; i < VAR_COUNT; i++) {
		vars[i] = (struct card_var){ card_variables[i], buf_str(&v[i]) };
		b->overflow |= v[i].overflow;
	}
	if (rc >= 0)
		rc = card_fill(b, text ? text : card_template("section"), vars, VAR_COUNT, e);
	if (rc < 0 && text)
		err_wrap(e, "%s", c->set->template_name);
	for (size_t i = 0; i < VAR_COUNT; i++)
		buf_release(&v[i]);
	return rc;
}

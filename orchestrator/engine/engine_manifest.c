/* orchestrator/engine/engine_manifest.c -- one engine manifest; docs/engine-manifest.md
 * describes every field. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/engine/version.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/plan/matrix.h"

#define EXTENSION_MAX 32

/* ---- values */

const char manifest_a_word[] = "a name of letters, digits, '.', '_', '-' and '+'";

void manifest_read_word(struct reader *r, const struct ynode *v, void *target)
{
	if (v->type == YNODE_SCALAR && read_word_ok(v->text))
		*(const char **)target = v->text;
	else
		read_wrong(r, v, manifest_a_word);
}

static int is_one_of(const char *s, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i], s) == 0)
			return 1;
	}
	return 0;
}

static const char *legal_words(struct reader *r, const struct manifest_words *w)
{
	const char *text = arena_printf(r->a, "one of %s", w->legal[0]);

	for (size_t i = 1; i < w->n_legal; i++)
		text = arena_printf(r->a, "%s, %s", text, w->legal[i]);
	return text;
}

/* An empty list is what the field means when it is absent. */
void manifest_read_words(struct reader *r, const struct ynode *v, void *target)
{
	const struct manifest_words *w = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list");
		return;
	}
	*w->v = arena_array(r->a, v->n + 1, sizeof(**w->v));
	for (size_t i = 0; i < v->n; i++) {
		const struct ynode *item = v->items[i];

		if (item->type != YNODE_SCALAR || !read_word_ok(item->text))
			read_wrong(r, item, manifest_a_word);
		else if (w->legal && !is_one_of(item->text, w->legal, w->n_legal))
			read_wrong(r, item, legal_words(r, w));
		else
			(*w->v)[(*w->n)++] = item->text;
	}
}

static void read_args(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list");
		return;
	}
	en->args = arena_array(r->a, v->n + 1, sizeof(*en->args));
	for (size_t i = 0; i < v->n; i++) {
		if (read_is_text(r, v->items[i], "text"))
			en->args[en->n_args++] = v->items[i]->text;
	}
}

/* A size as the double that estimates are made of. */
static void read_bytes(struct reader *r, const struct ynode *v, void *target)
{
	uint64_t bytes = UINT64_MAX;

	read_size(r, v, &bytes);
	if (bytes != UINT64_MAX)
		*(double *)target = (double)bytes;
}

static void read_share(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_number(r, v, 0, 100, target);
}

static void read_bits(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_number(r, v, 0, 64, target);
}

static void read_ratio(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_number(r, v, 0, 1, target);
}

static void read_form(struct reader *r, const struct ynode *v, void *target)
{
	double form;

	(void)target;
	if (!ynode_number(v, &form) || form != 1)
		read_wrong(r, v, "1");
}

static void read_extension(struct reader *r, const struct ynode *v, void *target)
{
	if (v->type == YNODE_SCALAR &&
	    (!v->text[0] ||
	     (v->text[0] == '.' && read_word_ok(v->text + 1) && strlen(v->text) <= EXTENSION_MAX)))
		*(const char **)target = v->text;
	else
		read_wrong(r, v, "an extension like .gguf");
}

static void read_program(struct reader *r, const struct ynode *v, void *target)
{
	if (v->type == YNODE_SCALAR && (v->text[0] == '/' || path_component_ok(v->text)))
		*(const char **)target = v->text;
	else
		read_wrong(r, v, "a file name or an absolute path");
}

void manifest_read_prose(struct reader *r, const struct ynode *v, void *target)
{
	if (v->type == YNODE_SCALAR)
		*(const char **)target = v->text;
	else
		read_wrong(r, v, "text");
}

void manifest_read_since(struct reader *r, const struct ynode *v, void *target)
{
	if (v->type == YNODE_SCALAR && version_ok(v->text))
		*(const char **)target = v->text;
	else
		read_wrong(r, v, "a version like 1.2.0");
}

/* ---- quant, hybrid, opt */

static void read_group(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 1 << 20, target);
}

static void read_quant(struct reader *r, const struct yentry *entry, struct engine_quant *q)
{
	const struct manifest_words platforms = { &q->platforms, &q->n_platforms, NULL, 0 };
	const struct key keys[] = {
		{ "bits", read_bits, &q->bits },
		{ "platforms", manifest_read_words, (void *)&platforms },
		{ "group", read_group, &q->group },
		{ "since", manifest_read_since, &q->since },
	};
	const struct ynode *v = entry->value;

	q->name = entry->key;
	q->bits = -1;
	if (!read_word_ok(entry->key))
		faults_add(r->f, entry->at, "the quant \"%.60s\"; %s is wanted", entry->key,
			   manifest_a_word);
	if (v->type == YNODE_MAP)
		read_map(r, v, "a quant", keys, ARRAY_LEN(keys));
	else
		read_bits(r, v, &q->bits);
	if (v->type == YNODE_MAP && !read_has(v, "bits"))
		faults_add(r->f, v->at, "a quant without `bits`; write the bits a weight takes");
	else if (q->bits == 0)
		faults_add(r->f, v->at, "a quant of 0 bits; write the bits a weight takes");
}

static void read_quants(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (v->type != YNODE_MAP || v->n == 0) {
		read_wrong(r, v, "a map like {Q8_0: 8.5}");
		return;
	}
	en->quants = arena_array(r->a, v->n, sizeof(*en->quants));
	en->n_quants = v->n;
	for (size_t i = 0; i < v->n; i++)
		read_quant(r, &v->entries[i], &en->quants[i]);
}

static void read_legal_hybrids(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	struct number_list list = { 0 };
	const struct key keys[] = {
		{ "min", read_ratio, &en->hybrid_min },
		{ "max", read_ratio, &en->hybrid_max },
		{ "max_open", read_flag, &en->hybrid_max_open },
	};

	if (v->type == YNODE_MAP) {
		en->n_hybrids = 0;
		en->hybrid_max = 1;
		read_map(r, v, "hybrid", keys, ARRAY_LEN(keys));
		if (en->hybrid_min > en->hybrid_max ||
		    (en->hybrid_min == en->hybrid_max && en->hybrid_max_open))
			faults_add(r->f, v->at, "hybrid from %g to %g; no value is legal then",
				   en->hybrid_min, en->hybrid_max);
		return;
	}
	read_hybrids(r, v, &list);
	en->hybrids = list.v;
	en->n_hybrids = list.n;
}

static void read_legal_opts(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	struct int_list list = { 0 };

	read_opts(r, v, &list);
	en->opts = list.v;
	en->n_opts = list.n;
}

/* ---- formats, memory, output */

static void read_formats(struct reader *r, const struct ynode *v, void *target)
{
	static const char *const inputs[] = { "safetensors", "gguf", "rkllm" };
	struct engine *en = target;
	const struct manifest_words in = { &en->inputs, &en->n_inputs, inputs, ARRAY_LEN(inputs) };
	const struct key keys[] = {
		{ "in", manifest_read_words, (void *)&in },
		{ "out", manifest_read_word, &en->output },
	};

	read_map(r, v, "formats", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP && (!read_has(v, "in") || !read_has(v, "out")))
		faults_add(r->f, v->at,
			   "formats without `in` or `out`; write both, like "
			   "{in: [safetensors], out: gguf}");
}

static void read_renews(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	const struct key keys[] = {
		{ "format", manifest_read_word, &en->renew_format },
		{ "quant", manifest_read_word, &en->renew_quant },
		{ "since", manifest_read_since, &en->renew_since },
	};

	read_map(r, v, "renews", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP && (!read_has(v, "format") || !read_has(v, "quant")))
		faults_add(r->f, v->at,
			   "renews without `format` or `quant`; write both, like "
			   "{format: rkllm, quant: keep}");
}

/* {PARAMETER: {VALUE: number, ...}}; 0 where it has another form. */
static int read_shares(struct reader *r, const struct ynode *v, double max,
		       struct engine_shares *to)
{
	const struct ynode *by = v->type == YNODE_MAP && v->n == 1 ? v->entries[0].value : NULL;

	if (!by || by->type != YNODE_MAP || !by->n)
		return 0;
	to->by = v->entries[0].key;
	to->v = arena_array(r->a, by->n, sizeof(*to->v));
	for (to->n = 0; to->n < by->n; to->n++) {
		to->v[to->n].value = by->entries[to->n].key;
		(void)read_number(r, by->entries[to->n].value, 0, max, &to->v[to->n].number);
	}
	return 1;
}

static void read_per_weight(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (read_shares(r, v, 1000, &en->per_weight))
		return;
	if (v->type != YNODE_SCALAR) {
		read_wrong(r, v, "a number, or {PARAMETER: {VALUE: number}},");
		return;
	}
	en->per_weight.v = arena_array(r->a, 1, sizeof(*en->per_weight.v));
	en->per_weight.n = 1;
	(void)read_number(r, v, 0, 1000, &en->per_weight.v[0].number);
}

static void read_out_bits(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (!read_shares(r, v, 64, &en->out_bits))
		read_wrong(r, v, "{PARAMETER: {VALUE: bits}},");
}

static void read_memory(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	const struct key keys[] = {
		{ "base", read_bytes, &en->mem_base },
		{ "per_thread", read_bytes, &en->mem_per_thread },
		{ "per_row", read_bytes, &en->mem_per_row },
		{ "source_share", read_share, &en->mem_source_share },
		{ "per_weight", read_per_weight, en },
		{ "factors", manifest_read_factors, en },
	};

	read_map(r, v, "memory", keys, ARRAY_LEN(keys));
}

static void read_output(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	const struct key keys[] = {
		{ "bits", read_out_bits, en },
		{ "vector_bits", read_bits, &en->vector_bits },
		{ "base", read_bytes, &en->out_base },
		{ "scratch_share", read_share, &en->scratch_output_share },
		{ "scratch_per_weight", read_share, &en->scratch_per_weight },
	};

	read_map(r, v, "output", keys, ARRAY_LEN(keys));
}

/* ---- environments, names */

static void read_needs(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map of packages to versions, like {setuptools: \"<81\"}");
		return;
	}
	en->needs = arena_array(r->a, v->n + 1, sizeof(*en->needs));
	for (size_t i = 0; i < v->n; i++) {
		const struct ynode *value = v->entries[i].value;

		if (!read_word_ok(v->entries[i].key) || value->type != YNODE_SCALAR ||
		    comparison_holds(value->text, "0", 1) < 0)
			read_wrong(r, value, "a comparison of versions like \"<81\"");
		else
			en->needs[en->n_needs++] =
				(struct engine_need){ v->entries[i].key, value->text };
	}
}

static void read_environments(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	const struct key keys[] = {
		{ "package", manifest_read_word, &en->package },
		{ "module", manifest_read_word, &en->module },
		{ "machine", manifest_read_word, &en->machine },
		{ "needs", read_needs, en },
	};

	read_map(r, v, "environments", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP && !read_has(v, "package"))
		faults_add(r->f, v->at,
			   "environments without `package`; name the Python package they hold");
}

static void read_template(struct reader *r, const struct ynode *v, void *target)
{
	struct err why = ERR_INIT;

	if (v->type != YNODE_SCALAR)
		read_wrong(r, v, "a template like \"{model}-{quant}\"");
	else if (template_check(v->text, &why) < 0)
		faults_add(r->f, v->at, "%s: %s", r->key, why.msg);
	else
		*(const char **)target = v->text;
}

static void read_names(struct reader *r, const struct ynode *v, void *target)
{
	struct engine *en = target;
	const struct key keys[] = {
		{ "repo", read_template, &en->repo_template },
		{ "file", read_template, &en->file_template },
	};

	read_map(r, v, "names", keys, ARRAY_LEN(keys));
}

/* ---- the whole */

/* Beside the manifest, beside quern, in libexec; an absolute path as it is. */
static void locate(struct arena *a, const char *name, struct engine *en)
{
	char *dir = path_dirname(en->manifest), *beside = path_join(dir, name);

	if (access(beside, X_OK) == 0)
		en->program = arena_strdup(a, beside);
	else if (name[0] != '/')
		en->program = launch_program(a, name);
	if (!en->program)
		en->missing = arena_printf(a,
					   "its program %s is not installed; install quern "
					   "completely, or correct `program` in %s",
					   name, en->manifest);
	free(beside);
	free(dir);
}

static void set_defaults(struct engine *en)
{
	static const char *convert[] = { "convert" };
	static double no_hybrid[] = { 0 };
	static int plain_opt[] = { 0 };

	memset(en, 0, sizeof(*en));
	en->summary = "";
	en->extension = "";
	en->verbs = convert;
	en->n_verbs = 1;
	en->hybrids = no_hybrid;
	en->n_hybrids = 1;
	en->opts = plain_opt;
	en->n_opts = 1;
	en->mem_base = 256.0 * 1024 * 1024;
	en->vector_bits = 32;
}

static void check_required(struct reader *r, const struct ynode *root)
{
	static const char *const required[] = { "manifest", "name",    "version",
						"program",  "formats", "quant" };

	for (size_t i = 0; i < ARRAY_LEN(required); i++) {
		if (!read_has(root, required[i]))
			faults_add(r->f, root->at,
				   "a manifest without `%s`; "
				   "docs/engine-manifest.md describes it",
				   required[i]);
	}
}

/* Platforms of a quant are those of the engine. */
static void check_platforms(struct reader *r, const struct ynode *root, const struct engine *en)
{
	for (size_t i = 0; i < en->n_quants; i++) {
		for (size_t k = 0; k < en->quants[i].n_platforms; k++) {
			if (!is_one_of(en->quants[i].platforms[k], en->platforms, en->n_platforms))
				faults_add(r->f,
					   ynode_entry(ynode_get(root, "quant"), en->quants[i].name)
						   ->at,
					   "the quant %s names the platform %s; add it to "
					   "`platforms`, or remove it here",
					   en->quants[i].name, en->quants[i].platforms[k]);
		}
	}
}

/* What is renewed is read, and its quant is none that is made. */
static void check_renews(struct reader *r, const struct ynode *root, const struct engine *en)
{
	const struct ynode *v = ynode_get(root, "renews");

	if (en->renew_format && en->n_inputs &&
	    !is_one_of(en->renew_format, en->inputs, en->n_inputs))
		faults_add(r->f, v->at, "renews names the format %s; add it to formats: in",
			   en->renew_format);
	for (size_t i = 0; en->renew_quant && i < en->n_quants; i++) {
		if (strcmp(en->quants[i].name, en->renew_quant) == 0)
			faults_add(r->f, v->at,
				   "renews names the quant %s, which `quant` has; give it another "
				   "name",
				   en->renew_quant);
	}
}

static void check_requantize(struct reader *r, const struct ynode *root, const struct engine *en)
{
	const struct engine_param *p =
		en->requantize ? engine_find_param(en, en->requantize) : NULL;

	if (en->requantize && (!p || strcmp(p->type, "boolean") != 0))
		faults_add(r->f, ynode_get(root, "requantize")->at,
			   "requantize names %s, which is no boolean of `parameters`; add it there",
			   en->requantize);
}

static void read_root(struct reader *r, const struct ynode *root, struct engine *en)
{
	static const char *const verbs[] = { "convert", "validate", "can_infer", "inspect",
					     "verify",	"calib",    "selftest" };
	const struct manifest_words verb_list = { &en->verbs, &en->n_verbs, verbs,
						  ARRAY_LEN(verbs) };
	const struct manifest_words quantized = { &en->quantized, &en->n_quantized, NULL, 0 };
	const char *program = NULL;
	const struct key keys[] = {
		{ "manifest", read_form, NULL },
		{ "name", manifest_read_word, &en->name },
		{ "version", manifest_read_word, &en->version },
		{ "summary", manifest_read_prose, &en->summary },
		{ "program", read_program, &program },
		{ "args", read_args, en },
		{ "network", read_flag, &en->network },
		{ "lora", read_flag, &en->lora },
		{ "formats", read_formats, en },
		{ "extension", read_extension, &en->extension },
		{ "verbs", manifest_read_words, (void *)&verb_list },
		{ "architectures", manifest_read_architectures, en },
		{ "platforms", manifest_read_platforms, en },
		{ "quantized", manifest_read_words, (void *)&quantized },
		{ "requantize", manifest_read_word, &en->requantize },
		{ "quant", read_quants, en },
		{ "renews", read_renews, en },
		{ "hybrid", read_legal_hybrids, en },
		{ "opt", read_legal_opts, en },
		{ "parameters", manifest_read_params, en },
		{ "environments", read_environments, en },
		{ "names", read_names, en },
		{ "rules", manifest_read_rules, en },
		{ "causes", manifest_read_causes, en },
		{ "ladder", manifest_read_ladder, en },
		{ "memory", read_memory, en },
		{ "output", read_output, en },
	};

	if (ynode_get(root, "verbs"))
		en->n_verbs = 0;
	read_map(r, root, "a manifest", keys, ARRAY_LEN(keys));
	if (root->type != YNODE_MAP)
		return;
	check_required(r, root);
	check_platforms(r, root, en);
	manifest_check_rules(r, root, en);
	manifest_check_ladder(r, root, en);
	check_requantize(r, root, en);
	check_renews(r, root, en);
	if (ynode_get(root, "verbs") && !engine_has_verb(en, "convert"))
		faults_add(r->f, ynode_get(root, "verbs")->at, "verbs without convert; add it");
	if (program)
		locate(r->a, program, en);
}

int manifest_read(struct arena *a, const char *path, const char *text, size_t len, struct faults *f,
		  struct engine *en)
{
	struct reader r = { .a = a, .f = f };
	struct ynode *root = NULL;

	set_defaults(en);
	en->manifest = arena_strdup(a, path);
	if (yaml_tree_parse(a, text, len, f, &root) == 0) {
		if (root)
			read_root(&r, root, en);
		else
			faults_add(
				f, (struct mark){ 1, 1 },
				"the manifest is empty; docs/engine-manifest.md has a whole one");
	}
	return f->n ? ERR_INVALID : 0;
}

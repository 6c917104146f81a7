#include "workers/gguf/general.h"

#include <ctype.h>
#include <string.h>

#include "core/mem.h"
#include "core/source_card.h"

#define HUB "https://huggingface.co/"

/* ---- size */

/* "427K", "4.2M", "8.0B": two digits at least. */
static const char *rounded(struct arena *a, uint64_t params)
{
	static const struct {
		double unit;
		const char *name;
	} units[] = { { 1e12, "T" }, { 1e9, "B" }, { 1e6, "M" }, { 1e3, "K" } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		double v = (double)params / units[i].unit;

		if (v >= 1)
			return arena_printf(a, v < 9.5 ? "%.1f%s" : "%.0f%s", v, units[i].name);
	}
	return arena_printf(a, "%llu", (unsigned long long)params);
}

/* Of a mixture of experts "8x3.4B": their number, and the weights of a model with one of them. */
static const char *size_label(struct arena *a, const struct layout *l)
{
	uint64_t shared = 0, one = 0, experts = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct out_tensor *t = &l->v[i];

		if (t->n_dims == 3 && strstr(t->name, "_exps.")) {
			experts = t->ne[2];
			one += t->n / experts;
		} else if (t->source) {
			shared += t->n;
		}
	}
	if (!experts)
		return rounded(a, l->params);
	return arena_printf(a, "%llux%s", (unsigned long long)experts, rounded(a, shared + one));
}

/* ---- README.md */

static void write_words(struct gguf_writer *w, const char *key, const struct source_words *words,
			const char *more)
{
	uint64_t n = words->n + (more != NULL);

	if (!n)
		return;
	gguf_array(w, key, GGUF_STRING, n);
	for (size_t i = 0; i < words->n; i++)
		gguf_put_str(w, words->v[i], strlen(words->v[i]));
	if (more)
		gguf_put_str(w, more, strlen(more));
}

/* "v2", "v1.5": stays as it is. */
static int is_version(const char *s, size_t n)
{
	if (n < 2 || *s != 'v' || !isdigit((unsigned char)s[1]))
		return 0;
	return strspn(s + 1, "0123456789.") >= n - 1;
}

/* "my-model-v2" as "My Model v2"; words with capitals or a number in front stay as they are. */
static const char *title(struct arena *a, const char *s, size_t n)
{
	char *out = arena_strndup(a, s, n);

	for (size_t from = 0, len; from < n; from += len + 1) {
		char *word = out + from;
		int capitals = 0;

		len = strcspn(word, "- ");
		for (size_t i = 0; i < len; i++)
			capitals |= isupper((unsigned char)word[i]);
		for (size_t i = 0; i < len && !capitals && !isdigit((unsigned char)*word) &&
				   !is_version(word, len);
		     i++) {
			if (i == 0 || !isalpha((unsigned char)word[i - 1]))
				word[i] = (char)toupper((unsigned char)word[i]);
		}
		if (word[len] == '-')
			word[len] = ' ';
	}
	return out;
}

/* "org/name", "name", or an address; no path of somebody's machine. */
static int is_origin(const char *id)
{
	const char *slash = strchr(id, '/');

	return strstr(id, "://") ||
	       (*id != '/' && *id != '.' && (!slash || (slash[1] && !strchr(slash + 1, '/'))));
}

/* One of those that the model was made from. */
static void write_origin(struct arena *a, struct gguf_writer *w, const char *key, const char *id)
{
	const char *slash;

	if (strncmp(id, HUB, strlen(HUB)) == 0 && is_origin(id + strlen(HUB)))
		id += strlen(HUB);
	if (strstr(id, "://")) {
		gguf_str(w, arena_printf(a, "%s.repo_url", key), id);
		return;
	}
	slash = strchr(id, '/');
	if (slash) {
		gguf_str(w, arena_printf(a, "%s.organization", key),
			 title(a, id, (size_t)(slash - id)));
		gguf_str(w, arena_printf(a, "%s.repo_url", key), arena_printf(a, HUB "%s", id));
		id = slash + 1;
	}
	gguf_str(w, arena_printf(a, "%s.name", key), title(a, id, strlen(id)));
}

static void write_origins(struct arena *a, struct gguf_writer *w, const char *prefix,
			  const struct source_words *ids)
{
	uint32_t n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		if (is_origin(ids->v[i]))
			write_origin(a, w, arena_printf(a, "general.%s.%u", prefix, n++),
				     ids->v[i]);
	}
	if (n)
		gguf_u32(w, arena_printf(a, "general.%s.count", prefix), n);
}

static void write_card(struct arena *a, const struct source_card *card, struct gguf_writer *w)
{
	gguf_str(w, "general.license.name", card->license_name);
	gguf_str(w, "general.license.link", card->license_link);
	write_origins(a, w, "base_model", &card->base_models);
	write_origins(a, w, "dataset", &card->datasets);
	write_words(w, "general.tags", &card->tags, card->pipeline_tag);
	write_words(w, "general.languages", &card->languages, NULL);
}

/* ---- generation_config.json */

/* What the model's makers would have it sampled with; llama.cpp's programs take it for a default.
 * Their repetition_penalty is left out: it is over the whole text, llama.cpp's over its end. */
static void write_sampling(const struct json *config, struct gguf_writer *w)
{
	static const struct {
		const char *name, *key;
	} reals[] = { { "top_p", "general.sampling.top_p" },
		      { "min_p", "general.sampling.min_p" },
		      { "temperature", "general.sampling.temp" } };
	const struct json *v = json_get(config, "top_k");

	if (v && v->type == JSON_NUMBER && v->is_integer && v->integer >= 0 &&
	    v->integer <= INT32_MAX)
		gguf_i32(w, "general.sampling.top_k", (int32_t)v->integer);
	for (size_t i = 0; i < ARRAY_LEN(reals); i++) {
		v = json_get(config, reals[i].name);
		if (v && v->type == JSON_NUMBER && v->number >= 0 && v->number < 1e6)
			gguf_f32(w, reals[i].key, (float)v->number);
	}
}

int general_write(struct conversion *c, struct err *e)
{
	struct source_card card;

	if (source_read_readme(c->a, c->job.source, &card, e) < 0)
		return e->code;
	gguf_str(&c->w, "general.architecture", c->architecture);
	gguf_str(&c->w, "general.type", "model");
	write_sampling(c->tokenizer.generation_config, &c->w);
	gguf_str(&c->w, "general.name", c->job.name);
	gguf_str(&c->w, "general.size_label", size_label(c->a, &c->layout));
	gguf_str(&c->w, "general.license", c->facts.license);
	write_card(c->a, &card, &c->w);
	gguf_u32(&c->w, "general.file_type", file_type_number(c->mix.quant));
	gguf_u32(&c->w, "general.quantization_version", GENERAL_QUANTIZATION);
	return 0;
}

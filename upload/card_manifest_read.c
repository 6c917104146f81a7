/* upload/card_manifest_read.c -- quern.json back to variants. It comes from a
 * repository that anybody may have written to: nothing of it is believed. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload/card_private.h"
#include "upload/hub.h"

#define VARIANTS_MAX 100000
#define MEASURED_MAX 64	 /* stages that measured one variant */
#define FILES_MAX 100000 /* of one variant, as a hub takes in one repository */

struct reading {
	struct arena *a;
	struct err *e;
	size_t index; /* of the variant, for messages */
};

static int wrong(const struct reading *r, const char *what)
{
	return err_set(r->e, ERR_INVALID, "quern.json: variants[%zu]: %s", r->index, what);
}

/* Text without NUL, or NULL. */
static const char *text_of(const struct json *v, const char *key)
{
	const struct json *t = json_get(v, key);

	return t && t->type == JSON_STRING && strlen(t->str) == t->len ? t->str : NULL;
}

static int read_asked(const struct reading *r, const struct json *v, struct job_spec *s)
{
	const struct json *asked = json_get(v, "asked"), *hybrid = json_get(asked, "hybrid");
	int64_t opt = json_int(asked, "opt", -1);

	s->platform = text_of(asked, "platform");
	s->quant = text_of(asked, "quant");
	if (!s->platform || !s->quant || !hybrid || hybrid->type != JSON_NUMBER || opt < 0 ||
	    opt > 1000)
		return wrong(r, "\"asked\" lacks platform, quant, hybrid or opt");
	s->hybrid = hybrid->number;
	s->opt = (int)opt;
	return 0;
}

static int read_origin(const struct reading *r, const struct json *v, struct job_spec *s)
{
	const struct json *source = json_get(v, "source"), *lora = json_get(v, "lora");

	s->source_kind = text_of(source, "kind");
	s->source = text_of(source, "repo");
	s->source_version = text_of(source, "version");
	if (!s->source_kind || !s->source_version)
		return wrong(r, "\"source\" lacks kind or version");
	if (!s->source)
		s->source = "/"; /* a folder, which is not published */
	if (!lora || lora->type == JSON_NULL)
		return 0;
	s->lora = text_of(lora, "repo");
	s->lora_version = text_of(lora, "version");
	if (!s->lora)
		s->lora = "/";
	return 0;
}

static int read_spec(const struct reading *r, const struct json *v, struct job_spec *s)
{
	const struct json *engine = json_get(v, "engine"), *with = json_get(v, "with");
	const struct json *asked = json_get(json_get(v, "asked"), "with");
	struct buf b;

	s->model = text_of(v, "model");
	s->engine = text_of(engine, "name");
	s->engine_version = text_of(engine, "version");
	if (!s->model || !s->engine || !s->engine_version || !with || with->type != JSON_OBJECT)
		return wrong(r, "model, engine or \"with\" is missing");
	if (asked && asked->type == JSON_OBJECT)
		with = asked; /* what a rung set in its place stands in the facts */
	buf_init(&b, (size_t)16 << 20);
	json_write_canonical(&b, with);
	s->with = arena_strdup(r->a, buf_str(&b));
	buf_release(&b);
	if (read_asked(r, v, s) < 0)
		return r->e->code;
	return read_origin(r, v, s);
}

static int read_file(const struct reading *r, const struct json *v, struct artifact_row *file,
		     const char **path)
{
	const char *sha256 = text_of(v, "sha256");

	*path = text_of(v, "path");
	file->size_bytes = json_int(v, "size", -1);
	if (!*path || !hub_path_ok(*path) || file->size_bytes < 0 || !sha256 ||
	    hex_decode(sha256, file->sha256, SHA256_LEN) < 0)
		return wrong(r, "a file without path, size or SHA-256, or with one that is none");
	file->name = *path;
	return 0;
}

static int read_files(const struct reading *r, const struct json *v, struct card_variant *out)
{
	const struct json *files = json_get(v, "files"), *facts = json_get(v, "facts");
	struct artifact_row *rows;
	const char **paths, *text;
	struct facts f;
	struct buf b;

	if (!files || files->type != JSON_ARRAY || files->count == 0 || files->count > FILES_MAX)
		return wrong(r, "no files");
	if (!facts || facts->type != JSON_OBJECT)
		return wrong(r, "no facts");
	buf_init(&b, (size_t)16 << 20);
	json_write_canonical(&b, facts);
	text = arena_strdup(r->a, buf_str(&b));
	buf_release(&b);
	if (facts_parse(r->a, text, &f, r->e) < 0)
		return wrong(r, r->e->msg);
	rows = arena_array(r->a, files->count, sizeof(*rows));
	paths = arena_array(r->a, files->count, sizeof(const char *));
	for (size_t i = 0; i < files->count; i++) {
		rows[i].facts = text;
		if (read_file(r, files->members[i].value, &rows[i], &paths[i]) < 0)
			return r->e->code;
	}
	out->files = rows;
	out->paths = paths;
	out->n_files = files->count;
	return 0;
}

static int read_replaces(const struct reading *r, const struct json *v, struct card_variant *out)
{
	const struct json *list = json_get(v, "replaces");
	const struct job_row **replaces;

	if (!list || list->type != JSON_ARRAY)
		return wrong(r, "\"replaces\" is no list");
	replaces = arena_array(r->a, list->count, sizeof(const struct job_row *));
	for (size_t i = 0; i < list->count; i++) {
		struct job_row *old = arena_alloc(r->a, sizeof(*old));
		const struct json *key = list->members[i].value;

		*old = (struct job_row){ .label = "" };
		if (key->type != JSON_STRING || hex_decode(key->str, old->key, SHA256_LEN) < 0)
			return wrong(r, "\"replaces\" holds what is no key");
		replaces[i] = old;
	}
	out->replaces = replaces;
	out->n_replaces = list->count;
	return 0;
}

static int read_measured(const struct reading *r, const struct json *v, struct card_variant *out)
{
	const struct json *list = json_get(v, "measured");
	const char **texts;
	struct buf b;

	if (!list)
		return 0;
	if (list->type != JSON_ARRAY || list->count == 0 || list->count > MEASURED_MAX)
		return wrong(r, "\"measured\" is no list of measurements");
	texts = arena_array(r->a, list->count, sizeof(*texts));
	for (size_t i = 0; i < list->count; i++) {
		buf_init(&b, (size_t)16 << 20);
		json_write_canonical(&b, list->members[i].value);
		texts[i] = card_measured_public(r->a, buf_str(&b));
		buf_release(&b);
		if (!texts[i])
			return wrong(r, "\"measured\" holds what is no measurement");
	}
	out->measured = texts;
	out->n_measured = list->count;
	return 0;
}

static int read_variant(const struct reading *r, const struct json *v, struct card_variant *out)
{
	struct job_row *job = arena_alloc(r->a, sizeof(*job));
	const char *key = text_of(v, "key");
	char label[256];

	*job = (struct job_row){ .repo = "", .file = "" };
	if (!key || hex_decode(key, job->key, SHA256_LEN) < 0)
		return wrong(r, "\"key\" is no job key");
	if (read_spec(r, v, &job->spec) < 0 || read_files(r, v, out) < 0 ||
	    read_replaces(r, v, out) < 0 || read_measured(r, v, out) < 0)
		return r->e->code;
	job_label(&job->spec, label, sizeof(label));
	job->label = arena_strdup(r->a, label);
	out->job = job;
	return 0;
}

int card_manifest_read(struct arena *a, const char *text, size_t len, const char **repo,
		       struct card_variant **v, size_t *n, struct err *e)
{
	struct reading r = { .a = a, .e = e };
	const struct json *variants;
	struct card_variant *list;
	struct json *root;

	if (json_parse(a, text, len, &root, e) < 0)
		return err_wrap(e, "quern.json");
	if (json_int(root, "format", 0) != CARD_MANIFEST_FORMAT)
		return err_set(e, ERR_INVALID,
			       "quern.json: format %lld, this quern reads %d; publish again with "
			       "quern upload",
			       (long long)json_int(root, "format", 0), CARD_MANIFEST_FORMAT);
	variants = json_get(root, "variants");
	if (!text_of(root, "repo") || !variants || variants->type != JSON_ARRAY ||
	    variants->count > VARIANTS_MAX)
		return err_set(e, ERR_INVALID, "quern.json: no \"repo\" or no list of variants");
	list = arena_array(a, variants->count, sizeof(*list));
	for (; r.index < variants->count; r.index++)
		if (read_variant(&r, variants->members[r.index].value, &list[r.index]) < 0)
			return e->code;
	*repo = text_of(root, "repo");
	*v = list;
	*n = variants->count;
	return 0;
}

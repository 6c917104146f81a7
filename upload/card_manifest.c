/* upload/card_manifest.c -- quern.json: what the repository's files are, for
 * programs. Members are written in the order of their names; docs/card.md
 * describes them. */
#include <string.h>

#include "upload/card_private.h"

#define INDENT 2

/* A folder of the machine that converted is nobody's business. */
static const char *public_name(const char *kind, const char *source)
{
	return strcmp(kind, "path") == 0 || source[0] == '/' ? NULL : source;
}

static void put_hex(struct json_out *w, const char *key, const uint8_t hash[SHA256_LEN])
{
	char hex[SHA256_HEX];

	hex_encode(hash, SHA256_LEN, hex);
	jw_kstr(w, key, hex);
}

static void put_files(struct json_out *w, const struct card_variant *v)
{
	jw_karray(w, "files");
	for (size_t i = 0; i < v->n_files; i++) {
		jw_object(w);
		jw_kstr(w, "path", v->paths[i]);
		put_hex(w, "sha256", v->files[i].sha256);
		jw_kint(w, "size", v->files[i].size_bytes);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void put_lora(struct json_out *w, const struct job_spec *s)
{
	jw_key(w, "lora");
	if (!s->lora) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kstr(w, "repo", public_name("", s->lora));
	jw_kstr(w, "version", s->lora_version);
	jw_end_object(w);
}

static void put_source(struct json_out *w, const struct job_spec *s)
{
	jw_kobject(w, "source");
	jw_kstr(w, "kind", s->source_kind);
	jw_kstr(w, "repo", public_name(s->source_kind, s->source));
	jw_kstr(w, "version", s->source_version);
	jw_end_object(w);
}

static void put_replaces(struct json_out *w, const struct card_variant *v)
{
	char hex[SHA256_HEX];

	jw_karray(w, "replaces");
	for (size_t i = 0; i < v->n_replaces; i++) {
		hex_encode(v->replaces[i]->key, SHA256_LEN, hex);
		jw_str(w, hex);
	}
	jw_end_array(w);
}

/* What was asked for; what of it is confirmed stands in the variant itself. */
static void put_asked(struct json_out *w, const struct job_spec *s, const struct json *with)
{
	jw_kobject(w, "asked");
	jw_knum(w, "hybrid", s->hybrid);
	jw_kint(w, "opt", s->opt);
	jw_kstr(w, "platform", s->platform);
	jw_kstr(w, "quant", s->quant);
	if (with) {
		jw_key(w, "with");
		jw_value(w, with);
	}
	jw_end_object(w);
}

static void put_number(struct json_out *w, const char *key, double v, bool confirmed)
{
	jw_key(w, key);
	if (confirmed)
		jw_num(w, v);
	else
		jw_null(w);
}

static void put_facts(struct json_out *w, const struct facts *f)
{
	jw_key(w, "facts");
	facts_write(w, f);
}

/* Absent when nothing was: most files are not measured. */
static void put_measured(struct json_out *w, const struct card *c, const struct card_variant *v)
{
	struct err ignored = ERR_INIT;
	struct json *one;

	if (v->n_measured == 0)
		return;
	jw_karray(w, "measured");
	for (size_t i = 0; i < v->n_measured; i++)
		if (json_parse(c->a, v->measured[i], strlen(v->measured[i]), &one, &ignored) >= 0)
			jw_value(w, one);
	jw_end_array(w);
}

static int put_variant(struct json_out *w, const struct card *c, size_t i, struct err *e)
{
	const struct card_variant *v = c->v[i];
	const struct job_spec *s = &v->job->spec;
	unsigned sure = c->confirmed[i];
	const char *given = facts_with(c->a, &c->facts[i], s->with);
	struct json *with, *asked;
	int rc = json_parse(c->a, s->with, strlen(s->with), &asked, e);

	if (rc >= 0)
		rc = json_parse(c->a, given, strlen(given), &with, e);

	if (rc < 0)
		return err_wrap(e, "parameters of job %lld", (long long)v->job->id);
	jw_object(w);
	put_asked(w, s, strcmp(given, s->with) == 0 ? NULL : asked);
	jw_kobject(w, "engine");
	jw_kstr(w, "name", s->engine);
	jw_kstr(w, "version", s->engine_version);
	jw_end_object(w);
	put_facts(w, &c->facts[i]);
	put_files(w, v);
	put_number(w, "hybrid", s->hybrid, sure & JOB_PARAM_HYBRID);
	put_hex(w, "key", v->job->key);
	put_lora(w, s);
	put_measured(w, c, v);
	jw_kstr(w, "model", s->model);
	put_number(w, "opt", s->opt, sure & JOB_PARAM_OPT);
	jw_kstr(w, "platform", sure & JOB_PARAM_PLATFORM ? s->platform : NULL);
	jw_kstr(w, "quant", sure & JOB_PARAM_QUANT ? s->quant : NULL);
	put_replaces(w, v);
	put_source(w, s);
	jw_key(w, "with");
	jw_value(w, with);
	jw_end_object(w);
	return 0;
}

int card_manifest(struct buf *b, const char *repo, const struct card_variant *v, size_t n,
		  struct err *e)
{
	const struct card_settings set = { .repo = repo };
	struct json_out w;
	struct card c;
	int rc = card_begin(&c, &set, v, n, e);

	if (rc < 0)
		return rc;
	jw_init(&w, b, INDENT);
	jw_object(&w);
	jw_kint(&w, "format", CARD_MANIFEST_FORMAT);
	jw_kstr(&w, "repo", repo);
	jw_karray(&w, "variants");
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = put_variant(&w, &c, i, e);
	jw_end_array(&w);
	jw_end_object(&w);
	buf_addc(b, '\n');
	if (rc >= 0 && b->overflow)
		rc = err_set(e, ERR_NOSPACE, "quern.json of %s would be too large", repo);
	card_end(&c);
	return rc;
}

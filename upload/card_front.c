/* upload/card_front.c -- the front matter of a card, as the Hub's model tree
 * reads it (hub-docs, "Model cards"). Our keys stand between two comment lines;
 * everything else is a person's, kept byte for byte, and a key that they set
 * is left out of ours. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "upload/card_private.h"

#define FRONT_BEGIN "# quern:begin (generated; keys set outside this part win)"
#define FRONT_END "# quern:end"

bool card_next_line(const char **p, const char *end, const char **line, size_t *len)
{
	const char *nl;

	if (*p >= end)
		return false;
	nl = memchr(*p, '\n', (size_t)(end - *p));
	*line = *p;
	*len = (size_t)((nl ? nl : end) - *p);
	*p = nl ? nl + 1 : end;
	return true;
}

bool card_line_is(const char *line, size_t len, const char *text)
{
	size_t n = strlen(text);

	while (len > 0 && strchr(" \t\r", line[len - 1]) && line[len - 1])
		len--;
	return len == n && memcmp(line, text, n) == 0;
}

void card_front_split(const char *text, struct card_front *out)
{
	const char *p = text, *end, *line;
	size_t len;

	if (strncmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	*out = (struct card_front){ p, p, p };
	end = p + strlen(p);
	while (p < end && strchr(" \t\r\n", *p))
		p++;
	if (!card_next_line(&p, end, &line, &len) || !card_line_is(line, len, "---"))
		return;
	for (const char *begin = p; card_next_line(&p, end, &line, &len);) {
		if (card_line_is(line, len, "---")) {
			*out = (struct card_front){ begin, line, p };
			return;
		}
	}
}

static bool is_begin(const char *line, size_t len)
{
	static const char mark[] = "# quern:begin";

	return len >= sizeof(mark) - 1 && memcmp(line, mark, sizeof(mark) - 1) == 0;
}

/* A begin without an end is only a comment: what follows may be a person's. */
static bool has_end(const char *p, const char *end)
{
	const char *line;
	size_t len;

	while (card_next_line(&p, end, &line, &len))
		if (card_line_is(line, len, FRONT_END))
			return true;
	return false;
}

/* Append what a person wrote: everything outside the generated part. */
static void add_kept(struct buf *b, const struct card_front *old)
{
	const char *p = old->begin, *line;
	bool ours = false;
	size_t len;

	while (card_next_line(&p, old->end, &line, &len)) {
		if (is_begin(line, len)) {
			ours = has_end(p, old->end);
		} else if (ours && card_line_is(line, len, FRONT_END)) {
			ours = false;
		} else if (!ours) {
			buf_add(b, line, len);
			buf_addc(b, '\n');
		}
	}
}

/* Does the kept text set this top-level key? */
static bool sets_key(const struct buf *kept, const char *key)
{
	const char *p = buf_str(kept), *end = p + kept->len, *line;
	size_t n = strlen(key), len;

	while (card_next_line(&p, end, &line, &len)) {
		size_t quote = len > 0 && (*line == '"' || *line == '\'');

		if (len > n + 2 * quote && memcmp(line + quote, key, n) == 0 &&
		    (!quote || line[n + 1] == *line)) {
			const char *after = line + n + 2 * quote;

			while (after < line + len && (*after == ' ' || *after == '\t'))
				after++;
			if (after < line + len && *after == ':')
				return true;
		}
	}
	return false;
}

struct front {
	struct buf *b;
	const struct buf *kept;
};

static void put_key(struct front *f, const char *key, const char *value)
{
	if (!value || sets_key(f->kept, key))
		return;
	buf_addf(f->b, "%s: ", key);
	yaml_scalar(f->b, value);
	buf_addc(f->b, '\n');
}

static void put_list(struct front *f, const char *key, const struct card_set *s)
{
	if (s->n == 0 || sets_key(f->kept, key))
		return;
	buf_addf(f->b, "%s:\n", key);
	for (size_t i = 0; i < s->n; i++) {
		buf_adds(f->b, "- ");
		yaml_scalar(f->b, s->v[i]);
		buf_addc(f->b, '\n');
	}
}

static void add_language(struct card_set *s, const struct json *source)
{
	const struct json *v = json_get(source, "language");

	if (v && v->type == JSON_ARRAY) {
		for (size_t i = 0; i < v->count; i++)
			if (v->members[i].value->type == JSON_STRING)
				card_set_add(s, v->members[i].value->str);
	} else {
		card_set_add(s, json_str(source, "language", NULL));
	}
}

/* Repositories on the Hub that the variants come from; an adapter merged in is one of them. */
static bool add_bases(struct card_set *bases, const struct job_spec *s)
{
	bool merged = s->lora && s->lora[0] != '/';

	if (strcmp(s->source_kind, "hub") == 0)
		card_set_add(bases, s->source);
	if (merged)
		card_set_add(bases, s->lora);
	return merged;
}

static void add_tags(struct card_set *tags, const struct card *c, size_t i)
{
	const struct job_spec *s = &c->v[i]->job->spec;
	const struct json *architecture = facts_get(&c->facts[i], "architecture");

	card_set_add(tags, s->engine);
	if (s->platform[0] && (c->confirmed[i] & JOB_PARAM_PLATFORM))
		card_set_add(tags, s->platform);
	if (architecture && architecture->type == JSON_STRING)
		card_set_add(tags, architecture->str);
}

/* The Hub's own names of libraries; an engine that is none of them goes into the tags only. */
static const char *library_of(const struct card_set *engines)
{
	if (engines->n != 1)
		return NULL;
	if (strcmp(engines->v[0], "gguf") == 0)
		return "gguf";
	return strcmp(engines->v[0], "compressed-tensors") == 0 ? "transformers" : NULL;
}

/* A licence of our own name and link is only known when all variants have the same. */
static void put_license(struct front *f, const struct card *c)
{
	const char *license = card_common(c, "license");

	put_key(f, "license", license);
	if (!license || strcmp(license, "other") != 0)
		return;
	put_key(f, "license_link", card_common(c, "license_link"));
	put_key(f, "license_name", card_common(c, "license_name"));
}

static void put_ours(struct front *f, const struct card *c)
{
	struct card_set bases = { 0 }, engines = { 0 }, languages = { 0 }, tags = { 0 };
	bool merged = false;

	card_set_add(&tags, "quern");
	for (size_t i = 0; i < c->n; i++) {
		merged |= add_bases(&bases, &c->v[i]->job->spec);
		card_set_add(&engines, c->v[i]->job->spec.engine);
		add_language(&languages, c->facts[i].of[FACT_SOURCE]);
		add_tags(&tags, c, i);
	}
	if (bases.n == 1)
		put_key(f, "base_model", bases.v[0]);
	else
		put_list(f, "base_model", &bases);
	if (bases.n)
		put_key(f, "base_model_relation", merged ? "merge" : "quantized");
	put_list(f, "language", &languages);
	put_key(f, "library_name", library_of(&engines));
	put_license(f, c);
	put_key(f, "pipeline_tag", card_common(c, "pipeline_tag"));
	put_key(f, "quantized_by", c->set->quantized_by);
	put_list(f, "tags", &tags);
	card_set_release(&bases);
	card_set_release(&engines);
	card_set_release(&languages);
	card_set_release(&tags);
}

void card_front_write(struct buf *b, const struct card *c, const struct card_front *old)
{
	struct front f = { .b = b };
	struct buf kept;

	buf_init(&kept, (size_t)(old->end - old->begin) + 1);
	add_kept(&kept, old);
	f.kept = &kept;
	buf_adds(b, "---\n" FRONT_BEGIN "\n");
	put_ours(&f, c);
	buf_adds(b, FRONT_END "\n");
	buf_add(b, buf_str(&kept), kept.len);
	buf_adds(b, "---\n");
	buf_release(&kept);
}

/* upload/card.c -- a card put together: front matter, what a person wrote, and
 * the generated section between its two marks (card_body.c puts it there). */
#include "upload/card.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/card_private.h"

#define SECTION_MAX ((size_t)4 << 20)

/* ---- sets */

void card_set_add(struct card_set *s, const char *value)
{
	size_t at = 0;

	if (!value)
		return;
	while (at < s->n && strcmp(s->v[at], value) < 0)
		at++;
	if (at < s->n && strcmp(s->v[at], value) == 0)
		return;
	MEM_GROW(s->v, s->n, s->cap);
	memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(*s->v));
	s->v[at] = value;
	s->n++;
}

bool card_set_has(const struct card_set *s, const char *value)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], value) == 0)
			return true;
	return false;
}

void card_set_release(struct card_set *s)
{
	free(s->v);
	*s = (struct card_set){ 0 };
}

/* ---- variants in order */

static int64_t variant_bytes(const struct card_variant *v)
{
	int64_t sum = 0;

	for (size_t i = 0; i < v->n_files; i++)
		sum += v->files[i].size_bytes;
	return sum;
}

static int variant_compare(const void *x, const void *y)
{
	const struct card_variant *a = *(const struct card_variant *const *)x;
	const struct card_variant *b = *(const struct card_variant *const *)y;
	const struct job_spec *s = &a->job->spec, *t = &b->job->spec;
	int64_t size_a = variant_bytes(a), size_b = variant_bytes(b);
	int c = strcmp(s->model, t->model);

	if (!c)
		c = strcmp(s->engine, t->engine);
	if (!c)
		c = strcmp(s->platform, t->platform);
	if (!c)
		c = (size_a > size_b) - (size_a < size_b);
	if (!c)
		c = strcmp(a->job->label, b->job->label);
	return c ? c : memcmp(a->job->key, b->job->key, SHA256_LEN);
}

static int read_facts(struct card *c, size_t i, struct err *e)
{
	const struct card_variant *v = c->v[i];
	int rc = facts_parse(c->a, v->n_files ? v->files[0].facts : "{}", &c->facts[i], e);

	if (rc < 0)
		return err_wrap(e, "facts of job %lld", (long long)v->job->id);
	c->confirmed[i] = facts_confirmed(&c->facts[i], &v->job->spec);
	return 0;
}

int card_begin(struct card *c, const struct card_settings *set, const struct card_variant *v,
	       size_t n, struct err *e)
{
	int rc = 0;

	*c = (struct card){ .a = arena_new(), .set = set, .n = n };
	c->v = arena_array(c->a, n, sizeof(const struct card_variant *));
	c->facts = arena_array(c->a, n, sizeof(*c->facts));
	c->confirmed = arena_array(c->a, n, sizeof(*c->confirmed));
	for (size_t i = 0; i < n; i++)
		c->v[i] = &v[i];
	if (n)
		qsort(c->v, n, sizeof(const struct card_variant *), variant_compare);
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = read_facts(c, i, e);
	if (rc < 0)
		card_end(c);
	return rc;
}

void card_end(struct card *c)
{
	arena_free(c->a);
	c->a = NULL;
}

const char *card_common(const struct card *c, const char *name)
{
	const char *first = c->n ? facts_str(&c->facts[0], FACT_SOURCE, name) : NULL;

	for (size_t i = 1; first && i < c->n; i++) {
		const char *other = facts_str(&c->facts[i], FACT_SOURCE, name);

		if (!other || strcmp(first, other) != 0)
			return NULL;
	}
	return first;
}

/* ---- all of it */

static bool is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

static int write_body(struct buf *b, const struct card *c, const char *body, const char *section,
		      struct err *e)
{
	struct buf title;
	int rc;

	if (!is_blank(body)) {
		card_body_merge(b, body, section);
		return 0;
	}
	buf_init(&title, SECTION_MAX);
	md_text(&title, path_basename(c->set->repo));
	const struct card_var vars[] = { { "title", buf_str(&title) }, { "section", section } };

	buf_addc(b, '\n');
	rc = card_fill(b, card_template("card"), vars, ARRAY_LEN(vars), e);
	buf_release(&title);
	return rc;
}

static int make_section(struct buf *b, const struct card *c, struct err *e)
{
	int rc;

	buf_adds(b, CARD_SECTION_BEGIN "\n");
	rc = card_section_write(b, c, e);
	if (b->len && b->data[b->len - 1] != '\n')
		buf_addc(b, '\n'); /* a user's template may end without one */
	buf_adds(b, CARD_SECTION_END "\n");
	return rc;
}

int card_write(struct buf *b, const struct card_settings *set, const struct card_variant *v,
	       size_t n, const char *old, struct err *e)
{
	struct card_front front;
	struct buf section;
	struct card c;
	int rc = card_begin(&c, set, v, n, e);

	if (rc < 0)
		return rc;
	buf_init(&section, SECTION_MAX);
	card_front_split(old ? old : "", &front);
	card_front_write(b, &c, &front);
	rc = make_section(&section, &c, e);
	if (rc >= 0)
		rc = write_body(b, &c, front.body, buf_str(&section), e);
	if (rc >= 0 && (b->overflow || section.overflow))
		rc = err_set(e, ERR_NOSPACE, "the card of %s would be larger than a hub takes",
			     set->repo);
	buf_release(&section);
	card_end(&c);
	return rc;
}

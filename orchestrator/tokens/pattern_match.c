/* orchestrator/tokens/pattern_match.c -- a pattern's program, run over characters: what is still to
 * be tried stands on a stack of its own, so that a text cannot exhaust ours. */
#include <stdlib.h>

#include "core/mem.h"
#include "orchestrator/tokens/pattern_private.h"
#include "orchestrator/tokens/unicode.h"

#define TRIES_MAX ((size_t)1 << 21) /* one a character of the longest run there may be */

struct attempt {
	size_t pc, at;
};

struct machine {
	const struct pattern_program *p;
	const uint32_t *text;
	size_t n;
	struct attempt *tries;
	size_t n_tries, cap;
	int64_t *steps;
	struct err *e;
};

/* ---- sets */

static bool in_item(const struct set_item *i, uint32_t cp)
{
	bool in;

	switch (i->kind) {
	case ITEM_RANGE:
		in = cp >= i->first && cp <= i->last;
		break;
	case ITEM_CLASS:
		in = unicode_class(cp) & i->first;
		break;
	case ITEM_SPACE:
		in = unicode_is_space(cp);
		break;
	default:
		in = pattern_in_set(i->set, cp);
		break;
	}
	return in != i->negated;
}

static bool in_items(const struct char_set *s, uint32_t cp)
{
	for (size_t i = 0; i < s->n; i++)
		if (in_item(&s->items[i], cp))
			return true;
	return false;
}

/* Patterns fold letters of English only; two characters beyond ASCII fold to those
 * (CaseFolding.txt). */
static bool in_folded(const struct char_set *s, uint32_t cp)
{
	uint32_t low = cp == 0x17F ? 's' : cp == 0x212A ? 'k' : cp;

	if (in_items(s, cp))
		return true;
	if (low >= 'A' && low <= 'Z')
		low += 'a' - 'A';
	if (low < 'a' || low > 'z')
		return false;
	return in_items(s, low) || in_items(s, low - ('a' - 'A')) ||
	       (low == 's' && in_items(s, 0x17F)) || (low == 'k' && in_items(s, 0x212A));
}

bool pattern_in_set(const struct char_set *s, uint32_t cp)
{
	return (s->fold ? in_folded(s, cp) : in_items(s, cp)) != s->negated;
}

/* ---- the machine */

static int try_later(struct machine *m, size_t pc, size_t at)
{
	if (m->n_tries == TRIES_MAX)
		return err_set(m->e, ERR_INVALID,
			       "the pattern that splits text never comes to an end");
	MEM_GROW(m->tries, m->n_tries, m->cap);
	m->tries[m->n_tries++] = (struct attempt){ pc, at };
	return 0;
}

static int run(struct machine *m, size_t pc, size_t *at);

/* OP_LOOK and OP_ATOM: 1 when it may go on. Parts are nested less deeply than groups are. */
static int run_part(struct machine *m, size_t pc, size_t *at)
{
	const struct instruction *in = &m->p->code[pc];
	size_t end = *at;
	int rc = run(m, pc + 1, &end);

	if (rc < 0)
		return rc;
	if (in->op == OP_LOOK)
		return (rc > 0) != in->negated;
	if (rc > 0)
		*at = end;
	return rc;
}

/* One instruction. 1: on, 0: this way leads nowhere, 2: the end. */
static int step(struct machine *m, size_t *pc, size_t *at)
{
	const struct instruction *in = &m->p->code[*pc];
	int rc = 1;

	switch (in->op) {
	case OP_SET:
		rc = *at < m->n && pattern_in_set(in->set, m->text[*at]);
		*at += 1;
		*pc += 1;
		return rc;
	case OP_EOL:
		*pc += 1;
		return *at == m->n || m->text[*at] == '\n';
	case OP_SPLIT:
		rc = try_later(m, *pc + (size_t)(ptrdiff_t)in->y, *at);
		*pc += (size_t)(ptrdiff_t)in->x;
		return rc < 0 ? rc : 1;
	case OP_JUMP:
		*pc += (size_t)(ptrdiff_t)in->x;
		return 1;
	case OP_LOOK:
	case OP_ATOM:
		rc = run_part(m, *pc, at);
		*pc += (size_t)(ptrdiff_t)in->x;
		return rc;
	default:
		return 2;
	}
}

/* From pc to its OP_MATCH; 1 with *at behind the match. */
static int run(struct machine *m, size_t pc, size_t *at)
{
	size_t base = m->n_tries;
	int rc = 1;

	while (rc == 1) {
		if (--*m->steps < 0)
			return err_set(m->e, ERR_INVALID,
				       "the pattern that splits text takes too long");
		rc = step(m, &pc, at);
		if (rc == 0 && m->n_tries > base) {
			struct attempt next = m->tries[--m->n_tries];

			pc = next.pc;
			*at = next.at;
			rc = 1;
		}
	}
	m->n_tries = base;
	return rc == 2 ? 1 : rc;
}

int pattern_find(const struct pattern_program *p, const uint32_t *text, size_t n, size_t from,
		 size_t *start, size_t *end, int64_t *steps, struct err *e)
{
	struct machine m = { .p = p, .text = text, .n = n, .steps = steps, .e = e };
	int rc = 0;

	for (size_t at = from; rc == 0 && at <= n; at++) {
		size_t to = at;

		rc = run(&m, 0, &to);
		if (rc > 0) {
			*start = at;
			*end = to;
		}
	}
	free(m.tries);
	return rc;
}

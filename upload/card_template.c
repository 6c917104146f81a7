/* upload/card_template.c -- the texts in cards/, and {{variables}} in them. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "upload/card_private.h"

/* T(NAME, "text") for each cards/NAME.md. */
#define T(name, text) { name, text },
static const struct {
	const char *name, *text;
} templates[] = {
#include "upload/cards.inc"
};
#undef T

const char *card_template(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(templates); i++)
		if (strcmp(templates[i].name, name) == 0)
			return templates[i].text;
	return NULL;
}

static const struct card_var *find_var(const struct card_var *vars, size_t n, const char *name,
				       size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(vars[i].name) == len && memcmp(vars[i].name, name, len) == 0)
			return &vars[i];
	return NULL;
}

int card_fill(struct buf *b, const char *text, const struct card_var *vars, size_t n, struct err *e)
{
	const char *open, *close;

	while ((open = strstr(text, "{{")) != NULL) {
		const struct card_var *var;

		buf_add(b, text, (size_t)(open - text));
		open += 2;
		close = strstr(open, "}}");
		if (!close)
			return err_set(e, ERR_INVALID,
				       "card template: \"{{%.30s\" has no end; \"}}\" ends it",
				       open);
		var = find_var(vars, n, open, (size_t)(close - open));
		if (!var)
			return err_set(e, ERR_INVALID, "card template: unknown variable {{%.*s}}",
				       (int)(close - open < 60 ? close - open : 60), open);
		buf_adds(b, var->value);
		text = close + 2;
	}
	return buf_adds(b, text);
}

/* ---- checking a user's template */

struct checking {
	const char *text;
	card_fault_fn fault;
	void *ctx;
	int faults;
};

static void tell(struct checking *c, const char *at, const char *what)
{
	int line = 1;
	const char *start = c->text;

	for (const char *p = c->text; p < at; p++) {
		if (*p != '\n')
			continue;
		line++;
		start = p + 1;
	}
	c->fault(c->ctx, line, (int)(at - start) + 1, what);
	c->faults++;
}

static void unknown_variable(struct checking *c, const char *at, const char *name, size_t len)
{
	char what[200], word[64];
	const char *near;

	(void)snprintf(word, sizeof(word), "%.*s", (int)(len < 60 ? len : 60), name);
	near = nearest_name(word, card_variables, card_n_variables);
	if (near)
		(void)snprintf(what, sizeof(what), "unknown variable {{%s}}; did you mean {{%s}}?",
			       word, near);
	else
		(void)snprintf(what, sizeof(what),
			       "unknown variable {{%s}}; docs/card.md lists what there is", word);
	tell(c, at, what);
}

static bool is_variable(const char *name, size_t len)
{
	for (size_t i = 0; i < card_n_variables; i++)
		if (strlen(card_variables[i]) == len && memcmp(card_variables[i], name, len) == 0)
			return true;
	return false;
}

static void check_variables(struct checking *c)
{
	const char *open = c->text, *close;

	while ((open = strstr(open, "{{")) != NULL) {
		/* On one line: what follows an open brace by accident is not quoted whole. */
		close = strstr(open + 2, "}}");
		if (!close || memchr(open, '\n', (size_t)(close - open))) {
			tell(c, open,
			     "\"{{\" without \"}}\" on its line; a variable is written {{files}}");
			open += 2;
			continue;
		}
		if (!is_variable(open + 2, (size_t)(close - open - 2)))
			unknown_variable(c, open, open + 2, (size_t)(close - open - 2));
		open = close + 2;
	}
}

int card_template_check(const char *text, card_fault_fn fault, void *ctx)
{
	struct checking c = { text, fault, ctx, 0 };
	const char *p = text, *end = text + strlen(text), *line;
	size_t len;

	check_variables(&c);
	while (card_next_line(&p, end, &line, &len)) {
		if (strncmp(line, CARD_SECTION_BEGIN_ANY, strlen(CARD_SECTION_BEGIN_ANY)) == 0 ||
		    card_line_is(line, len, CARD_SECTION_END))
			tell(&c, line,
			     "a mark of the generated section; quern puts both marks itself");
	}
	return c.faults;
}

/* upload/card_template.c -- the texts in cards/, and {{variables}} in them. */
#include <string.h>

#include "core/mem.h"
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

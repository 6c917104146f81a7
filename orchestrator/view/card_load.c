#include "orchestrator/view/card_load.h"

#include <string.h>

#include "core/buf.h"
#include "core/path.h"
#include "core/utf8.h"
#include "upload/card.h"

#define TEMPLATE_MAX ((size_t)1 << 20)

/* The text of the template, in a. */
static int read_text(struct arena *a, const char *path, const char **text, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, TEMPLATE_MAX);
	rc = path_read(path, TEMPLATE_MAX, &b, e);
	if (rc >= 0 && (memchr(buf_str(&b), '\0', b.len) || !utf8_valid(buf_str(&b), b.len)))
		rc = err_set(e, ERR_INVALID, "%s: not a text in UTF-8; save it as one", path);
	if (rc >= 0)
		*text = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return rc < 0 ? rc : 0;
}

struct telling {
	struct faults *f;
	struct mark at; /* of `card` in jobs.yaml */
	const char *path;
	struct err *e; /* instead of f */
};

static void tell(void *ctx, int line, int column, const char *what)
{
	const struct telling *t = ctx;

	if (t->f)
		faults_add(t->f, t->at, "card %s:%d:%d: %s", t->path, line, column, what);
	else if (t->e->code == 0)
		err_set(t->e, ERR_INVALID, "card %s:%d:%d: %s", t->path, line, column, what);
}

void card_load(struct arena *a, struct config *c, struct faults *f)
{
	struct telling t = { .f = f, .at = c->upload.card_at, .path = c->upload.card };
	struct err e = ERR_INIT;
	const char *text;

	if (!c->upload.card)
		return;
	if (read_text(a, c->upload.card, &text, &e) < 0)
		faults_add(f, t.at, "card: %s", e.msg);
	else if (card_template_check(text, tell, &t) == 0)
		c->upload.card_text = text;
}

int card_load_file(struct arena *a, const char *path, const char **text, struct err *e)
{
	struct telling t = { .path = path, .e = e };
	const char *read;
	int rc = read_text(a, path, &read, e);

	if (rc < 0)
		return rc;
	if (card_template_check(read, tell, &t) > 0)
		return e->code;
	*text = read;
	return 0;
}

#include "orchestrator/start/model_word.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/json.h"
#include "core/path.h"

#define FAKE "fake:"
#define VALUE_MAX 65536

/* "~" means nothing in jobs.yaml, and a question has no shell to fill it in. */
static const char *at_home(struct arena *a, const char *word)
{
	const char *home = getenv("HOME");

	if (word[0] == '~' && (word[1] == '/' || !word[1]) && home && *home == '/')
		return arena_printf(a, "%s%s", home, word + 1);
	return word;
}

static int take_path(struct arena *a, const char *path, const char *dir, struct model *m,
		     struct err *e)
{
	char *here = path_real(".", e), *real = here ? path_real(path, e) : NULL;

	if (real)
		m->path = strcmp(here, dir) == 0 ? arena_strdup(a, path) : arena_strdup(a, real);
	free(here);
	free(real);
	return m->path ? 0 : e->code;
}

int model_word(struct arena *a, const char *word, const char *dir, struct model *m, struct err *e)
{
	const char *path = at_home(a, word), *slash = strchr(word, '/');
	struct stat st;

	if (strncmp(word, FAKE, strlen(FAKE)) == 0) {
		m->fake = arena_strdup(a, word + strlen(FAKE));
		return 0;
	}
	if ((word[0] && strchr("./~", word[0])) || stat(path, &st) == 0)
		return take_path(a, path, dir, m, e);
	if (!slash || strchr(slash + 1, '/'))
		return err_set(e, ERR_NOTFOUND,
			       "%s: there is no such folder here, and a repository of the Hub is "
			       "named like org/name",
			       word);
	m->id = arena_strdup(a, word);
	return 0;
}

int lora_word(struct arena *a, const char *word, const char *dir, struct model *m, struct err *e)
{
	struct model at = { .path = NULL };
	int rc = model_word(a, word, dir, &at, e);

	if (rc < 0)
		return err_wrap(e, "--lora");
	if (at.fake)
		return err_set(e, ERR_INVALID, "--lora: an adapter is a folder or org/name");
	m->lora = at.id;
	m->lora_path = at.path;
	return 0;
}

int with_word(struct arena *a, const char *word, int (*is_text)(void *ctx, const char *name),
	      void *ctx, struct param *p, struct err *e)
{
	const char *eq = strchr(word, '=');
	struct err why = ERR_INIT;
	struct json_out w;
	struct json *v;
	struct buf b;
	int rc;

	if (!eq || eq == word)
		return err_set(e, ERR_INVALID, "--with: \"%.80s\" is not NAME=VALUE", word);
	*p = (struct param){ .name = arena_strndup(a, word, (size_t)(eq - word)) };
	buf_init(&b, VALUE_MAX);
	jw_init(&w, &b, 0);
	if (!is_text(ctx, p->name) && json_parse(a, eq + 1, strlen(eq + 1), &v, &why) >= 0)
		json_write_canonical(&b, v);
	else
		jw_str(&w, eq + 1);
	p->value = arena_strdup(a, buf_str(&b));
	rc = b.overflow ? err_set(e, ERR_INVALID, "--with: %s: its value is above %d bytes",
				  p->name, VALUE_MAX)
			: 0;
	buf_release(&b);
	return rc;
}

int with_file(struct arena *a, const struct engine_param *known, const char *dir, struct param *p,
	      struct err *e)
{
	struct model at = { .path = NULL };
	struct json_out w;
	struct json *v;
	struct buf b;

	if (strcmp(known->type, "file") != 0)
		return 0;
	if (json_parse(a, p->value, strlen(p->value), &v, e) < 0 || v->type != JSON_STRING)
		return err_set(e, ERR_INVALID, "--with: %s is the name of a file", p->name);
	if (known->in_model && !strchr(v->str, '/'))
		return 0;
	if (take_path(a, at_home(a, v->str), dir, &at, e) < 0)
		return err_wrap(e, "--with: %s", p->name);
	buf_init(&b, VALUE_MAX);
	jw_init(&w, &b, 0);
	jw_str(&w, at.path);
	p->value = arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return 0;
}

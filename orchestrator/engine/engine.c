#include "orchestrator/engine/engine.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/path.h"
#include "orchestrator/engine/engine_private.h"

#define MANIFEST_MAX (1u << 20)
#define FOLDERS_MAX 32
#define ENGINES_MAX 1000

/* ---- finding manifests */

const struct engine *engine_find(const struct engines *es, const char *name)
{
	for (size_t i = 0; i < es->n; i++) {
		if (strcmp(es->v[i].name, name) == 0)
			return &es->v[i];
	}
	return NULL;
}

int engine_has_verb(const struct engine *en, const char *verb)
{
	for (size_t i = 0; i < en->n_verbs; i++) {
		if (strcmp(en->verbs[i], verb) == 0)
			return 1;
	}
	return 0;
}

static void add_engine(struct engines *es, const struct engine *en)
{
	struct engine *bigger = arena_array(es->a, es->n + 1, sizeof(*bigger));

	if (es->n)
		memcpy(bigger, es->v, es->n * sizeof(*bigger));
	bigger[es->n++] = *en;
	es->v = bigger;
}

static void load_one(struct engines *es, const char *path, struct faults *f)
{
	struct faults own = { .a = es->a, .file = path };
	struct err e = ERR_INIT;
	struct engine en;
	struct buf b;

	buf_init(&b, MANIFEST_MAX);
	if (path_read(path, MANIFEST_MAX, &b, &e) < 0)
		faults_add(f, (struct mark){ 0, 0 }, "%s; this engine is left out", e.msg);
	else if (manifest_read(es->a, path, buf_str(&b), b.len, &own, &en) == 0 &&
		 !engine_find(es, en.name))
		add_engine(es, &en);
	buf_release(&b);
	faults_sort(&own);
	for (size_t i = 0; i < own.n; i++)
		faults_add(f, (struct mark){ 0, 0 }, "%s:%d:%d: %s", path, own.v[i].at.line,
			   own.v[i].at.column, own.v[i].text);
}

static int is_manifest(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && strcmp(d->d_name + n - 5, ".yaml") == 0;
}

/* The manifests of one folder; a folder that is not there has none. */
static void load_folder(struct engines *es, const char *dir, struct faults *f)
{
	struct err why = ERR_INIT;
	/* Absolute: workers are started in folders of their own. */
	char *real = path_real(dir, &why);
	struct dirent **names;
	int count = real ? scandir(real, &names, is_manifest, alphasort) : -1;

	if (real && count < 0)
		(void)err_errno(&why, "%s", dir);
	if (count < 0 && why.code != ERR_NOTFOUND)
		faults_add(f, (struct mark){ 0, 0 }, "%s; its engines are left out", why.msg);
	for (int k = 0; k < count; k++) {
		load_one(es, arena_printf(es->a, "%s/%s", real, names[k]->d_name), f);
		free(names[k]);
	}
	if (count >= 0)
		free(names);
	free(real);
}

int engines_load_from(struct arena *a, const char *const *dirs, size_t n, struct engines *out,
		      struct faults *f, struct err *e)
{
	*out = (struct engines){ .a = a };
	for (size_t i = 0; i < n; i++) {
		load_folder(out, dirs[i], f);
		if (out->n > ENGINES_MAX)
			return err_set(e, ERR_INVALID,
				       "%s: more than %d engines; remove some manifests", dirs[i],
				       ENGINES_MAX);
	}
	return 0;
}

int engines_load(struct arena *a, struct engines *out, struct faults *f, struct err *e)
{
	const char *dirs[FOLDERS_MAX], *env = getenv("QUERN_ENGINES"),
				       *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char *here = path_program_dir();
	size_t n = 0;

	while (env && *env && n < FOLDERS_MAX - 4) {
		size_t len = strcspn(env, ":");

		if (len)
			dirs[n++] = arena_strndup(a, env, len);
		env += len + (env[len] == ':');
	}
	if (xdg && xdg[0] == '/')
		dirs[n++] = arena_printf(a, "%s/quern/engines", xdg);
	else if (home && home[0] == '/')
		dirs[n++] = arena_printf(a, "%s/.config/quern/engines", home);
	dirs[n++] = "/etc/quern/engines";
	if (here) {
		dirs[n++] = arena_printf(a, "%s/../share/quern/engines", here);
		free(here);
	}
	return engines_load_from(a, dirs, n, out, f, e);
}

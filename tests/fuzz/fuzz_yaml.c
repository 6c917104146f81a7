/* Any bytes as jobs.yaml and as an engine manifest: the reader ends with faults that can be
 * printed, each on one line, or with a configuration whose matrix can be walked. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config.h"
#include "orchestrator/engine_private.h"
#include "orchestrator/matrix.h"

#define POINTS_MAX 2000 /* enough to turn every list */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_faults(struct faults *f)
{
	struct buf b;
	size_t lines = 0;

	buf_init(&b, 64u << 20);
	faults_print(f, &b);
	for (size_t i = 0; i < b.len; i++)
		lines += b.data[i] == '\n';
	if (f->n == 0 || lines != f->n + (f->more > 0))
		abort();
	buf_release(&b);
}

static void walk(struct arena *a, const struct config *c, const struct engines *es)
{
	struct matrix *m = matrix_new(c, es, NULL);
	struct matrix_point p;

	for (int i = 0; i < POINTS_MAX && matrix_next(m, &p); i++) {
		const char *repo = template_fill(a, matrix_repo_template(c, p.engine), &p.spec),
			   *file = template_fill(a, matrix_file_template(c, p.engine), &p.spec);

		if (strchr(repo, '/') || strchr(file, '/'))
			abort();
	}
	matrix_free(m);
}

static void as_config(struct arena *a, const char *text, size_t size)
{
	struct faults f = { .a = a };
	struct engines es = { .a = a };
	struct config *c = NULL;
	struct err e = ERR_INIT;

	if (config_parse(a, "fuzz.yaml", "/jobs", text, size, NULL, &f, &c, &e) < 0) {
		if (e.code != ERR_INVALID || !e.msg[0])
			abort();
		check_faults(&f);
	} else {
		if (f.n)
			abort();
		walk(a, c, &es);
	}
	matrix_check(c, &es, &f); /* no engine is installed: every target is a fault */
	check_faults(&f);
}

static void as_manifest(struct arena *a, const char *text, size_t size)
{
	struct faults f = { .a = a, .file = "fuzz.yaml" };
	struct engine en;

	if (manifest_read(a, "/engines/fuzz.yaml", text, size, &f, &en) < 0)
		check_faults(&f);
	else if (!en.name || !en.version || !en.output || !en.n_quants || !en.n_opts ||
		 (!en.program && !en.missing))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();

	as_config(a, (const char *)data, size);
	as_manifest(a, (const char *)data, size);
	arena_free(a);
	return 0;
}

/* Any bytes as jobs.yaml and as an engine manifest: the reader ends with faults that can be
 * printed, each on one line, or with a configuration whose matrix can be walked. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/plan/matrix.h"
#include "orchestrator/plan/preflight.h"

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

/* A point of a manifest that was read: legal with an environment, or refused with a sentence. */
static void judge(struct arena *a, const struct engine *en, const char *platform,
		  const struct engine_quant *q, const char *version)
{
	const struct source_matrix matrix = { "w", 96, 64, 1 };
	struct environment env = { .path = "/e", .version = version, .gpu = 0 };
	struct engine_settings settings = { .engine = en->name,
					    .environments = &env,
					    .n_environments = 1 };
	const struct config c = { .engines = &settings, .n_engines = 1 };
	const struct model model = { .name = "m" };
	const struct resolved source = {
		.model = &model,
		.facts = { .architecture = "LlamaForCausalLM",
			   .format = "safetensors",
			   .quant_form = "gptq-4bit",
			   .quant_text = "GPTQ",
			   .quant_group = 128,
			   .quant_symmetric = 1,
			   .matrices = &matrix,
			   .n_matrices = 1 },
	};
	const struct job_spec spec = { .engine = en->name,
				       .platform = platform,
				       .quant = q->name,
				       .hybrid = 0.5,
				       .with = "{}" };
	const struct preflight in = { .cfg = &c, .engine = en, .spec = &spec, .source = &source };
	struct preflight_result r;
	struct estimate need;

	preflight(a, &in, &r);
	if (r.refusal ? !*r.refusal : en->package && r.environment != &env)
		abort();
	engine_estimate(en, &spec, NULL, &source.facts, 1, &need);
}

static void try_points(struct arena *a, const struct engine *en)
{
	static const char *const versions[] = { "1.1.4", "1.3.0" };
	static const char *const no_platform = "";
	const char *const *platforms = en->n_platforms ? en->platforms : &no_platform;
	size_t n = en->n_platforms ? en->n_platforms : 1;

	for (size_t i = 0; i < n && i < 8; i++) {
		for (size_t k = 0; k < en->n_quants && k < 16; k++)
			judge(a, en, platforms[i], &en->quants[k], versions[k % 2]);
	}
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
	else
		try_points(a, &en);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();

	as_config(a, (const char *)data, size);
	as_manifest(a, (const char *)data, size);
	arena_free(a);
	return 0;
}

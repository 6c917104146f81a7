#include "workers/fake/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/path.h"
#include "core/safetensors.h"
#include "core/source.h"
#include "workers/common/protocol.h"
#include "workers/fake/model.h"

#define SPEC_DEFAULT "llama-tiny" /* the manifest promises it */

static int tell(uint64_t done, uint64_t total)
{
	worker_progress("write", done, total, "bytes");
	return 0;
}

static int read_job(struct arena *a, const char *path, struct worker_job *job, int *code)
{
	struct err e = ERR_INIT;
	int rc = worker_job_read(a, path, job, &e);

	if (rc < 0) {
		fprintf(stderr, "quern-fake: %s\n", e.msg);
		*code = WORKER_USAGE;
	}
	return rc;
}

/* What makes a job of this engine: a spec, nothing else. The source is only looked at, so that a
 * matrix that rehearses another one fails where that would. */
static int read_spec(struct arena *a, const struct worker_job *job, struct fake_spec *spec,
		     struct err *e)
{
	const char *text =
		json_get(job->with, "spec") ? json_str(job->with, "spec", NULL) : SPEC_DEFAULT;
	struct source_files files;
	int rc;

	if (!text)
		return err_set(e, ERR_INVALID,
			       "with: spec is no text; quern fake --list has the specs");
	if (strcmp(job->quant, "none") != 0)
		return err_set(e, ERR_INVALID, "quant \"%s\": the engine fake has \"none\" only",
			       job->quant);
	rc = source_list(a, job->source, &files, e);
	if (rc == 0)
		rc = fake_spec_parse(text, spec, e);
	return rc;
}

static int hash_outputs(struct arena *a, const struct worker_job *job,
			const struct source_files *files, struct worker_output *outputs,
			struct err *e)
{
	for (size_t i = 0; i < files->n; i++) {
		uint8_t sha[SHA256_LEN];
		char hex[SHA256_HEX];
		uint64_t size;
		char *path = path_join(job->out, files->v[i].name);
		int rc = sha256_file(path, sha, &size, e);

		free(path);
		if (rc < 0)
			return rc;
		hex_encode(sha, SHA256_LEN, hex);
		outputs[i] = (struct worker_output){ .path = files->v[i].name,
						     .size_bytes = size,
						     .sha256 = arena_strdup(a, hex) };
		worker_progress("hash", i + 1, files->n, "files");
	}
	return 0;
}

static int convert(struct arena *a, const struct worker_job *job, struct err *e)
{
	struct worker_output *outputs;
	struct source_files files = { 0 };
	struct fake_spec spec;
	const char *facts;
	int rc = read_spec(a, job, &spec, e);

	if (rc == 0)
		rc = fake_model_write(&spec, job->out, tell, e);
	if (rc == 0)
		rc = source_list(a, job->out, &files, e);
	if (rc < 0)
		return rc;
	outputs = arena_array(a, files.n, sizeof(*outputs));
	rc = hash_outputs(a, job, &files, outputs, e);
	if (rc < 0)
		return rc;
	facts = arena_printf(a,
			     "{\"architecture\":\"%s\",\"hybrid\":0,\"opt\":0,\"quant\":\"none\","
			     "\"tensors\":%zu,\"tools\":{\"quern-fake\":\"" QUERN_VERSION "\"}}",
			     fake_architecture(&spec), fake_tensor_count(&spec));
	return worker_result_ok(job, outputs, files.n, facts, e);
}

int fake_convert(int argc, char **argv)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct worker_job job;
	int code = WORKER_OK;

	if (argc != 1)
		code = -1;
	else if (read_job(a, argv[0], &job, &code) == 0 && convert(a, &job, &e) < 0) {
		fprintf(stderr, "quern-fake: %s\n", e.msg);
		code = worker_result_error(&job, &e);
	}
	arena_free(a);
	return code;
}

/* ---- validate: the tensors are those of the spec, and the weights are right where we look */

static int check_tensors(const struct fake_spec *spec, const struct st_model *m, struct err *e)
{
	if (m->n_tensors != fake_tensor_count(spec))
		return err_set(e, ERR_CORRUPT, "%zu tensors where the spec has %zu", m->n_tensors,
			       fake_tensor_count(spec));
	for (size_t i = 0; i < m->n_tensors; i++) {
		const struct st_tensor *found;
		struct fake_tensor t;

		fake_tensor_get(spec, i, &t);
		found = st_find(m, t.name);
		if (!found || found->n_dims != t.n_dims || found->shape[0] != t.shape[0] ||
		    (t.n_dims == 2 && found->shape[1] != t.shape[1]))
			return err_set(e, ERR_CORRUPT, "%s is missing or has another shape",
				       t.name);
	}
	return 0;
}

static int validate(struct arena *a, const struct worker_job *job, struct err *e)
{
	struct fake_spec spec;
	struct st_model m;
	int rc = read_spec(a, job, &spec, e);

	if (rc == 0)
		rc = worker_result_check(a, job, e);
	if (rc == 0)
		rc = st_open_model(a, job->out, &m, e);
	if (rc == 0)
		rc = check_tensors(&spec, &m, e);
	if (rc == 0)
		worker_facts(arena_printf(a, "{\"tensors\":%zu}", m.n_tensors));
	return rc;
}

int fake_validate(int argc, char **argv)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct worker_job job;
	int code = WORKER_OK;

	if (argc != 1)
		code = -1;
	else if (read_job(a, argv[0], &job, &code) == 0 && validate(a, &job, &e) < 0) {
		fprintf(stderr, "quern-fake: %s\n", e.msg);
		code = WORKER_REFUSED;
	}
	arena_free(a);
	return code;
}

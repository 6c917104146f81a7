/* orchestrator/engine.h -- engine manifests: what an engine takes and makes,
 * which parameters are legal, how much memory a job needs, how to start its
 * worker. A manifest is a YAML file in one of the engine folders, found in this
 * order: each folder of $QUERN_ENGINES (colon-separated), $XDG_CONFIG_HOME/quern/engines
 * (or ~/.config/quern/engines), /etc/quern/engines, and share/quern/engines beside the
 * bin that quern runs from. The first of a name wins.
 * docs/engine-manifest.md has every field. */
#ifndef QUERN_ORCHESTRATOR_ENGINE_H
#define QUERN_ORCHESTRATOR_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/source.h"

struct engine_param {
	const char *name, *type; /* "integer", "number", "string", "boolean", "object" */
	const char *help;
	const char *dflt;    /* canonical JSON, NULL: none */
	double min, max;     /* -INFINITY, INFINITY */
	const char **values; /* legal strings, n 0: any */
	size_t n_values;
	int affects_output; /* enters the job key; default true */
};

struct engine_quant {
	const char *name;
	double bits;		/* per weight of matrices, in the file */
	const char **platforms; /* n 0: all */
	size_t n_platforms;
};

struct engine {
	const char *name, *version, *summary;
	const char *manifest; /* path of the file */
	const char *program;  /* absolute path of the worker; NULL if absent on this machine (see
				 missing) */
	const char *missing;  /* NULL, or what is missing and the fix */
	const char **args;    /* put before the verb (e.g. an interpreter's script); may be empty */
	size_t n_args;
	int network;
	int lora;	     /* it merges adapters */
	const char **inputs; /* "safetensors", "gguf" */
	size_t n_inputs;
	const char **quantized; /* forms of quantized checkpoints, source_quant.h; n 0: any */
	size_t n_quantized;
	const char *requantize; /* the parameter that a GGUF source in blocks needs; NULL: none */
	const char *output;	/* "gguf" */
	const char *extension;	/* ".gguf"; "" for a folder of files */
	const char **verbs;	/* of convert, validate, can_infer, inspect */
	size_t n_verbs;
	const char **architectures; /* n 0: any */
	size_t n_architectures;
	const char **platforms; /* n 0: engine has no platform */
	size_t n_platforms;
	struct engine_quant *quants;
	size_t n_quants;
	double *hybrids; /* legal single values, n 0: see range */
	size_t n_hybrids;
	double hybrid_min, hybrid_max;
	int hybrid_max_open; /* max itself is not legal */
	int *opts;
	size_t n_opts;
	struct engine_param *params;
	size_t n_params;
	/* peak private memory = base + per_thread*threads + per_row*longest row +
	 * source_share*source bytes */
	double mem_base, mem_per_thread, mem_per_row, mem_source_share;
	/* output bytes = matrix params*bits/8 + vector params*vector_bits/8 + tokenizer + base */
	double vector_bits, out_base;
	double scratch_output_share; /* scratch beside the output, as a share of it */
};

struct engines {
	struct engine *v;
	size_t n;
	struct arena *a;
};

struct faults;
/* Load all manifests. A broken one, or a folder that cannot be read, adds faults (without a mark;
 * the text begins with the place) and is left out. ERR_INVALID: more than 1000 engines. */
int engines_load(struct arena *a, struct engines *out, struct faults *f, struct err *e);
/* From these folders only; for tests. */
int engines_load_from(struct arena *a, const char *const *dirs, size_t n, struct engines *out,
		      struct faults *f, struct err *e);
const struct engine *engine_find(const struct engines *es, const char *name); /* NULL */
int engine_has_verb(const struct engine *en, const char *verb);

/* One point against the manifest. 0 legal; ERR_INVALID with why and what would be right in e. */
struct job_spec;
int engine_check(const struct engine *en, const struct job_spec *spec, struct err *e);
/* And against the model: architecture, input format. */
int engine_check_model(const struct engine *en, const struct source_facts *facts, struct err *e);

/* And against how its weights are stored. */
int engine_check_quantized(const struct engine *en, const struct job_spec *spec,
			   const struct source_facts *facts, struct err *e);

struct estimate {
	uint64_t memory_bytes, output_bytes, scratch_bytes;
};
void engine_estimate(const struct engine *en, const struct job_spec *spec,
		     const struct source_facts *facts, int threads, struct estimate *out);

#endif

/* orchestrator/engine/engine.h -- engine manifests: what an engine takes and makes,
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
#include "db/cause.h"
#include "orchestrator/config/config.h"

#define ENGINE_FILES_MAX 8 /* parameters of the type "file" in one manifest */

/* since: the first version of the engine's toolkit that has it; NULL: all do. */
struct engine_param {
	const char *name, *type; /* "integer", "number", "string", "boolean", "object", "file" */
	const char *help;
	const char *dflt;    /* canonical JSON, NULL: none */
	double min, max;     /* -INFINITY, INFINITY */
	const char **values; /* legal strings, n 0: any */
	size_t n_values;
	const char **values_since; /* beside values, or NULL */
	const char *since;
	int multiple_of;    /* of an integer; 0: any */
	int by_platform;    /* the platform has the list of its legal values */
	int in_model;	    /* of a file: a name without '/' is one in the model's folder */
	int affects_output; /* enters the job key; default true */
};

/* Legal values of one parameter on one platform. */
struct engine_platform_values {
	const char *param;
	const char **values; /* as they are written */
	size_t n;
};

struct engine_platform {
	const char *since;
	struct engine_platform_values *values;
	size_t n_values;
};

struct engine_quant {
	const char *name;
	double bits;		/* per weight of matrices, in the file */
	const char **platforms; /* n 0: all */
	size_t n_platforms;
	int group; /* every linear layer's outputs are a multiple of it; 0: any */
	const char *since;
};

/* A condition over points; what is absent is always met. Texts are globs, for numbers and versions
 * comparisons (version.h); of a list, one must be met. */
struct engine_when {
	struct string_list platform, quant, hybrid, opt, environment;
	struct string_list source_format, source_quantization, source_architecture;
	struct engine_when_with {
		const char *name;
		struct string_list value;
	} * with; /* all must be met; of a parameter with a default, that is its value */
	size_t n_with;
	struct string_list without; /* parameters that are not given */
	int lora, gpu;		    /* -1: either */
};

/* A form of quantized source that an engine takes, for the check source_quantization. */
struct engine_accept {
	const char *form;	 /* as struct source_quant has it: "gptq-4bit" */
	int group;		 /* weights of a row that share a scale */
	const char *quant;	 /* the only one that it can become */
	const char *since;	 /* NULL: every version of the toolkit */
	int symmetric, desc_act; /* -1: either */
};

/* One line of `rules`: a condition with what follows, or a check that quern has and the number that
 * its messages carry. */
struct engine_rule {
	int number;
	const char *check;     /* a name of engine_checks, or NULL */
	const char *parameter; /* of check; NULL: all that have no line of their own */
	struct engine_when when;
	const char *refuse, *warn; /* one of them, for a condition */
	const char *instead;	   /* the nearest legal choice, or NULL */
	int can_allow;		   /* `allow` of a target turns it into a warning */
	struct string_list types;  /* of tensors, for the check gguf_tensors */
	struct engine_accept *accepts;
	size_t n_accepts;
};

struct engine_factor {
	struct engine_when when;
	double by;
};

/* Numbers by the value of a parameter; by NULL: one for all. */
struct engine_shares {
	const char *by;
	struct engine_share {
		const char *value;
		double number;
	} * v;
	size_t n;
};

/* One row of `causes`: lines of the log that tell a cause. */
struct engine_cause {
	struct string_list match; /* globs over a line; one must match */
	const struct cause *cause;
};

/* A rung that the engine has beside those of every engine (run/ladder.h). */
struct engine_rung {
	const char *name;
	struct param *with; /* parameters that it sets */
	size_t n_with;
	struct mark at;
};

/* What is tried after a cause, in this order. */
struct engine_ladder {
	const struct cause *cause;
	struct string_list rungs;
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
	const char **inputs; /* "safetensors", "gguf", "rkllm" */
	size_t n_inputs;
	const char **quantized; /* forms of quantized checkpoints, source_quant.h; n 0: any */
	size_t n_quantized;
	const char *requantize; /* the parameter that a GGUF source in blocks needs; NULL: none */
	/* Finished files that it renews as they are: their format, the name that stands for their
	 * quant, the first version of the toolkit that can; NULL: none. */
	const char *renew_format, *renew_quant, *renew_since;
	const char *output;    /* "gguf" */
	const char *extension; /* ".gguf"; "" for a folder of files */
	const char **verbs;    /* of convert, validate, can_infer, inspect */
	size_t n_verbs;
	const char **architectures; /* n 0: any */
	size_t n_architectures;
	const char **architectures_since; /* beside architectures, or NULL */
	const char **platforms;		  /* n 0: engine has no platform */
	size_t n_platforms;
	struct engine_platform *platform_facts; /* beside platforms, or NULL */
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
	/* The Python package that its environments hold, as the package's folder is named; NULL:
	 * it needs none. */
	const char *package;
	const char *module;  /* of it, that must import; NULL: not tried */
	const char *machine; /* that it is made for, as uname says it; NULL: any */
	struct engine_need { /* other packages that an environment needs */
		const char *package, *version; /* a comparison */
	} * needs;
	size_t n_needs;
	struct engine_rule *rules;
	size_t n_rules;
	struct engine_cause *causes; /* the first that matches a line tells */
	size_t n_causes;
	struct engine_rung *rungs;
	size_t n_rungs;
	struct engine_ladder *ladders; /* where quern's own ladder is not meant */
	size_t n_ladders;
	const char *repo_template, *file_template; /* where jobs.yaml has none; NULL: quern's own */
	/* peak private memory = base + per_thread*threads + per_row*longest row +
	 * source_share*source bytes */
	double mem_base, mem_per_thread, mem_per_row, mem_source_share;
	/* and + per_weight*params, all of it times each factor whose condition is met */
	struct engine_shares per_weight; /* bytes */
	struct engine_factor *mem_factors;
	size_t n_mem_factors;
	/* output bytes = matrix params*bits/8 + vector params*vector_bits/8 + tokenizer + base;
	 * bits are the quant's, but for values that out_bits lists */
	struct engine_shares out_bits;
	double vector_bits, out_base;
	double scratch_output_share; /* scratch beside the output, as a share of it */
	double scratch_per_weight;   /* and bytes for each weight */
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

/* Its own rung of a name; NULL. */
const struct engine_rung *engine_find_rung(const struct engine *en, const char *name);
/* Its ladder for a cause; NULL: quern's own. */
const struct engine_ladder *engine_ladder_of(const struct engine *en, const struct cause *cause);

/* One point against the manifest. 0 legal; ERR_INVALID with why and what would be right in e. */
struct job_spec;
int engine_check(const struct engine *en, const struct job_spec *spec, struct err *e);
/* Is the point a finished file that is renewed? By its quant. */
int engine_renews(const struct engine *en, const struct job_spec *spec);
/* And against the model: architecture, input format. */
int engine_check_model(const struct engine *en, const struct source_facts *facts, struct err *e);

/* And against how its weights are stored. */
int engine_check_quantized(const struct engine *en, const struct job_spec *spec,
			   const struct source_facts *facts, struct err *e);

/* The checks that quern has, for `check` of a rule. */
extern const char *const engine_checks[];
extern const size_t n_engine_checks;
/* The line of rules for a check, of the parameter if there is one; NULL: none. */
const struct engine_rule *engine_rule_of(const struct engine *en, const char *check,
					 const char *parameter);
/* The place of a name among the engine's platforms or architectures; -1: none. */
int engine_platform_index(const struct engine *en, const char *name);
/* Is text one of values? A value "a_r{1..64}" stands for a_r1 to a_r64. Its place, or -1. */
int engine_value_index(const char *const *values, size_t n, const char *text);

/* What a condition is asked of. */
struct json;
struct engine_case {
	const struct engine *engine;
	const struct job_spec *spec;
	const struct json *with; /* spec->with, parsed */
	const struct source_facts *facts;
	const char *version; /* of the environment's toolkit; NULL: not known */
	int gpu;
};
int engine_when_holds(const struct engine_when *w, const struct engine_case *c);

struct estimate {
	uint64_t memory_bytes, output_bytes, scratch_bytes;
};
/* with: spec->with, parsed; NULL: no parameters. */
void engine_estimate(const struct engine *en, const struct job_spec *spec, const struct json *with,
		     const struct source_facts *facts, int threads, struct estimate *out);

#endif

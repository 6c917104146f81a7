/* orchestrator/engine/engine_private.h -- between engine.c (where engines are, and what
 * is legal), engine_manifest.c (one manifest), engine_manifest_values.c (its
 * platforms, architectures and parameters), engine_manifest_rules.c and
 * engine_manifest_causes.c. */
#ifndef QUERN_ORCHESTRATOR_ENGINE_PRIVATE_H
#define QUERN_ORCHESTRATOR_ENGINE_PRIVATE_H

#include "orchestrator/config/faults.h"
#include "orchestrator/config/yaml_read.h"
#include "orchestrator/engine/engine.h"

/* Fill en from the manifest's text. ERR_INVALID with the faults in f (f->file is path). A program
 * that is not there is no fault: en->missing says it. */
int manifest_read(struct arena *a, const char *path, const char *text, size_t len, struct faults *f,
		  struct engine *en);

/* ---- readers of a key (yaml_read.h) that several sections use */

struct manifest_words { /* where a list goes in struct engine */
	const char ***v;
	size_t *n;
	const char *const *legal; /* NULL: any word */
	size_t n_legal;
};
void manifest_read_words(struct reader *r, const struct ynode *v, void *target); /* the above */
void manifest_read_word(struct reader *r, const struct ynode *v, void *target);	 /* const char ** */
void manifest_read_since(struct reader *r, const struct ynode *v, void *target); /* const char ** */
void manifest_read_prose(struct reader *r, const struct ynode *v, void *target); /* const char ** */
extern const char manifest_a_word[];
/* A list of names, or a map of names to the first version that has each. */
void manifest_read_dated(struct reader *r, const struct ynode *v, const char ***names, size_t *n,
			 const char ***since);

/* ---- sections; target is the engine */
void manifest_read_platforms(struct reader *r, const struct ynode *v, void *target);
void manifest_read_architectures(struct reader *r, const struct ynode *v, void *target);
void manifest_read_params(struct reader *r, const struct ynode *v, void *target);
void manifest_read_rules(struct reader *r, const struct ynode *v, void *target);
void manifest_read_factors(struct reader *r, const struct ynode *v, void *target);
void manifest_read_causes(struct reader *r, const struct ynode *v, void *target);
void manifest_read_ladder(struct reader *r, const struct ynode *v, void *target);
/* Rungs are known, and set parameters to legal values. */
void manifest_check_ladder(struct reader *r, const struct ynode *root, const struct engine *en);
/* Names that rules and memory use are names that the manifest has. */
void manifest_check_rules(struct reader *r, const struct ynode *root, const struct engine *en);

#define RULE_NOTE_MAX 24
/* " (rule 7)", or "" when the manifest has no line for the check. Returns out. */
const char *engine_rule_note(const struct engine *en, const char *check, const char *parameter,
			     char out[RULE_NOTE_MAX]);
struct json;
/* A value of `with` as a manifest writes it, in out when it is a number; NULL for lists, maps,
 * null. */
const char *engine_value_text(const struct json *v, char out[32]);
/* What a condition on the source's quantization is about: the type of most weights of a GGUF file,
 * else struct source_quant's form, or "none". */
const char *engine_source_quantization(const struct source_facts *f);

/* What a point says of a parameter, or its default; NULL: neither. */
const char *engine_case_value(const struct engine_case *c, const char *name, char out[32]);

/* The parameter of a name, or NULL. */
const struct engine_param *engine_find_param(const struct engine *en, const char *name);
/* A value (canonical JSON) against the parameter. 0, or ERR_INVALID with "NAME is VALUE; ...". */
int engine_check_value(struct arena *a, const struct engine_param *p, const char *value,
		       struct err *e);

#endif

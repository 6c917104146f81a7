/* orchestrator/plan/filekind.h -- what a file is, by its content, and who can look into it:
 * ourselves for safetensors, an engine's worker for the rest. */
#ifndef QUERN_ORCHESTRATOR_FILEKIND_H
#define QUERN_ORCHESTRATOR_FILEKIND_H

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "orchestrator/engine/engine.h"

struct filekind {
	enum { FILE_SAFETENSORS, FILE_SAFETENSORS_FOLDER, FILE_OF_ENGINE } kind;
	const char *path;	     /* absolute, links resolved */
	uint64_t size_bytes;	     /* of a file */
	const struct engine *engine; /* FILE_OF_ENGINE */
};

/* ERR_NOTFOUND, ERR_INVALID (nobody knows this kind of file; says what is known), ERR_ENV (the
 * engine is not complete on this machine; says the fix). */
int filekind_find(struct arena *a, const struct engines *es, const char *path, struct filekind *out,
		  struct err *e);

/* Let the engine describe the file: verb "inspect" or "verify". *out is its JSON object.
 * ERR_INVALID: the file is damaged, in the worker's words. */
int filekind_ask(struct arena *a, const struct filekind *k, const char *verb, struct json **out,
		 struct err *e);

/* Headers of a safetensors file or folder, checked in full. */
int filekind_tensors(struct arena *a, const struct filekind *k, struct st_model *out,
		     struct err *e);

#endif

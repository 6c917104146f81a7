/* orchestrator/start/model_word.h -- a model and the parameters of an engine as words of a command
 * line or of an answer, as they stand in jobs.yaml. */
#ifndef QUERN_ORCHESTRATOR_MODEL_WORD_H
#define QUERN_ORCHESTRATOR_MODEL_WORD_H

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"

/* "fake:SPEC"; what is there, or begins with '.', '/' or '~', is a local path (absolute, links
 * resolved, unless the current folder is dir: then as it was written); "org/name" is a repository
 * of the Hub. Sets one of m's three sources and leaves the rest of m alone. ERR_NOTFOUND: nothing
 * is there, and the Hub has no such names. */
int model_word(struct arena *a, const char *word, const char *dir, struct model *m, struct err *e);

/* An adapter in the same words: a local folder or "org/name". Sets m->lora_path or m->lora. */
int lora_word(struct arena *a, const char *word, const char *dir, struct model *m, struct err *e);

/* "NAME=VALUE" of --with. A value is JSON where it can be read as that (a number, true, {...}),
 * unless is_text(ctx, NAME) says that the parameter is a text. ERR_INVALID without a '='. */
int with_word(struct arena *a, const char *word, int (*is_text)(void *ctx, const char *name),
	      void *ctx, struct param *p, struct err *e);

/* The value of a parameter that is a file, as it has to stand in a file in dir: as it was written
 * when that is the current folder, or when it is a name in the model's folder; else absolute. */
int with_file(struct arena *a, const struct engine_param *known, const char *dir, struct param *p,
	      struct err *e);

#endif

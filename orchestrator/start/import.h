/* orchestrator/start/import.h -- what people have before they have quern: batch scripts with lists
 * (import_script.c) and converted files with telling names (import_name.c, import_files.c). */
#ifndef QUERN_ORCHESTRATOR_IMPORT_H
#define QUERN_ORCHESTRATOR_IMPORT_H

#include "core/buf.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/start/jobs_write.h"

/* Read the lists of a Python script (it is not run) into models and targets of engine `name`. What
 * had to be changed, left out or guessed is added to notes, a line each; the same engine's
 * manifest, when there is one, says what its platforms allow. Everything lives in a. ERR_INVALID,
 * ERR_NOTFOUND, ERR_IO. */
int import_script(struct arena *a, const struct engines *es, const char *name, const char *path,
		  struct jobs_sketch *out, struct buf *notes, struct err *e);

#endif

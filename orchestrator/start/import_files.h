/* orchestrator/start/import_files.h -- converted files that are there already become artifacts of
 * the points that they are, so that a run does not make them again. What a file is, is claimed by
 * its name (file_name.h) and, of a GGUF file, read from its header by its engine; the point is
 * looked for in jobs.yaml and never guessed: none or several that fit are said. */
#ifndef QUERN_ORCHESTRATOR_IMPORT_FILES_H
#define QUERN_ORCHESTRATOR_IMPORT_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/run/session.h"

struct import_result {
	size_t imported, there, refused; /* there: jobs that had their artifact already */
};

/* names: files, and folders whose .gguf and .rkllm files are meant. Each is copied into the work
 * folder (shared with the original where the file system can), checked and recorded; with move the
 * original is removed after that. only: GLOB over labels, or NULL. What happens to each file is
 * printed. Negative only when nothing more can be done: s needs the run's lock. */
int import_files(struct session *s, char *const *names, size_t n, const char *only, bool move,
		 struct import_result *out, struct err *e);

#endif

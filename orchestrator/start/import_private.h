/* orchestrator/start/import_private.h -- between import_files.c (which file is which point) and
 * import_store.c (from a file to an artifact). */
#ifndef QUERN_ORCHESTRATOR_IMPORT_PRIVATE_H
#define QUERN_ORCHESTRATOR_IMPORT_PRIVATE_H

#include "orchestrator/plan/plan.h"
#include "orchestrator/start/file_name.h"
#include "orchestrator/start/import_files.h"

struct import_point {
	struct plan_point plan; /* its strings live in the importer's arena */
};

struct import_file {
	const char *path, *name; /* as given; the last part of it */
	struct name_claims claims;
	bool has_claims, done;
	struct import_point *point; /* the first that fits */
	int n_fit;
	const char *other;     /* label of another one that fits */
	const char *not_legal; /* label and why, of one that fits and cannot be done */
};

struct importer {
	struct session *s;
	struct arena *a;
	bool move;
	int64_t run_id; /* 0 until the first file is recorded */
	struct import_file *v;
	size_t n, cap;
};

/* Check the file, copy it beside the artifacts, seal it, and record it as the ready artifact of its
 * point. ERR_INVALID: the file is not what the point is, or damaged. A crash leaves the original,
 * and nothing or the whole artifact, which the next run finds by its key. */
int import_store(struct importer *x, const struct import_file *f, struct err *e);

/* The run that the imported jobs belong to, if there is one, has ended. */
void import_end(struct importer *x, int64_t imported, bool failed);

#endif

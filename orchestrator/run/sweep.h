/* orchestrator/run/sweep.h -- taking things out of the work folder: measured first, told, never
 * through a link. */
#ifndef QUERN_ORCHESTRATOR_SWEEP_H
#define QUERN_ORCHESTRATOR_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

struct sweep {
	bool dry_run;	  /* tell, remove nothing */
	const char *work; /* taken off the front of what is told */
	uint64_t
		freed_bytes; /* as the disk counts: files with other names elsewhere free nothing */
	int64_t removed;
};

/* Remove path (a file or a whole folder) and say "PATH: why, SIZE". */
int sweep_remove(struct sweep *s, const char *path, const char *why, struct err *e);

/* Bytes that removing path would free. Links count themselves only. */
uint64_t sweep_measure(const char *path);

/* Call fn for each entry of a folder, in order of name; "." and ".." are left out. is_dir: a real
 * folder, not a link to one. A missing folder has no entries. Negative stops and is returned. */
typedef int (*sweep_fn)(void *ctx, const char *path, const char *name, bool is_dir, struct err *e);
int sweep_each(const char *dir, sweep_fn fn, void *ctx, struct err *e);

/* Names that only quern gives to what is not finished: ".tmp...", ".NAME.tmp-...", ".making-...".
 */
bool sweep_is_temporary(const char *name);

#endif

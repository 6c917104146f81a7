/* upload/fetch_drop.h -- taking models out of the cache again, those that quern put there, and
 * holding those that are in use against it. Safe beside the official clients: what they put into
 * the cache stays, with every blob that another revision links to. Needs no token. docs/hub.md. */
#ifndef QUERN_UPLOAD_FETCH_DROP_H
#define QUERN_UPLOAD_FETCH_DROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/*
 * Say that the snapshot is in use, from now until *fd is closed: a shared flock on
 * CACHE/.locks/models--org--name/COMMIT.quern-use, whose time is that of the last use. *fd is -1
 * when the file system has no locks; then nothing is dropped from it either. ERR_BUSY: it is being
 * dropped, and wait is false.
 */
int fetch_use(const char *cache, const char *repo, const char *commit, bool wait, int *fd,
	      struct err *e);

struct fetch_drop {
	const char *cache;	 /* HF_HUB_CACHE */
	uint64_t need_bytes;	 /* stop when so much was freed */
	const char *const *keep; /* folders of snapshots, as fetch_snapshot() names them */
	size_t n_keep;
	/* May be NULL. A snapshot (repo "org/name") or, with commit NULL, remains without one. */
	void (*told)(void *ctx, const char *repo, const char *commit, uint64_t bytes);
	void *ctx;
};

/*
 * Drop what nobody needs: first remains of fetches and drops that were interrupted, then whole
 * snapshots, the one whose last use is longest ago first. Left alone are `keep`, what is in use,
 * and repositories that somebody fetches into now. Killed at any time, a snapshot is there as a
 * whole or is fetched again; the next call takes its remains. *freed_bytes: as the disk counts.
 * ERR_IO only when the cache itself cannot be read: a repository that resists is passed over.
 */
int fetch_drop(const struct fetch_drop *o, uint64_t *freed_bytes, struct err *e);

#endif

/* orchestrator/run/early.h -- the hashes of a large output, taken while its
 * validation reads the same bytes, so that the disk is read once and nobody
 * waits for the sum of both.
 *
 * The validation is a stranger who may write in the folder. So a file is hashed
 * under a read lease (fcntl(2), F_SETLEASE): the kernel gives one only when
 * nobody has the file open for writing, and whoever opens it so afterwards takes
 * it away. Only what is read from first to last under a lease that is still held
 * when it is sealed counts; everything else is hashed again then, as if this had
 * not been. Where there are no leases (NFS, a file of another user) nothing is
 * hashed early. */
#ifndef QUERN_ORCHESTRATOR_EARLY_H
#define QUERN_ORCHESTRATOR_EARLY_H

#include <stdint.h>
#include <uv.h>

#include "core/hash.h"

struct early;

/* Begin with the files of dir in a pool thread of loop. *running counts those that read. */
struct early *early_start(uv_loop_t *loop, const char *dir, int *running);
/* Call done(data) once all that can be hashed early is. Returns 1, or 0 when that is so by now (or
 * x is NULL): then done is not called. */
int early_wait(struct early *x, void (*done)(void *data), void *data);
/* At times, from the loop: who wants to write waits for us, so let go of such files. NULL is fine.
 */
void early_tick(struct early *x);
/* Give up what is held, and what is not read yet. NULL is fine. */
void early_drop(struct early *x);

/* When early_wait() is over, from any thread: the hash of the file that fd has open, called name in
 * the folder. 1, or 0: it has to be read. x may be NULL. */
int early_hash(const struct early *x, const char *name, int fd, uint8_t sha256[SHA256_LEN]);

#endif

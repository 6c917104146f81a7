/* workers/fake/model.h -- a fake model's folder, streamed to disk: memory stays
 * below 64 MiB for a model of any size. */
#ifndef QUERN_WORKERS_FAKE_MODEL_H
#define QUERN_WORKERS_FAKE_MODEL_H

#include <stdint.h>

#include "core/err.h"
#include "workers/fake/shape.h"

/* Called with bytes of tensors done and in all; not 0: stop, ERR_CANCELLED. May be NULL. */
typedef int fake_progress(uint64_t done, uint64_t total);

/* Write every file into dir, which exists and is empty. Nothing is fsynced. Zero weights take no
 * room on file systems that know holes. ERR_IO, ERR_NOSPACE, ERR_CANCELLED. */
int fake_model_write(const struct fake_spec *s, const char *dir, fake_progress *progress,
		     struct err *e);

/* The same as a folder that is complete or absent: made beside dir, synced, renamed. force: replace
 * a model's folder that is there; anything else that is not empty is ERR_INVALID. */
int fake_model_make(const struct fake_spec *s, const char *dir, int force, fake_progress *progress,
		    struct err *e);

#endif

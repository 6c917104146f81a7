/* workers/fake/texts.h -- the small files of a model's folder. */
#ifndef QUERN_WORKERS_FAKE_TEXTS_H
#define QUERN_WORKERS_FAKE_TEXTS_H

#include "core/buf.h"
#include "workers/fake/shape.h"

void fake_config_json(const struct fake_spec *s, struct buf *out);
void fake_generation_config_json(const struct fake_spec *s, struct buf *out);
void fake_readme(const struct fake_spec *s, struct buf *out);

/* What `describe` prints: the spec in full and the members of struct source_facts. */
void fake_describe(const struct fake_spec *s, struct buf *out);

#endif

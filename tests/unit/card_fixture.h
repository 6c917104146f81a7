/* tests/unit/card_fixture.h -- two variants of one repository, and the card made of them. */
#ifndef QUERN_TESTS_CARD_FIXTURE_H
#define QUERN_TESTS_CARD_FIXTURE_H

#include "upload/card.h"

#define CARD_MAX ((size_t)1 << 20)

/* A worker that confirms everything, and what the source says. */
#define FACTS(quant, source)                                                                       \
	"{\"source\":{" source "},\"worker\":{\"architecture\":\"llama\",\"hybrid\":0,\"opt\":0,"  \
	"\"quant\":\"" quant "\"}}"

extern const struct card_settings card_fixture_settings;

struct card_fixture {
	struct job_row jobs[2];
	struct artifact_row files[2];
	const char *paths[2];
	struct card_variant v[2];
};

void card_fixture_init(struct card_fixture *f);
struct job_row card_job(const char *quant, int key);
struct artifact_row card_artifact(const char *name, int64_t size, const char *facts);
/* Of the first n variants, over an old card or NULL. Heap. */
char *card_of(const struct card_fixture *f, size_t n, const char *old);

#endif

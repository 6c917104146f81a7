#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "card_fixture.h"

const struct card_settings card_fixture_settings = { .repo = "ns/m", .quantized_by = "ns" };

struct job_row card_job(const char *quant, int key)
{
	struct job_row r = { .id = key, .label = quant, .file = "m", .repo = "ns/m" };

	r.spec = (struct job_spec){ .model = "m",
				    .engine = "gguf",
				    .engine_version = "0.1",
				    .source_kind = "hub",
				    .source = "org/base",
				    .source_version = "c0ffee",
				    .platform = "",
				    .quant = quant,
				    .with = "{}" };
	memset(r.key, key, sizeof(r.key));
	return r;
}

struct artifact_row card_artifact(const char *name, int64_t size, const char *facts)
{
	struct artifact_row r = { .name = name, .size_bytes = size, .facts = facts };

	memset(r.sha256, 0xab, sizeof(r.sha256));
	return r;
}

void card_fixture_init(struct card_fixture *f)
{
	f->jobs[0] = card_job("Q8_0", 1);
	f->jobs[1] = card_job("Q4_0", 2);
	f->files[0] = card_artifact("m-Q8_0.gguf", 2000,
				    FACTS("Q8_0", "\"license\":\"apache-2.0\",\"pipeline_tag\":"
						  "\"text-generation\""));
	f->files[1] = card_artifact("m-Q4_0.gguf", 1000,
				    FACTS("Q4_0",
					  "\"license\":\"apache-2.0\",\"language\":[\"en\",\"no\"],"
					  "\"pipeline_tag\":\"text-generation\""));
	for (int i = 0; i < 2; i++) {
		f->paths[i] = f->files[i].name;
		f->v[i] = (struct card_variant){ .job = &f->jobs[i],
						 .files = &f->files[i],
						 .paths = &f->paths[i],
						 .n_files = 1 };
	}
}

char *card_of(const struct card_fixture *f, size_t n, const char *old)
{
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, CARD_MAX);
	assert_int_equal(card_write(&b, &card_fixture_settings, f->v, n, old, &e), 0);
	return buf_detach(&b);
}

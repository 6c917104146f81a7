/* Any bytes as the name of a converted file: what it claims has a model, and fits the format's
 * bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/start/file_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const char *name = arena_strndup(a, (const char *)data, size);
	struct name_claims c;
	struct json_out w;
	struct json *v;
	struct err e = { 0 };
	struct buf b;

	buf_init(&b, 1u << 20);
	if (file_name_claims(a, name, &c)) {
		if (!c.model[0] || !(c.platform || c.quant) || c.hybrid < 0 || c.hybrid > 1 ||
		    c.opt < 0 || c.opt > 9 || c.max_context < 0 || c.max_context > 16384 ||
		    c.cores < 0)
			abort();
		jw_init(&w, &b, 0);
		jw_object(&w);
		file_name_json(&w, &c);
		jw_end_object(&w);
		if (json_parse(a, buf_str(&b), b.len, &v, &e) < 0)
			abort();
	}
	buf_release(&b);
	arena_free(a);
	return 0;
}

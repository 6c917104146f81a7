/* Any bytes: the parser ends with a document or a sentence; a document's canonical form reads back
 * as a document with the same canonical form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every member of every object is found under its key. */
static void check_lookups(const struct json *v)
{
	if (v->type != JSON_OBJECT && v->type != JSON_ARRAY)
		return;
	for (size_t i = 0; i < v->count; i++) {
		const struct json_member *m = &v->members[i];

		if (v->type == JSON_OBJECT && json_get(v, m->key) != m->value)
			abort();
		check_lookups(m->value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct json *first, *second;
	struct buf once, twice;

	buf_init(&once, (size_t)64 << 20);
	buf_init(&twice, (size_t)64 << 20);
	if (json_parse(a, (const char *)data, size, &first, &e) < 0) {
		if (e.code != ERR_INVALID || !e.msg[0])
			abort();
	} else {
		check_lookups(first);
		if (json_write_canonical(&once, first) < 0 ||
		    json_parse(a, once.data, once.len, &second, &e) < 0 ||
		    json_write_canonical(&twice, second) < 0 || once.len != twice.len ||
		    memcmp(once.data, twice.data, once.len) != 0)
			abort();
	}
	buf_release(&once);
	buf_release(&twice);
	arena_free(a);
	return 0;
}

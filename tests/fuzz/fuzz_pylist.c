/* Any bytes as a Python script of lists: read to values that can be walked, or refused with a
 * place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "orchestrator/start/pylist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct py_value *v, int depth)
{
	if (depth > 100 || (v->type == PY_TEXT && !utf8_valid(v->text, strlen(v->text))))
		abort();
	for (size_t i = 0; v->type == PY_LIST && i < v->n; i++)
		walk(&v->items[i], depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct err e = { 0 };
	struct py_script s;
	int rc = pylist_read(a, (const char *)data, size, &s, &e);

	if (rc < 0 && (rc != ERR_INVALID || !e.msg[0]))
		abort();
	for (size_t i = 0; rc >= 0 && i < s.n; i++) {
		if (!s.v[i].name[0] || s.v[i].line < 1)
			abort();
		if (!s.v[i].why)
			walk(&s.v[i].value, 0);
	}
	arena_free(a);
	return 0;
}

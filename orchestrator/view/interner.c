#include "orchestrator/view/interner.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

void interner_init(struct interner *in, struct arena *a, struct report_names *names, size_t max)
{
	in->names = names;
	in->max = max;
	in->n_slots = 2 * max + 1;
	in->slots = arena_array(a, in->n_slots, sizeof(*in->slots));
	memset(in->slots, 0, in->n_slots * sizeof(*in->slots));
	*names = (struct report_names){ arena_array(a, max + 1, sizeof(*names->v)), 0 };
}

static size_t hash_text(const char *s)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return (size_t)h;
}

size_t intern(struct interner *in, struct arena *a, const char *s)
{
	size_t at = hash_text(s) % in->n_slots;

	for (; in->slots[at]; at = (at + 1) % in->n_slots) {
		if (strcmp(in->names->v[in->slots[at] - 1], s) == 0)
			return in->slots[at] - 1;
	}
	assert(in->names->n < in->max);
	in->names->v[in->names->n++] = arena_strdup(a, s);
	in->slots[at] = in->names->n;
	return in->names->n - 1;
}

/* orchestrator/view/interner.h -- texts by number, in order of appearance; each is kept once. */
#ifndef QUERN_ORCHESTRATOR_INTERNER_H
#define QUERN_ORCHESTRATOR_INTERNER_H

#include <stddef.h>

#include "core/arena.h"

struct report_names {
	const char **v;
	size_t n;
};

struct interner {
	struct report_names *names;
	size_t *slots; /* index + 1; 0: free */
	size_t n_slots, max;
};

/* At most max different texts, which the caller knows beforehand. All lives in a. */
void interner_init(struct interner *in, struct arena *a, struct report_names *names, size_t max);
/* The number of s, which is copied into a when it is new. */
size_t intern(struct interner *in, struct arena *a, const char *s);

#endif

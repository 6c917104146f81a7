/* orchestrator/config/faults.h -- all that is wrong with a YAML file, said in one go:
 * "file:line:column: what is wrong; what would be right". */
#ifndef QUERN_ORCHESTRATOR_FAULTS_H
#define QUERN_ORCHESTRATOR_FAULTS_H

#include <stddef.h>

#include "core/arena.h"

struct buf;

struct mark { /* a place in the file, both from 1; 0: from the command line */
	int line, column;
};

/* A fault list: one line each. A value that stands in several places (an alias) tells its fault
 * once, and after FAULTS_KEPT_MAX the rest is only counted. */
#define FAULTS_KEPT_MAX 1000
struct faults {
	struct fault {
		struct mark at;
		size_t order; /* in which they were added */
		const char *text;
	} * v;		     /* text: "what is wrong; what would be right" */
	size_t n, cap, more; /* more: those that were only counted */
	struct arena *a;
	const char *file;
};
void faults_add(struct faults *f, struct mark at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void faults_sort(const struct faults *f); /* by place; without one, in the order they were added */
/* "file:line:column: text\n" for each, sorted by place, into b. */
void faults_print(const struct faults *f, struct buf *b);

#endif

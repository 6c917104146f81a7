/* db/cause.h -- why attempts fail: one table of causes, each with what follows by
 * itself and with what a person can do. Every failed attempt has one of them in
 * the store. docs/causes.md shows the same table and a test compares them. Pure. */
#ifndef QUERN_DB_CAUSE_H
#define QUERN_DB_CAUSE_H

#include <stdbool.h>
#include <stddef.h>

enum cause_policy {
	CAUSE_STOP,    /* the job has failed; a person decides */
	CAUSE_LATER,   /* the same again after a wait, until retry.attempts */
	CAUSE_CHANGED, /* the next rung of its ladder after a wait; without one, stop */
};

#define CAUSE_NAME_MAX 32

struct cause {
	const char *name; /* as it is stored */
	const char *also; /* other names, which commands and files may use; "" for none */
	enum cause_policy policy;
	const char *ladder; /* rungs, separated by ", "; "" for none */
	bool told;	    /* a worker and a manifest may name it; the others are quern's own */
	const char *means;
	const char *fix; /* what to change, before the command */
	bool retry;	 /* then `quern retry`; else look into the log first */
};

extern const struct cause causes[];
extern const size_t n_causes;

/* By its name, or one of the others; NULL: there is none. */
const struct cause *cause_find(const char *name);
/* The name that is nearest to a word, or NULL: for a did-you-mean. */
const char *cause_nearest(const char *word);
const char *cause_policy_name(enum cause_policy p); /* "stop", "later", "changed" */
int cause_policy_parse(const char *name);	    /* -1 if unknown */

/* What the words of any program tell, in its last line: a cause of the table, or NULL. For workers
 * that give none. */
const char *cause_of_words(const char *line);

#endif

/* orchestrator/config/yaml_read.h -- typed values from a YAML tree: one table of keys a
 * map, one reader a type. A reader that finds something wrong says it at its
 * place, leaves its target alone and returns, so that all faults of a file are
 * found in one go. */
#ifndef QUERN_ORCHESTRATOR_YAML_READ_H
#define QUERN_ORCHESTRATOR_YAML_READ_H

#include "orchestrator/config/config.h"
#include "orchestrator/config/yaml_tree.h"

struct reader {
	struct arena *a;
	struct faults *f;
	const char *key; /* being read; for messages */
};

struct key {
	const char *name;
	void (*read)(struct reader *r, const struct ynode *v, void *target);
	void *target;
};

/* Read a map by its keys; unknown keys are faults with a did-you-mean. what: "the upload section".
 */
void read_map(struct reader *r, const struct ynode *v, const char *what, const struct key *keys,
	      size_t n);

/* Is the key there, or a misspelling of it? Then nothing needs to be said of its absence. */
int read_has(const struct ynode *map, const char *key);

/* "KEY is VALUE; WANT is wanted" at v's place. */
void read_wrong(struct reader *r, const struct ynode *v, const char *want);

/* ---- helpers of readers: 1 and the value, or 0 after a fault */
int read_is_text(struct reader *r, const struct ynode *v, const char *want); /* and not empty */
/* Text that ok() takes, as it stands in the file. */
int read_checked(struct reader *r, const struct ynode *v, const char *want,
		 int (*ok)(const char *text), const char **out);
int read_whole(struct reader *r, const struct ynode *v, int min, int max, int *out);
int read_number(struct reader *r, const struct ynode *v, double min, double max, double *out);
/* A list's items, or one value as a list of one; 0 for a map or an empty list. */
size_t read_items(struct reader *r, const struct ynode *const *v, struct ynode *const **out);

/* ---- readers of a key */
void read_text(struct reader *r, const struct ynode *v, void *target);	   /* const char ** */
void read_word(struct reader *r, const struct ynode *v, void *target);	   /* read_word_ok() */
void read_flag(struct reader *r, const struct ynode *v, void *target);	   /* int * */
void read_size(struct reader *r, const struct ynode *v, void *target);	   /* uint64_t * */
void read_duration(struct reader *r, const struct ynode *v, void *target); /* int64_t *, ms */
void read_limit(struct reader *r, const struct ynode *v, void *target);	   /* the same, not 0 */
void read_strings(struct reader *r, const struct ynode *v, void *target); /* struct string_list * */
void read_hybrids(struct reader *r, const struct ynode *v, void *target); /* struct number_list * */
void read_opts(struct reader *r, const struct ynode *v, void *target);	  /* struct int_list * */

/* Letters, digits, '.', '_', '-' and '+', at most 64: names of engines, quants, platforms. */
int read_word_ok(const char *s);

#endif

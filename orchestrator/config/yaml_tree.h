/* orchestrator/config/yaml_tree.h -- a YAML document as a bounded tree with places. The
 * reader of our own files; core/yaml.h parses. Anchors and merge keys are
 * followed, ${VAR} is filled in, repeated keys and tags are faults. Scalars stay
 * the text that was written: `no` is "no". */
#ifndef QUERN_ORCHESTRATOR_YAML_TREE_H
#define QUERN_ORCHESTRATOR_YAML_TREE_H

#include <stddef.h>

#include "core/arena.h"
#include "core/json.h"
#include "orchestrator/config/faults.h"

#define YAML_TEXT_MAX (4u << 20)   /* bytes of one file */
#define YAML_FILLED_MAX (4u << 20) /* bytes that ${VAR} may bring in altogether */
#define YAML_NODES_MAX 100000	   /* values, each alias counted in full: an alias bomb ends here */
#define YAML_ANCHORS_MAX 1000	   /* of one file; names are compared with each other */
#define YAML_KEYS_MAX 2000	   /* of one map; keys are compared with each other */
#define YAML_DEPTH_MAX 32

enum ynode_type { YNODE_SCALAR, YNODE_LIST, YNODE_MAP };

struct ynode {
	enum ynode_type type;
	struct mark at;
	const char *text;	/* SCALAR, ${VAR} filled in */
	int quoted;		/* SCALAR was in quotes or a block: never a number */
	int bad;		/* it has a fault that was said: no other is worth saying */
	struct ynode **items;	/* LIST */
	struct yentry *entries; /* MAP, in file order, merged ones last */
	size_t n;
	int size, height; /* values in this tree with itself; levels below it */
};

struct yentry {
	const char *key;
	struct mark at; /* of the key */
	struct ynode *value;
};

/* *out is NULL for an empty document. ERR_INVALID with a fault when there is no tree to look at;
 * softer faults (an unset variable, a repeated key, a tag) are added to f and the tree is still
 * given. An aliased value is one node that stands in several places. */
int yaml_tree_parse(struct arena *a, const char *text, size_t len, struct faults *f,
		    struct ynode **out);

const struct yentry *ynode_entry(const struct ynode *map,
				 const char *key);		   /* NULL: absent, or no map */
struct ynode *ynode_get(const struct ynode *map, const char *key); /* its value, or NULL */

/* Write as JSON: plain scalars that are JSON numbers, true, false, null or ~ become those. */
void ynode_json(const struct ynode *v, struct json_out *w);
/* The same as canonical JSON text in a; NULL: over 1 MiB. */
const char *ynode_canonical(struct arena *a, const struct ynode *v);

/* What a plain scalar says, without faults: 1 and the value, or 0. */
int ynode_number(const struct ynode *v, double *out); /* decimal, finite */
int ynode_bool(const struct ynode *v, int *out);      /* true/false, yes/no, on/off */

/* For messages: "a list", "a map", "nothing", or the text in quotes, cut when long. */
const char *ynode_shown(struct arena *a, const struct ynode *v);

#endif

/* orchestrator/start/pylist.h -- the lists at the end of a Python script, without Python:
 * statements NAME = VALUE whose value is a literal (text, number, True, False, None, and lists,
 * tuples or sets of them). The script is foreign: it is read, bounded in size and depth, and never
 * run. https://docs.python.org/3/reference/lexical_analysis.html */
#ifndef QUERN_ORCHESTRATOR_PYLIST_H
#define QUERN_ORCHESTRATOR_PYLIST_H

#include <stddef.h>

#include "core/arena.h"
#include "core/err.h"

#define PYLIST_TEXT_MAX (4u << 20)

enum py_type { PY_NONE, PY_BOOL, PY_NUMBER, PY_TEXT, PY_LIST };

struct py_value {
	enum py_type type;
	int line;
	const char *text; /* TEXT: UTF-8 without NUL; NUMBER: as it is written */
	double number;	  /* NUMBER; BOOL: 0 or 1 */
	struct py_value *items;
	size_t n;
};

struct py_assign {
	const char *name;
	int line;
	const char *why; /* NULL, or why there is no value: "it is not a literal" */
	struct py_value value;
};

struct py_script {
	struct py_assign *v; /* in the order of the text */
	size_t n;
};

/* ERR_INVALID ("line 7: ..."): too large, not UTF-8, or text or brackets that do not end. */
int pylist_read(struct arena *a, const char *text, size_t len, struct py_script *out,
		struct err *e);

#endif

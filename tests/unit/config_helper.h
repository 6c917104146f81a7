/* What the tests of configuration, engines and the matrix share: text in, faults or a config out.
 * Included by tests only, after cmocka. */
#ifndef QUERN_TESTS_CONFIG_HELPER_H
#define QUERN_TESTS_CONFIG_HELPER_H

#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "orchestrator/config/config.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/plan/matrix.h"

struct fixture {
	struct arena *a;
	struct faults f;
	struct config *c;
	struct engines es;
	char *said; /* the faults as printed */
};

static inline int setup(void **state)
{
	struct fixture *x = mem_zalloc(sizeof(*x));
	static const char *const dirs[] = { TEST_DATA "/manifests" };
	struct err e = ERR_INIT;

	x->a = arena_new();
	x->f.a = x->a;
	assert_int_equal(engines_load_from(x->a, dirs, 1, &x->es, &x->f, &e), 0);
	assert_int_equal(x->f.n, 0);
	assert_int_equal(x->es.n, 2);
	*state = x;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *x = *state;

	arena_free(x->a);
	free(x->said);
	free(x);
	return 0;
}

/* Read text as a file named name in /jobs, with --set words, and check it against the engines.
 * Returns what is said of it. */
static inline const char *read_config(struct fixture *x, const char *name, const char *text,
				      size_t len, const struct config_set *set)
{
	struct err e = ERR_INIT;
	struct buf b;
	int rc;

	x->f = (struct faults){ .a = x->a };
	x->c = NULL;
	rc = config_parse(x->a, name, "/jobs", text, len, set, &x->f, &x->c, &e);
	if (rc == 0) {
		assert_int_equal(x->f.n, 0);
		assert_non_null(x->c);
	} else {
		assert_int_equal(rc, ERR_INVALID);
		assert_true(x->f.n > 0);
		assert_true(e.msg[0]);
	}
	matrix_check(x->c, &x->es, &x->f);
	buf_init(&b, 1u << 20);
	faults_print(&x->f, &b);
	free(x->said);
	x->said = mem_strdup(buf_str(&b));
	buf_release(&b);
	return x->said;
}

static inline const struct config *good(struct fixture *x, const char *text)
{
	assert_string_equal(read_config(x, "t.yaml", text, strlen(text), NULL), "");
	return x->c;
}

#define MODEL "version: 1\nmodels: [{path: m}]\n"
#define TARGET "targets: [{engine: gguf, quant: Q8_0}]\n"

#endif

#include "workers/board/abi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

/* Sizes are those that the vendor's headers have on LP64; docs/board.md lists them. The offsets
 * follow from the order and the types of the members. The stand-ins of tests/standin/rkllmrt
 * declare the structs as C does, from the same headers and by nobody's table: what disagrees
 * shows there. */
/* clang-format off */
static const struct abi rows[] = {
	{ "1.1.0", "1.1.4", CALLBACK_VOID,
	  .param  = { 200, .model_path = 0, .max_context_len = 8, .max_new_tokens = 12, .top_k = 16, .is_async = 53 },
	  .input  = { 32, .role = ABI_NONE, .input_type = 0, .prompt = 8 },
	  .infer  = { 24, .mode = 0, .keep_history = ABI_NONE, .max_new_tokens = ABI_NONE },
	  .result = { 32, .text = 0, .perf = ABI_NONE } },
	{ "1.2.0", "1.2.0", CALLBACK_VOID,
	  .param  = { 208, .model_path = 0, .max_context_len = 8, .max_new_tokens = 12, .top_k = 16, .is_async = 57 },
	  .input  = { 32, .role = ABI_NONE, .input_type = 0, .prompt = 8 },
	  .infer  = { 32, .mode = 0, .keep_history = 24, .max_new_tokens = ABI_NONE },
	  .result = { 48, .text = 0, .perf = ABI_NONE } },
	{ "1.2.1b1", "1.2.1b1", CALLBACK_VOID,
	  .param  = { 208, .model_path = 0, .max_context_len = 8, .max_new_tokens = 12, .top_k = 16, .is_async = 57 },
	  .input  = { 56, .role = ABI_NONE, .input_type = 0, .prompt = 8 },
	  .infer  = { 32, .mode = 0, .keep_history = 24, .max_new_tokens = ABI_NONE },
	  .result = { 48, .text = 0, .perf = ABI_NONE } },
	{ "1.2.1", "1.2.3", CALLBACK_INT,
	  .param  = { 208, .model_path = 0, .max_context_len = 8, .max_new_tokens = 12, .top_k = 16, .is_async = 57 },
	  .input  = { 64, .role = 0, .input_type = 12, .prompt = 16 },
	  .infer  = { 32, .mode = 0, .keep_history = 24, .max_new_tokens = ABI_NONE },
	  .result = { 72, .text = 0, .perf = 48 } },
	{ "1.3.0", "1.3.0", CALLBACK_SET,
	  .param  = { 184, .model_path = 0, .max_context_len = 8, .max_new_tokens = 12, .top_k = 16, .is_async = 58 },
	  .input  = { 160, .role = 0, .input_type = 12, .prompt = 16 },
	  .infer  = { 40, .mode = 0, .keep_history = 32, .max_new_tokens = 36 },
	  .result = { 72, .text = 0, .perf = 48 } },
};
/* clang-format on */

struct version {
	unsigned part[3];
	unsigned beta; /* of 1.2.1b1: 1; a release comes after its betas */
};

#define RELEASED 1000

static bool parse(const char *s, struct version *v)
{
	int end = 0;

	if (strlen(s) > 15)
		return false;
	v->beta = RELEASED;
	if (sscanf(s, "%3u.%3u.%3u%n", &v->part[0], &v->part[1], &v->part[2], &end) != 3)
		return false;
	if (!s[end])
		return true;
	s += end;
	end = 0;
	return sscanf(s, "b%3u%n", &v->beta, &end) == 1 && !s[end];
}

static int compare(const struct version *a, const struct version *b)
{
	for (int i = 0; i < 3; i++) {
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i] ? -1 : 1;
	}
	return a->beta == b->beta ? 0 : a->beta < b->beta ? -1 : 1;
}

static bool covers(const struct abi *row, const struct version *v)
{
	struct version first, last;

	if (!parse(row->first, &first) || !parse(row->last, &last))
		return false;
	/* A beta between two releases may be anything; only those that are rows are known. */
	if (v->beta != RELEASED)
		return compare(v, &first) == 0;
	return compare(v, &first) >= 0 && compare(v, &last) <= 0;
}

static int refuse(const char *version, struct err *e)
{
	char known[160];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s%s%s", i ? ", " : "",
				      rows[i].first,
				      strcmp(rows[i].first, rows[i].last) ? " to " : "",
				      strcmp(rows[i].first, rows[i].last) ? rows[i].last : "");
	return err_set(
		e, ERR_INVALID,
		"the layout of runtime version \"%.32s\" is not known to quern-board " QUERN_VERSION
		"; it knows %s",
		version, known);
}

int abi_of(const char *version, const struct abi **out, struct err *e)
{
	struct version v;

	if (!parse(version, &v))
		return refuse(version, e);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (covers(&rows[i], &v)) {
			*out = &rows[i];
			return 0;
		}
	}
	return refuse(version, e);
}

const struct abi *abi_row(unsigned i)
{
	return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

/* workers/board/abi.h -- where the members of the runtime's structs lie, by its version. The
 * vendor's header changes between releases without a word in the library, so quern-board has no
 * struct of its own: it puts values at the offsets of the row that fits, and reads them there.
 * LP64 only, which is what the runtime's aarch64 build is. */
#ifndef QUERN_WORKERS_BOARD_ABI_H
#define QUERN_WORKERS_BOARD_ABI_H

#include <stdint.h>

#include "core/err.h"

#define ABI_NONE 0xffff /* this version has no such member */
#define ABI_ROOM 512	/* bytes that hold the largest struct of any version, and then some */

enum abi_callback {
	CALLBACK_VOID, /* rkllm_init() takes a function that returns nothing */
	CALLBACK_INT,  /* ... that returns int: 0 goes on */
	CALLBACK_SET,  /* ... a struct of functions, the first of which is that one */
};

/* All offsets in bytes. */
struct abi {
	const char *first, *last; /* versions, both included */
	enum abi_callback callback;
	struct {
		uint16_t size;
		uint16_t model_path, max_context_len, max_new_tokens, top_k, is_async;
	} param;
	struct {
		uint16_t size;
		uint16_t role, input_type, prompt;
	} input;
	struct {
		uint16_t size;
		uint16_t mode, keep_history, max_new_tokens;
	} infer;
	struct {
		uint16_t size;
		uint16_t text, perf;
	} result;
};

/* Of a struct perf, ABI_NONE where the version has none; the same in all that have it. */
enum abi_perf {				 /* offsets from result.perf */
		PERF_PREFILL_MS = 0,	 /* float */
		PERF_PREFILL_TOKENS = 4, /* int32 */
		PERF_GENERATE_MS = 8,
		PERF_GENERATE_TOKENS = 12,
		PERF_MEMORY_MB = 16,
};

/* The row of a runtime version, "1.2.1" or "1.2.1b1". ERR_INVALID: no such row; the sentence lists
 * what there is. */
int abi_of(const char *version, const struct abi **out, struct err *e);
/* By number, for lists; NULL behind the last. */
const struct abi *abi_row(unsigned i);

#endif

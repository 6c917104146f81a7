/* workers/board/rklog.h -- what the runtime prints, read. Lines as seen from versions 1.1.4 to
 * 1.3.0; each member is found by its name, whatever else is in the line, and what is not said stays
 * unknown. Foreign bytes. */
#ifndef QUERN_WORKERS_BOARD_RKLOG_H
#define QUERN_WORKERS_BOARD_RKLOG_H

#include <stddef.h>
#include <stdint.h>

#define RKLOG_WORD 32 /* bytes of a version, a platform, a dtype; longer ones are no such thing */

struct rklog {
	/* of the runtime, at the start of rkllm_init(); "" when not said */
	char runtime[RKLOG_WORD], driver[RKLOG_WORD], platform[RKLOG_WORD];
	/* of the file, when it is loaded (1.1.x is silent) */
	char toolkit[RKLOG_WORD], target[RKLOG_WORD], dtype[RKLOG_WORD];
	int64_t max_context, cores; /* -1 */
	/* of the last answer (RKLLM_LOG_LEVEL=1); -1 */
	double init_ms, prefill_ms, generate_ms, memory_bytes;
	int64_t prefill_tokens, generate_tokens;
	char error[256]; /* the last line with E, without its head; "" */

	double memory_unit; /* rklog.c's own: the next line has the number, in these units */
};

void rklog_init(struct rklog *l);
/* Forget what was said of one answer. */
void rklog_next(struct rklog *l);
/* One line without its end. */
void rklog_line(struct rklog *l, const char *line, size_t n);

#endif

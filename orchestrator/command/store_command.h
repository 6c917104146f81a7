/* orchestrator/command/store_command.h -- what the commands about jobs share: the options
 * that name the work folder, the store open, words for times and states. */
#ifndef QUERN_ORCHESTRATOR_STORE_COMMAND_H
#define QUERN_ORCHESTRATOR_STORE_COMMAND_H

#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "db/store.h"
#include "orchestrator/cli.h"

struct store_command {
	const char *file, *work_option; /* options */
	struct arena *a;
	const char *work; /* the folder */
	struct store *store;
};

/* clang-format off */
#define STORE_COMMAND_OPTIONS(sc) \
	{ "file", 'f', OPT_STRING, "FILE", "the jobs file (default jobs.yaml)", &(sc)->file }, \
	{ "work", 0, OPT_STRING, "DIR", "the work folder (default: `work` of the jobs file)", &(sc)->work_option }
/* clang-format on */

/* Open what the options name. Returns 0, or the exit code with the reason said: EXIT_ENVIRONMENT
 * when nothing has run there yet. Close it in both cases. */
int store_command_open(struct store_command *sc, int read_only);
void store_command_close(struct store_command *sc);

/* "2026-09-30 21:04:05" local time; "" for 0. */
const char *show_time(struct arena *a, int64_t wall_ms);
/* "3m 10s ago"; "" for 0, "just now" for less than a second or a clock that went back. */
const char *show_ago(struct arena *a, int64_t wall_ms, int64_t now_ms);
enum style state_style(enum job_state s);

/* "started": "2026-...Z" and "started_ms": N; null and null for 0. */
void jw_time(struct json_out *w, const char *key, int64_t wall_ms);
/* Write what is in the writer's buffer to stdout and empty it: long output leaves memory. */
void jw_flush(struct json_out *w);

#endif

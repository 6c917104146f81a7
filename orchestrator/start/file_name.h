/* orchestrator/start/file_name.h -- what the name of a converted file claims. People who share
 * .rkllm files put settings into names, each in a way of their own:
 *
 *   MODEL[-LORA]-PLATFORM-DTYPE-opt-O-hybrid-ratio-H[-4k-npuN].rkllm  c0zaut, jfreed-dev,
 * Randomblock1 MODEL_DTYPE_PLATFORM.rkllm, in either case                        the vendor's
 * examples ORG_MODEL-DTYPE-optO-hybridH-npuN-ctxC-PLATFORM.rkllm             a server's
 *   MODEL[-16k]-DTYPE-PLATFORM.rkllm                                  GatekeeperZA
 *
 * A claim is no fact: the first two families wrote a hybrid ratio that the toolkit was never given.
 * Pure. */
#ifndef QUERN_ORCHESTRATOR_FILE_NAME_H
#define QUERN_ORCHESTRATOR_FILE_NAME_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/json.h"

struct name_claims {
	const char *model;	      /* what stands before the first setting */
	const char *platform, *quant; /* lower case; NULL: not named */
	double hybrid;
	int opt, max_context, cores; /* context and cores: 0 when not named */
	bool has_hybrid, has_opt;
};

/* Read the base name of a path. 1, or 0 when its end is not settings all through, or a setting
 * stands in it twice. */
int file_name_claims(struct arena *a, const char *path, struct name_claims *out);

/* Members of an object: model, platform, quant, hybrid, opt, max_context, num_npu_core; those that
 * are named. */
void file_name_json(struct json_out *w, const struct name_claims *c);

#endif

/* orchestrator/plan/hub_look.h -- what a file on a hub says of itself, from its head alone:
 * as many of its first bytes as hold all that is not weights are put into a
 * temporary file of the right size, and who can read that kind of file
 * (filekind.h) is asked. A file of another kind is fetched whole. */
#ifndef QUERN_ORCHESTRATOR_HUB_LOOK_H
#define QUERN_ORCHESTRATOR_HUB_LOOK_H

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "orchestrator/engine/engine.h"
#include "upload/hub.h"

/* The `look` of struct audit_options; ctx is a struct engines. *facts is the member "facts" of what
 * the engine's inspect verb says, or NULL for a safetensors file, whose header is checked. */
int hub_look(void *ctx, struct hub *h, const char *repo, const struct hub_file *f, struct arena *a,
	     const struct json **facts, struct err *e);

#endif

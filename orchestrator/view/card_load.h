/* orchestrator/view/card_load.h -- the user's card template (`upload.card` of jobs.yaml):
 * read and checked before anything starts. */
#ifndef QUERN_ORCHESTRATOR_CARD_LOAD_H
#define QUERN_ORCHESTRATOR_CARD_LOAD_H

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/config/config.h"

/* Set c->upload.card_text when a template is named. What is wrong of it is added to f, with the
 * place in the template: "jobs.yaml:9:9: card FILE:3:7: unknown variable {{fils}}; ...". */
void card_load(struct arena *a, struct config *c, struct faults *f);

/* The same for a child of quern, which takes what the configuration took: the first fault is the
 * error. */
int card_load_file(struct arena *a, const char *path, const char **text, struct err *e);

#endif

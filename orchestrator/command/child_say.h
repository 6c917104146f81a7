/* orchestrator/command/child_say.h -- what a command that quern runs as its child says to it: JSON,
 * one object a line, each seen at once. */
#ifndef QUERN_ORCHESTRATOR_CHILD_SAY_H
#define QUERN_ORCHESTRATOR_CHILD_SAY_H

#include "core/buf.h"
#include "core/err.h"

/* One line; b is released. */
void child_say(struct buf *b);
/* The event "error": code and message of e, and what else the parent needs to know of it under key.
 * Returns the exit code of a child that has failed. */
int child_say_error(const struct err *e, const char *key, const char *value);

#endif

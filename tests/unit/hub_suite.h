/* tests/unit/hub_suite.h -- what every hub must do, written against struct hub:
 * run it over each implementation. */
#ifndef QUERN_TESTS_HUB_SUITE_H
#define QUERN_TESTS_HUB_SUITE_H

#include "upload/hub.h"

struct hub_suite_target {
	const char *name;
	/* Open the hub anew. What was published before is still there. */
	int (*open)(void *ctx, struct hub **out, struct err *e);
	const char *scratch; /* a folder for the files that are sent */
	void *ctx;
	bool may_commit_nothing; /* it commits whatever it is told to; the uploader tells nothing */
};

/* Runs all cases; returns how many failed. The repositories "suite/..." must not be there before.
 */
int hub_suite_run(const struct hub_suite_target *target);

#endif

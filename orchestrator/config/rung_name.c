#include "orchestrator/config/rung_name.h"

#include <stdlib.h>
#include <string.h>

static int read_factor(const char *s, double *out)
{
	char *end;
	double n;

	if (!*s || s[strspn(s, "0123456789.")])
		return 0;
	n = strtod(s, &end);
	if (*end || !(n > 1) || n > RUNG_FACTOR_MAX)
		return 0;
	*out = n;
	return 1;
}

enum rung_kind rung_kind(const char *name, double *factor)
{
	double ignored;

	if (!factor)
		factor = &ignored;
	if (strcmp(name, "alone") == 0)
		return RUNG_ALONE;
	if (strcmp(name, "environment") == 0)
		return RUNG_ENVIRONMENT;
	if (strncmp(name, "memory x", 8) == 0 && read_factor(name + 8, factor))
		return RUNG_MEMORY;
	if (strncmp(name, "time x", 6) == 0 && read_factor(name + 6, factor))
		return RUNG_TIME;
	return RUNG_NONE;
}

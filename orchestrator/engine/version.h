/* orchestrator/engine/version.h -- versions of toolkits as Python's packages write them: numbers
 * with dots, then perhaps a pre-release (1.2.1b1, 2.0rc1), .postN or .devN; a local part after '+'
 * does not count. Source: PyPA, version specifiers (PEP 440). Pure. */
#ifndef QUERN_ORCHESTRATOR_VERSION_H
#define QUERN_ORCHESTRATOR_VERSION_H

#include <stddef.h>

#define VERSION_TEXT_MAX 64 /* bytes of a version */

/* Is it a version? At most VERSION_TEXT_MAX bytes, at most 8 numbers. */
int version_ok(const char *s);
/* Below 0, 0, above 0: a is older than b, the same, newer. Both are versions. */
int version_compare(const char *a, const char *b);
/* Bytes of s without its local part. */
size_t version_public_len(const char *s);

/* "<1.2.0", ">=1.1 <1.3": comparisons with <, <=, >, >=, = or none (the same), of which all must
 * hold. 1 yes, 0 no, -1 when want cannot be read. is_version false compares numbers. */
int comparison_holds(const char *want, const char *have, int is_version);

#endif

/* tests/unit/read_bytes.h -- what this process has read so far, for tests that something is not
 * read. Included by tests only, after cmocka. */
#ifndef QUERN_TESTS_READ_BYTES_H
#define QUERN_TESTS_READ_BYTES_H

#include <stdio.h>

/* By read(2) and the like, from the page cache as well; proc(5), /proc/pid/io. */
static inline long long read_bytes(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	long long n = -1;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "rchar: %lld", &n), 1);
	(void)fclose(f);
	return n;
}

#endif

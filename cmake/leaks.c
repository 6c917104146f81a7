/* cmake/leaks.c -- part of programs that are built with AddressSanitizer, and of no others: under a
 * seccomp filter, which refuses ptrace(), leaks are not looked for. The name is LeakSanitizer's
 * (compiler-rt, lib/lsan/lsan_common.h). */
#include <sys/prctl.h>

#define SECCOMP_FILTER 2 /* linux/seccomp.h: SECCOMP_MODE_FILTER */

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return prctl(PR_GET_SECCOMP) == SECCOMP_FILTER;
}

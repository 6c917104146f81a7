/* core/crash.h -- named points at which a test can end the process. In builds
 * with QUERN_CRASH_TESTS, QUERN_CRASH_AT=N makes the Nth point reached, or the
 * first of the name N, call _exit(99) as abruptly as kill -9 would, and QUERN_CRASH_LOG=FILE
 * appends the name of every point passed. Otherwise it costs nothing. */
#ifndef QUERN_CORE_CRASH_H
#define QUERN_CORE_CRASH_H

#ifdef QUERN_CRASH_TESTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif

/* core/threads.h -- one function on several threads. */
#ifndef QUERN_CORE_THREADS_H
#define QUERN_CORE_THREADS_H

/* Call fn(ctx, i) for i = 0, 1, ... n-1, each on a thread of its own, the caller's being the first;
 * return when all have. On a machine that gives fewer threads only the first few are called, so fn
 * takes its work from something shared. */
void threads_run(int n, void (*fn)(void *ctx, int i), void *ctx);

#endif

#include "core/threads.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/mem.h"

struct start {
	void (*fn)(void *ctx, int i);
	void *ctx;
	int i;
	pthread_t id;
};

static void *begin(void *arg)
{
	struct start *s = arg;

	s->fn(s->ctx, s->i);
	return NULL;
}

void threads_run(int n, void (*fn)(void *ctx, int i), void *ctx)
{
	struct start *v = mem_array((size_t)n, sizeof(*v));
	int started = 1;

	for (int i = 0; i < n; i++)
		v[i] = (struct start){ .fn = fn, .ctx = ctx, .i = i };
	while (started < n && pthread_create(&v[started].id, NULL, begin, &v[started]) == 0)
		started++;
	fn(ctx, 0);
	for (int i = 1; i < started; i++)
		pthread_join(v[i].id, NULL);
	free(v);
}

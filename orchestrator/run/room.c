/* orchestrator/run/room.c -- free disk, shared by what jobs write and what is fetched. Each is
 * counted once: on the disk already, or spoken for by somebody who runs. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/run/making_private.h"

/* The cache may not be there yet: the nearest folder above it that is. Heap. */
static char *existing(const char *dir)
{
	char *at = mem_strdup(dir);

	while (access(at, F_OK) != 0 && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
		char *up = path_dirname(at);

		free(at);
		at = up;
	}
	return at;
}

bool room_is_shared(const struct scheduler *s)
{
	struct stat cache, work;
	bool shared = false;
	char *dir;

	if (!s->cache)
		return false;
	dir = existing(s->cache);
	if (stat(dir, &cache) == 0 && stat(s->cfg->work, &work) == 0)
		shared = cache.st_dev == work.st_dev;
	free(dir);
	return shared;
}

uint64_t room_fetches_take(const struct scheduler *s, const struct making *but)
{
	uint64_t sum = 0;

	for (const struct making *m = s->makings; m; m = m->next) {
		if (but == m || !m->running || !m->source->hub)
			continue;
		sum += hub_source_room_bytes(m->source->hub);
		if (m->source->lora)
			sum += hub_source_room_bytes(m->source->lora);
	}
	return sum;
}

/* What the jobs of models before this one in the matrix have still to write: fetched ahead of them,
 * a source may not take their place. Nobody is in its way when nothing goes on. */
static uint64_t earlier_output(const struct scheduler *s, const struct making *m)
{
	size_t index = (size_t)(m->source->model - s->cfg->models);
	uint64_t sum = 0;

	if (!s->opt.work || making_is_alone(m))
		return 0;
	for (size_t i = 0; i < s->turns.place[index]; i++)
		sum += s->opt.work[s->turns.order[i]].output_bytes;
	return sum;
}

int room_for_fetch(const struct scheduler *s, const struct making *m, uint64_t *bytes,
		   struct err *e)
{
	uint64_t taken = s->cfg->resources.disk_reserve_bytes + room_fetches_take(s, m);
	uint64_t free_bytes = 0;
	char *dir = existing(s->cache);
	int rc = path_free_space(dir, &free_bytes, e);

	if (room_is_shared(s))
		taken += s->adm.disk_claimed + earlier_output(s, m);
	*bytes = free_bytes > taken ? free_bytes - taken : 0;
	free(dir);
	return rc;
}

int room_for_jobs(const struct scheduler *s, uint64_t *bytes, struct err *e)
{
	int rc = path_free_space(s->cfg->work, bytes, e);
	uint64_t taken = room_is_shared(s) ? room_fetches_take(s, NULL) : 0;

	if (rc >= 0)
		*bytes -= taken < *bytes ? taken : *bytes;
	return rc;
}

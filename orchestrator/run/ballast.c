/* orchestrator/run/ballast.c -- room for the store on a disk that somebody fills. What happens is
 * written down in the store's log (WAL) first: its blocks are allocated beforehand, beyond its end,
 * where nobody else can take them. So the run goes on when the disk is full to the last block: jobs
 * fail with their cause, and others wait. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/path.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/scheduler_private.h"

#define MOST (4ull << 20)  /* some thousand commits; then the log has to be moved into the file */
#define SHARE_OF_RESERVE 4 /* of resources.disk_reserve, which it is a part of */

void ballast_take(struct scheduler *s)
{
	uint64_t bytes = s->cfg->resources.disk_reserve_bytes / SHARE_OF_RESERVE;
	struct arena *a = arena_new();
	struct stat st;
	/* No locks are held on the log itself: closing it again drops none. */
	int fd = open(arena_printf(a, "%s-wal", workdir_db(a, s->cfg->work)),
		      O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && fstat(fd, &st) == 0) {
		/* A file system that cannot do it, or has no room: then there is none. */
		(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, st.st_size,
				(off_t)(bytes < MOST ? bytes : MOST));
	}
	if (fd >= 0)
		close(fd);
	arena_free(a);
}

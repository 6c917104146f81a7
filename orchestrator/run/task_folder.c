/* orchestrator/run/task_folder.c -- how much a worker may put into its job folder. Far above what
 * an honest one needs, and low enough that one which fills the disk is ended before its neighbours
 * notice. A file is bounded by the kernel as well (RLIMIT_FSIZE, set in task_spawn()). */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/run/task_private.h"

#define SLACK_TIMES 4		 /* of what is expected: an estimate may be off */
#define SLACK_BYTES (4ull << 30) /* caches and scratch of frameworks */
#define DEPTH_MAX 32		 /* folders within folders; what lies deeper is none of a job's */

uint64_t task_folder_limit(const struct task *t)
{
	uint64_t expected = (uint64_t)t->job.output_bytes + (uint64_t)t->job.scratch_bytes;

	if (t->source)
		expected += t->source->facts.size_bytes;
	return SLACK_TIMES * expected + SLACK_BYTES;
}

struct count {
	uint64_t bytes, files;
	bool too_deep;
};

static void count_folder(int fd, int depth, struct count *c)
{
	DIR *d = fdopendir(fd);
	struct dirent *de;

	if (!d) {
		close(fd);
		return;
	}
	while (c->files <= TASK_FILES_MAX && (de = readdir(d)) != NULL) {
		struct stat st;
		int below;

		if (de->d_name[0] == '.' &&
		    (!de->d_name[1] || (de->d_name[1] == '.' && !de->d_name[2])))
			continue;
		c->files++;
		if (fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue; /* gone meanwhile */
		c->bytes += (uint64_t)st.st_blocks * 512;
		if (!S_ISDIR(st.st_mode))
			continue;
		c->too_deep |= depth == DEPTH_MAX;
		below = c->too_deep ? -1
				    : openat(fd, de->d_name,
					     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (below >= 0)
			count_folder(below, depth + 1, c);
	}
	closedir(d);
}

/* Honest folders hold a dozen files, of which the kernel knows all: microseconds. A dishonest one
 * costs the loop the time of TASK_FILES_MAX looks, once. */
bool task_folder_is_full(const struct task *t)
{
	struct count c = { 0 };
	int fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		count_folder(fd, 0, &c);
	return c.files > TASK_FILES_MAX || c.too_deep || c.bytes > task_folder_limit(t);
}

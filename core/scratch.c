#include "core/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"

int scratch_open(const char *folder, struct err *e)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *path;

	if (fd >= 0)
		return fd;
	path = mem_printf("%s/.scratch-XXXXXX", folder); /* a file system without O_TMPFILE */
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fd = err_errno(e, "%s", path);
	else
		(void)unlink(path);
	free(path);
	return fd;
}

int scratch_write(int fd, const void *p, size_t n, uint64_t offset, struct err *e)
{
	const char *in = p;

	while (n > 0) {
		ssize_t done = pwrite(fd, in, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_errno(e, "a file for what is being sent");
		in += done;
		n -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

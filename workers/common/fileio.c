#include "workers/common/fileio.h"

#include <errno.h>
#include <unistd.h>

int file_read_at(int fd, void *out, size_t n, uint64_t at, const char *name, struct err *e)
{
	unsigned char *p = out;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(e, "%s", name);
		if (got == 0)
			return err_set(e, ERR_INVALID, "%s became shorter while it was read", name);
		p += got;
		n -= (size_t)got;
		at += (uint64_t)got;
	}
	return 0;
}

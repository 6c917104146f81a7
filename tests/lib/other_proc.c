/* tests/lib/other_proc.c -- for LD_PRELOAD: another machine. /proc/meminfo is the file
 * OTHER_MEMINFO, /proc/pressure/memory is OTHER_PRESSURE, where these are set. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *other(const char *path)
{
	const char *to = NULL;

	if (strcmp(path, "/proc/meminfo") == 0)
		to = getenv("OTHER_MEMINFO");
	else if (strcmp(path, "/proc/pressure/memory") == 0)
		to = getenv("OTHER_PRESSURE");
	return to ? to : path;
}

#define REPLACE(name)                                                                              \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);                     \
		int mode = 0;                                                                      \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, flags);                                                               \
		if (flags & (O_CREAT | O_TMPFILE))                                                 \
			mode = va_arg(ap, int);                                                    \
		va_end(ap);                                                                        \
		return real(other(path), flags, mode);                                             \
	}

REPLACE(open)
REPLACE(open64)

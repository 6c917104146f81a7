#include "orchestrator/measure/turn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/proc.h"

#define LOOK_MS 200
#define NAME_DIGITS 16

/* A folder of this user alone, which goes with the machine's next start. */
static const char *lock_dir(struct arena *a, struct err *e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *dir = runtime && runtime[0] == '/' && access(runtime, W_OK) == 0
				  ? arena_printf(a, "%s/quern-measure", runtime)
				  : arena_printf(a, "/tmp/quern-measure-%u", (unsigned)getuid());
	struct stat st;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		(void)err_errno(e, "%s", dir);
		return NULL;
	}
	if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != getuid()) {
		(void)err_set(e, ERR_IO, "%s is not a folder of this user; remove it", dir);
		return NULL;
	}
	return dir;
}

static const char *lock_path(struct arena *a, const struct measure_where *w, struct err *e)
{
	const char *dir = lock_dir(a, e);
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX];
	char *machine;

	if (!dir)
		return NULL;
	machine = measure_where_machine(w);
	sha256_bytes(machine, strlen(machine), hash);
	free(machine);
	hex_encode(hash, SHA256_LEN, hex);
	return arena_printf(a, "%s/%.*s", dir, NAME_DIGITS, hex);
}

int measure_turn(const struct measure_options *o, struct err *e)
{
	const struct timespec pause = { 0, LOOK_MS * 1000000L };
	int64_t until = clock_mono_ms() + o->timeout_ms;
	struct arena *a = arena_new();
	const char *path = lock_path(a, o->where, e);
	int fd = path ? ERR_BUSY : e->code;

	while (fd == ERR_BUSY) {
		fd = lock_take(path, e);
		if (fd != ERR_BUSY)
			break;
		if (measure_stopped())
			fd = err_set(e, ERR_CANCELLED, "stopped");
		else if (clock_mono_ms() >= until)
			break;
		else
			(void)nanosleep(&pause, NULL);
	}
	if (fd == ERR_BUSY)
		(void)err_set(e, ERR_BUSY, "another measurement holds the machine");
	arena_free(a);
	return fd;
}

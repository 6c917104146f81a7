/* workers/board/clocks.h -- the board's clocks at their highest, and back as they were. What was
 * there is written to a file and synced before the first change, so that whoever comes next can put
 * it back when this process cannot. Calling order: clocks_find(), clocks_save(), clocks_set(),
 * clocks_restore(). As the vendor's scripts/fix_freq_*.sh do it, but for what those leave behind.
 */
#ifndef QUERN_WORKERS_BOARD_CLOCKS_H
#define QUERN_WORKERS_BOARD_CLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

#define CLOCKS_MAX 64
#define CLOCK_PATH 256
#define CLOCK_VALUE 64

struct clock {
	char name[32];		   /* "npu", "ddr", "cpu0-3"'s policy "policy0", "idle cpu0" */
	char governor[CLOCK_PATH]; /* file; "": there is none (idle) */
	char value[CLOCK_PATH];	   /* file that holds the frequency, or the flag */
	char now[CLOCK_PATH];	   /* file that tells what it really is; "": none */
	char was_governor[CLOCK_VALUE], was_value[CLOCK_VALUE];
	char wanted[CLOCK_VALUE]; /* of value */
	char got[CLOCK_VALUE];	  /* what now tells afterwards; "" */
	char problem[128];	  /* ""; else why it is as it was */
};

struct clocks {
	const char *sysfs; /* "/sys" */
	struct clock v[CLOCKS_MAX];
	size_t n;
};

/* Look for NPU, DDR and CPU clocks below sysfs, and for the idle states of CPUs. */
void clocks_find(struct clocks *c, const char *sysfs);
/* Write what is there to file, before anything is changed. */
int clocks_save(const struct clocks *c, const char *file, struct err *e);
/* How many could not be set; they have a problem. */
size_t clocks_set(struct clocks *c);

/* Put back what file says, and remove it. A file of another boot is only removed: the kernel has
 * put everything back. No file is fine: 0. Returns how many files were written, or an error
 * (ERR_IO: some could not be; the file stays). */
int clocks_restore(const char *sysfs, const char *file, struct err *e);

#endif

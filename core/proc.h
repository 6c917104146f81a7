/* core/proc.h -- processes by number, safely: a pid alone may be somebody else's by now. */
#ifndef QUERN_CORE_PROC_H
#define QUERN_CORE_PROC_H

#include <stdint.h>
#include <sys/types.h>

#include "core/err.h"

/* Start time in clock ticks since boot, field 22 of /proc/PID/stat; 0 when there is no such
 * process. */
uint64_t proc_start_time(pid_t pid);
/* Peak resident set of a finished or living process group leader, VmHWM in bytes; 0 if unknown. */
uint64_t proc_peak_rss(pid_t pid);

/* Take an exclusive flock on path (created 0644). Returns the descriptor (close-on-exec), ERR_BUSY
 * if held by another, ERR_IO. The holder may write a line about itself into the file. */
int lock_take(const char *path, struct err *e);
/* The process that wrote "PID START-TIME" and a newline into a lock, as a worker's start does: its
 * pid while it lives, or 0. A worker could write another number there, to have it killed: believed
 * is only one that has the lock open as descriptor lock_fd. */
pid_t lock_signer(const char *path, int lock_fd);
/* Kill all that have the lock open, other than programs of our own, which only look: what its
 * signer started and left behind. Walks /proc. Returns how many. */
int lock_end_holders(const char *path);
/* 1 held by somebody, 0 free or absent, negative on error. */
int lock_held(const char *path, struct err *e);

#endif

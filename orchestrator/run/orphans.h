/* orchestrator/run/orphans.h -- what a worker leaves behind: processes that went into a session of
 * their own and lost their parent. quern is who they come to then (it is their subreaper), so it
 * sees them, however they hide, and ends them when a worker has ended. One loop, one thread. */
#ifndef QUERN_ORCHESTRATOR_ORPHANS_H
#define QUERN_ORCHESTRATOR_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on orphans of this process's descendants are its children. */
void orphans_adopt(void);

/* Is pid a child that the loop started and that has not been reaped? */
typedef bool (*orphans_known_fn)(void *ctx, pid_t pid);

/* End those that no living worker's session holds; reap those that have ended. Only processes that
 * can gain no privileges, as all in a worker's sandbox, are touched: helpers of quern itself may
 * have good reasons to stay. Returns how many were told to end: their own end is a SIGCHLD again.
 */
int orphans_end(orphans_known_fn known, void *ctx);

#endif

/* orchestrator/host/tree.h -- a worker and all that it started, however they hide: children,
 * members of its session or group, and whoever was seen among them before. And what they use
 * together. Reads /proc; for pool threads. */
#ifndef QUERN_ORCHESTRATOR_TREE_H
#define QUERN_ORCHESTRATOR_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All processes of the machine at one moment. */
struct process {
	pid_t pid, parent, group, session;
	uint64_t start; /* as proc_start_time() */
};

struct processes {
	struct process *v; /* by pid */
	size_t n, cap;
};

void processes_read(struct processes *all);
void processes_release(struct processes *all);
/* One line of /proc/PID/stat. Returns 0, or -1 when it is none. */
int process_parse(const char *stat, struct process *out);

#define TREE_MAX 1024 /* processes of one worker that are counted; more are a fork bomb */

struct tree {
	pid_t root;
	size_t n;
	struct {
		pid_t pid;
		uint64_t start;
	} v[TREE_MAX];
};

/* Who of all belongs to root's tree now. Those who left the session and lost their parent stay in
 * it, as they were in it before. */
void tree_update(struct tree *t, const struct processes *all);
/* Kill those who still are who they were. */
void tree_kill(const struct tree *t, int sig);

enum tree_by { TREE_BY_NOTHING, TREE_BY_RSS, TREE_BY_PSS };

/* Memory that would be free again without them: private and shared pages and swap, without files
 * that are only mapped. A page that several of them share counts once (PSS of
 * /proc/PID/smaps_rollup); where the kernel does not say that, once for each (RSS). */
uint64_t tree_memory(const struct tree *t, enum tree_by *by);

/* Disk of a folder and all below it, in bytes of blocks; files beyond the first 100,000 are not
 * counted. */
uint64_t folder_bytes(const char *dir);

#endif

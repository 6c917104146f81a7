/* orchestrator/run/oom.h -- did an attempt end for want of memory? From what is known of its end:
 * our own watch, its cgroup, the kernel's log, signals, the worker's words. Pure. */
#ifndef QUERN_ORCHESTRATOR_OOM_H
#define QUERN_ORCHESTRATOR_OOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OOM_CAUSE "out of memory"
#define OOM_LINE_MAX 400

struct oom_facts {
	const char *watch;	 /* why our watch ended it; NULL or "": it did not */
	uint64_t cgroup_kills;	 /* oom_kill of its cgroup's memory.events */
	const char *kernel_line; /* of the kernel's log, about one of its processes; NULL: none */
	int signal;		 /* that ended the worker; 0: none */
	int exit_code;
	bool ended_by_us;		  /* for another reason than memory */
	const char *said;		  /* message of its result; "" */
	const char *log;		  /* the last lines of its log; "" */
	uint64_t peak_bytes, limit_bytes; /* 0: not known */
	uint64_t available_bytes; /* of the machine at the last look; UINT64_MAX: not known */
};

enum oom {
	OOM_NO,
	OOM_LIKELY, /* SIGKILL that nobody here sent, and memory was short */
	OOM_SAID,   /* the worker says so */
	OOM_SEEN,   /* the kernel or our watch did it */
};

/* Do words of want of memory stand above the cause that the end gave? Above an exit code that says
 * something else; and above none at all, where little was left of the limit: a parent often has the
 * last word, and its child the one that tells. */
bool oom_words_count(const char *cause, uint64_t peak_bytes, uint64_t limit_bytes);

/* line: the evidence, in one sentence; "" with OOM_NO. */
enum oom oom_evidence(const struct oom_facts *f, char line[OOM_LINE_MAX]);

#endif

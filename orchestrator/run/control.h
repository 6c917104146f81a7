/* orchestrator/run/control.h -- what other commands tell a run, through the store: pause,
 * resume, drain. A pause stays until somebody resumes, whatever run comes; a drain
 * is for the run that goes on. And the run's own deadline. */
#ifndef QUERN_ORCHESTRATOR_CONTROL_H
#define QUERN_ORCHESTRATOR_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "db/control.h"

#define CONTROL_KNOWN 64

/* In a scheduler. */
struct control {
	enum pause_kind paused;
	bool draining, deadline_met;
	bool frozen;	   /* workers were sent SIGSTOP */
	int64_t frozen_ms; /* monotonic: until then their clocks were put forward */
	int64_t looked_ms;
	bool said_too_long; /* that a job would not end before the deadline */
	struct control_known {
		uint64_t what; /* hash of model, engine, quant; 0: free */
		int64_t ms;    /* 0: nothing known */
	} known[CONTROL_KNOWN];
};

#endif

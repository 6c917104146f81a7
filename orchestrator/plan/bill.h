/* orchestrator/plan/bill.h -- the night's bill: what a run of these jobs will take. The schedule is
 * played through with slots and memory as the admission would, on paper. Pure. Only measured
 * durations count; jobs without one are counted apart and never guessed. */
#ifndef QUERN_ORCHESTRATOR_BILL_H
#define QUERN_ORCHESTRATOR_BILL_H

#include <stddef.h>
#include <stdint.h>

struct bill_job {
	uint64_t memory_bytes, output_bytes, scratch_bytes;
	int64_t ms; /* 0: not measured yet */
};

struct bill_limits {
	int slots;
	uint64_t memory_bytes;
	int64_t until_ms; /* from the start; 0: no end is asked about */
	int keep;	  /* artifacts stay on the disk */
};

struct bill {
	size_t jobs, measured; /* of them with a duration */
	int64_t ms;	       /* until the last of the measured ones is done */
	size_t done_in_time;   /* of the measured ones */
	int most_at_once;      /* jobs */
	uint64_t memory_bytes; /* at once, at most, of all jobs */
	uint64_t output_bytes; /* of all jobs together */
	uint64_t disk_bytes;   /* at once, at most: outputs that stay, and what runs */
};

/* Jobs in the order in which they will be asked. */
void bill_make(const struct bill_job *jobs, size_t n, const struct bill_limits *l,
	       struct bill *out);

#endif

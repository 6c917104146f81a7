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

struct bill_span {
	int64_t start_ms, end_ms; /* from now */
};

struct bill_limits {
	int slots;
	uint64_t memory_bytes;
	int64_t until_ms; /* from now; 0: no end is asked about */
	int keep;	  /* artifacts stay on the disk */
	/* When jobs may run, in order; n_open 0: from now on. None begins that would not end in its
	 * span. */
	const struct bill_span *open;
	size_t n_open;
};

struct bill {
	size_t jobs, measured; /* of them with a duration */
	int64_t ms;	       /* of work, until the last of the measured ones is done */
	size_t done_in_time;   /* of the measured ones, in open spans */
	int64_t done_ms;       /* from now until the last of them is done, in open spans */
	size_t spans;	       /* in which something runs */
	size_t too_long;       /* of the measured ones: they end in no span */
	int most_at_once;      /* jobs */
	uint64_t memory_bytes; /* at once, at most, of all jobs */
	uint64_t output_bytes; /* of all jobs together */
	uint64_t disk_bytes;   /* at once, at most: outputs that stay, and what runs */
};

/* Jobs in the order in which they will be asked. */
void bill_make(const struct bill_job *jobs, size_t n, const struct bill_limits *l,
	       struct bill *out);

#endif

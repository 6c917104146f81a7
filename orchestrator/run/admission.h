/* orchestrator/run/admission.h -- may this job start now? Pure arithmetic over what
 * is running and what the configuration allows. */
#ifndef QUERN_ORCHESTRATOR_ADMISSION_H
#define QUERN_ORCHESTRATOR_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

struct admission {
	/* limits */
	int slots;
	uint64_t memory_bytes, disk_reserve_bytes;
	/* now */
	int running;
	uint64_t memory_used, disk_claimed; /* sums of the estimates of what runs */
	/* the oldest job that did not fit, and how often others went before it; 0: none */
	int64_t blocked_id;
	int passed_over;
	int64_t alone_id; /* runs, and nothing starts beside it; 0: none */
};

enum admit {
	ADMIT_YES,
	ADMIT_NO_SLOT,
	ADMIT_NOT_ALONE,  /* later: it wants the machine for itself, or one that runs does */
	ADMIT_NO_MEMORY,  /* later, when others have ended */
	ADMIT_NO_DISK,	  /* later, when somebody has made room */
	ADMIT_AFTER_HEAD, /* would fit, but a large job has waited long enough: it is next */
};

/* A large job lets at most this many others go before it; then slots stay empty until it fits. */
#define ADMIT_PATIENCE 16

/* disk_free: bytes free now where the job will write. Does not change a. */
enum admit admit_check(const struct admission *a, int64_t job_id, uint64_t memory_bytes,
		       uint64_t disk_bytes, uint64_t disk_free);
/* May a job that wants nothing beside it start, or one while such a job runs? */
bool admit_beside(const struct admission *a, bool alone);
/* Tell what was decided, in the order the queue was walked. */
void admit_started(struct admission *a, int64_t job_id, uint64_t memory_bytes, uint64_t disk_bytes);
/* It was started, and nothing starts beside it until it has ended. */
void admit_alone(struct admission *a, int64_t job_id);
void admit_blocked(struct admission *a,
		   int64_t job_id); /* after ADMIT_NOT_ALONE, ADMIT_NO_MEMORY or ADMIT_NO_DISK */
/* Its worker has ended: slot and memory are free; what it wrote is still being sealed. */
void admit_worker_ended(struct admission *a, uint64_t memory_bytes);
void admit_alone_ended(struct admission *a, int64_t job_id); /* if it was alone */
void admit_disk_free(struct admission *a, uint64_t disk_bytes);

#endif

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
	uint64_t memory_used, disk_claimed; /* sums of what is set aside for what runs */
	/* the machine at the last look: what is free, what will still be taken of it by what runs,
	 * and thousandths of the time that somebody waited for memory (-1: not known) */
	uint64_t machine_free, machine_growth;
	int pressure;
	bool impatient; /* the machine was short for long enough while nothing ran */
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
	ADMIT_NO_MACHINE, /* later: other programs use the memory */
	ADMIT_AFTER_HEAD, /* would fit, but a large job has waited long enough: it is next */
};

/* A large job lets at most this many others go before it; then slots stay empty until it fits. */
#define ADMIT_PATIENCE 16
/* Above so many thousandths of 10 s in which some process waited for memory nothing starts: a
 * fifth. Below, reclaim of cached files is at work, which a large model always sets off. */
#define ADMIT_PRESSURE 200

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
		   int64_t job_id); /* after ADMIT_NOT_ALONE, _NO_MEMORY, _NO_DISK or _NO_MACHINE */
/* A running job uses more than was set aside for it. */
void admit_raised(struct admission *a, uint64_t more_bytes);
/* A look at the machine. */
void admit_machine(struct admission *a, uint64_t free_bytes, uint64_t growth_bytes, int pressure);
/* How much a job of this estimate may use before it is ended: twice that and 256 MiB, for what a
 * program is before it has begun; never more than the budget. */
uint64_t admit_limit(uint64_t estimate_bytes, uint64_t budget_bytes);
/* Its worker has ended: slot and memory are free; what it wrote is still being sealed. */
void admit_worker_ended(struct admission *a, uint64_t memory_bytes);
void admit_alone_ended(struct admission *a, int64_t job_id); /* if it was alone */
void admit_disk_free(struct admission *a, uint64_t disk_bytes);

#endif

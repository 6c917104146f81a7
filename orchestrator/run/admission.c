#include "orchestrator/run/admission.h"

enum admit admit_check(const struct admission *a, int64_t job_id, uint64_t memory_bytes,
		       uint64_t disk_bytes, uint64_t disk_free)
{
	uint64_t spoken_for;

	if (a->running >= a->slots)
		return ADMIT_NO_SLOT;
	if (a->blocked_id && a->blocked_id != job_id && a->passed_over >= ADMIT_PATIENCE)
		return ADMIT_AFTER_HEAD;
	if (memory_bytes > a->memory_bytes || a->memory_used > a->memory_bytes - memory_bytes)
		return ADMIT_NO_MEMORY;
	/* What runs has written some of its share already: counting all of it errs on the safe
	 * side. */
	spoken_for = a->disk_claimed + a->disk_reserve_bytes;
	if (disk_free < spoken_for || disk_free - spoken_for < disk_bytes)
		return ADMIT_NO_DISK;
	return ADMIT_YES;
}

void admit_started(struct admission *a, int64_t job_id, uint64_t memory_bytes, uint64_t disk_bytes)
{
	a->running++;
	a->memory_used += memory_bytes;
	a->disk_claimed += disk_bytes;
	if (a->blocked_id == job_id) {
		a->blocked_id = 0;
		a->passed_over = 0;
	} else if (a->blocked_id) {
		a->passed_over++;
	}
}

bool admit_beside(const struct admission *a, bool alone)
{
	return a->running == 0 || !(alone || a->alone_id);
}

void admit_alone(struct admission *a, int64_t job_id)
{
	a->alone_id = job_id;
}

void admit_blocked(struct admission *a, int64_t job_id)
{
	if (!a->blocked_id) {
		a->blocked_id = job_id;
		a->passed_over = 0;
	}
}

void admit_alone_ended(struct admission *a, int64_t job_id)
{
	if (a->alone_id == job_id)
		a->alone_id = 0;
}

void admit_worker_ended(struct admission *a, uint64_t memory_bytes)
{
	a->running--;
	a->memory_used -= memory_bytes;
}

void admit_disk_free(struct admission *a, uint64_t disk_bytes)
{
	a->disk_claimed -= disk_bytes;
}

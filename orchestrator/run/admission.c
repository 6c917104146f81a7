#include "orchestrator/run/admission.h"

/* With nothing of ours running, what is short is somebody else's doing, and may stay so: after a
 * while the job is tried all the same. */
static bool machine_is_short(const struct admission *a, uint64_t memory_bytes)
{
	if (a->running == 0 && a->impatient)
		return false;
	if (a->pressure > ADMIT_PRESSURE)
		return true;
	return memory_bytes > a->machine_free || a->machine_growth > a->machine_free - memory_bytes;
}

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
	if (machine_is_short(a, memory_bytes))
		return ADMIT_NO_MACHINE;
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
	a->machine_growth += memory_bytes;
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

void admit_raised(struct admission *a, uint64_t more_bytes)
{
	a->memory_used += more_bytes;
}

void admit_machine(struct admission *a, uint64_t free_bytes, uint64_t growth_bytes, int pressure)
{
	a->machine_free = free_bytes;
	a->machine_growth = growth_bytes;
	a->pressure = pressure;
}

uint64_t admit_limit(uint64_t estimate_bytes, uint64_t budget_bytes)
{
	const uint64_t base = 256ull << 20;

	if (budget_bytes < base || estimate_bytes > (budget_bytes - base) / 2)
		return budget_bytes;
	return 2 * estimate_bytes + base;
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

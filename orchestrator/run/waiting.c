/* orchestrator/run/waiting.c -- why a job does not start though a slot is free, for `quern status`;
 * and for how long the run waits for what other programs have. */
#include <stdio.h>

#include "core/clock.h"
#include "core/units.h"
#include "orchestrator/run/scheduler_private.h"

#define DISK_PATIENCE_MS 1800000  /* for a disk that somebody else has filled; then the run ends */
#define MACHINE_PATIENCE_MS 60000 /* with nothing of ours running; then the next job is tried */

/* There was room for it when the run began, and what the run has written since is not what fills
 * the disk: somebody else does, and may make room again. */
static bool disk_is_taken(const struct scheduler *s, uint64_t bytes)
{
	uint64_t ours = s->disk_written + s->adm.disk_claimed + s->adm.disk_reserve_bytes;

	return s->disk_at_start > ours && s->disk_at_start - ours >= bytes;
}

/* The first job of a look that cannot start says why nothing does. */
static void say(struct scheduler *s, const struct job_row *job, enum admit why, uint64_t disk_bytes,
		uint64_t disk_free)
{
	char need[24], have[24], words[400];
	uint64_t memory = (uint64_t)job->memory_bytes;
	uint64_t set_aside = s->adm.disk_claimed + s->adm.disk_reserve_bytes;
	const uint64_t machine = s->adm.machine_free;

	units_format_size(why == ADMIT_NO_DISK ? disk_bytes : memory, need, sizeof(need));
	if (why == ADMIT_NO_DISK) {
		units_format_size(disk_free > set_aside ? disk_free - set_aside : 0, have,
				  sizeof(have));
		snprintf(words, sizeof(words),
			 "%.200s waits for disk: it will write %s, and %s are free beside "
			 "resources.disk_reserve and what runs",
			 job->label, need, have);
	} else if (why == ADMIT_NO_MEMORY) {
		units_format_size(s->adm.memory_bytes > s->adm.memory_used
					  ? s->adm.memory_bytes - s->adm.memory_used
					  : 0,
				  have, sizeof(have));
		snprintf(
			words, sizeof(words),
			"%.200s waits for memory: it needs %s, and of resources.memory %s are left",
			job->label, need, have);
	} else if (s->adm.pressure > ADMIT_PRESSURE) {
		snprintf(words, sizeof(words),
			 "%.200s waits for the machine: programs waited for memory in %d %% of the "
			 "last 10 s",
			 job->label, s->adm.pressure / 10);
	} else {
		units_format_size(machine > s->adm.machine_growth ? machine - s->adm.machine_growth
								  : 0,
				  have, sizeof(have));
		snprintf(words, sizeof(words),
			 "%.200s waits for the machine: it needs %s of memory, and other programs "
			 "leave %s",
			 job->label, need, have);
	}
	s->said_waiting = true;
	timeline_waiting(s, why, job->id, words);
}

void waiting_begin(struct scheduler *s)
{
	s->machine_short = s->said_waiting = s->disk_taken = false;
	s->adm.impatient =
		s->short_since_ms && clock_mono_ms() - s->short_since_ms > MACHINE_PATIENCE_MS;
}

void waiting_note(struct scheduler *s, const struct job_row *job, enum admit why,
		  uint64_t disk_bytes, uint64_t disk_free)
{
	s->machine_short |= why == ADMIT_NO_MACHINE;
	s->disk_taken |= why == ADMIT_NO_DISK && disk_is_taken(s, disk_bytes);
	if (!s->said_waiting &&
	    (why == ADMIT_NO_DISK || why == ADMIT_NO_MEMORY || why == ADMIT_NO_MACHINE))
		say(s, job, why, disk_bytes, disk_free);
}

void waiting_end(struct scheduler *s)
{
	int64_t now = clock_mono_ms();

	if (!s->said_waiting)
		timeline_waiting(s, ADMIT_YES, 0, "");
	if (!s->machine_short || s->adm.running)
		s->short_since_ms = 0;
	else if (!s->short_since_ms)
		s->short_since_ms = now;
	if (!s->disk_taken)
		s->full_since_ms = 0;
	else if (!s->full_since_ms)
		s->full_since_ms = now;
	if (s->disk_taken && now - s->full_since_ms > DISK_PATIENCE_MS)
		s->disk_taken = false;
}

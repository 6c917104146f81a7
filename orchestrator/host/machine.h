/* orchestrator/host/machine.h -- the real state of this machine: memory, pressure, network. What
 * other programs use counts here; quern's own budget is the admission's. */
#ifndef QUERN_ORCHESTRATOR_MACHINE_H
#define QUERN_ORCHESTRATOR_MACHINE_H

#include <stdint.h>

struct machine {
	uint64_t total_bytes;	  /* 0: not known */
	uint64_t available_bytes; /* what could be had without swapping; UINT64_MAX: not known */
	uint64_t swap_free_bytes;
	int pressure; /* thousandths of the last 10 s in which some process waited for memory; -1:
			 the kernel does not say */
	uint64_t received_bytes, sent_bytes; /* by all interfaces but the loopback, since boot */
};

/* Reads a few files of /proc: below a millisecond. */
void machine_look(struct machine *m);

/* From the text of /proc/meminfo, /proc/pressure/memory, /proc/net/dev; what they do not say stays
 * as it was. */
void machine_meminfo(const char *text, struct machine *m);
void machine_pressure(const char *text, struct machine *m);
void machine_network(const char *text, struct machine *m);

#endif

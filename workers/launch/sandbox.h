/* workers/launch/sandbox.h -- what the kernel can take away from a process: the
 * network, the file system, new privileges. Linux only, async-signal-safe. */
#ifndef QUERN_WORKERS_LAUNCH_SANDBOX_H
#define QUERN_WORKERS_LAUNCH_SANDBOX_H

#include <stddef.h>

struct sandbox {
	const char *write;	 /* the one folder to write in */
	const char *const *read; /* files and folders to read (and run) */
	size_t n_read;
	int network; /* leave TCP alone */
	int gpu;     /* NVIDIA's devices may be used */
};

/* Highest Landlock ABI of this kernel; 0: none, or switched off. */
int sandbox_landlock_abi(void);

/* Give up everything that s does not allow, for this process and all it starts. Returns 0, 1 when
 * the kernel has no Landlock (nothing is restricted), -1 with errno. */
int sandbox_enter(const struct sandbox *s);

/* No system calls that a worker has no use for, among them, without a network, those that make
 * sockets: a seccomp filter, which needs no right (calls.c). Returns 0, or -1 with errno where the
 * kernel or the processor has none. */
int sandbox_refuse_calls(int network);
/* How many are refused by their number alone; 0 on other processors. */
int sandbox_calls_refused(void);
/* Another way to no network: an empty network namespace, through a user namespace of our own when
 * we are not root. Returns 0, or -1 with errno where the kernel or its settings refuse. */
int sandbox_empty_network(void);

/* Give up root's powers over the machine (mount, trace, modules, clock, reboot ...), for good;
 * those over other users' files stay. Nothing to do for an ordinary user. Returns 0, or -1 with
 * errno. */
int sandbox_drop_powers(void);

#endif

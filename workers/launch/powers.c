/* Root's powers. A worker of a quern that runs as root is root as well, for its files; it must not
 * mount, load modules, trace, set clocks or reboot. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workers/launch/sandbox.h"

/* Kept: files of other users below --read and --job may be what the job is about. Landlock still
 * says which files these are. */
static const unsigned kept[] = { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH };

#define N_KEPT (sizeof(kept) / sizeof(kept[0]))

int sandbox_drop_powers(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } }, have[2];
	unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			     SECBIT_NO_SETUID_FIXUP_LOCKED;
	uint32_t mask = 0;

	if (syscall(SYS_capget, &head, have) != 0)
		return -1;
	if ((have[0].permitted | have[1].permitted) == 0)
		return 0; /* an ordinary user */
	for (size_t i = 0; i < N_KEPT; i++)
		mask |= 1u << kept[i];
	mask &= have[0].permitted; /* a container may have taken them already */
	/* Being root gives nothing by itself from here on: execve(2) keeps the ambient set only.
	 * Without CAP_SETPCAP this cannot be said, and execve() would give back what is dropped
	 * here. */
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0 && errno != EPERM)
		return -1;
	data[0].permitted = data[0].effective = data[0].inheritable = mask;
	if (syscall(SYS_capset, &head, data) != 0)
		return -1;
	for (size_t i = 0; i < N_KEPT; i++) {
		if (mask & 1u << kept[i] &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) != 0)
			return -1;
	}
	return 0;
}

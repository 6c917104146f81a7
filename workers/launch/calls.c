/* workers/launch/calls.c -- the system calls that no worker needs, refused by a seccomp filter. A
 * list of what is refused rather than of what is allowed: workers are other people's programs, with
 * Python and toolkits inside, and new calls of a C library must not end them. What is on it reaches
 * outside the job's folder, watches or steers other processes, loads code into the kernel, or has
 * been the way in for many of its faults (io_uring, bpf, userfaultfd, perf, keyrings, namespaces).
 *
 * Refused calls fail with EPERM (sockets: EACCES, as docs/worker-protocol.md says); clone3, whose
 * flags a filter cannot read, with ENOSYS, whereupon a C library takes clone. Calls of another
 * architecture end the process: their numbers mean something else. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workers/launch/sandbox.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u /* calls of the x32 ABI come under the same architecture */
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef NATIVE_ARCH

/* Numbers that headers of a build machine may lack. From 424 on they are the same on all
 * architectures. Source: the kernel's scripts/syscall.tbl. */
enum {
	NR_PIDFD_SEND_SIGNAL = 424,
	NR_IO_URING_SETUP = 425,
	NR_IO_URING_ENTER = 426,
	NR_IO_URING_REGISTER = 427,
	NR_OPEN_TREE = 428,
	NR_MOVE_MOUNT = 429,
	NR_FSOPEN = 430,
	NR_FSCONFIG = 431,
	NR_FSMOUNT = 432,
	NR_FSPICK = 433,
	NR_CLONE3 = 435,
	NR_PIDFD_GETFD = 438,
	NR_PROCESS_MADVISE = 440,
	NR_MOUNT_SETATTR = 442,
	NR_QUOTACTL_FD = 443,
	NR_MEMFD_SECRET = 447,
	NR_PROCESS_MRELEASE = 448,
	NR_OPEN_TREE_ATTR = 467,
};

static const uint16_t refused[] = {
	/* other processes */
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	NR_PIDFD_GETFD,
	NR_PROCESS_MADVISE,
	NR_PROCESS_MRELEASE,
	NR_PIDFD_SEND_SIGNAL,
	/* file systems and namespaces */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_unshare,
	SYS_setns,
	NR_OPEN_TREE,
	NR_OPEN_TREE_ATTR,
	NR_MOVE_MOUNT,
	NR_FSOPEN,
	NR_FSCONFIG,
	NR_FSMOUNT,
	NR_FSPICK,
	NR_MOUNT_SETATTR,
	SYS_quotactl,
	NR_QUOTACTL_FD,
	SYS_swapon,
	SYS_swapoff,
	/* files without a path, devices, watching others' files */
	SYS_open_by_handle_at,
	SYS_name_to_handle_at,
	SYS_mknodat,
	SYS_fanotify_init,
	/* the kernel itself */
	SYS_bpf,
	SYS_userfaultfd,
	SYS_perf_event_open,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_syslog,
	SYS_acct,
	SYS_reboot,
	NR_IO_URING_SETUP,
	NR_IO_URING_ENTER,
	NR_IO_URING_REGISTER,
	NR_MEMFD_SECRET,
	/* keys */
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	/* the machine's name, clock and terminals */
	SYS_sethostname,
	SYS_setdomainname,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_vhangup,
	/* long gone, or for other machines, but with a number */
	SYS_lookup_dcookie,
	SYS_nfsservctl,
#ifdef SYS_mknod
	SYS_mknod,
#endif
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_uselib,
	SYS_ustat,
	SYS_sysfs,
	SYS__sysctl,
	SYS_create_module,
	SYS_get_kernel_syms,
	SYS_query_module,
#endif
};

/* Without a network none of these has anything to work on: a stream of socketpair() is connected
 * already, and no other socket is to be had. */
static const uint16_t networking[] = { SYS_socket, SYS_connect, SYS_bind,
				       SYS_listen, SYS_accept,	SYS_accept4 };

#define N_REFUSED (sizeof(refused) / sizeof(refused[0]))
#define N_NETWORKING (sizeof(networking) / sizeof(networking[0]))
#define CODE_MAX (2 * (N_REFUSED + N_NETWORKING) + 80)

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)
#define IOCTL_TIOCSTI 0x5412u	/* types into a terminal */
#define IOCTL_TIOCLINUX 0x541cu /* pastes into a console */

struct program {
	struct sock_filter code[CODE_MAX];
	unsigned short n;
};

static void put(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
	p->code[p->n++] = (struct sock_filter){ code, yes, no, k };
}

static void load(struct program *p, size_t at)
{
	put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)at);
}

/* The low half: on both processors the first, they are little-endian. */
static void load_argument(struct program *p, int n)
{
	load(p, offsetof(struct seccomp_data, args) + 8u * (unsigned)n);
}

static void answer(struct program *p, uint32_t how)
{
	put(p, BPF_RET | BPF_K, 0, 0, how);
}

static void refuse(struct program *p, int error)
{
	answer(p, SECCOMP_RET_ERRNO | (uint32_t)error);
}

static void refuse_call(struct program *p, uint32_t nr, int error)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, nr);
	refuse(p, error);
}

/* Rules that look at arguments: each begins by skipping itself for other calls, and ends with the
 * number loaded again. `body` instructions follow begin(). */
static void begin(struct program *p, uint32_t nr, uint8_t body)
{
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, body, nr);
}

static void end(struct program *p)
{
	load(p, offsetof(struct seccomp_data, nr));
}

/* The call is refused when its argument is v. */
static void refuse_value(struct program *p, uint32_t nr, int argument, uint32_t v)
{
	begin(p, nr, 4);
	load_argument(p, argument);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, v);
	refuse(p, EPERM);
	end(p);
}

static void refuse_bits(struct program *p, uint32_t nr, int argument, uint32_t bits)
{
	begin(p, nr, 4);
	load_argument(p, argument);
	put(p, BPF_JMP | BPF_JSET | BPF_K, 0, 1, bits);
	refuse(p, EPERM);
	end(p);
}

/* Limits of other processes are not a worker's to set: argument 0 must be 0 (or itself). */
static void only_itself(struct program *p, uint32_t nr)
{
	begin(p, nr, 5);
	load_argument(p, 0);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 0);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, (uint32_t)getpid());
	refuse(p, EPERM);
	end(p);
}

/* Pairs of connected path sockets only: a datagram socket could still be sent to anybody. */
static void stream_pairs_only(struct program *p)
{
	begin(p, SYS_socketpair, 8);
	load_argument(p, 0);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, AF_UNIX);
	load_argument(p, 1);
	put(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf); /* without SOCK_CLOEXEC, SOCK_NONBLOCK */
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, SOCK_STREAM);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SOCK_SEQPACKET);
	refuse(p, EACCES);
	end(p);
}

/* With the network: the Internet, path sockets, and what getaddrinfo() asks the kernel by. */
static void families(struct program *p)
{
	begin(p, SYS_socket, 7);
	load_argument(p, 0);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 4, 0, AF_INET);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 3, 0, AF_INET6);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, AF_UNIX);
	put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AF_NETLINK);
	refuse(p, EACCES);
	end(p);
}

static void signals(struct program *p, pid_t starter)
{
	/* Landlock keeps signals inside from ABI 6 on; who started it is protected everywhere. */
	refuse_value(p, SYS_kill, 0, (uint32_t)-1);
	if (starter > 1) {
		refuse_value(p, SYS_kill, 0, (uint32_t)starter);
		refuse_value(p, SYS_kill, 0, (uint32_t)-starter);
		refuse_value(p, SYS_tgkill, 0, (uint32_t)starter);
		refuse_value(p, SYS_tkill, 0, (uint32_t)starter);
	}
}

int sandbox_refuse_calls(int network)
{
	struct program p = { .n = 0 };
	struct sock_fprog all;

	load(&p, offsetof(struct seccomp_data, arch));
	put(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, NATIVE_ARCH);
	answer(&p, SECCOMP_RET_KILL_PROCESS);
	end(&p);
#ifdef X32_BIT
	put(&p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
	answer(&p, SECCOMP_RET_KILL_PROCESS);
#endif
	for (size_t i = 0; i < N_REFUSED; i++)
		refuse_call(&p, refused[i], EPERM);
	refuse_call(&p, NR_CLONE3, ENOSYS);
	refuse_bits(&p, SYS_clone, 0, NAMESPACES);
	refuse_value(&p, SYS_ioctl, 1, IOCTL_TIOCSTI);
	refuse_value(&p, SYS_ioctl, 1, IOCTL_TIOCLINUX);
	only_itself(&p, SYS_prlimit64);
	signals(&p, getppid());
	if (network) {
		families(&p);
	} else {
		for (size_t i = 0; i < N_NETWORKING; i++)
			refuse_call(&p, networking[i], EACCES);
		stream_pairs_only(&p);
	}
	answer(&p, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	all = (struct sock_fprog){ p.n, p.code };
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all, 0, 0);
}

int sandbox_calls_refused(void)
{
	return (int)(N_REFUSED + N_NETWORKING);
}

#else

int sandbox_refuse_calls(int network)
{
	(void)network;
	errno = ENOSYS;
	return -1;
}

int sandbox_calls_refused(void)
{
	return 0;
}

#endif

#include "workers/launch/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workers/launch/text.h"

/* The interface of linux/landlock.h, ABI 6, by number: headers of a build machine are often older
 * than the kernel that quern runs on. Source: Documentation/userspace-api/landlock.rst. */
enum {
	LL_CREATE_RULESET = 444,
	LL_ADD_RULE = 445,
	LL_RESTRICT_SELF = 446,
	LL_VERSION = 1, /* flag of create_ruleset: return the ABI */
	LL_PATH_BENEATH = 1,
};

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_MAKE_CHAR (1ull << 6)
#define FS_MAKE_SOCK (1ull << 9)
#define FS_MAKE_FIFO (1ull << 10)
#define FS_MAKE_BLOCK (1ull << 11)
#define FS_MAKE_SYM (1ull << 12)
#define FS_REFER (1ull << 13)	  /* ABI 2 */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define FS_ABI_1 ((1ull << 13) - 1)

#define NET_BIND_TCP (1ull << 0) /* ABI 4 */
#define NET_CONNECT_TCP (1ull << 1)

#define SCOPE_ABSTRACT_UNIX (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ull << 1)

#define READ_ONLY (FS_EXECUTE | FS_READ_FILE | FS_READ_DIR)
/* Rights that mean something for a file; the others on a file's rule are an error. */
#define FILE_RIGHTS (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

int sandbox_landlock_abi(void)
{
	long abi = syscall(LL_CREATE_RULESET, NULL, 0, LL_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t fs_rights(int abi)
{
	return FS_ABI_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
	       (abi >= 5 ? FS_IOCTL_DEV : 0);
}

/* A path that is not there needs no rule: there is nothing to allow. */
static int allow(int ruleset, const char *path, uint64_t rights)
{
	struct path_beneath rule = { .allowed = rights };
	struct stat st;
	int rc, saved;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -1;
	rc = fstat(rule.parent_fd, &st);
	if (rc == 0 && !S_ISDIR(st.st_mode))
		rule.allowed &= FILE_RIGHTS;
	if (rc == 0)
		rc = (int)syscall(LL_ADD_RULE, ruleset, LL_PATH_BENEATH, &rule, 0);
	saved = errno;
	close(rule.parent_fd);
	errno = saved;
	return rc;
}

/* On a merged /usr, /lib is a link to what "/usr" allows already. */
static int is_link_into_usr(const char *path)
{
	char target[16];
	ssize_t n = readlink(path, target, sizeof(target));

	return n > 4 && (memcmp(target, "usr/", 4) == 0 || memcmp(target, "/usr", 4) == 0);
}

static int allow_system(int ruleset)
{
	static const char *const folders[] = {
		"/usr",	 "/lib", "/lib64", "/lib32", "/bin",
		"/sbin", "/etc", "/proc",  "/opt",   "/sys/devices/system/cpu"
	};
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/random",
					       "/dev/urandom" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (!is_link_into_usr(folders[i]) && allow(ruleset, folders[i], READ_ONLY) != 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (allow(ruleset, devices[i], FS_READ_FILE | FS_WRITE_FILE) != 0)
			return -1;
	}
	return 0;
}

/* What CUDA opens. Source: NVIDIA driver, kernel modules nvidia and nvidia-uvm; more than eight
 * cards in one machine are not asked for. */
static int allow_gpu(int ruleset, uint64_t ioctl)
{
	static const char *const devices[] = {
		"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia0",
		"/dev/nvidia1",	  "/dev/nvidia2",    "/dev/nvidia3",	      "/dev/nvidia4",
		"/dev/nvidia5",	  "/dev/nvidia6",    "/dev/nvidia7"
	};

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (allow(ruleset, devices[i], FS_READ_FILE | FS_WRITE_FILE | ioctl) != 0)
			return -1;
	}
	return allow(ruleset, "/sys/devices", READ_ONLY); /* where it looks for cards */
}

static int allow_all(int ruleset, const struct sandbox *s, int abi)
{
	/* Files and folders, no devices, sockets, FIFOs or links: nothing that an artifact may be.
	 */
	uint64_t write = fs_rights(abi) & ~(FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_MAKE_SOCK |
					    FS_MAKE_FIFO | FS_MAKE_SYM | FS_IOCTL_DEV);

	if (allow_system(ruleset) != 0 || allow(ruleset, s->write, write) != 0)
		return -1;
	if (s->gpu && allow_gpu(ruleset, fs_rights(abi) & FS_IOCTL_DEV) != 0)
		return -1;
	for (size_t i = 0; i < s->n_read; i++) {
		if (allow(ruleset, s->read[i], READ_ONLY) != 0)
			return -1;
	}
	return 0;
}

int sandbox_enter(const struct sandbox *s)
{
	struct ruleset_attr attr = { 0 };
	int abi = sandbox_landlock_abi(), ruleset, rc, saved;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	if (abi == 0)
		return 1;
	attr.fs = fs_rights(abi);
	attr.net = abi >= 4 && !s->network ? NET_BIND_TCP | NET_CONNECT_TCP : 0;
	attr.scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0;
	/* The size tells an older kernel what we know; it refuses bits it does not know. */
	ruleset = (int)syscall(LL_CREATE_RULESET, &attr, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
	if (ruleset < 0)
		return -1;
	rc = allow_all(ruleset, s, abi);
	if (rc == 0)
		rc = (int)syscall(LL_RESTRICT_SELF, ruleset, 0);
	saved = errno;
	close(ruleset);
	errno = saved;
	return rc;
}

/* ---- the network: a namespace without one */

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return rc;
}

/* "ID ID 1" */
static const char *map_line(char *out, uint64_t id)
{
	char *p = text_number(out, id);

	*p++ = ' ';
	p = text_number(p, id);
	text_add(p, " 1", sizeof(" 1"));
	return out;
}

/* Be who we are inside the new user namespace too: files keep their owner. */
static int map_ourselves(uid_t uid, gid_t gid)
{
	char line[64];

	if (put("/proc/self/setgroups", "deny") != 0)
		return -1;
	if (put("/proc/self/uid_map", map_line(line, uid)) != 0)
		return -1;
	return put("/proc/self/gid_map", map_line(line, gid));
}

int sandbox_empty_network(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWNET) == 0)
		return 0;
	if (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return -1;
	return map_ourselves(uid, gid);
}

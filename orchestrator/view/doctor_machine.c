/* orchestrator/view/doctor_machine.c -- memory, clock and disk. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "core/units.h"
#include "orchestrator/host/cgroup.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/view/doctor.h"

#define MEMORY_LEAST (1ull << 30)    /* a native worker takes some hundred MiB */
#define DISK_LEAST (2ull << 30)	     /* disk_reserve of 1 GiB, and one small model */
#define CLOCK_LEAST_MS 1735689600000 /* 2025-01-01: before this program existed */
#define CLOCK_SLACK_MS 60000

/* linux/magic.h has most; these it leaves to their file systems' own headers. */
#define MAGIC_CIFS 0xff534d42u
#define MAGIC_XFS 0x58465342u
#define MAGIC_ZFS 0x2fc12fc1u
#define MAGIC_FUSE 0x65735546u

/* ---- memory */

/* A number of /proc/meminfo in bytes; 0 when it is not there. */
static uint64_t meminfo(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "re");
	size_t n = strlen(name);
	uint64_t kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			kib = strtoull(line + n + 1, NULL, 10);
			break;
		}
	}
	if (f)
		fclose(f);
	return kib * 1024;
}

/* Limit of our control group, version 2, seen from inside a container; 0: none. */
static uint64_t group_limit(void)
{
	FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
	uint64_t bytes = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &bytes) != 1)
		bytes = 0; /* "max" */
	fclose(f);
	return bytes;
}

void doctor_memory(struct checks *c)
{
	uint64_t total = meminfo("MemTotal"), available = meminfo("MemAvailable"),
		 limit = group_limit();
	char t[24], a[24], l[24];

	units_format_size(total, t, sizeof(t));
	units_format_size(available, a, sizeof(a));
	units_format_size(limit, l, sizeof(l));
	if (limit && limit < total)
		check_add(c, "memory", limit < MEMORY_LEAST ? CHECK_WARN : CHECK_OK,
			  "set resources.memory in jobs.yaml below the container's limit",
			  "%s, %s available, limited to %s for this container", t, a, l);
	else if (available < MEMORY_LEAST)
		check_add(c, "memory", CHECK_WARN,
			  "stop other programs, or set resources.jobs to 1",
			  "%s, only %s available", t, a);
	else
		check_add(c, "memory", CHECK_OK, NULL, "%s, %s available", t, a);
}

void doctor_limits(struct checks *c)
{
	struct cgroup g;

	cgroup_look(&g);
	if (g.usable)
		check_add(c, "limits", CHECK_OK, NULL,
			  "each attempt gets a control group with its limit of memory, if no other "
			  "process is in %s",
			  *g.dir ? g.dir : "/");
	else if (access("/run/systemd/system", F_OK) == 0)
		check_add(
			c, "limits", CHECK_OK, NULL,
			"quern run asks systemd for a scope, for a control group of each attempt; "
			"without one, workers are watched (%s)",
			g.why);
	else
		check_add(c, "limits", CHECK_WARN,
			  "start quern run as a service of systemd's with Delegate=yes, for limits "
			  "that the kernel keeps",
			  "workers are watched once a second, and ended beyond their limit: %s",
			  g.why);
}

/* ---- clock */

void doctor_clock(struct checks *c, const char *work)
{
	static const char fix[] = "set the clock; run an NTP client (systemd-timesyncd, chrony)";
	int64_t now_ms = clock_wall_ms(), last_ms = 0;
	struct stat st;
	char text[32];

	if (stat(workdir_db(c->a, work), &st) == 0)
		last_ms = (int64_t)st.st_mtime * 1000;
	clock_format_utc(now_ms, text, sizeof(text));
	if (now_ms < CLOCK_LEAST_MS)
		check_add(c, "clock", CHECK_WARN, fix, "%s is in the past", text);
	else if (last_ms > now_ms + CLOCK_SLACK_MS)
		check_add(c, "clock", CHECK_WARN, fix, "%s is before the last write to state.db",
			  text);
	else
		check_add(c, "clock", CHECK_OK, NULL, "%s", text);
}

/* ---- disk */

/* The folder itself, or the nearest one above it that exists. */
static const char *existing(struct arena *a, const char *path)
{
	char *p = mem_strdup(path);
	struct stat st;
	const char *found;

	while (stat(p, &st) != 0 && strcmp(p, "/") != 0 && strcmp(p, ".") != 0) {
		char *up = path_dirname(p);

		free(p);
		p = up;
	}
	found = arena_strdup(a, p);
	free(p);
	return found;
}

static const char *kind_name(unsigned long magic, enum check_level *level, const char **fix)
{
	static const char local_disk[] =
		"put `work` on a local disk: locks and the database need one";
	static const char ram[] =
		"put `work` on a disk: this one lives in memory and ends with the machine";
	static const char layer[] =
		"put `work` on a volume: a container's own layer is slow and ends with it";
	static const char fuse[] = "if it is a network file system, put `work` on a local disk";
	/* clang-format off */
	static const struct {
		unsigned long magic;
		const char *name;
		enum check_level level;
		const char *fix;
	} kinds[] = {
		{ EXT4_SUPER_MAGIC,      "ext4",    CHECK_OK,   NULL },
		{ MAGIC_XFS,             "xfs",     CHECK_OK,   NULL },
		{ BTRFS_SUPER_MAGIC,     "btrfs",   CHECK_OK,   NULL },
		{ F2FS_SUPER_MAGIC,      "f2fs",    CHECK_OK,   NULL },
		{ MAGIC_ZFS,             "zfs",     CHECK_OK,   NULL },
		{ TMPFS_MAGIC,           "tmpfs",   CHECK_WARN, ram },
		{ RAMFS_MAGIC,           "ramfs",   CHECK_WARN, ram },
		{ OVERLAYFS_SUPER_MAGIC, "overlay", CHECK_WARN, layer },
		{ MAGIC_FUSE,            "fuse",    CHECK_WARN, fuse },
		{ NFS_SUPER_MAGIC,       "nfs",     CHECK_BAD,  local_disk },
		{ MAGIC_CIFS,            "cifs",    CHECK_BAD,  local_disk },
		{ SMB2_SUPER_MAGIC,      "smb2",    CHECK_BAD,  local_disk },
		{ CEPH_SUPER_MAGIC,      "ceph",    CHECK_BAD,  local_disk },
		{ V9FS_MAGIC,            "9p",      CHECK_BAD,  local_disk },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if ((unsigned int)kinds[i].magic == (unsigned int)magic) {
			*level = kinds[i].level;
			*fix = kinds[i].fix;
			return kinds[i].name;
		}
	}
	*level = CHECK_OK;
	*fix = NULL;
	return "unknown kind";
}

static void disk_kind(struct checks *c, const char *folder)
{
	enum check_level level;
	const char *fix, *name;
	struct statfs fs;

	if (statfs(folder, &fs) != 0) {
		check_add(c, "file system", CHECK_BAD, "check the disk", "%s: %s", folder,
			  strerror(errno));
		return;
	}
	name = kind_name((unsigned long)fs.f_type, &level, &fix);
	check_add(c, "file system", level, fix, "%s (%s)", name, folder);
}

static void disk_space(struct checks *c, const char *folder)
{
	uint64_t bytes;
	struct err e = ERR_INIT;
	char size[24];

	if (path_free_space(folder, &bytes, &e) < 0) {
		check_add(c, "disk space", CHECK_BAD, "check the disk", "%s", e.msg);
		return;
	}
	units_format_size(bytes, size, sizeof(size));
	if (bytes < DISK_LEAST)
		check_add(c, "disk space", CHECK_WARN, "quern gc frees what no job needs",
			  "only %s free", size);
	else
		check_add(c, "disk space", CHECK_OK, NULL, "%s free", size);
}

/* Does what a run needs: write, lock, rename, link. Returns what failed, or NULL. */
static const char *try_folder(struct arena *a, const char *dir)
{
	const char *one = arena_printf(a, "%s/one", dir), *two = arena_printf(a, "%s/two", dir);
	struct err e = ERR_INIT;
	int fd;

	if (path_write(one, "quern\n", 6, 0644, &e) < 0)
		return arena_printf(a, "cannot write: %s", e.msg);
	fd = lock_take(one, &e);
	if (fd < 0)
		return arena_printf(a, "no locks: %s", e.msg);
	if (lock_held(one, &e) != 1) {
		close(fd);
		return "locks are taken but do not hold";
	}
	close(fd);
	if (path_rename(one, two, &e) < 0)
		return arena_printf(a, "cannot rename: %s", e.msg);
	if (link(two, one) != 0)
		return arena_printf(a, "no hard links: %s", strerror(errno));
	return NULL;
}

static void disk_use(struct checks *c, const char *folder)
{
	static const char fix[] = "set `work` to a folder on a local disk that you may write to";
	char *dir = arena_printf(c->a, "%s/.tmp-doctor-XXXXXX", folder);
	struct err e = ERR_INIT;
	const char *fault;

	if (!mkdtemp(dir)) {
		check_add(c, "work folder", CHECK_BAD, fix, "%s: %s", folder, strerror(errno));
		return;
	}
	fault = try_folder(c->a, dir);
	if (path_remove_tree(dir, &e) < 0 && !fault)
		fault = arena_strdup(c->a, e.msg);
	if (fault)
		check_add(c, "work folder", CHECK_BAD, fix, "%s: %s", folder, fault);
	else
		check_add(c, "work folder", CHECK_OK, NULL, "%s: writing, locks and renames work",
			  folder);
}

void doctor_disk(struct checks *c, const char *work)
{
	const char *folder = existing(c->a, work);

	disk_kind(c, folder);
	disk_space(c, folder);
	disk_use(c, folder);
}

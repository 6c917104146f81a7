/* tests/lib/fault_vfs.c -- for LD_PRELOAD: what SQLite asks of the operating system fails once.
 * FAULT_VFS_KIND: "io" (every call), "full" (calls that need room) or "busy" (locks);
 * FAULT_VFS_AT: which of these calls it is, from 1, 0 for none; FAULT_VFS_IN: the command of quern
 * that meets it; FAULT_VFS_LOG: gets the name of the call that failed, or how many there were. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { KIND_NONE, KIND_IO, KIND_FULL, KIND_BUSY };

struct shim_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this one */
};

static enum kind kind;
static long at;
static atomic_long calls;
static sqlite3_vfs shim, *real_vfs;

static void say(const char *text)
{
	const char *log = getenv("FAULT_VFS_LOG");
	int fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		abort();
	if (fd >= 0)
		close(fd);
}

/* Does this call fail now? io: what it fails with; room: it needs some; lock: it is one. */
static int fails(const char *name, int io, int room, int lock)
{
	char line[64];

	if (kind == KIND_NONE || (kind == KIND_FULL && !room) || (kind == KIND_BUSY && !lock))
		return SQLITE_OK;
	if (atomic_fetch_add(&calls, 1) + 1 != at)
		return SQLITE_OK;
	snprintf(line, sizeof(line), "failed %s\n", name);
	say(line);
	return kind == KIND_FULL ? SQLITE_FULL : kind == KIND_BUSY ? SQLITE_BUSY : io;
}

#define REAL(f) (((struct shim_file *)(f))->real)
#define PASS(name, io, room, lock, CALL)                                                           \
	do {                                                                                       \
		int why_ = fails(name, io, room, lock);                                            \
		return why_ ? why_ : (CALL);                                                       \
	} while (0)

static int x_close(sqlite3_file *f)
{
	return REAL(f)->pMethods->xClose(REAL(f));
}

static int x_read(sqlite3_file *f, void *out, int n, sqlite3_int64 offset)
{
	PASS("read", SQLITE_IOERR_READ, 0, 0, REAL(f)->pMethods->xRead(REAL(f), out, n, offset));
}

static int x_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 offset)
{
	PASS("write", SQLITE_IOERR_WRITE, 1, 0,
	     REAL(f)->pMethods->xWrite(REAL(f), data, n, offset));
}

static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	PASS("truncate", SQLITE_IOERR_TRUNCATE, 0, 0, REAL(f)->pMethods->xTruncate(REAL(f), size));
}

static int x_sync(sqlite3_file *f, int flags)
{
	PASS("sync", SQLITE_IOERR_FSYNC, 1, 0, REAL(f)->pMethods->xSync(REAL(f), flags));
}

static int x_size(sqlite3_file *f, sqlite3_int64 *size)
{
	PASS("size", SQLITE_IOERR_FSTAT, 0, 0, REAL(f)->pMethods->xFileSize(REAL(f), size));
}

static int x_lock(sqlite3_file *f, int level)
{
	PASS("lock", SQLITE_IOERR_LOCK, 0, 1, REAL(f)->pMethods->xLock(REAL(f), level));
}

static int x_unlock(sqlite3_file *f, int level)
{
	return REAL(f)->pMethods->xUnlock(REAL(f), level);
}

static int x_reserved(sqlite3_file *f, int *out)
{
	PASS("reserved", SQLITE_IOERR_CHECKRESERVEDLOCK, 0, 0,
	     REAL(f)->pMethods->xCheckReservedLock(REAL(f), out));
}

static int x_control(sqlite3_file *f, int op, void *arg)
{
	return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}

static int x_sector(sqlite3_file *f)
{
	return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int x_characteristics(sqlite3_file *f)
{
	return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int x_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	PASS("shm map", SQLITE_IOERR_SHMMAP, extend, 0,
	     REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, out));
}

/* Giving a lock up does not fail. */
static int x_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	if (flags & SQLITE_SHM_UNLOCK)
		return REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags);
	PASS("shm lock", SQLITE_IOERR_SHMLOCK, 0, 1,
	     REAL(f)->pMethods->xShmLock(REAL(f), offset, n, flags));
}

static void x_shm_barrier(sqlite3_file *f)
{
	REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int x_shm_unmap(sqlite3_file *f, int remove)
{
	return REAL(f)->pMethods->xShmUnmap(REAL(f), remove);
}

/* Version 2: with shared memory, without memory maps, which quern does not use. */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_size,
	.xLock = x_lock,
	.xUnlock = x_unlock,
	.xCheckReservedLock = x_reserved,
	.xFileControl = x_control,
	.xSectorSize = x_sector,
	.xDeviceCharacteristics = x_characteristics,
	.xShmMap = x_shm_map,
	.xShmLock = x_shm_lock,
	.xShmBarrier = x_shm_barrier,
	.xShmUnmap = x_shm_unmap,
};

static int x_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct shim_file *s = (struct shim_file *)f;
	int rc = fails("open", SQLITE_CANTOPEN, flags & SQLITE_OPEN_CREATE, 0);

	(void)v;
	f->pMethods = NULL;
	if (rc != SQLITE_OK)
		return rc;
	s->real = (sqlite3_file *)(s + 1);
	rc = real_vfs->xOpen(real_vfs, name, s->real, flags, out);
	if (s->real->pMethods)
		f->pMethods = &methods;
	return rc;
}

static int x_delete(sqlite3_vfs *v, const char *name, int sync)
{
	(void)v;
	PASS("delete", SQLITE_IOERR_DELETE, 0, 0, real_vfs->xDelete(real_vfs, name, sync));
}

static int x_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	(void)v;
	PASS("access", SQLITE_IOERR_ACCESS, 0, 0, real_vfs->xAccess(real_vfs, name, flags, out));
}

static int is_meant(void)
{
	const char *in = getenv("FAULT_VFS_IN");
	char line[256] = "";
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
	size_t first = strlen(line) + 1;

	if (fd >= 0)
		close(fd);
	return in && n > (ssize_t)first && strcmp(line + first, in) == 0;
}

__attribute__((constructor)) static void start(void)
{
	const char *what = getenv("FAULT_VFS_KIND"), *number = getenv("FAULT_VFS_AT");

	if (!what || !number || !is_meant())
		return;
	kind = what[0] == 'i' ? KIND_IO : what[0] == 'f' ? KIND_FULL : KIND_BUSY;
	at = atol(number);
	real_vfs = sqlite3_vfs_find(NULL);
	shim = *real_vfs;
	shim.zName = "fault";
	shim.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
	shim.xOpen = x_open;
	shim.xDelete = x_delete;
	shim.xAccess = x_access;
	if (sqlite3_vfs_register(&shim, 1) != SQLITE_OK)
		abort();
}

__attribute__((destructor)) static void end(void)
{
	char line[64];

	if (kind == KIND_NONE || at)
		return;
	snprintf(line, sizeof(line), "%ld\n", atomic_load(&calls));
	say(line);
}

#include "orchestrator/host/workdir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/config/config.h"

#define DEFAULT_FILE "jobs.yaml"
#define DEFAULT_WORK ".quern"
#define HOLDER_MAX 512 /* bytes of the line in run.lock: pid, host (at most 64), time, command */

#define SOURCE_HASH_BYTES                                                                          \
	12 /* of the spec's SHA-256 in a folder's name: a few hundred specs at most */

/* A look at the lock (quern status) takes it for some microseconds; a run that starts just then
 * must not take that for another run. */
#define LOCK_TRIES 4
#define LOCK_PAUSE_MS 15

const char *workdir_db(struct arena *a, const char *work)
{
	return arena_printf(a, "%s/state.db", work);
}

const char *workdir_job_all(struct arena *a, const char *work, const uint8_t key[SHA256_LEN])
{
	char hex[SHA256_HEX];

	hex_encode(key, SHA256_LEN, hex);
	return arena_printf(a, "%s/jobs/%s", work, hex);
}

const char *workdir_job(struct arena *a, const char *work, const uint8_t key[SHA256_LEN],
			int number)
{
	return arena_printf(a, "%s/%d", workdir_job_all(a, work, key), number);
}

const char *workdir_artifact(struct arena *a, const char *work, const uint8_t key[SHA256_LEN])
{
	char hex[SHA256_HEX];

	hex_encode(key, SHA256_LEN, hex);
	return arena_printf(a, "%s/artifacts/%s", work, hex);
}

const char *workdir_hub(struct arena *a, const char *work)
{
	return arena_printf(a, "%s/hub", work);
}

const char *workdir_sources(struct arena *a, const char *work)
{
	return arena_printf(a, "%s/sources", work);
}

const char *workdir_source(struct arena *a, const char *work, const char *version, const char *spec)
{
	uint8_t sha[SHA256_LEN];
	char hex[2 * SOURCE_HASH_BYTES + 1];

	sha256_bytes(spec, strlen(spec), sha);
	hex_encode(sha, SOURCE_HASH_BYTES, hex);
	return arena_printf(a, "%s/%s-%s", workdir_sources(a, work), version, hex);
}

const char *workdir_hub_memory(struct arena *a, const char *work)
{
	return arena_printf(a, "%s/cache/hub", work);
}

int workdir_create(const char *work, struct err *e)
{
	static const char *const parts[] = { "jobs", "artifacts", "sources", "hub", "containers" };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(parts); i++) {
		char *path = path_join(work, parts[i]);

		rc = path_mkdirs(path, 0755, e);
		free(path);
	}
	if (rc == 0 && access(work, W_OK | X_OK) != 0)
		rc = err_errno(e, "%s", work);
	if (rc < 0 && e->code == ERR_NOSPACE)
		return err_set(e, rc,
			       "work folder %s: the disk is full; free some space or set `work` to "
			       "a folder on another disk",
			       work);
	if (rc < 0) {
		char why[ERR_MSG_MAX];

		snprintf(why, sizeof(why), "%s", e->msg);
		return err_set(e, ERR_IO,
			       "work folder: %s; set `work` to a folder that you may write to",
			       why);
	}
	return 0;
}

/* ---- the lock. The line in it: PID HOST SINCE_MS COMMAND */

static void write_holder(int fd, const char *command)
{
	char host[65] = "unknown", line[HOLDER_MAX];
	int n;

	if (gethostname(host, sizeof(host)) == 0)
		host[sizeof(host) - 1] = '\0';
	n = snprintf(line, sizeof(line), "%ld %s %" PRId64 " %s\n", (long)getpid(), host,
		     clock_wall_ms(), command);
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	/* For people only: the lock holds without it, so a full disk is no reason to stop here. */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, line, (size_t)n, 0) != n)
		(void)ftruncate(fd, 0);
}

struct holder {
	long pid; /* 0: the line is not there or not one of ours */
	int64_t since_ms;
	char host[65], command[HOLDER_MAX];
};

static void read_holder(const char *path, struct holder *h)
{
	char line[HOLDER_MAX] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0) {
		ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

		line[n > 0 ? n : 0] = '\0';
		close(fd);
	}
	if (sscanf(line, "%ld %64s %" SCNd64 " %511[^\n]", &h->pid, h->host, &h->since_ms,
		   h->command) != 4)
		h->pid = 0;
}

static int held_by(const char *work, const char *path, struct err *e)
{
	struct holder h;
	char since[32];

	read_holder(path, &h);
	if (!h.pid)
		return err_set(e, ERR_BUSY, "another run holds %s", work);
	clock_format_utc(h.since_ms, since, sizeof(since));
	return err_set(e, ERR_BUSY, "another run holds %s: quern %s, process %ld on %s, since %s",
		       work, h.command, h.pid, h.host, since);
}

int workdir_holder(const char *work, int64_t *pid, struct err *e)
{
	char *path = path_join(work, "run.lock");
	struct holder h = { 0 };
	int held = lock_held(path, e);

	if (held == 1) {
		read_holder(path, &h);
		*pid = h.pid;
	}
	free(path);
	return held;
}

int workdir_lock(const char *work, const char *command, struct err *e)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	char *path = path_join(work, "run.lock");
	int fd;

	fd = lock_take(path, e);
	for (int i = 1; fd == ERR_BUSY && i < LOCK_TRIES; i++) {
		nanosleep(&pause, NULL);
		fd = lock_take(path, e);
	}
	if (fd == ERR_BUSY)
		fd = held_by(work, path, e);
	else if (fd >= 0)
		write_holder(fd, command);
	free(path);
	return fd;
}

/* ---- find */

static const char *absolute(struct arena *a, const char *path)
{
	char here[PATH_MAX];
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (path[0] == '/' || !getcwd(here, sizeof(here)))
		return arena_strndup(a, path, n);
	return arena_printf(a, "%s/%.*s", here, (int)n, path);
}

static int first_fault(const struct faults *f, struct err *e)
{
	const struct fault *first = &f->v[0];

	for (size_t i = 1; i < f->n; i++) {
		const struct mark *at = &f->v[i].at;

		if (at->line < first->at.line ||
		    (at->line == first->at.line && at->column < first->at.column))
			first = &f->v[i];
	}
	err_set(e, ERR_INVALID, "%s:%d:%d: %s", f->file, first->at.line, first->at.column,
		first->text);
	if (f->n > 1)
		return err_set(e, ERR_INVALID,
			       "%s:%d:%d: %s (and %zu more: 'quern plan' lists them)", f->file,
			       first->at.line, first->at.column, first->text, f->n - 1);
	return e->code;
}

int workdir_find(struct arena *a, const char *work_option, const char *file_option,
		 const char **work, struct err *e)
{
	const char *file = file_option ? file_option : DEFAULT_FILE;
	struct faults faults = { .a = a, .file = file };
	struct config *cfg = NULL;
	int rc;

	if (work_option) {
		if (!*work_option)
			return err_set(e, ERR_INVALID, "--work: the name of a folder is missing");
		*work = absolute(a, work_option);
		return 0;
	}
	if (!file_option && access(DEFAULT_FILE, F_OK) != 0 && errno == ENOENT) {
		*work = absolute(a, DEFAULT_WORK);
		return 0;
	}
	rc = config_load(a, file, NULL, &faults, &cfg, e);
	if (rc < 0)
		return faults.n ? first_fault(&faults, e) : rc;
	*work = cfg->work;
	return 0;
}

int workdir_open_store(struct arena *a, const char *work_option, const char *file_option,
		       int read_only, const char **work, struct store **out, struct err *e)
{
	const char *found = NULL, *db;
	struct stat st;
	int rc = workdir_find(a, work_option, file_option, &found, e);

	if (rc < 0)
		return rc;
	db = workdir_db(a, found);
	if (stat(db, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(
			e, ERR_NOTFOUND,
			"nothing has run here yet: there is no %s; start with 'quern run', or name "
			"another folder with --work or jobs file with -f",
			db);
	rc = store_open(db, read_only, out, e);
	if (rc < 0)
		return rc;
	*work = found;
	return 0;
}

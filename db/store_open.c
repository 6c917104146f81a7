/* db/store_open.c -- open the file, look whether it is ours and whole, bring
 * its schema up to date. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/store_private.h"

/* "Qurn": at offset 68 of the file, so that file(1) and we know whose it is. */
#define APPLICATION_ID 0x5175726e

/* Database file format, https://www.sqlite.org/fileformat2.html section 1.3 */
#define HEADER_BYTES 100
#define HEADER_MAGIC "SQLite format 3" /* with its NUL, 16 bytes */
#define HEADER_APPLICATION_ID 68

/* Upper bound of what one connection keeps of the file in memory, KiB: the index of a million keys
 * (19 MB, which adding touches all over) and what stands beside it. */
#define CACHE_KIB 25600
/* Commits do not move the WAL into the file, so that the loop never waits for the disk; a
 * connection of its own does. Should nobody do it, commits start to do it here. */
#define WAL_LIMIT_BYTES (64LL << 20)
#define BUSY_TIMEOUT_MS 5000
#define BUSY_LOOK_MS 20

static const struct {
	int version;
	const char *name, *sql;
} migrations[] = {
#define S(version, name, sql) { version, name, sql },
#include "db/schema.inc"
#undef S
};

#define SCHEMA_VERSION ((int)ARRAY_LEN(migrations))

/* ---- small statements outside queries.sql: pragmas take no parameters */

static int run_sql(struct store *s, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : store_error(s, rc, e);
}

static int read_int(struct store *s, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	else
		rc = store_error(s, rc, e);
	(void)sqlite3_finalize(st);
	return rc < 0 ? rc : 0;
}

/* ---- files that this process has open: it may not open and close one of them beside SQLite */

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct store *open_stores;

static void note_open(struct store *s)
{
	struct stat st;

	if (stat(s->path, &st) != 0)
		return; /* it was removed meanwhile; nobody else comes to this one */
	s->device = st.st_dev;
	s->inode = st.st_ino;
	(void)pthread_mutex_lock(&open_lock);
	s->next_open = open_stores;
	open_stores = s;
	(void)pthread_mutex_unlock(&open_lock);
}

void store_note_closed(struct store *s)
{
	(void)pthread_mutex_lock(&open_lock);
	for (struct store **p = &open_stores; *p; p = &(*p)->next_open) {
		if (*p == s) {
			*p = s->next_open;
			break;
		}
	}
	(void)pthread_mutex_unlock(&open_lock);
}

static bool is_open_here(const char *path)
{
	bool found = false;
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	(void)pthread_mutex_lock(&open_lock);
	for (const struct store *s = open_stores; s && !found; s = s->next_open)
		found = s->device == st.st_dev && s->inode == st.st_ino;
	(void)pthread_mutex_unlock(&open_lock);
	return found;
}

/* ---- the file before SQLite sees it */

static uint32_t big_endian_32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int check_header(const char *path, const unsigned char *h, ssize_t n, struct err *e)
{
	uint32_t id;

	if (n < HEADER_BYTES || memcmp(h, HEADER_MAGIC, sizeof(HEADER_MAGIC)) != 0)
		return err_set(
			e, ERR_CORRUPT,
			"%s is no database (or its beginning is damaged); move it away and run "
			"again: finished artifacts are found by their folders; or put a backup "
			"in its place",
			path);
	id = big_endian_32(h + HEADER_APPLICATION_ID);
	if (id != 0 && id != APPLICATION_ID)
		return err_set(e, ERR_INVALID, "%s is a database of another program", path);
	return 0;
}

/* SQLite would look at all this as well, but only at the first statement, and it would take an
 * empty or foreign file for its own. Closing the file here gives up all locks that this process has
 * on it (fcntl(2)), after which other processes take the WAL away: no store of it may be open. */
static int check_file(const char *path, int read_only, struct err *e)
{
	unsigned char header[HEADER_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0 && errno == ENOENT && !read_only)
		return 0;
	if (fd < 0)
		return err_errno(e, "%s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return err_set(e, ERR_INVALID, "%s is not a regular file", path);
	}
	n = pread(fd, header, sizeof(header), 0);
	(void)close(fd);
	if (n < 0)
		return err_errno(e, "%s", path);
	if (n == 0 && read_only)
		return err_set(e, ERR_NOTFOUND, "%s: nothing in it yet", path);
	return n == 0 ? 0 : check_header(path, header, n, e);
}

/* ---- schema */

static int check_version(struct store *s, int64_t version, struct err *e)
{
	if (version > SCHEMA_VERSION)
		return err_set(
			e, ERR_INVALID,
			"%s was made by schema %lld, this quern knows up to %d; update quern",
			s->path, (long long)version, SCHEMA_VERSION);
	if (version < 0)
		return err_set(e, ERR_CORRUPT, "%s: schema version %lld", s->path,
			       (long long)version);
	if (!s->read_only || version == SCHEMA_VERSION)
		return 0;
	if (version == 0)
		return err_set(e, ERR_NOTFOUND, "%s: nothing in it yet", s->path);
	return err_set(e, ERR_INVALID,
		       "%s has the older schema %lld; a command that writes, such as quern run, "
		       "brings it to %d",
		       s->path, (long long)version, SCHEMA_VERSION);
}

static int check_empty(struct store *s, struct err *e)
{
	int64_t tables = 0;
	int rc = read_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e);

	if (rc < 0 || tables == 0)
		return rc;
	return err_set(e, ERR_INVALID, "%s is a database of another program", s->path);
}

/* One step in one transaction; the version is read again inside it, as two may have opened at once.
 */
static int migrate_one(struct store *s, struct err *e)
{
	int64_t version = 0;
	char *sql = NULL;
	int rc = run_sql(s, "BEGIN IMMEDIATE", e);

	if (rc < 0)
		return rc;
	rc = read_int(s, "PRAGMA user_version", &version, e);
	if (rc >= 0)
		rc = check_version(s, version, e);
	if (rc >= 0 && version == 0)
		rc = check_empty(s, e);
	if (rc >= 0 && version < SCHEMA_VERSION) {
		sql = mem_printf("%s;\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\n",
				 migrations[version].sql, APPLICATION_ID,
				 migrations[version].version);
		rc = run_sql(s, sql, e);
		free(sql);
		if (rc < 0)
			err_wrap(e, "schema %s", migrations[version].name);
	}
	CRASH_POINT("store_migrate:before");
	if (rc >= 0)
		rc = run_sql(s, "COMMIT", e);
	CRASH_POINT("store_migrate:after");
	if (rc < 0 && !sqlite3_get_autocommit(s->db))
		(void)run_sql(s, "ROLLBACK", NULL);
	return rc;
}

int store_migrate(struct store *s, struct err *e)
{
	int64_t version = 0, id = 0;
	int rc = read_int(s, "PRAGMA user_version", &version, e);

	if (rc >= 0)
		rc = read_int(s, "PRAGMA application_id", &id, e);
	if (rc < 0)
		return rc;
	if (version > 0 && id != APPLICATION_ID)
		return err_set(e, ERR_INVALID, "%s is a database of another program", s->path);
	rc = check_version(s, version, e);
	while (rc >= 0 && version < SCHEMA_VERSION) {
		rc = migrate_one(s, e);
		if (rc >= 0)
			rc = read_int(s, "PRAGMA user_version", &version, e);
	}
	return rc;
}

/* ---- the connection */

static int after_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
	struct store *s = ctx;
	int64_t page_bytes = 0;

	if (pages < (WAL_LIMIT_BYTES >> 16)) /* not even with the largest pages there are */
		return SQLITE_OK;
	if (read_int(s, "PRAGMA page_size", &page_bytes, NULL) >= 0 &&
	    pages * page_bytes > s->wal_limit_bytes)
		(void)sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return SQLITE_OK; /* the commit has happened; a failed move is tried again after the next */
}

/* PRAGMA journal_mode answers with the mode that is now; a folder that cannot hold a WAL says
 * "delete". */
static int use_wal(struct store *s, struct err *e)
{
	sqlite3_stmt *st = NULL;
	const char *mode;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW) {
		rc = store_error(s, rc, e);
	} else {
		mode = (const char *)sqlite3_column_text(st, 0);
		rc = mode && strcmp(mode, "wal") == 0
			     ? 0
			     : err_set(e, ERR_IO,
				       "%s: this file system cannot hold a database that several "
				       "processes use (no shared memory); put `work` on a local "
				       "disk",
				       s->path);
	}
	(void)sqlite3_finalize(st);
	return rc;
}

static int configure(struct store *s, struct err *e)
{
	char pragmas[256];
	int rc;

	(void)sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)snprintf(pragmas, sizeof(pragmas),
		       "PRAGMA cache_size = -%d; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;"
		       "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = OFF;"
		       "PRAGMA foreign_keys = ON;",
		       CACHE_KIB);
	rc = run_sql(s, pragmas, e);
	if (rc < 0 || s->read_only)
		return rc;
	/* page_size has an effect only before the first page */
	rc = run_sql(s, "PRAGMA page_size = 4096", e);
	if (rc >= 0)
		rc = use_wal(s, e);
	if (rc >= 0)
		rc = run_sql(s,
			     "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
			     "PRAGMA journal_size_limit = 67108864;",
			     e);
	(void)sqlite3_wal_hook(s->db, after_commit, s);
	return rc;
}

static int connect(struct store *s, const char *uri, int flags, struct err *e)
{
	int rc = sqlite3_open_v2(uri, &s->db,
				 flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
					 SQLITE_OPEN_PRIVATECACHE,
				 NULL);

	if (!s->db)
		return err_set(e, ERR_IO, "%s: out of memory", s->path);
	if (rc != SQLITE_OK)
		return store_error(s, rc, e);
	/* SQLite opens for reading only, without a word, what it may not write */
	if (!s->read_only && sqlite3_db_readonly(s->db, "main") == 1)
		return store_error(s, SQLITE_READONLY, e);
	return 0;
}

static int open_and_configure(struct store *s, const char *uri, int flags, struct err *e)
{
	int rc = connect(s, uri, flags, e);

	if (rc >= 0)
		rc = configure(s, e);
	if (rc >= 0)
		rc = store_migrate(s, e);
	return rc;
}

/* A folder in which no -shm file can be made, and no -wal file, so that nobody is writing: the file
 * may be read as if it never changed. With a -wal file its latest content is there, and SQLite
 * reads it. */
static int may_be_immutable(const struct store *s)
{
	char *folder = path_dirname(s->path), *wal = mem_printf("%s-wal", s->path);
	int result = access(folder, W_OK) < 0 && access(wal, F_OK) < 0 && errno == ENOENT;

	free(wal);
	free(folder);
	return result;
}

/* Bytes with a meaning in URIs are escaped; a relative path stays relative. */
static char *immutable_uri(const char *path)
{
	static const char digits[] = "0123456789abcdef";
	char *uri = mem_alloc(3 * strlen(path) + sizeof("file:?immutable=1")), *out = uri;

	out = stpcpy(out, "file:");
	for (; *path; path++) {
		if (strchr("%?#", *path)) {
			*out++ = '%';
			*out++ = digits[(unsigned char)*path >> 4];
			*out++ = digits[(unsigned char)*path & 15];
		} else {
			*out++ = *path;
		}
	}
	(void)strcpy(out, "?immutable=1");
	return uri;
}

static int open_immutable(struct store *s, struct err *e)
{
	char *uri = immutable_uri(s->path);
	int rc;

	(void)sqlite3_close(s->db);
	s->db = NULL;
	rc = open_and_configure(s, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, e);
	free(uri);
	return rc;
}

/* Where SQLite looks at locks before it waits for any (the mode of the journal, a WAL that is being
 * recovered or taken away), a lock of an instant must not end a run. */
static int open_patiently(struct store *s, int flags, struct err *e)
{
	int64_t began_ms = clock_mono_ms();
	int rc;

	while ((rc = open_and_configure(s, s->path, flags, e)) == ERR_BUSY &&
	       clock_mono_ms() - began_ms < BUSY_TIMEOUT_MS) {
		(void)sqlite3_close(s->db);
		s->db = NULL;
		(void)sqlite3_sleep(BUSY_LOOK_MS);
	}
	return rc;
}

static int open_checked(const char *path, int read_only, struct store **out, struct err *e)
{
	struct store *s;
	int rc;

	s = mem_zalloc(sizeof(*s));
	s->path = mem_strdup(path);
	s->read_only = read_only;
	s->wal_limit_bytes = WAL_LIMIT_BYTES;
	rc = open_patiently(
		s, read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		e);
	if (rc < 0 && read_only && sqlite3_errcode(s->db) == SQLITE_CANTOPEN && may_be_immutable(s))
		rc = open_immutable(s, e);
	if (rc < 0) {
		store_close(s);
		return rc;
	}
	note_open(s);
	*out = s;
	return 0;
}

int store_open(const char *path, int read_only, struct store **out, struct err *e)
{
	int rc = is_open_here(path) ? 0 : check_file(path, read_only, e);

	return rc < 0 ? rc : open_checked(path, read_only, out, e);
}

int store_open_again(const struct store *s, struct store **out, struct err *e)
{
	return open_checked(s->path, s->read_only, out, e);
}

const char *store_library_version(void)
{
	return sqlite3_libversion();
}

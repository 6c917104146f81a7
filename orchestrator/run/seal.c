#include "orchestrator/run/seal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crash.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "db/facts.h"
#include "orchestrator/run/early.h"

#define RECORD_MAX (16u << 20)
#define FILES_MAX 4096u /* of one artifact; a sharded 1 TB model has some hundred */

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct sealed_file *)x)->name, ((const struct sealed_file *)y)->name);
}

static int read_json(const char *path, struct arena *a, struct json **out, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, RECORD_MAX);
	rc = path_read(path, RECORD_MAX, &b, e);
	if (rc >= 0) {
		rc = json_parse(a, b.data, b.len, out, e);
		if (rc < 0)
			err_wrap(e, "%s", path_basename(path));
	}
	buf_release(&b);
	return rc;
}

/* The file list of result.json or of a record: both have the same members. */
static int read_list(const struct json *root, struct arena *a, struct sealed *s, struct err *e)
{
	const struct json *files = json_get(root, "files");

	if (!files || files->type != JSON_ARRAY || files->count == 0)
		return err_set(e, ERR_INVALID,
			       "\"files\" lists nothing; a result names what it made");
	if (files->count > FILES_MAX)
		return err_set(e, ERR_INVALID, "\"files\" lists %zu files; %u is the limit",
			       files->count, FILES_MAX);
	s->n = files->count;
	s->files = arena_array(a, s->n, sizeof(*s->files));
	for (size_t i = 0; i < s->n; i++) {
		const struct json *f = files->members[i].value;
		const char *path = json_str(f, "path", ""), *hash = json_str(f, "sha256", NULL);
		int64_t size = json_int(f, "size", -1);

		/* Flat on purpose: an artifact is one folder of files. */
		if (!path_component_ok(path) || path[0] == '.')
			return err_set(e, ERR_INVALID, "\"files\": \"%s\" is not a plain file name",
				       path);
		s->files[i].claimed = hash != NULL;
		if (size < 0 || (hash && hex_decode(hash, s->files[i].sha256, SHA256_LEN) < 0))
			return err_set(e, ERR_INVALID,
				       "\"files\": \"%s\" has no size, or a SHA-256 that is none",
				       path);
		s->files[i].name = arena_strdup(a, path);
		s->files[i].size_bytes = (uint64_t)size;
	}
	qsort(s->files, s->n, sizeof(*s->files), by_name);
	for (size_t i = 1; i < s->n; i++) {
		if (strcmp(s->files[i - 1].name, s->files[i].name) == 0)
			return err_set(e, ERR_INVALID, "\"files\": \"%s\" is listed twice",
				       s->files[i].name);
	}
	return 0;
}

static struct sealed_file *find(const struct sealed *s, const char *name)
{
	struct sealed_file key = { .name = name };

	return bsearch(&key, s->files, s->n, sizeof(*s->files), by_name);
}

/* Every entry of dir is a listed plain file of the listed size; every listed file is there.
 * own_inodes: none may have a second name (a worker could keep one to write to later); a published
 * artifact may. */
static int compare_disk(const char *dir, struct sealed *s, int own_inodes, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	size_t seen = 0;
	int rc = 0;

	if (!d)
		return err_errno(e, "%s", dir);
	while (rc == 0 && (errno = 0, de = readdir(d)) != NULL) {
		struct sealed_file *f;
		struct stat st;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
		    strcmp(de->d_name, SEAL_RECORD) == 0)
			continue;
		f = find(s, de->d_name);
		if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			rc = err_errno(e, "%s/%s", dir, de->d_name);
		else if (!S_ISREG(st.st_mode) || (own_inodes && st.st_nlink != 1))
			rc = err_set(e, ERR_INVALID, "%s is not a plain file of its own",
				     de->d_name);
		else if (!f)
			rc = err_set(e, ERR_INVALID, "%s is not in the result's list", de->d_name);
		else if ((uint64_t)st.st_size != f->size_bytes)
			rc = err_set(e, ERR_INVALID, "%s has %lld bytes, the result says %llu",
				     f->name, (long long)st.st_size,
				     (unsigned long long)f->size_bytes);
		else
			f->mtime_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
		seen++;
	}
	if (rc == 0 && seen != s->n)
		rc = err_set(e, ERR_INVALID, "%zu files are listed, %zu are there", s->n, seen);
	closedir(d);
	return rc;
}

/* Let the disk begin with a file that is made durable later: by then most of it is there, and one
 * commit of the file system's journal holds the files of all outputs. */
static void start_writing(int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int hash_and_fix_file(const char *path, const struct early *early, struct sealed_file *f,
			     struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), rc;
	uint8_t real[SHA256_LEN];

	if (fd < 0)
		return err_errno(e, "%s", path);
	start_writing(fd);
	rc = early_hash(early, f->name, fd, real) ? 0 : sha256_fd(fd, path, real, NULL, e);
	if (rc == 0 && f->claimed && memcmp(real, f->sha256, SHA256_LEN) != 0)
		rc = err_set(e, ERR_INVALID, "%s does not have the SHA-256 that the result says",
			     f->name);
	/* Read-only from here on: the local hub may share the very same inode. */
	if (rc == 0 && fchmod(fd, 0444) != 0)
		rc = err_errno(e, "%s", path);
	if (rc == 0)
		memcpy(f->sha256, real, SHA256_LEN);
	close(fd);
	return rc;
}

static int hash_and_fix(const char *out, const struct early *early, struct sealed *s, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n; i++) {
		char *path = path_join(out, s->files[i].name);

		rc = hash_and_fix_file(path, early, &s->files[i], e);
		free(path);
	}
	return rc;
}

/* A member of origin o, from text (NULL: nothing known). */
static int parse_origin(struct arena *a, const char *text, enum fact_origin o, struct facts *f,
			struct err *e)
{
	struct json *v;
	int rc = text ? json_parse(a, text, strlen(text), &v, e) : 0;

	if (rc >= 0 && text)
		f->of[o] = v;
	return rc < 0 ? err_wrap(e, "facts of origin %s", fact_origin_name(o)) : 0;
}

/* What everybody said, held against what was asked for. */
static int gather_facts(const struct seal_job *j, const struct json *root, struct arena *a,
			const char **out, struct err *e)
{
	const struct json *worker = json_get(root, "facts");
	struct facts f;
	int rc = facts_parse(a, "{}", &f, e);

	if (worker && worker->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "\"facts\" is not an object");
	if (worker)
		f.of[FACT_WORKER] = worker;
	if (rc >= 0)
		rc = parse_origin(a, j->source_facts, FACT_SOURCE, &f, e);
	if (rc >= 0)
		rc = parse_origin(a, j->file_facts, FACT_FILE, &f, e);
	if (rc >= 0)
		rc = parse_origin(a, j->rung_facts, FACT_RUNG, &f, e);
	if (rc >= 0)
		rc = parse_origin(a, j->name_facts, FACT_NAME, &f, e);
	if (rc >= 0)
		rc = facts_check(&f, j->asked, e);
	if (rc >= 0)
		*out = facts_text(a, &f);
	return rc;
}

/* Record 1 had the worker's facts and the source's licence side by side. */
static void write_old_facts(struct json_out *w, const struct json *v)
{
	const char *license = json_str(v, "license", NULL);

	jw_object(w);
	jw_key(w, fact_origin_name(FACT_SOURCE));
	jw_object(w);
	if (license)
		jw_kstr(w, "license", license);
	jw_end_object(w);
	jw_key(w, fact_origin_name(FACT_WORKER));
	jw_object(w);
	for (size_t i = 0; v->type == JSON_OBJECT && i < v->count; i++) {
		if (strcmp(v->members[i].key, "license") == 0)
			continue;
		jw_key(w, v->members[i].key);
		jw_value(w, v->members[i].value);
	}
	jw_end_object(w);
	jw_end_object(w);
}

static int record_facts(const struct json *root, struct arena *a, const char **out, struct err *e)
{
	const struct json *v = json_get(root, "facts");
	struct json_out w;
	struct facts f;
	struct buf b;
	int rc;

	buf_init(&b, RECORD_MAX);
	jw_init(&w, &b, 0);
	if (!v)
		buf_adds(&b, "{}");
	else if (json_int(root, "record", 0) == 1)
		write_old_facts(&w, v);
	else
		jw_value(&w, v);
	rc = facts_parse(a, buf_str(&b), &f, e);
	if (rc >= 0)
		*out = facts_text(a, &f);
	buf_release(&b);
	return rc;
}

/* Not durable by itself: that and the rename of the whole folder come next. */
static int write_plain(const char *path, const struct buf *b, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	size_t at = 0;

	/* A crash between record and rename left one: it is made anew. */
	if (fd < 0 && errno == EEXIST && unlink(path) == 0)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		return err_errno(e, "%s", path);
	while (at < b->len) {
		ssize_t n = write(fd, b->data + at, b->len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(e, "%s", path);
			close(fd);
			return e->code;
		}
		at += (size_t)n;
	}
	start_writing(fd);
	close(fd);
	return 0;
}

static int write_record(const struct seal_job *j, const char *out, const struct sealed *s,
			struct err *e)
{
	char *path = path_join(out, SEAL_RECORD), hex[SHA256_HEX];
	struct arena *a = arena_new();
	struct json *v = NULL;
	struct json_out w;
	struct buf b;
	int rc = 0;

	buf_init(&b, RECORD_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kint(&w, "record", 2);
	jw_kstr(&w, "key", j->key_hex);
	jw_karray(&w, "files");
	for (size_t i = 0; i < s->n; i++) {
		hex_encode(s->files[i].sha256, SHA256_LEN, hex);
		jw_object(&w);
		jw_kstr(&w, "path", s->files[i].name);
		jw_kint(&w, "size", (int64_t)s->files[i].size_bytes);
		jw_kstr(&w, "sha256", hex);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	rc = json_parse(a, j->canonical, strlen(j->canonical), &v, e);
	if (rc == 0) {
		jw_key(&w, "made_from");
		jw_value(&w, v);
		rc = json_parse(a, s->facts, strlen(s->facts), &v, e);
	}
	if (rc == 0) {
		jw_key(&w, "facts");
		jw_value(&w, v);
		jw_end_object(&w);
		buf_addc(&b, '\n');
		rc = write_plain(path, &b, e);
	}
	buf_release(&b);
	arena_free(a);
	free(path);
	return rc;
}

/* From result.json to a whole folder, of which nothing needs to be on the disk yet. */
static int prepare(const struct seal_job *j, const char *out, struct sealed *s, struct err *e)
{
	char *result = path_join(j->dir, "result.json");
	struct json *root = NULL;
	int rc;

	rc = read_json(result, j->a, &root, e);
	if (rc == 0)
		rc = read_list(root, j->a, s, e);
	if (rc == 0)
		rc = compare_disk(out, s, 1, e);
	if (rc == 0)
		rc = hash_and_fix(out, j->early, s, e);
	if (rc == 0)
		rc = gather_facts(j, root, j->a, &s->facts, e);
	CRASH_POINT("seal:checked");
	if (rc == 0)
		rc = write_record(j, out, s, e);
	free(result);
	return rc;
}

static int give_name(const char *out, const char *artifact, struct err *e)
{
	if (rename(out, artifact) != 0)
		return err_errno(e, "cannot rename %s to %s", out, artifact);
	CRASH_POINT("seal:renamed");
	return 0;
}

/* The new names are durable, or the jobs that have them are not sealed: the next attempt finds the
 * folder. */
static void sync_names(struct seal_job *const *jobs, size_t n)
{
	char *folder = path_dirname(jobs[0]->artifact);
	struct err e = ERR_INIT;
	int rc = path_sync(folder, &e);

	for (size_t i = 0; rc < 0 && i < n; i++) {
		if (jobs[i]->rc == 0) {
			jobs[i]->rc = rc;
			jobs[i]->err = e;
		}
	}
	free(folder);
}

void seal(struct seal_job *const *jobs, size_t n)
{
	char **out = mem_array(n, sizeof(*out));

	for (size_t i = 0; i < n; i++) {
		struct seal_job *j = jobs[i];

		out[i] = path_join(j->dir, "out");
		j->err = (struct err)ERR_INIT;
		j->rc = prepare(j, out[i], &j->sealed, &j->err);
	}
	for (size_t i = 0; i < n; i++) {
		if (jobs[i]->rc == 0)
			jobs[i]->rc = path_sync_tree(out[i], &jobs[i]->err);
	}
	CRASH_POINT("seal:synced");
	for (size_t i = 0; i < n; i++) {
		if (jobs[i]->rc == 0)
			jobs[i]->rc = give_name(out[i], jobs[i]->artifact, &jobs[i]->err);
		free(out[i]);
	}
	sync_names(jobs, n);
	CRASH_POINT("seal:done");
	free(out);
}

int seal_read(const char *artifact, const char *key_hex, struct arena *a, struct sealed *s,
	      struct err *e)
{
	char *record = path_join(artifact, SEAL_RECORD);
	struct json *root = NULL;
	int rc = read_json(record, a, &root, e);

	free(record);
	if (rc == ERR_NOTFOUND) {
		if (access(artifact, F_OK) != 0)
			return 0;
		return err_set(e, ERR_CORRUPT, "%s has no %s; move it away", artifact, SEAL_RECORD);
	}
	if (rc == 0 && strcmp(json_str(root, "key", ""), key_hex) != 0)
		rc = err_set(e, ERR_CORRUPT, "%s belongs to another key; move it away", artifact);
	if (rc == 0)
		rc = read_list(root, a, s, e);
	if (rc == 0)
		rc = compare_disk(artifact, s, 0, e);
	if (rc == 0)
		rc = record_facts(root, a, &s->facts, e);
	if (rc < 0 && e->code == ERR_INVALID)
		e->code = ERR_CORRUPT;
	return rc < 0 ? e->code : 1;
}

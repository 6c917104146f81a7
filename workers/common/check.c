/* The other half of result.json: does the list in it still describe what is on disk? */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/path.h"
#include "workers/common/protocol.h"

#define RESULT_MAX (16u << 20) /* bytes of result.json */

static int read_result(struct arena *a, const struct worker_job *j, struct json **out,
		       struct err *e)
{
	char *path = path_join(j->dir, "result.json");
	struct buf b;
	int rc;

	buf_init(&b, RESULT_MAX);
	rc = path_read(path, RESULT_MAX, &b, e);
	if (rc >= 0)
		rc = json_parse(a, buf_str(&b), b.len, out, e);
	if (rc >= 0 && strcmp(json_str(*out, "status", ""), "ok") != 0)
		rc = err_set(e, ERR_INVALID, "its \"status\" is not \"ok\"");
	if (rc < 0)
		rc = err_wrap(e, "result.json");
	buf_release(&b);
	free(path);
	return rc;
}

static int check_file(const struct worker_job *j, const struct json *file, struct err *e)
{
	const char *name = json_str(file, "path", ""), *hash = json_str(file, "sha256", NULL);
	uint8_t listed[SHA256_LEN], real[SHA256_LEN];
	int64_t size = json_int(file, "size", -1);
	uint64_t real_size;
	char *path;
	int rc;

	if (!path_component_ok(name) || (hash && hex_decode(hash, listed, SHA256_LEN) < 0))
		return err_set(e, ERR_INVALID,
			       "result.json: \"files\" has an entry whose path is no plain name or "
			       "whose \"sha256\" is none");
	path = path_join(j->out, name);
	rc = sha256_file(path, real, &real_size, e);
	free(path);
	if (rc == ERR_NOTFOUND)
		return err_set(e, ERR_CORRUPT, "%s is listed and not there", name);
	if (rc < 0)
		return rc;
	if (size < 0 || (uint64_t)size != real_size)
		return err_set(e, ERR_CORRUPT, "%s has %" PRIu64 " bytes; %" PRId64 " are listed",
			       name, real_size, size);
	if (hash && memcmp(listed, real, SHA256_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
			       "%s is not the file that was made: its SHA-256 differs", name);
	return 0;
}

/* Plain files only, as results are in quern: a folder inside counts as one entry too many. */
static int count_entries(const char *dir, size_t *count, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	size_t n = 0;

	if (!d)
		return err_errno(e, "%s", dir);
	while ((entry = readdir(d)) != NULL)
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(d);
	*count = n;
	return 0;
}

int worker_result_check(struct arena *a, const struct worker_job *j, struct err *e)
{
	struct json *result = NULL;
	const struct json *files;
	size_t there = 0;
	int rc = read_result(a, j, &result, e);

	if (rc < 0)
		return rc;
	files = json_get(result, "files");
	if (!files || files->type != JSON_ARRAY || files->count == 0)
		return err_set(e, ERR_INVALID, "result.json: \"files\" lists nothing");
	for (size_t i = 0; i < files->count; i++) {
		rc = check_file(j, files->members[i].value, e);
		if (rc < 0)
			return rc;
	}
	rc = count_entries(j->out, &there, e);
	if (rc == 0 && there != files->count)
		rc = err_set(e, ERR_CORRUPT, "%zu files are listed, %zu are there", files->count,
			     there);
	return rc;
}

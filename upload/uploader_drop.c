/* upload/uploader_drop.c -- artifacts that the hub has leave the disk (resources.keep: none). The
 * store is told first: a crash in between leaves a file that nobody asks for any more, never a
 * finished job that looks as if its artifact were lost. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/path.h"
#include "upload/uploader_private.h"

#define AT_ONCE 256 /* files marked in one transaction */

static int mark(struct upload *u, const struct confirmed_row *rows, int n, struct err *e)
{
	int64_t now_ms = clock_wall_ms();
	int rc = store_begin(u->store, e);

	if (rc < 0)
		return rc;
	for (int i = 0; rc >= 0 && i < n; i++)
		rc = store_artifact_drop(u->store, rows[i].id, now_ms, e);
	if (rc >= 0)
		return store_commit(u->store, e);
	store_rollback(u->store);
	return rc;
}

/* The folder goes with its last file. What upload.exclude keeps back stays in it. */
static int remove_file(struct upload *u, const struct confirmed_row *row, struct err *e)
{
	char hex[SHA256_HEX];
	const char *dir, *path;
	struct stat st;

	hex_encode(row->key, SHA256_LEN, hex);
	dir = arena_printf(u->a, "%s/artifacts/%s", u->opt->work, hex);
	if (row->left == 0)
		return path_remove_tree(dir, e);
	path = arena_printf(u->a, "%s/%s", dir, row->name);
	if (stat(dir, &st) == 0 && !(st.st_mode & S_IWUSR))
		(void)chmod(dir, st.st_mode | S_IWUSR);
	if (unlink(path) != 0 && access(path, F_OK) == 0)
		return err_errno(e, "%s", path);
	return 0;
}

int up_drop(struct upload *u, struct err *e)
{
	struct confirmed_row *rows = arena_array(u->a, AT_ONCE, sizeof(*rows));
	int n, rc = 0;

	do {
		n = store_artifacts_confirmed(u->store, u->opt->hub_name, u->repo, u->a, rows,
					      AT_ONCE, e);
		if (n <= 0)
			return n;
		rc = mark(u, rows, n, e);
		CRASH_POINT("upload:drop_marked");
		for (int i = 0; rc >= 0 && i < n; i++) {
			rc = store_artifacts_left(u->store, rows[i].job_id, &rows[i].left, e);
			if (rc >= 0)
				rc = remove_file(u, &rows[i], e);
			if (rc >= 0)
				u->res->bytes_dropped += (uint64_t)rows[i].size_bytes;
		}
	} while (rc >= 0 && n == AT_ONCE);
	return rc;
}

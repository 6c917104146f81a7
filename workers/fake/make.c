/* A model's folder that is complete or absent. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"
#include "workers/fake/model.h"

enum found { ABSENT, EMPTY, MODEL, OTHER };

/* A model's folder holds files of a model and nothing else: only such a one may be replaced. */
static enum found look_at(const char *dir)
{
	enum found what = EMPTY;
	struct dirent *entry;
	struct stat st;
	DIR *d;

	if (lstat(dir, &st) != 0)
		return errno == ENOENT ? ABSENT : OTHER;
	d = S_ISDIR(st.st_mode) ? opendir(dir) : NULL;
	if (!d)
		return OTHER;
	while (what != OTHER && (entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		what = source_wanted(entry->d_name) &&
				       fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
					       0 &&
				       S_ISREG(st.st_mode)
			       ? MODEL
			       : OTHER;
	}
	closedir(d);
	return what;
}

static int may_make(const char *dir, int force, struct err *e)
{
	switch (look_at(dir)) {
	case ABSENT:
	case EMPTY:
		return 0;
	case MODEL:
		if (force)
			return 0;
		return err_set(e, ERR_INVALID, "%s holds a model already; --force replaces it",
			       dir);
	case OTHER:
		break;
	}
	return err_set(e, ERR_INVALID, "%s is there and not the folder of a model; name another",
		       dir);
}

/* Put temp in the place of dir: in one step, also when dir is there. */
static int put_in_place(const char *temp, const char *dir, struct err *e)
{
	if (rmdir(dir) != 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
		return err_errno(e, "%s", dir);
	if (errno != ENOTEMPTY && errno != EEXIST)
		return path_rename(temp, dir, e);
	if (renameat2(AT_FDCWD, temp, AT_FDCWD, dir, RENAME_EXCHANGE) != 0)
		return err_errno(e, "%s: cannot be replaced in one step; remove it first", dir);
	return 0; /* temp is the old one now, for the caller to remove */
}

static int make_beside(const struct fake_spec *s, const char *dir, const char *temp,
		       fake_progress *progress, struct err *e)
{
	char *parent = path_dirname(dir);
	int rc = path_mkdirs(temp, 0755, e);

	if (rc == 0)
		rc = fake_model_write(s, temp, progress, e);
	if (rc == 0)
		rc = path_sync_tree(temp, e);
	if (rc == 0)
		rc = put_in_place(temp, dir, e);
	if (rc == 0)
		rc = path_sync(parent, e);
	free(parent);
	return rc;
}

int fake_model_make(const struct fake_spec *s, const char *dir, int force, fake_progress *progress,
		    struct err *e)
{
	struct err ignored = ERR_INIT;
	char *plain = mem_strdup(dir), *parent, *temp;
	int rc;

	for (size_t n = strlen(plain); n > 1 && plain[n - 1] == '/'; n--)
		plain[n - 1] = '\0';
	parent = path_dirname(plain);
	temp = mem_printf("%s/.%s.tmp-%d", parent, path_basename(plain), (int)getpid());
	rc = may_make(plain, force, e);
	if (rc == 0)
		rc = make_beside(s, plain, temp, progress, e);
	(void)path_remove_tree(temp, &ignored); /* half a model, or the one that was replaced */
	free(temp);
	free(parent);
	free(plain);
	return rc;
}

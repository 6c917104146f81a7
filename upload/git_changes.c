#include "upload/git_changes.h"

#include <string.h>

#include "core/path.h"
#include "upload/lfs.h"

void git_changes_init(struct git_changes *c, const struct hub_commit *commit)
{
	*c = (struct git_changes){ .commit = commit };
	buf_init(&c->content, LFS_MIN_BYTES);
}

void git_changes_release(struct git_changes *c)
{
	buf_release(&c->content);
}

size_t git_changes_count(const struct git_changes *c)
{
	return c->commit->n + c->commit->n_gone;
}

static int pointer_change(struct git_changes *c, const struct hub_file *f, struct err *e)
{
	int rc = c->check_object ? c->check_object(c->ctx, f, e) : 0;

	if (rc < 0)
		return rc;
	lfs_pointer_write(&c->content, f->sha256, f->size_bytes);
	return 0;
}

static int plain_change(struct git_changes *c, const struct hub_file *f, struct err *e)
{
	uint8_t sha256[SHA256_LEN];
	int rc;

	if (f->size_bytes >= LFS_MIN_BYTES)
		return err_set(e, ERR_INVALID, "%s: too large for git without LFS", f->path);
	rc = f->local ? path_read(f->local, (size_t)f->size_bytes, &c->content, e)
		      : buf_add(&c->content, f->data, (size_t)f->size_bytes);
	if (rc < 0)
		return rc;
	sha256_bytes(buf_str(&c->content), c->content.len, sha256);
	if (c->content.len != f->size_bytes || memcmp(sha256, f->sha256, SHA256_LEN) != 0)
		return err_set(e, ERR_CORRUPT,
			       "%s: the content does not have the hash it is sent under", f->path);
	return 0;
}

/* What goes comes first: a folder may stand where a file was. */
int git_changes_next(void *ctx, size_t i, struct gitrepo_change *out, struct err *e)
{
	struct git_changes *c = ctx;
	const struct hub_commit *commit = c->commit;
	const struct hub_file *f = i < commit->n_gone ? NULL : &commit->files[i - commit->n_gone];
	int rc;

	out->path = f ? f->path : commit->gone[i];
	out->remove = !f;
	if (!hub_path_ok(out->path))
		return err_set(e, ERR_INVALID, "\"%.200s\" cannot be the name of a file here",
			       out->path);
	if (!f)
		return 0;
	buf_clear(&c->content);
	rc = f->lfs ? pointer_change(c, f, e) : plain_change(c, f, e);
	out->data = buf_str(&c->content);
	out->len = c->content.len;
	return rc;
}

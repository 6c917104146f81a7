/* upload/uploader_preview.c -- what an upload would write, without one. */
#include <string.h>

#include "upload/uploader_private.h"

static const char *own_text(const struct upload *u, const char *path)
{
	for (size_t i = 0; i < u->n_own; i++)
		if (strcmp(u->own[i].path, path) == 0)
			return u->own[i].data;
	return NULL;
}

int uploader_preview(struct store *s, struct hub *h, const char *repo,
		     const struct uploader_options *o, int published_only, struct arena *a,
		     struct uploader_own *out, struct err *e)
{
	struct uploader_result ignored = { 0 };
	struct upload u = { .store = s,
			    .hub = h,
			    .repo = repo,
			    .opt = o,
			    .res = &ignored,
			    .a = a,
			    .head = "",
			    .look = true,
			    .published_only = published_only != 0 };
	int rc = hub_repo_check(repo, e);

	if (rc >= 0)
		rc = h->ops->list(h, repo, a, &u.listing, &u.n_listing, &u.head, e);
	if (rc >= 0)
		rc = up_plan_load(&u, e);
	if (rc >= 0)
		rc = up_plan_resolve(&u, e);
	if (rc >= 0)
		rc = up_make_own(&u, e);
	if (rc < 0)
		return rc;
	*out = (struct uploader_own){ own_text(&u, UP_README), own_text(&u, UP_MANIFEST) };
	return 0;
}

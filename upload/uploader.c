/* upload/uploader.c -- the steps of an upload, each safe to repeat:
 *
 *   recover -> load -> list -> check files -> take -> check the card -> prepare
 *           -> put objects -> commit -> list again and compare -> done
 */
#include "upload/uploader.h"

#include <stdio.h>
#include <string.h>

#include "core/crash.h"
#include "upload/uploader_private.h"

/* Another writer may move the branch between our listing and our commit; not for ever. */
#define CONFLICTS_MAX 5

/* Decide what is wanted, until all of it can be given and is ours. */
static int settle(struct upload *u, struct err *e)
{
	bool dropped;
	int rc;

	do {
		dropped = false;
		rc = up_plan_resolve(u, e);
		if (rc >= 0)
			rc = up_check_wanted(u, &dropped, e);
		if (rc >= 0 && !dropped)
			rc = up_take(u, &dropped, e);
	} while (rc >= 0 && dropped);
	return rc;
}

/* Ask the hub about the card before anything is sent, so that a refusal costs nothing. */
static int check_card(struct upload *u, const struct up_change *c, struct err *e)
{
	for (size_t i = 0; u->hub->ops->check_card && i < c->n; i++) {
		const struct hub_file *f = &c->files[i];

		if (strcmp(f->path, UP_README) == 0)
			return u->hub->ops->check_card(u->hub, f->data, (size_t)f->size_bytes, e);
	}
	return 0;
}

/* Make the repository. *again: it begins with a commit of the hub's own, which is kept. */
static int make_repository(struct upload *u, bool *again, struct err *e)
{
	bool is_new = !*u->head;
	int rc = u->hub->ops->create(u->hub, u->repo, u->opt->is_private, e);

	if (rc >= 0 && is_new)
		rc = up_list(u, e);
	*again |= is_new && *u->head;
	return rc;
}

/* From the listing to what is to be sent; nothing when c is empty. */
static int plan_change(struct upload *u, struct up_change *c, struct err *e)
{
	bool again;
	int rc;

	do {
		again = false;
		rc = settle(u, e);
		if (rc < 0)
			return rc;
		CRASH_POINT("upload:taken");
		rc = up_make_own(u, e);
		if (rc < 0)
			return rc;
		up_make_change(u, c);
		if (c->n + c->n_gone == 0)
			return 0;
		rc = check_card(u, c, e);
		if (rc >= 0)
			rc = make_repository(u, &again, e);
		if (rc >= 0 && !again)
			rc = up_prepare(u, &again, e);
	} while (rc >= 0 && again);
	return rc;
}

/* Plain files and objects that were there already are counted when their commit is made. */
static void count_files(struct upload *u)
{
	for (size_t i = 0; i < u->n_jobs; i++) {
		const struct up_job *j = &u->jobs[i];

		for (size_t f = 0; j->fate == UP_WANTED && f < j->n; f++) {
			const struct up_file *file = &j->files[f];

			if (file->listed || file->is_twin || (file->lfs && file->stored))
				continue;
			u->res->files_sent++;
			u->res->bytes_sent += (uint64_t)file->row.size_bytes;
		}
	}
}

static int send_change(struct upload *u, const struct up_change *c, bool *again, struct err *e)
{
	int rc = up_put_objects(u, again, e);

	if (rc < 0 || *again)
		return rc;
	CRASH_POINT("upload:before_commit");
	rc = up_commit(u, c, e);
	if (rc < 0)
		return rc;
	count_files(u);
	rc = up_confirm(u, e);
	if (rc >= 0)
		CRASH_POINT("upload:confirmed");
	return rc;
}

/* *again: what was decided does not hold any more, though nobody is to blame. */
static int publish_once(struct upload *u, bool *again, struct err *e)
{
	struct up_change c;
	int rc = up_list(u, e);

	*again = false;
	if (rc >= 0)
		rc = plan_change(u, &c, e);
	if (rc >= 0 && c.n + c.n_gone > 0)
		rc = send_change(u, &c, again, e);
	return rc;
}

static int publish(struct upload *u, struct err *e)
{
	int rc, conflicts = 0;
	bool again;

	do {
		rc = publish_once(u, &again, e);
	} while ((rc >= 0 && again) || (rc == ERR_CONFLICT && ++conflicts < CONFLICTS_MAX));
	if (rc >= 0)
		rc = up_done(u, u->head, e);
	if (rc >= 0)
		CRASH_POINT("upload:done");
	if (rc >= 0 && u->opt->drop)
		rc = up_drop(u, e);
	return rc;
}

static void count_kept(struct upload *u)
{
	for (size_t i = 0; i < u->n_jobs; i++)
		if (u->jobs[i].fate == UP_WANTED)
			u->res->files_kept += (int)u->jobs[i].n;
	u->res->files_kept -= u->res->files_sent;
}

int uploader_run(struct store *s, struct hub *h, const char *repo, const struct uploader_options *o,
		 struct uploader_result *out, struct err *e)
{
	struct uploader_result res = { 0 };
	struct upload u = { .store = s,
			    .hub = h,
			    .repo = repo,
			    .opt = o,
			    .res = &res,
			    .head = "",
			    .commit_files = h->ops->commit_files };
	int rc = hub_repo_check(repo, e);

	if (rc < 0)
		return rc;
	u.a = arena_new();
	rc = up_recover(&u, e);
	if (rc >= 0)
		rc = up_plan_load(&u, e);
	if (rc >= 0)
		rc = publish(&u, e);
	if (rc < 0) {
		up_failed(&u, e);
	} else {
		count_kept(&u);
		(void)snprintf(res.commit, sizeof(res.commit), "%s", u.head);
		(void)snprintf(res.url, sizeof(res.url), "%s", h->ops->url(h, repo, u.a));
		*out = res;
	}
	arena_free(u.a);
	return rc;
}

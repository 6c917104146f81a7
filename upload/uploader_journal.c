/* upload/uploader_journal.c -- what the store is told, in the order that makes
 * a crash harmless: a job is uploading before anything is sent, and done only
 * after the hub's listing was read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "upload/uploader_private.h"

static int move(struct upload *u, struct up_job *j, enum job_event ev, const char *cause,
		const char *message, struct err *e)
{
	struct job_move m = { .id = j->row.id,
			      .from = j->row.state,
			      .ev = ev,
			      .now_ms = clock_wall_ms(),
			      .cause = cause,
			      .message = message,
			      .run_id = u->opt->run_id };

	return store_job_move(u->store, &m, &j->row.state, e);
}

/* Close the transaction that began with store_begin(): rc decides how. */
static int finish(struct upload *u, int rc, struct err *e)
{
	if (rc >= 0)
		rc = store_commit(u->store, e);
	if (rc < 0)
		store_rollback(u->store);
	return rc;
}

int up_recover(struct upload *u, struct err *e)
{
	struct up_ids ids = { 0 };
	int rc = up_collect(u, JOB_UPLOADING, &ids, e);

	if (rc >= 0 && ids.n > 0) {
		rc = store_begin(u->store, e);
		for (size_t i = 0; rc >= 0 && i < ids.n; i++) {
			struct up_job j = { .row = { .id = ids.v[i], .state = JOB_UPLOADING } };

			rc = move(u, &j, EV_LOST, "lost", "the upload ended before it was done", e);
		}
		rc = finish(u, rc, e);
	}
	free(ids.v);
	return rc;
}

int up_gone(struct upload *u, struct up_job *j, const char *why, struct err *e)
{
	int rc = u->look ? 0 : move(u, j, EV_ARTIFACT_GONE, "artifact", why, e);

	j->fate = UP_DROPPED;
	j->taken = false;
	return rc == ERR_CONFLICT ? 0 : rc; /* somebody else has moved it: not ours any more */
}

static int note_refusal(struct upload *u, struct up_job *j, const char *cause, const char *why,
			struct err *e)
{
	int rc = store_begin(u->store, e);

	if (rc < 0)
		return rc;
	if (j->row.state == JOB_READY)
		rc = move(u, j, EV_UPLOAD, NULL, NULL, e);
	if (rc >= 0)
		rc = move(u, j, EV_UPLOAD_FAIL, cause, why, e);
	return finish(u, rc, e);
}

int up_refuse(struct upload *u, struct up_job *j, const char *cause, const char *why, struct err *e)
{
	int rc = 0;

	if (!u->look &&
	    (j->taken || (j->row.state == JOB_READY && strcmp(j->row.message, why) != 0)))
		rc = note_refusal(u, j, cause, why, e);
	j->taken = false;
	if (j->fate == UP_WANTED)
		j->fate = UP_DROPPED;
	return rc == ERR_CONFLICT ? 0 : rc;
}

static int put_row(struct upload *u, int64_t job_id, const char *path,
		   const uint8_t sha256[SHA256_LEN], int64_t size_bytes, const char *state,
		   const char *commit, const char *message, struct err *e)
{
	struct upload_row r = { .job_id = job_id,
				.hub = u->opt->hub_name,
				.repo = u->repo,
				.path = path,
				.size_bytes = size_bytes,
				.state = state,
				.commit = commit,
				.message = message,
				.changed_ms = clock_wall_ms() };

	memcpy(r.sha256, sha256, SHA256_LEN);
	return store_upload_put(u->store, &r, e);
}

static int put_file_row(struct upload *u, const struct up_job *j, const struct up_file *f,
			const char *state, const char *commit, const char *message, struct err *e)
{
	return put_row(u, j->row.id, f->path, f->row.sha256, f->row.size_bytes, state, commit,
		       message, e);
}

static int take_job(struct upload *u, struct up_job *j, bool *dropped, struct err *e)
{
	int rc = move(u, j, EV_UPLOAD, NULL, NULL, e);

	if (rc == ERR_CONFLICT) {
		j->fate = UP_DROPPED;
		*dropped = true;
		return 0;
	}
	j->taken = rc >= 0;
	for (size_t i = 0; rc >= 0 && i < j->n; i++)
		if (!j->files[i].listed && !j->files[i].is_twin)
			rc = put_file_row(u, j, &j->files[i], "pending", "", "", e);
	return rc;
}

int up_take(struct upload *u, bool *dropped, struct err *e)
{
	int rc = store_begin(u->store, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		if (j->fate == UP_WANTED && j->row.state == JOB_READY)
			rc = take_job(u, j, dropped, e);
	}
	return finish(u, rc, e);
}

int up_sent(struct upload *u, const struct up_job *j, const struct up_file *f, struct err *e)
{
	int rc = put_file_row(u, j, f, "sent", "", "", e);

	return rc < 0 || !f->parted ? rc : store_parts_clear(u->store, f->row.sha256, e);
}

/* Jobs whose place a newer one has are done as well, and say so. */
static int end_replaced(struct upload *u, struct err *e)
{
	char why[512];

	for (size_t i = 0; i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];
		int rc;

		if (j->fate != UP_REPLACED || strcmp(j->row.cause, JOB_CAUSE_REPLACED) == 0)
			continue;
		(void)snprintf(why, sizeof(why),
			       "job %lld (%.100s) writes the same file name and was published in "
			       "its place; upload.file can tell two variants apart",
			       (long long)j->by->row.id, j->by->row.label);
		rc = move(u, j, EV_REPLACED, JOB_CAUSE_REPLACED, why, e);
		if (rc < 0 &&
		    rc != ERR_CONFLICT) /* else somebody has moved it: not ours any more */
			return rc;
	}
	return 0;
}

static int keep_blob(struct upload *u, struct up_file *f, struct err *e)
{
	if (!*f->blob || f->blob_kept)
		return 0;
	f->blob_kept = true;
	return store_blob_put(u->store, f->row.sha256, f->blob, e);
}

static int file_done(struct upload *u, const struct up_job *j, struct up_file *f,
		     const char *commit, struct err *e)
{
	int rc = keep_blob(u, f, e);

	return rc < 0 || f->is_twin ? rc : put_file_row(u, j, f, "done", commit, "", e);
}

int up_done(struct upload *u, const char *commit, struct err *e)
{
	int rc = store_begin(u->store, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc >= 0 && i < u->n_own; i++)
		rc = put_row(u, 0, u->own[i].path, u->own[i].sha256, (int64_t)u->own[i].size_bytes,
			     "done", commit, "", e);
	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		if (j->fate != UP_WANTED)
			continue;
		for (size_t f = 0; rc >= 0 && f < j->n; f++)
			rc = file_done(u, j, &j->files[f], commit, e);
		if (rc >= 0 && j->taken)
			rc = move(u, j, EV_UPLOADED, NULL,
				  j->n ? NULL : "upload.exclude leaves nothing to publish", e);
	}
	if (rc >= 0)
		rc = end_replaced(u, e);
	return finish(u, rc, e);
}

/* Content that the hub has by now stays "sent". */
static int fail_job(struct upload *u, struct up_job *j, const struct err *why, struct err *e)
{
	int rc = move(u, j, EV_UPLOAD_FAIL, err_name(why->code), why->msg, e);

	for (size_t i = 0; rc >= 0 && i < j->n; i++)
		if (!j->files[i].listed && !j->files[i].stored && !j->files[i].is_twin)
			rc = put_file_row(u, j, &j->files[i], "failed", "", why->msg, e);
	return rc;
}

void up_failed(struct upload *u, const struct err *why)
{
	struct err e =
		ERR_INIT; /* the caller reports why; this one leaves the jobs to up_recover() */
	int rc = store_begin(u->store, &e);

	if (rc < 0)
		return;
	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++)
		if (u->jobs[i].taken)
			rc = fail_job(u, &u->jobs[i], why, &e);
	rc = finish(u, rc, &e);
	for (size_t i = 0; rc >= 0 && i < u->n_jobs; i++)
		if (!u->jobs[i].taken && u->jobs[i].fate == UP_WANTED)
			rc = up_refuse(u, &u->jobs[i], err_name(why->code), why->msg, &e);
}

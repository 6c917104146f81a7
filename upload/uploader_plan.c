/* upload/uploader_plan.c -- what the store says the repository should hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/units.h"
#include "db/facts.h"
#include "upload/lfs.h"
#include "upload/uploader_private.h"

#define FILES_FIRST 16
#define KEY_DIGITS 8
#define NAME_BUF_MAX 1024 /* its parts are names of at most 96 bytes */
#define FILES_MAX 100000  /* files a hub takes in one repository */

/* ---- loading */

static int collect_id(void *ctx, const struct job_row *row, struct err *e)
{
	struct up_ids *l = ctx;

	(void)e;
	MEM_GROW(l->v, l->n, l->cap);
	l->v[l->n++] = row->id;
	return 0;
}

int up_collect(struct upload *u, enum job_state state, struct up_ids *l, struct err *e)
{
	struct job_filter f = { .state = (int)state, .repo = u->repo };

	return store_job_each(u->store, &f, collect_id, l, e);
}

/* All artifact rows of a job; the store fills an array of a given size. */
static int load_rows(struct upload *u, int64_t job_id, struct artifact_row **rows, int *n,
		     struct err *e)
{
	for (int room = FILES_FIRST; room <= FILES_MAX; room *= 4) {
		struct artifact_row *v = arena_array(u->a, (size_t)room, sizeof(*v));
		int count = store_artifacts(u->store, job_id, u->a, v, room, e);

		if (count < 0)
			return count;
		if (count < room) {
			*rows = v;
			*n = count;
			return 0;
		}
	}
	return err_set(e, ERR_NOSPACE, "job %lld has more files than a repository takes",
		       (long long)job_id);
}

/* What a worker leaves for its next conversions: caches of a quantization, calibration data, and
 * pickles, which may run anything where they are loaded. It stays in the artifact. */
static const char *const never_published[] = { "*.qparams", "data_quant.json", "*.pkl",
					       "*.pickle" };

static bool is_excluded(const struct upload *u, const char *name)
{
	const char *slash = strrchr(name, '/');

	for (size_t i = 0; i < ARRAY_LEN(never_published); i++)
		if (glob_match(never_published[i], slash ? slash + 1 : name))
			return true;
	for (size_t i = 0; i < u->opt->n_exclude; i++) {
		const char *pattern = u->opt->exclude[i];

		if (glob_match(pattern, name) || (slash && glob_match(pattern, slash + 1)))
			return true;
	}
	return false;
}

/* MODEL[-PLATFORM][-QUANT][-opt-N][-hybrid-ratio-R]-KEY of what is confirmed: a name that needs no
 * template, and that no other variant has. */
static const char *confirmed_name(struct upload *u, const struct job_row *job, unsigned sure)
{
	const struct job_spec *s = &job->spec;
	char hex[SHA256_HEX], hybrid[32];
	const char *name;
	struct buf b;

	buf_init(&b, NAME_BUF_MAX);
	buf_adds(&b, s->model);
	if (s->platform[0] && (sure & JOB_PARAM_PLATFORM))
		buf_addf(&b, "-%s", s->platform);
	if (sure & JOB_PARAM_QUANT)
		buf_addf(&b, "-%s", s->quant);
	if (s->opt && (sure & JOB_PARAM_OPT))
		buf_addf(&b, "-opt-%d", s->opt);
	json_format_number(s->hybrid, hybrid);
	if (s->hybrid != 0 && (sure & JOB_PARAM_HYBRID))
		buf_addf(&b, "-hybrid-ratio-%s", hybrid);
	hex_encode(job->key, SHA256_LEN, hex);
	buf_addf(&b, "-%.*s", KEY_DIGITS, hex);
	name = arena_strdup(u->a, buf_str(&b));
	buf_release(&b);
	return name;
}

/* The variant's name in the repository: that of the template when all that it says is confirmed. */
static const char *published_name(struct upload *u, const struct job_row *job, unsigned sure)
{
	return job->file_params & ~sure ? confirmed_name(u, job, sure) : job->file;
}

/* A file that carries the variant's name stands in the root; the others, like a config.json of
 * which every variant has one, in a folder of the variant's name, or all once in the root:
 * uploader_companions.c. */
static const char *repo_path(struct upload *u, const struct up_job *j, const char *name)
{
	size_t n = strlen(j->row.file);

	if (n == 0)
		return name;
	if (strncmp(name, j->row.file, n) == 0)
		return arena_printf(u->a, "%s%s", j->name, name + n);
	return arena_printf(u->a, "%s/%s", j->name, name);
}

static bool is_own_name(const char *path)
{
	return strcasecmp(path, UP_README) == 0 || strcasecmp(path, UP_MANIFEST) == 0 ||
	       strcasecmp(path, UP_ATTRIBUTES) == 0;
}

static void add_file(struct upload *u, struct up_job *j, const struct artifact_row *row)
{
	struct up_file *f = &j->files[j->n++];
	char hex[SHA256_HEX];

	hex_encode(j->row.key, SHA256_LEN, hex);
	f->row = *row;
	f->path = f->own = repo_path(u, j, row->name);
	f->local = arena_printf(u->a, "%s/artifacts/%s/%s", u->opt->work, hex, row->name);
	f->lfs = lfs_wanted(f->path, (uint64_t)row->size_bytes);
}

static int check_paths(struct upload *u, struct up_job *j, struct err *e)
{
	char why[512];

	for (size_t i = 0; j->fate != UP_DROPPED && i < j->n; i++) {
		const char *path = j->files[i].path;

		if (hub_path_ok(path) && !is_own_name(path))
			continue;
		(void)snprintf(why, sizeof(why),
			       "\"%.300s\" cannot be the name of a published file", path);
		return up_refuse(u, j, "name", why, e);
	}
	return 0;
}

/* What the worker and its files confirm decides on the names. */
static int name_job(struct upload *u, struct up_job *j, const char *text, struct err *e)
{
	struct facts f;
	unsigned sure;

	if (facts_parse(u->a, text, &f, e) < 0)
		return err_wrap(e, "facts of job %lld", (long long)j->row.id);
	sure = facts_confirmed(&f, &j->row.spec);
	j->name = published_name(u, &j->row, sure);
	if (!(j->row.repo_params & ~sure))
		return 0;
	return up_refuse(u, j, "unconfirmed",
			 "the name of the repository says a parameter that the worker did not "
			 "confirm; take it out of upload.repo",
			 e);
}

static int load_job(struct upload *u, int64_t id, struct up_job *j, struct err *e)
{
	struct artifact_row *rows = NULL;
	int n = 0, rc = store_job_get(u->store, id, u->a, &j->row, e);

	if (rc >= 0)
		rc = load_rows(u, id, &rows, &n, e);
	if (rc < 0)
		return rc;
	if (n == 0 && j->row.state == JOB_READY)
		return up_gone(u, j, "there is no record of verified files", e);
	if (n == 0) {
		j->fate = UP_DROPPED; /* done, and cleaned up since */
		return 0;
	}
	rc = name_job(u, j, rows[0].facts, e);
	if (rc < 0)
		return rc;
	j->files = arena_array(u->a, (size_t)n, sizeof(*j->files));
	for (int i = 0; i < n; i++)
		if (!is_excluded(u, rows[i].name))
			add_file(u, j, &rows[i]);
	up_find_companions(j);
	return check_paths(u, j, e);
}

static int newer_first(const void *x, const void *y)
{
	const struct up_job *a = x, *b = y;

	if (a->row.run_id != b->row.run_id)
		return a->row.run_id > b->row.run_id ? -1 : 1;
	return (a->row.id < b->row.id) - (a->row.id > b->row.id);
}

/* A path that a file may have, and where its number goes. */
struct place {
	const char *path;
	size_t *group;
};

static int path_compare(const void *x, const void *y)
{
	return strcmp(((const struct place *)x)->path, ((const struct place *)y)->path);
}

/* Number the paths, so that files of several jobs with one path are found without searching. */
static void group_paths(struct upload *u)
{
	struct place *all;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < u->n_jobs; i++)
		n += 2 * u->jobs[i].n;
	u->n_groups = 0;
	if (n == 0)
		return;
	all = mem_array(n, sizeof(*all));
	for (size_t i = 0; i < u->n_jobs; i++) {
		for (size_t k = 0; k < u->jobs[i].n; k++) {
			struct up_file *f = &u->jobs[i].files[k];

			all[at++] = (struct place){ f->own, &f->own_group };
			if (f->shared)
				all[at++] = (struct place){ f->shared, &f->shared_group };
		}
	}
	qsort(all, at, sizeof(*all), path_compare);
	for (size_t i = 0; i < at; i++) {
		if (i > 0 && strcmp(all[i].path, all[i - 1].path) != 0)
			u->n_groups++;
		*all[i].group = u->n_groups;
	}
	u->n_groups++;
	free(all);
}

/* What a measurement holds, or what waits for one, is not ready to be published. */
static int leave_out_held(struct upload *u, struct up_ids *ids, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		int rc = store_job_is_held(u->store, ids->v[i], e);

		if (rc < 0)
			return rc;
		if (rc == 0)
			ids->v[n++] = ids->v[i];
	}
	ids->n = n;
	return 0;
}

int up_plan_load(struct upload *u, struct err *e)
{
	struct up_ids ids = { 0 };
	int rc = u->published_only ? 0 : up_collect(u, JOB_READY, &ids, e);

	if (rc >= 0)
		rc = leave_out_held(u, &ids, e);

	if (rc >= 0)
		rc = up_collect(u, JOB_DONE, &ids, e);
	u->jobs = arena_array(u->a, ids.n, sizeof(*u->jobs));
	for (size_t i = 0; rc >= 0 && i < ids.n; i++) {
		rc = load_job(u, ids.v[i], &u->jobs[i], e);
		u->n_jobs++;
	}
	free(ids.v);
	if (rc < 0)
		return rc;
	if (u->n_jobs)
		qsort(u->jobs, u->n_jobs, sizeof(*u->jobs), newer_first);
	group_paths(u);
	u->owners = arena_array(u->a, u->n_groups, sizeof(struct up_job *));
	u->root = arena_array(u->a, u->n_groups, sizeof(struct up_file *));
	return store_uploads(u->store, u->opt->hub_name, u->repo, u->a, &u->rows, &u->n_rows, e);
}

/* ---- who wins */

static struct up_job *owner_of(const struct up_job *j, struct up_job *const *owners)
{
	for (size_t i = 0; i < j->n; i++)
		if (owners[j->files[i].own_group])
			return owners[j->files[i].own_group];
	return NULL;
}

/* A variant is replaced as a whole: its other files would be parts of nothing. */
int up_plan_resolve(struct upload *u, struct err *e)
{
	memset(u->owners, 0, u->n_groups * sizeof(struct up_job *));
	for (size_t i = 0; i < u->n_jobs; i++) {
		struct up_job *j = &u->jobs[i];

		if (j->fate == UP_DROPPED)
			continue;
		j->by = owner_of(j, u->owners);
		j->fate = j->by ? UP_REPLACED : UP_WANTED;
		for (size_t f = 0; !j->by && f < j->n; f++)
			u->owners[j->files[f].own_group] = j;
	}
	return up_place_companions(u, e);
}

/* ---- the listing */

static int listing_compare(const void *key, const void *element)
{
	return strcmp(key, ((const struct hub_file *)element)->path);
}

const struct hub_file *up_listed(const struct upload *u, const char *path)
{
	if (u->n_listing == 0)
		return NULL;
	return bsearch(path, u->listing, u->n_listing, sizeof(*u->listing), listing_compare);
}

bool up_is_listed(const struct upload *u, const char *path, const uint8_t sha256[SHA256_LEN],
		  const char *blob)
{
	const struct hub_file *f = up_listed(u, path);

	if (!f)
		return false;
	if (f->blob)
		return *blob && strcmp(f->blob, blob) == 0;
	return memcmp(f->sha256, sha256, SHA256_LEN) == 0;
}

bool up_file_is_listed(const struct upload *u, const struct up_file *f)
{
	return up_is_listed(u, f->path, f->row.sha256, f->blob);
}

bool up_own_is_listed(const struct upload *u, size_t i)
{
	return up_is_listed(u, u->own[i].path, u->own[i].sha256, u->own_blob[i]);
}

/* tests/sim/model.c -- what must hold, said without a word of how quern does it: the points of a
 * matrix by plain loops, the end of each job by its fate alone. It reads a copy of the store with
 * SQLite itself, so that no crash is tidied up by looking. */
#include <dirent.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/path.h"
#include "sim.h"

/* ---- the matrix */

static const double hybrids[] = { 0, 0.25, 0.5 };

void matrix_make(struct rng *r, struct sim_matrix *m)
{
	*m = (struct sim_matrix){ .n_models = 1 + (int)rng_below(r, 3),
				  .n_quants = 1 + (int)rng_below(r, 3),
				  .n_opts = 1 + (int)rng_below(r, 3),
				  .n_hybrids = 1 + (int)rng_below(r, 3),
				  .excluded_quant = -1,
				  .excluded_opt = -1 };
	if (rng_once_in(r, 2)) {
		m->excluded_quant = (int)rng_below(r, (uint32_t)m->n_quants);
		m->excluded_opt = (int)rng_below(r, (uint32_t)m->n_opts);
	}
}

void matrix_grow(struct rng *r, struct sim_matrix *m)
{
	int *sizes[] = { &m->n_models, &m->n_quants, &m->n_opts, &m->n_hybrids };
	int *which = sizes[rng_below(r, 4)];

	*which += *which < 3;
}

static bool is_excluded(const struct sim_matrix *m, int quant, int opt)
{
	return quant == m->excluded_quant && opt == m->excluded_opt;
}

int matrix_points(const struct sim_matrix *m)
{
	int n = 0;

	for (int model = 0; model < m->n_models; model++)
		for (int quant = 0; quant < m->n_quants; quant++)
			for (int opt = 0; opt < m->n_opts; opt++)
				for (int hybrid = 0; hybrid < m->n_hybrids; hybrid++)
					n += !is_excluded(m, quant, opt);
	return n;
}

static void put_file(const char *dir, const char *name, const char *text, size_t len)
{
	char *path = path_join(dir, name), *parent = path_dirname(path);
	struct err e = ERR_INIT;

	if (path_mkdirs(parent, 0755, &e) < 0 || path_write(path, text, len, 0644, &e) < 0)
		sim_wrong("%s: %s", path, e.msg);
	free(parent);
	free(path);
}

/* The smallest thing that is a model: one matrix of 2 x 2. */
static void write_model(const char *dir, int n)
{
	static const char header[] =
		"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}";
	char file[8 + sizeof(header) - 1 + 16], name[64];

	memset(file, 'a' + n, sizeof(file));
	memset(file, 0, 8);
	file[0] = (char)(sizeof(header) - 1);
	memcpy(file + 8, header, sizeof(header) - 1);
	snprintf(name, sizeof(name), "m%d/model.safetensors", n);
	put_file(dir, name, file, sizeof(file));
	snprintf(name, sizeof(name), "m%d/config.json", n);
	put_file(dir, name, "{\"architectures\":[\"X\"],\"model_type\":\"x\"}",
		 strlen("{\"architectures\":[\"X\"],\"model_type\":\"x\"}"));
}

void matrix_write(const struct sim_matrix *m, const char *dir, int slots)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	buf_addf(&b, "version: 1\nname: sim\nwork: work\nmodels:\n");
	for (int i = 0; i < m->n_models; i++) {
		write_model(dir, i);
		buf_addf(&b, "  - {path: m%d}\n", i);
	}
	buf_addf(&b, "targets:\n  - engine: sim\n    quant: [");
	for (int i = 0; i < m->n_quants; i++)
		buf_addf(&b, "%sq%d", i ? ", " : "", i);
	buf_addf(&b, "]\n    opt: [");
	for (int i = 0; i < m->n_opts; i++)
		buf_addf(&b, "%s%d", i ? ", " : "", i);
	buf_addf(&b, "]\n    hybrid: [");
	for (int i = 0; i < m->n_hybrids; i++)
		buf_addf(&b, "%s%g", i ? ", " : "", hybrids[i]);
	buf_addf(&b, "]\n");
	if (m->excluded_quant >= 0)
		buf_addf(&b, "exclude:\n  - {quant: q%d, opt: %d}\n", m->excluded_quant,
			 m->excluded_opt);
	buf_addf(
		&b,
		"resources: {jobs: %d, memory: 1GiB, disk_reserve: 1MiB, timeout: 20s, grace: 1s}\n"
		"retry: {attempts: %d, backoff: 1s}\n",
		slots, SIM_ATTEMPTS);
	put_file(dir, "jobs.yaml", buf_str(&b), b.len);
	buf_release(&b);
	put_file(dir, "engines/sim.yaml",
		 "manifest: 1\nname: sim\nversion: 1.0.0\nsummary: simulated\nprogram: /bin/true\n"
		 "network: false\nformats: {in: [safetensors], out: sim}\nextension: .sim\n"
		 "verbs: [convert, validate]\nquant: {q0: 8, q1: 8, q2: 8}\n"
		 "hybrid: {min: 0, max: 1}\nopt: [0, 1, 2]\nmemory: {base: 100MiB}\n"
		 "output: {vector_bits: 8}\n",
		 strlen("manifest: 1\nname: sim\nversion: 1.0.0\nsummary: simulated\nprogram: "
			"/bin/true\n"
			"network: false\nformats: {in: [safetensors], out: sim}\nextension: .sim\n"
			"verbs: [convert, validate]\nquant: {q0: 8, q1: 8, q2: 8}\n"
			"hybrid: {min: 0, max: 1}\nopt: [0, 1, 2]\nmemory: {base: 100MiB}\n"
			"output: {vector_bits: 8}\n"));
}

/* ---- the store */

static void copy_if_there(const char *from_dir, const char *to_dir, const char *name)
{
	char *from = path_join(from_dir, name), *to = path_join(to_dir, name);
	struct stat st;
	struct err e = ERR_INIT;

	if (stat(from, &st) == 0 && path_copy(from, to, 0644, &e) < 0)
		sim_wrong("%s", e.msg);
	free(from);
	free(to);
}

static sqlite3 *open_copy(const char *dir)
{
	char *work = path_join(dir, "work"), *look = path_join(dir, "look"),
	     *db = path_join(look, "state.db");
	sqlite3 *out = NULL;
	struct err e = ERR_INIT;
	struct stat st;

	(void)path_remove_tree(look, &e);
	if (path_mkdirs(look, 0755, &e) < 0)
		sim_wrong("%s", e.msg);
	copy_if_there(work, look, "state.db");
	copy_if_there(work, look, "state.db-wal");
	copy_if_there(work, look, "state.db-journal");
	if (stat(db, &st) == 0 && sqlite3_open(db, &out) != SQLITE_OK)
		sim_wrong("the store cannot be opened: %s", sqlite3_errmsg(out));
	free(work);
	free(look);
	free(db);
	return out;
}

/* Calls row for each; a store without tables yet has none. */
static void each(sqlite3 *db, const char *sql, void (*row)(sqlite3_stmt *s, void *ctx), void *ctx)
{
	sqlite3_stmt *s;
	int rc;

	if (!db || sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		return;
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		row(s, ctx);
	if (rc != SQLITE_DONE)
		sim_wrong("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_finalize(s);
}

static const char *text(sqlite3_stmt *s, int column)
{
	const char *t = (const char *)sqlite3_column_text(s, column);

	return t ? t : "";
}

static void first_number(sqlite3_stmt *s, void *ctx)
{
	*(int64_t *)ctx = sqlite3_column_int64(s, 0);
}

static int64_t number(sqlite3 *db, const char *sql)
{
	int64_t n = 0;

	each(db, sql, first_number, &n);
	return n;
}

static void integrity(sqlite3_stmt *s, void *ctx)
{
	(void)ctx;
	if (strcmp(text(s, 0), "ok") != 0)
		sim_wrong("the store is damaged: %s", text(s, 0));
}

/* SQL that counts what must not be. */
static const struct {
	const char *what, *sql;
} never[] = {
	{ "jobs of one key",
	  "SELECT count(*) FROM (SELECT 1 FROM job GROUP BY key HAVING count(*) > 1)" },
	{ "events that do not begin where the one before ended",
	  "SELECT count(*) FROM (SELECT from_state AS f, lag(to_state) OVER (PARTITION BY job_id "
	  "ORDER BY "
	  "id) AS before FROM event) WHERE before IS NOT NULL AND before <> f" },
	{ "jobs whose state is not that of their last event",
	  "SELECT count(*) FROM job WHERE state <> coalesce((SELECT to_state FROM event WHERE "
	  "job_id = "
	  "job.id ORDER BY id DESC LIMIT 1), 0)" },
	{ "attempts of one number", "SELECT count(*) FROM (SELECT 1 FROM attempt GROUP BY job_id, "
				    "number HAVING count(*) > 1)" },
	{ "jobs that count more attempts than they had tries",
	  "SELECT count(*) FROM job WHERE attempts > tries" },
	{ "ready jobs without an artifact", "SELECT count(*) FROM job WHERE state IN (3, 4, 5) AND "
					    "NOT EXISTS (SELECT 1 FROM artifact WHERE "
					    "job_id = job.id)" },
};

/* ---- artifacts: what has its final name is complete and right */

static void check_artifact(const char *dir, const char *key)
{
	char *folder = path_join(dir, key), *path;
	DIR *d = opendir(folder);
	char want[SIM_KEY + 32];
	struct err e = ERR_INIT;
	struct dirent *de;
	int n = 0;

	snprintf(want, sizeof(want), "simulated output of %s\n", key);
	while (d && (de = readdir(d))) {
		struct buf b;

		if (de->d_name[0] == '.')
			continue;
		n++;
		path = path_join(folder, de->d_name);
		buf_init(&b, 4096);
		if (path_read(path, 4096, &b, &e) < 0 || strcmp(buf_str(&b), want) != 0)
			sim_wrong("%s has its final name and a wrong content", path);
		buf_release(&b);
		free(path);
	}
	if (d)
		closedir(d);
	if (n != 1)
		sim_wrong("artifact %s has %d files", key, n);
	free(folder);
}

static void check_artifacts(const char *dir)
{
	char *artifacts = mem_printf("%s/work/artifacts", dir);
	DIR *d = opendir(artifacts);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		if (de->d_name[0] != '.')
			check_artifact(artifacts, de->d_name);
	}
	if (d)
		closedir(d);
	free(artifacts);
}

void model_check_always(const char *dir)
{
	sqlite3 *db = open_copy(dir);

	each(db, "PRAGMA integrity_check", integrity, NULL);
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		int64_t n = number(db, never[i].sql);

		if (n)
			sim_wrong("%lld %s", (long long)n, never[i].what);
	}
	sqlite3_close(db);
	check_artifacts(dir);
}

/* ---- the end */

struct ending {
	const int64_t *cancelled;
	int n_cancelled;
};

static bool is_cancelled(const struct ending *x, int64_t id)
{
	for (int i = 0; i < x->n_cancelled; i++) {
		if (x->cancelled[i] == id)
			return true;
	}
	return false;
}

/* Must this job end well, and if not, for what? */
static const char *cause_of(enum fate fate)
{
	switch (fate) {
	case FATE_REFUSES:
		return "refused";
	case FATE_CRASHES:
		return "crash";
	case FATE_HANGS:
	case FATE_STUBBORN:
		return "timeout";
	case FATE_LIES:
	case FATE_INVALID:
		return "bad output";
	default:
		return "";
	}
}

static void check_job(sqlite3_stmt *s, void *ctx)
{
	const struct ending *x = ctx;
	const char *state = text(s, 1), *cause = text(s, 2), *key = text(s, 3), *want;
	int64_t attempts = sqlite3_column_int64(s, 4);
	enum fate fate = sim_fate(world->seed, key);

	if (is_cancelled(x, sqlite3_column_int64(s, 0))) {
		if (strcmp(state, "cancelled") != 0)
			sim_wrong("%s was cancelled, and is %s", key, state);
		return;
	}
	want = cause_of(fate);
	if (strcmp(state, want[0] ? "failed" : "ready") != 0)
		sim_wrong("%s (fate %d) is %s (%s)", key, (int)fate, state, cause);
	else if (want[0] && strcmp(cause, want) != 0)
		sim_wrong("%s failed for %s, and it was %s", key, cause, want);
	else if (want[0] && fate != FATE_REFUSES && attempts != SIM_ATTEMPTS)
		sim_wrong("%s was given up after %lld attempts", key, (long long)attempts);
}

void model_check_end(const char *dir, const struct sim_matrix *m, const int64_t *cancelled,
		     int n_cancelled)
{
	struct ending x = { cancelled, n_cancelled };
	sqlite3 *db = open_copy(dir);
	int64_t n = number(db, "SELECT count(*) FROM job WHERE run_id = (SELECT max(id) FROM run)");

	if (n != matrix_points(m))
		sim_wrong("the matrix has %d points, and the store %lld jobs of it",
			  matrix_points(m), (long long)n);
	n = number(db, "SELECT count(*) FROM job WHERE state IN (1, 2, 4)");
	if (n)
		sim_wrong("%lld jobs are still in work when the run has ended", (long long)n);
	n = number(db, "SELECT count(*) FROM attempt WHERE ended_ms IS NULL");
	if (n)
		sim_wrong("%lld attempts never ended", (long long)n);
	each(db,
	     "SELECT job.id, state.name, job.cause, lower(hex(key)), attempts FROM job JOIN state "
	     "ON "
	     "state.id = job.state WHERE run_id = (SELECT max(id) FROM run)",
	     check_job, &x);
	sqlite3_close(db);
	for (int i = 0; i < world->n_workers; i++) {
		if (world->workers[i].live)
			sim_wrong("the run has ended, and a worker of %s lives",
				  world->keys[world->workers[i].key].hex);
	}
}

int64_t model_some_job(const char *dir, struct rng *r)
{
	sqlite3 *db = open_copy(dir);
	int64_t n = number(db, "SELECT count(*) FROM job");

	sqlite3_close(db);
	return n ? 1 + (int64_t)rng_below(r, (uint32_t)n) : 0;
}

bool model_cancelled(const char *dir, int64_t id)
{
	sqlite3 *db = open_copy(dir);
	char *sql =
		mem_printf("SELECT count(*) FROM job WHERE state = 7 AND id = %lld", (long long)id);
	int64_t n = number(db, sql);

	free(sql);
	sqlite3_close(db);
	return n == 1;
}

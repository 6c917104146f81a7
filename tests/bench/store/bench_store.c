/* bench_store: time and memory of the store with many jobs.
 *
 * usage: bench_store FOLDER [JOBS]
 *
 * Makes FOLDER/bench.db new (an old one is deleted) and prints one line a step: what, how many,
 * seconds, rate; and the peak memory so far. A plan of a million jobs is `add` (keys included), the
 * same plan the next night is `add again`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "db/store.h"

#define COMMIT_EVERY 100000 /* about what a plan adds in the second between its commits */
#define MOVES 20000

struct bench {
	struct store *store;
	int64_t jobs, start_ms;
	int64_t run_id;
};

static void die(const struct err *e)
{
	(void)fprintf(stderr, "bench_store: %s\n", e->msg);
	exit(1);
}

static void report(struct bench *b, const char *what, int64_t n)
{
	double seconds = (double)(clock_mono_ms() - b->start_ms) / 1000;

	printf("%-12s %9lld  %8.3f s  %10.0f /s  peak %4.0f MiB\n", what, (long long)n, seconds,
	       seconds > 0 ? (double)n / seconds : 0.0,
	       (double)proc_peak_rss(getpid()) / (1 << 20));
	(void)fflush(stdout);
	b->start_ms = clock_mono_ms();
}

/* The Nth point of a matrix of 1,000 variants a model, in the order in which a plan makes them. */
struct point {
	struct job_spec spec;
	char model[48], source[64], version[48], with[40], label[160], repo[96], file[128];
};

static void make_point(int64_t n, struct point *p)
{
	static const char *const quants[] = { "Q8_0",	"Q4_0",	  "Q4_K_M", "Q5_K_M", "Q6_K",
					      "Q3_K_S", "IQ4_XS", "F16",    "BF16",   "Q2_K" };
	int64_t model = n / 1000, variant = n % 1000;

	(void)snprintf(p->model, sizeof(p->model), "Model-%lld-0.5B-Instruct", (long long)model);
	(void)snprintf(p->source, sizeof(p->source), "some-org/%s", p->model);
	(void)snprintf(p->version, sizeof(p->version), "%040llx", (unsigned long long)model);
	(void)snprintf(p->with, sizeof(p->with), "{\"max_context\":%d}", 4096);
	p->spec = (struct job_spec){ .model = p->model,
				     .engine = "gguf",
				     .engine_version = "1.0.0",
				     .source_kind = "hub",
				     .source = p->source,
				     .source_version = p->version,
				     .platform = "",
				     .quant = quants[variant / 100],
				     .hybrid = (double)(variant % 50) / 50,
				     .opt = (int)(variant / 50 % 2),
				     .with = p->with };
	job_label(&p->spec, p->label, sizeof(p->label));
	(void)snprintf(p->repo, sizeof(p->repo), "my-org/%s", p->model);
	(void)snprintf(p->file, sizeof(p->file), "%s-%s-opt-%d-hybrid-ratio-%g", p->model,
		       p->spec.quant, p->spec.opt, p->spec.hybrid);
}

static void add_all(struct bench *b, enum job_added expected)
{
	struct err e = ERR_INIT;
	struct buf scratch;
	struct point p;
	uint8_t key[SHA256_LEN];
	enum job_added how;
	int64_t id;

	if (store_run_begin(b->store, "bench", "jobs.yaml", clock_wall_ms(), &b->run_id, &e) < 0)
		die(&e);
	buf_init(&scratch, 1 << 16);
	for (int64_t n = 0; n < b->jobs; n++) {
		if (n % COMMIT_EVERY == 0 && n > 0 && store_commit(b->store, &e) < 0)
			die(&e);
		if (n % COMMIT_EVERY == 0 && store_begin(b->store, &e) < 0)
			die(&e);
		make_point(n, &p);
		job_key(&p.spec, &scratch, key);
		struct job_new j = { .spec = p.spec,
				     .key = key,
				     .label = p.label,
				     .repo = p.repo,
				     .file = p.file,
				     .memory_bytes = 400 << 20,
				     .output_bytes = 500 << 20,
				     .scratch_bytes = 0 };
		if (store_job_add(b->store, &j, b->run_id, 1700000000000, &how, &id, NULL, &e) < 0)
			die(&e);
		if (how != expected) {
			(void)fprintf(stderr, "bench_store: job %lld was added as %d, not %d\n",
				      (long long)id, how, expected);
			exit(1);
		}
	}
	if (store_commit(b->store, &e) < 0)
		die(&e);
	buf_release(&scratch);
}

/* What of `add` is not the store: the points themselves and their keys. */
static void make_keys(struct bench *b)
{
	struct buf scratch;
	struct point p;
	uint8_t key[SHA256_LEN];

	buf_init(&scratch, 1 << 16);
	for (int64_t n = 0; n < b->jobs; n++) {
		make_point(n, &p);
		job_key(&p.spec, &scratch, key);
	}
	buf_release(&scratch);
}

static void count(struct bench *b)
{
	int64_t counts[JOB_STATE_COUNT];
	struct err e = ERR_INIT;

	if (store_job_counts(b->store, b->run_id, counts, &e) < 0)
		die(&e);
}

/* What a scheduler does for each job, one commit a step. */
static void claim_many(struct bench *b, int n)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct job_row row;
	struct job_move m;
	int64_t attempt, next;

	for (int i = 0; i < n; i++) {
		arena_reset(a);
		if (store_job_candidates(b->store, b->run_id, 1700000000000, 0, 1, a, &row, &next,
					 &e) < 0)
			die(&e);
		m = (struct job_move){ .id = row.id,
				       .from = JOB_PENDING,
				       .ev = EV_CLAIM,
				       .now_ms = i,
				       .run_id = b->run_id };
		if (store_begin(b->store, &e) < 0 || store_job_move(b->store, &m, NULL, &e) < 0 ||
		    store_attempt_begin(b->store, row.id, row.tries + 1, b->run_id, i, &attempt,
					&e) < 0 ||
		    store_commit(b->store, &e) < 0)
			die(&e);
	}
	arena_free(a);
}

static int count_row(void *ctx, const struct job_row *row, struct err *e)
{
	(void)row;
	(void)e;
	++*(int64_t *)ctx;
	return 0;
}

static int64_t walk(struct bench *b, int state)
{
	struct job_filter f = { .run_id = b->run_id, .state = state };
	struct err e = ERR_INIT;
	int64_t n = 0;

	if (store_job_each(b->store, &f, count_row, &n, &e) < 0)
		die(&e);
	return n;
}

int main(int argc, char **argv)
{
	struct bench b = { .jobs = argc > 2 ? atoll(argv[2]) : 1000000 };
	struct err e = ERR_INIT;
	char *path, *wal;
	struct stat st;

	if (argc < 2 || b.jobs < 1) {
		(void)fprintf(stderr, "usage: bench_store FOLDER [JOBS]\n");
		return 2;
	}
	path = path_join(argv[1], "bench.db");
	wal = path_join(argv[1], "bench.db-wal");
	(void)unlink(path);
	(void)unlink(wal);
	b.start_ms = clock_mono_ms();
	if (store_open(path, 0, &b.store, &e) < 0)
		die(&e);
	report(&b, "open", 1);
	make_keys(&b);
	report(&b, "points, keys", b.jobs);
	add_all(&b, JOB_ADDED_NEW);
	report(&b, "add", b.jobs);
	if (stat(path, &st) == 0)
		printf("%-12s %9lld MiB\n", "file", (long long)st.st_size >> 20);
	if (stat(wal, &st) == 0)
		printf("%-12s %9lld MiB\n", "wal", (long long)st.st_size >> 20);
	add_all(&b, JOB_ADDED_KNOWN);
	report(&b, "add again", b.jobs);
	count(&b);
	report(&b, "count", 1);
	claim_many(&b, b.jobs < MOVES ? (int)b.jobs : MOVES);
	report(&b, "claim", b.jobs < MOVES ? b.jobs : MOVES);
	report(&b, "walk running", walk(&b, JOB_RUNNING));
	report(&b, "walk all", walk(&b, -1));
	store_close(b.store);
	report(&b, "close", 1);
	free(path);
	free(wal);
	return 0;
}

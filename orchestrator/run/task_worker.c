/* orchestrator/run/task_worker.c -- the worker side of a task: start it, listen to
 * it, hold it to its limits, and hand its ending to task.c. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/crash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/run/task_private.h"

#define LOG_LIMIT_BYTES (64 << 20) /* a worker's log; above it the worker is ended */
#define LINES_LOGGED_MAX 10000	   /* of its standard output that are no protocol lines */
#define FACTS_MAX (1u << 20)	   /* a line has 64 KiB, its canonical form hardly more */
#define FOLDER_LOOK_MS 1000	   /* between two looks at its job folder */
#define PROGRESS_STORE_MS 1000	   /* `quern status` sees progress this fresh */
#define WORKER_OPEN_FILES 4096	   /* a model of 1 TB in shards has some hundred */
#define HASHING_MAX 3		   /* pool threads that read beside validations */
#define WORKER_MEMORY_SLACK 2	   /* address space allowed, times the estimate */
#define WORKER_MEMORY_FLOOR (2ull << 30)

#ifdef __SANITIZE_ADDRESS__
#define LIMIT_ADDRESS_SPACE 0 /* the sanitizer's shadow alone is terabytes of it */
#else
#define LIMIT_ADDRESS_SPACE 1
#endif

/* ---- workers */

static void log_line_of(struct task *t, const char *line, size_t len)
{
	char *path;
	int fd;

	if (t->lines_logged++ >= LINES_LOGGED_MAX)
		return;
	path = path_join(t->dir, "log");
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	if (fd >= 0) {
		if (write(fd, line, len) < 0 || write(fd, "\n", 1) < 0)
			t->lines_logged = LINES_LOGGED_MAX; /* no room: a log is not worth a job */
		close(fd);
	}
	free(path);
}

static void note_progress(struct task *t, const struct json *v)
{
	/* Shown on terminals, again and again: what it is made of is seen here, once. */
	text_visible(json_str(v, "stage", ""), t->stage, sizeof(t->stage));
	text_visible(json_str(v, "unit", ""), t->unit, sizeof(t->unit));
	t->done = json_int(v, "done", 0);
	t->total = json_int(v, "total", 0);
	t->progress_dirty = true;
	t->progress_ms = clock_mono_ms();
}

/* What the validation read from the files; said once. */
static bool note_facts(struct task *t, const struct json *facts)
{
	struct buf b;

	if (t->phase != TASK_VALIDATE || t->file_facts || !facts || facts->type != JSON_OBJECT)
		return false;
	buf_init(&b, FACTS_MAX);
	json_write_canonical(&b, facts);
	if (!b.overflow)
		t->file_facts = arena_strdup(t->a, buf_str(&b));
	buf_release(&b);
	return t->file_facts != NULL;
}

static void on_line(struct execution *x, const char *line, size_t len)
{
	struct task *t = x->data;
	struct arena *a = arena_new();
	struct err ignored = ERR_INIT;
	struct json *v = NULL;
	const char *event = "";

	if (line[0] == '{' && json_parse(a, line, len, &v, &ignored) == 0)
		event = json_str(v, "event", "");
	if (strcmp(event, "progress") == 0)
		note_progress(t, v);
	else if (strcmp(event, "facts") != 0 || !note_facts(t, json_get(v, "facts")))
		log_line_of(t, line, len);
	arena_free(a);
}

static void judge_work(uv_work_t *w)
{
	struct task *t = w->data;

	verdict_refine(t->dir, t->engine, t->judged);
}

static void after_judge(uv_work_t *w, int status)
{
	struct task *t = w->data;

	(void)status;
	task_fail(t, t->judged);
}

/* It failed: the log may know why. */
static void judge(struct task *t, const struct verdict *v)
{
	t->judged = arena_alloc(t->a, sizeof(*t->judged));
	*t->judged = *v;
	t->work.data = t;
	uv_queue_work(&t->sched->loop, &t->work, judge_work, after_judge);
}

static void on_converted(struct task *t)
{
	struct verdict v;

	verdict_of_worker(&t->x, t->end_reason, t->dir, &v);
	task_memory_verdict(t, &v);
	if (v.good) {
		CRASH_POINT("task:converted");
		if (!task_move(t, EV_EXIT_OK, &no_fault, false)) {
			task_cancelled(t, &v);
			return;
		}
		CRASH_POINT("task:validating");
		if (engine_has_verb(t->engine, "validate"))
			task_spawn(t, "validate");
		else
			task_seal(t);
		return;
	}
	if (v.cancelled)
		task_cancelled(t, &v); /* the job's row says so already */
	else
		judge(t, &v);
}

/* What came between the limit and the end is cut off. The head stays, which tells how it began; the
 * verdict has the words of the end. */
static void bound_log(const struct task *t)
{
	char *path = path_join(t->dir, "log");

	if (t->end_reason == END_LOG && truncate(path, LOG_LIMIT_BYTES) != 0)
		(void)unlink(path);
	free(path);
}

static void note_peak(struct task *t, uint64_t bytes)
{
	if (bytes > t->used.peak_rss_bytes)
		t->used.peak_rss_bytes = bytes;
}

static void on_done(struct execution *x)
{
	struct task *t = x->data;
	struct verdict v;

	task_memory_ended(t);
	t->worked_ms += clock_mono_ms() - t->phase_ms;
	t->used.user_ms += x->used.user_ms;
	t->used.system_ms += x->used.system_ms;
	note_peak(t, x->used.peak_rss_bytes);
	bound_log(t);
	if (t->phase == TASK_CONVERT) {
		on_converted(t);
		return;
	}
	verdict_of_validation(&t->x, t->end_reason, t->dir, &v);
	task_memory_verdict(t, &v);
	if (v.good)
		task_seal(t);
	else if (v.cancelled)
		task_cancelled(t, &v);
	else
		judge(t, &v);
}

static uint64_t memory_limit(const struct task *t)
{
	uint64_t limit = (uint64_t)t->job.memory_bytes * WORKER_MEMORY_SLACK;

	/* Mapped files count as address space, so the limit is a net for runaways only. */
	limit += t->source ? t->source->facts.size_bytes : 0;
	limit += (uint64_t)t->job.output_bytes;
	return limit + WORKER_MEMORY_FLOOR;
}

static const char **worker_argv(struct task *t, const char *verb)
{
	const char **v = arena_array(t->a, t->engine->n_args + ENVIRONMENT_ARGS + 4, sizeof(*v));
	size_t n = t->environment ? environment_argv(t->environment, v) : 0;

	v[n++] = t->engine->program;
	for (size_t i = 0; i < t->engine->n_args; i++)
		v[n++] = t->engine->args[i];
	v[n++] = verb;
	v[n++] = "job.json";
	v[n] = NULL;
	return v;
}

/* Model, adapter, the blobs of both; environment, its Python, the worker's folder as it is named
 * and as it is; files of parameters. */
#define READ_MAX (8 + ENGINE_FILES_MAX + 1)
_Static_assert(READ_MAX - 1 <= PLACE_READ_MAX, "a place takes no more");

/* The files that its parameters name. */
static size_t allow_files(struct task *t, const char **read)
{
	const char *with = task_with(t);
	struct err ignored = ERR_INIT; /* we wrote it */
	struct json *v = NULL;
	size_t n = 0;

	if (strcmp(with, "{}") != 0)
		(void)json_parse(t->a, with, strlen(with), &v, &ignored);
	for (size_t i = 0; v && i < t->engine->n_params && n < ENGINE_FILES_MAX; i++) {
		const struct engine_param *p = &t->engine->params[i];
		const char *path = json_str(v, p->name, "");

		if (strcmp(p->type, "file") == 0 && path[0] == '/')
			read[n++] = path;
	}
	return n;
}

/* What the worker may read: the model, and of one that is a snapshot of a hub's cache also the
 * blobs its links lead to; its environment; files of its parameters. */
static void allow_reading(struct task *t, const char *read[READ_MAX])
{
	const struct hub_source *lora = t->job.spec.lora && t->source ? t->source->lora : NULL;
	size_t n = 0;

	if (t->source)
		read[n++] = t->source->dir;
	if (t->source && t->source->hub)
		read[n++] = t->source->hub->blobs;
	if (lora) {
		read[n++] = lora->dir;
		read[n++] = lora->blobs;
	} else if (t->job.spec.lora && t->source && t->source->lora_dir) {
		read[n++] = t->source->lora_dir;
	}
	if (t->environment)
		n += environment_reads(t->a, t->environment, t->engine->program, read + n);
	n += allow_files(t, read + n);
	read[n] = NULL;
}

/* What keeps a worker from being started at all; ERR_ENV with the fix. */
static int check_environment(const struct task *t, struct err *e)
{
	if (!t->engine->package)
		return 0;
	if (!t->environment)
		return err_set(e, ERR_ENV,
			       "jobs.yaml has no environment for %s %s any more; add it under "
			       "`engines`",
			       t->job.spec.engine, t->job.spec.engine_version);
	return t->environment->fault ? err_set(e, ERR_ENV, "%s", t->environment->fault) : 0;
}

void task_spawn(struct task *t, const char *verb)
{
	struct scheduler *s = t->sched;
	bool validate = strcmp(verb, "validate") == 0;
	bool contained = t->environment && t->environment->container;
	const char *read[READ_MAX];
	struct place place = { .job = t->dir,
			       .read = read,
			       .network = t->engine->network,
			       .files = WORKER_OPEN_FILES,
			       .file_bytes = task_folder_limit(t),
			       .memory_bytes = LIMIT_ADDRESS_SPACE ? memory_limit(t) : 0 };
	struct err e = ERR_INIT;
	struct verdict v;

	if (check_environment(t, &e) < 0) {
		verdict_of_error(&e, &v);
		task_fail(t, &v);
		return;
	}
	place.program = worker_argv(t, verb);
	if (t->environment && environment_gpu(t->environment)) {
		place.gpu = 1;
		if (!contained)
			place.memory_bytes =
				0; /* CUDA reserves addresses for all memory there is */
	}
	allow_reading(t, read);
	t->phase = validate ? TASK_VALIDATE : TASK_CONVERT;
	t->phase_ms = t->progress_ms = clock_mono_ms();
	t->killed_ms = 0;
	t->x = (struct execution){
		.dir = t->dir, .on_line = on_line, .on_done = on_done, .data = t
	};
	t->x.lock_fd = t->lock_fd;
	t->lock_fd = -1;
	if (validate)
		t->x.lock_fd = lock_take(arena_printf(t->a, "%s/lock.validate", t->dir), &e);
	if (t->x.lock_fd < 0) {
		verdict_of_error(&e, &v);
		task_fail(t, &v);
		return;
	}
	if (contained && task_contain(t, validate, read, &place, &e) < 0) {
		close(t->x.lock_fd);
		verdict_of_error(&e, &v);
		task_fail(t, &v);
		return;
	}
	place.group_fd = task_memory_group(t);
	s->ex->start(s->ex, &s->children, &t->x, &place);
	if (validate && t->job.output_bytes >= SEAL_LARGE_BYTES && s->hashing < HASHING_MAX)
		t->early = early_start(&s->loop, arena_printf(t->a, "%s/out", t->dir), &s->hashing);
	if (place.group_fd)
		close(place.group_fd);
	watch_add(t);
	CRASH_POINT("task:spawned");
}

void task_stop(struct task *t, enum task_end why, int sig)
{
	if ((t->phase != TASK_CONVERT && t->phase != TASK_VALIDATE) || t->judged)
		return; /* a pool thread: it ends soon, and what it does is safe */
	if (t->end_reason == END_BY_ITSELF)
		t->end_reason = why;
	if (!t->killed_ms)
		t->killed_ms = clock_mono_ms();
	t->sched->ex->signal(t->sched->ex, &t->x, sig);
	if (sig == SIGKILL)
		watch_kill(t, sig);
	if (control_is_frozen(t->sched)) /* else it would come to it only with quern resume */
		t->sched->ex->signal(t->sched->ex, &t->x, SIGCONT);
}

/* A worker of a dead run: its lines are lost, its ending is seen by its lock. */
void task_reattach(struct task *t)
{
	struct scheduler *s = t->sched;

	t->phase = TASK_CONVERT;
	t->x = (struct execution){
		.dir = t->dir, .lock_fd = -1, .on_line = on_line, .on_done = on_done, .data = t
	};
	task_find_container(t);
	s->ex->reattach(s->ex, &s->children, &t->x);
	watch_add(t);
}

/* ---- with each tick */

/* For people who look: we ourselves go by the lock. Most workers of small jobs have ended before.
 */
static void record_pid(struct task *t)
{
	pid_t pid = (pid_t)t->x.pid;
	struct err e = ERR_INIT;

	if (t->pid_recorded || t->phase != TASK_CONVERT || pid <= 0)
		return;
	t->pid_recorded = true;
	if (sched_batch(t->sched, &e) < 0 ||
	    store_attempt_pid(t->sched->store, t->attempt_id, pid, proc_start_time(pid), &e) < 0)
		sched_fatal(t->sched, &e);
}

static int64_t file_bytes(const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	struct stat st;
	int64_t size = stat(path, &st) == 0 ? st.st_size : 0;

	free(path);
	return size;
}

static void look_at_limits(struct task *t, int64_t mono_ms)
{
	const struct config *c = t->sched->cfg;

	if (t->adopted && t->phase == TASK_CONVERT) {
		/* Its lines are lost; a growing output is its progress. */
		int64_t size = file_bytes(t->dir, "out");

		if (size != t->out_bytes)
			t->progress_ms = mono_ms;
		t->out_bytes = size;
	}
	if (t->killed_ms) {
		if (mono_ms - t->killed_ms > c->resources.grace_ms)
			task_stop(t, t->end_reason, SIGKILL);
	} else if (mono_ms - t->phase_ms >
		   (int64_t)((double)c->resources.timeout_ms * t->rungs.time)) {
		task_stop(t, END_TIMEOUT, SIGTERM);
	} else if (mono_ms - t->progress_ms > c->resources.stall_ms) {
		task_stop(t, END_STALL, SIGTERM);
	} else if (file_bytes(t->dir, "log") > LOG_LIMIT_BYTES) {
		/* At the speed of a disk a second of grace is gigabytes. */
		task_stop(t, END_LOG, SIGKILL);
	}
}

/* More seldom than at the rest: it walks. */
static void look_at_folder(struct task *t, int64_t mono_ms)
{
	if (t->killed_ms || mono_ms - t->folder_ms < FOLDER_LOOK_MS)
		return;
	t->folder_ms = mono_ms;
	if (task_folder_is_full(t))
		task_stop(t, END_FOLDER, SIGKILL);
}

static void look_for_cancel(struct task *t)
{
	struct err e = ERR_INIT;
	struct arena *a = arena_new();
	struct job_row row;

	/* Another state than ours: cancelled, and perhaps taken up again since. */
	if (store_job_get(t->sched->store, t->job.id, a, &row, &e) >= 0 &&
	    row.state != t->job.state)
		task_stop(t, END_CANCEL, SIGTERM);
	arena_free(a);
}

void task_tick(struct task *t, int64_t mono_ms)
{
	struct err e = ERR_INIT;

	if ((t->phase != TASK_CONVERT && t->phase != TASK_VALIDATE) || t->judged)
		return;
	if (t->adopted && t->x.pid > 0 && !t->x.note)
		note_peak(t, proc_peak_rss((pid_t)t->x.pid)); /* nobody will tell us later */
	early_tick(t->early);				      /* while nobody seals by it */
	record_pid(t);
	look_at_limits(t, mono_ms);
	look_at_folder(t, mono_ms);
	if (t->end_reason == END_BY_ITSELF)
		look_for_cancel(t);
	if (t->progress_dirty && (sched_batch(t->sched, &e) < 0 ||
				  store_attempt_progress(t->sched->store, t->attempt_id, t->stage,
							 t->unit, t->done, t->total, &e) < 0))
		sched_fatal(t->sched, &e);
	t->progress_dirty = false;
}

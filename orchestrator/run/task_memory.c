/* orchestrator/run/task_memory.c -- what an attempt needed: whether it ended for want of memory,
 * and what the next estimates learn from it. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "core/path.h"
#include "core/proc.h"
#include "core/units.h"
#include "orchestrator/host/cgroup.h"
#include "orchestrator/plan/learn.h"
#include "orchestrator/run/oom.h"
#include "orchestrator/run/task_private.h"

#define LOG_TAIL 2048 /* bytes; what a traceback ends with */
#define LOG_AND_RESULT (128ull << 20)
#define DISK_CAUSE "disk full"
#define DISK_FULL (256 << 10) /* less is no room: logs and results are written in such pieces */
#define LOOKS_ENOUGH 4 /* fewer miss the peak: then what the kernel says of the largest process */

static void log_tail(const char *dir, char out[LOG_TAIL + 1])
{
	char *path = path_join(dir, "log");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = 0;
	off_t len;

	free(path);
	if (fd >= 0) {
		len = lseek(fd, 0, SEEK_END);
		n = pread(fd, out, LOG_TAIL, len > LOG_TAIL ? len - LOG_TAIL : 0);
		close(fd);
	}
	n = n < 0 ? 0 : n;
	for (ssize_t i = 0; i < n; i++)
		out[i] = out[i] ? out[i] : ' ';
	out[n] = '\0';
}

#define PROCESSES_MAX 4096 /* a toolkit has some threads a processor; a fork bomb has more */

/* In memory, files are the worker's memory too. */
static uint64_t files_in_memory(const struct task *t)
{
	struct statfs fs;

	if (statfs(t->dir, &fs) != 0 || (unsigned long)fs.f_type != TMPFS_MAGIC)
		return 0;
	return 2 * (uint64_t)(t->job.output_bytes + t->job.scratch_bytes) + LOG_AND_RESULT;
}

int task_memory_group(struct task *t)
{
	struct scheduler *s = t->sched;
	uint64_t files = files_in_memory(t);
	const struct cgroup_limits l = { .memory_bytes = t->limit_bytes + files,
					 .swap = s->cfg->resources.memory_bytes >
						 watch_now(s)->machine.total_bytes,
					 .processes = PROCESSES_MAX };
	char name[80], path[CGROUP_PATH_MAX];
	int fd;

	t->group = NULL;
	t->group_kills = 0;
	t->group_has_files = files > 0;
	if (!s->opt.cgroup || !s->opt.cgroup->usable)
		return 0;
	snprintf(name, sizeof(name), "job-%lld-%d-%s", (long long)t->job.id, t->number,
		 t->phase == TASK_VALIDATE ? "validate" : "convert");
	fd = cgroup_make(s->opt.cgroup, name, &l, path);
	if (fd < 0)
		return 0; /* the watch holds it to its limit */
	t->group = arena_strdup(t->a, path);
	return fd;
}

void task_memory_ended(struct task *t)
{
	const char *line = watch_kernel_line(t);

	if (t->group) {
		t->group_kills = cgroup_kills(t->group);
		if (t->group_kills && t->memory_peak < t->limit_bytes) {
			t->memory_peak = t->limit_bytes; /* between two looks */
			t->memory_by = "cgroup";
		}
		cgroup_kill(t->group);
		(void)cgroup_remove(t->group); /* else at the end of the run */
	}
	t->kernel_line = line ? arena_strdup(t->a, line) : NULL;
	watch_forget(t);
}

/* On a full disk a worker's last words are lost as well: what it left says anything or nothing. */
static void disk_verdict(const struct task *t, struct verdict *v)
{
	struct err ignored = ERR_INIT;
	char had[24], words[600];
	uint64_t bytes;

	if (t->end_reason != END_BY_ITSELF || strcmp(v->cause, DISK_CAUSE) == 0 ||
	    path_free_space(t->dir, &bytes, &ignored) < 0 || bytes >= DISK_FULL)
		return;
	units_format_size(bytes, had, sizeof(had));
	snprintf(words, sizeof(words), "the disk had %s left when it ended%s%.500s", had,
		 v->message[0] ? ": " : "", v->message);
	v->retry = true;
	snprintf(v->cause, sizeof(v->cause), DISK_CAUSE);
	snprintf(v->message, sizeof(v->message), "%s", words);
	snprintf(v->evidence_from, sizeof(v->evidence_from), "disk");
	snprintf(v->evidence, sizeof(v->evidence), "%.*s", (int)sizeof(v->evidence) - 1, words);
}

/* Before a new process runs its program it shares our memory, and the kernel counts ours to it: a
 * peak that is no higher tells nothing. */
static uint64_t peak_of(const struct task *t, bool ran_out, const char **by)
{
	if (t->looks >= LOOKS_ENOUGH || (ran_out && t->memory_peak) ||
	    t->memory_peak > t->used.peak_rss_bytes) {
		*by = t->memory_by;
		return t->memory_peak;
	}
	*by = "";
	if (t->used.peak_rss_bytes <= proc_peak_rss(getpid()))
		return 0;
	*by = "rss";
	return t->used.peak_rss_bytes;
}

/* What the kernel or our watch did stands above all words; the worker's own words are read with the
 * other causes, but for those that an exit code or a parent hides. */
void task_memory_verdict(struct task *t, struct verdict *v)
{
	char tail[LOG_TAIL + 1], line[OOM_LINE_MAX];
	const struct watch_state *now = watch_now(t->sched);
	const char *by;
	struct oom_facts f = { .watch = t->memory_words,
			       .cgroup_kills = t->group_kills,
			       .kernel_line = t->kernel_line,
			       .signal = t->x.signal,
			       .exit_code = t->x.signal ? -1 : t->x.exit_code,
			       .ended_by_us = t->end_reason != END_BY_ITSELF,
			       .said = v->message,
			       .log = tail,
			       .peak_bytes = t->memory_peak,
			       .limit_bytes = t->limit_bytes,
			       .available_bytes = now->machine.available_bytes };
	enum oom what;

	if (v->good || v->lost || v->cancelled || t->x.start_error)
		return;
	log_tail(t->dir, tail);
	what = oom_evidence(&f, line);
	if (what == OOM_NO)
		disk_verdict(t, v);
	if (what == OOM_NO ||
	    (what == OOM_SAID && !oom_words_count(v->cause, peak_of(t, true, &by), t->limit_bytes)))
		return;
	v->retry = true;
	snprintf(v->cause, sizeof(v->cause), OOM_CAUSE);
	text_visible(line, v->message, sizeof(v->message));
	snprintf(v->evidence_from, sizeof(v->evidence_from), "memory");
	snprintf(v->evidence, sizeof(v->evidence), "%.*s", (int)sizeof(v->evidence) - 1,
		 v->message);
}

/* ---- what is kept */

/* What its class is, and what the manifest says; false: its model is not in the matrix any more. */
static bool class_of(const struct task *t, struct measured_class *c, struct measured_new *m)
{
	const struct job_spec *spec = &t->job.spec;
	struct err ignored = ERR_INIT; /* we wrote it */
	struct json *with = NULL;
	struct estimate formula;

	if (!t->source || t->source->fault || !t->engine || t->source->facts.params == 0)
		return false;
	if (strcmp(spec->with, "{}") != 0)
		(void)json_parse(t->a, spec->with, strlen(spec->with), &with, &ignored);
	engine_estimate(t->engine, spec, with, &t->source->facts, t->sched->cfg->resources.threads,
			&formula);
	learn_class(spec, &t->source->facts, t->sched->cfg->resources.threads, c);
	m->formula_bytes = (int64_t)formula.memory_bytes;
	return true;
}

int task_memory_record(struct task *t, bool good, const struct verdict *v, struct err *e)
{
	bool ran_out = !good && strcmp(v->cause, OOM_CAUSE) == 0;
	struct attempt_row used = { .id = t->attempt_id };
	struct measured_new m = { .now_ms = sched_now(t->sched) };
	struct measured_class c;
	int rc;

	if (!t->x.dir)
		return 0; /* nothing was started */
	used.memory_bytes = (int64_t)peak_of(t, ran_out, &used.memory_by);
	used.limit_bytes = (int64_t)t->limit_bytes;
	used.scratch_bytes = (int64_t)t->scratch_bytes;
	used.paused_ms = t->adopted ? -1 : t->paused_ms;
	for (size_t i = 0; good && i < t->seal.sealed.n; i++)
		used.output_bytes += (int64_t)t->seal.sealed.files[i].size_bytes;
	rc = store_attempt_used(t->sched->store, &used, e);
	/* One that was adopted was not watched from its start. */
	if (rc < 0 || t->adopted || (!good && !(ran_out && used.memory_bytes)) ||
	    !class_of(t, &c, &m))
		return rc;
	/* Too short to be seen, and no larger than we are: the formula may be right. */
	m.memory_bytes = used.memory_bytes ? used.memory_bytes : m.formula_bytes;
	m.scratch_bytes = used.scratch_bytes;
	m.output_bytes = used.output_bytes;
	m.ms = t->worked_ms;
	t->sched->learned = true;
	return good ? store_measured_add(t->sched->store, &c, &m, e)
		    : store_measured_more(t->sched->store, &c, &m, e);
}

/* ---- the estimate, once more: others of the night have ended since the plan */

int task_memory_estimate(struct scheduler *s, struct job_row *job, const struct resolved *source,
			 struct err *e)
{
	const struct engine *en = engine_find(&s->session->engines, job->spec.engine);
	const uint64_t budget = s->cfg->resources.memory_bytes;
	struct err ignored = ERR_INIT;
	struct json *with = NULL;
	struct learned l;
	struct arena *a;
	int rc;

	if (!s->learned || !en || source->facts.params == 0)
		return 0;
	a = arena_new();
	if (strcmp(job->spec.with, "{}") != 0)
		(void)json_parse(a, job->spec.with, strlen(job->spec.with), &with, &ignored);
	rc = learn_ask(s->store, en, &job->spec, with, &source->facts, s->cfg->resources.threads,
		       &l, e);
	arena_free(a);
	if (rc < 0)
		return rc;
	if (l.basis == LEARN_FORMULA && !l.ran_out)
		return 0;
	job->memory_bytes = (int64_t)(l.need.memory_bytes < budget ? l.need.memory_bytes : budget);
	job->output_bytes = (int64_t)l.need.output_bytes;
	job->scratch_bytes = (int64_t)l.need.scratch_bytes;
	return 0;
}

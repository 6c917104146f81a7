/* orchestrator/run/publish.c -- when which repository is published, and the child
 * of quern that does it. Uploading blocks (libgit2, sockets), so it never runs
 * in the loop; the child speaks to the store itself. One at a time: what it
 * waits for is one disk or one network. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/cli.h"
#include "orchestrator/run/child.h"
#include "orchestrator/run/scheduler_private.h"

struct wanted {
	struct wanted *next;
	char *repo;
};

struct publisher {
	struct scheduler *sched;
	struct wanted *queue;
	struct child child;
	struct arena *a;   /* of the running child's arguments */
	char *repo;	   /* being published; NULL: none */
	char message[600]; /* the child's own words on failure */
	bool needs_person; /* trying again alone would not help */
	int64_t room_at;   /* jobs that had finished, and one, when it was last asked for room */
	bool at_end;	   /* all ready repositories were queued */
};

static void start_next(struct publisher *p);

void publish_init(struct scheduler *s)
{
	s->publisher = mem_zalloc(sizeof(*s->publisher));
	s->publisher->sched = s;
	s->publisher->a = arena_new();
}

void publish_free(struct scheduler *s)
{
	struct publisher *p = s->publisher;

	while (p->queue) {
		struct wanted *w = p->queue;

		p->queue = w->next;
		free(w->repo);
		free(w);
	}
	arena_free(p->a);
	free(p->repo);
	free(p);
	s->publisher = NULL;
}

static void want(struct publisher *p, const char *repo)
{
	struct wanted **w = &p->queue;

	for (; *w; w = &(*w)->next) {
		if (strcmp((*w)->repo, repo) == 0)
			return;
	}
	*w = mem_zalloc(sizeof(**w));
	(*w)->repo = mem_strdup(repo);
}

static void on_line(struct child *c, const char *line, size_t len)
{
	struct publisher *p = c->data;
	struct err ignored = ERR_INIT;
	struct arena *a = arena_new();
	struct json *v;

	if (json_parse(a, line, len, &v, &ignored) == 0) {
		const char *event = json_str(v, "event", "");

		if (strcmp(event, "uploaded") == 0) {
			p->sched->res->commits += json_int(v, "commits", 0);
			p->sched->res->bytes_sent += (uint64_t)json_int(v, "bytes_sent", 0);
			p->sched->room_changes += json_int(v, "bytes_dropped", 0) > 0;
		} else if (strcmp(event, "error") == 0) {
			snprintf(p->message, sizeof(p->message), "%s", json_str(v, "message", ""));
			p->needs_person = strcmp(json_str(v, "verdict", ""), "stop") == 0;
		}
	}
	arena_free(a);
}

static void on_done(struct child *c)
{
	struct publisher *p = c->data;
	struct scheduler *s = p->sched;

	if (!c->spawn_err && !c->signal && c->exit_code == 0) {
		s->res->published++;
	} else if (s->stop < STOP_WORKERS) {
		s->res->publish_failed++;
		if (c->signal)
			snprintf(p->message, sizeof(p->message),
				 "the uploader was killed by signal %d", c->signal);
		display_say(s->display, "%s: not published: %s; %s", p->repo,
			    p->message[0] ? p->message : "the uploader could not be started",
			    p->needs_person ? "then, quern upload" : "quern upload tries again");
	}
	free(p->repo);
	p->repo = NULL;
	start_next(p);
	sched_kick(s);
}

static const char **child_argv(struct publisher *p, const char *repo)
{
	const struct config *c = p->sched->cfg;
	const char **argv = arena_array(p->a, 29 + 2 * c->upload.exclude.n, sizeof(*argv));
	size_t n = 0;

	argv[n++] = "/proc/self/exe"; /* resolved in the child of quern, which is quern */
	argv[n++] = "upload-repo";
	argv[n++] = "--work";
	argv[n++] = c->work;
	argv[n++] = "--hub";
	argv[n++] = c->upload.hub;
	argv[n++] = "--repo";
	argv[n++] = arena_strdup(p->a, repo);
	argv[n++] = "--run";
	argv[n++] = arena_printf(p->a, "%lld", (long long)p->sched->opt.run_id);
	argv[n++] = "--jobs";
	argv[n++] = arena_printf(p->a, "%d", c->upload.jobs);
	if (c->upload.is_private)
		argv[n++] = "--private";
	if (config_drops_artifacts(c))
		argv[n++] = "--drop";
	if (c->upload.quantized_by) {
		argv[n++] = "--quantized-by";
		argv[n++] = c->upload.quantized_by;
	}
	if (c->upload.card) {
		argv[n++] = "--card";
		argv[n++] = c->upload.card;
	}
	if (c->upload.pull_request)
		argv[n++] = "--pull-request";
	if (c->upload.user[0]) {
		argv[n++] = "--user";
		argv[n++] = c->upload.user;
	}
	for (size_t i = 0; i < c->upload.exclude.n; i++) {
		argv[n++] = "--exclude";
		argv[n++] = c->upload.exclude.v[i];
	}
	return argv;
}

static void start_next(struct publisher *p)
{
	struct wanted *w = p->queue;

	if (p->repo || !w || p->sched->stop >= STOP_WORKERS || p->sched->control.paused)
		return;
	p->queue = w->next;
	p->repo = w->repo;
	free(w);
	p->message[0] = '\0';
	p->needs_person = false;
	measuring_published(p->sched, p->repo);
	arena_reset(p->a);
	p->child = (struct child){ .argv = child_argv(p, p->repo),
				   .log_fd = -1,
				   .lock_fd = -1,
				   .on_line = on_line,
				   .on_done = on_done,
				   .data = p };
	sched_flush(p->sched); /* the child reads the store */
	child_start(&p->child, &p->sched->children);
}

/* Is a conversion for this repository still to come in this run? */
static bool repo_unfinished(struct scheduler *s, const char *repo)
{
	for (const struct task *t = s->tasks; t; t = t->next) {
		if (strcmp(t->job.repo, repo) == 0 && t->job.state != JOB_READY)
			return true;
	}
	return store_repo_pending(s->store, s->opt.run_id, repo, &(struct err)ERR_INIT) == 1;
}

void publish_job_ready(struct scheduler *s, const char *repo)
{
	const struct config *c = s->cfg;

	s->publisher->at_end = false; /* it may have been asked while this one waited for room */
	if (!s->opt.upload || !repo[0] || c->upload.when == UPLOAD_END)
		return;
	if (c->upload.when == UPLOAD_MODEL && repo_unfinished(s, repo))
		return;
	want(s->publisher, repo);
	start_next(s->publisher);
}

static void want_all_ready(struct scheduler *s)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	const char **repos;
	size_t n;

	if (store_repos_ready(s->store, a, &repos, &n, &e) < 0)
		sched_fatal(s, &e);
	else
		for (size_t i = 0; i < n; i++)
			want(s->publisher, repos[i]);
	arena_free(a);
}

void publish_for_room(struct scheduler *s)
{
	struct publisher *p = s->publisher;

	if (!s->opt.upload || !config_drops_artifacts(s->cfg) || p->repo)
		return;
	if (measuring_refresh(s)) /* what was measured need not stay */
		want(p, measuring_refresh(s));
	/* Once for what is ready now: a hub that refused it will not take it a moment later. */
	if (p->room_at != s->res->finished + 1) {
		p->room_at = s->res->finished + 1;
		want_all_ready(s);
	}
	start_next(p);
}

bool publish_at_end(struct scheduler *s)
{
	struct publisher *p = s->publisher;

	if (!s->opt.upload)
		return false;
	if (!p->at_end) {
		p->at_end = true;
		want_all_ready(s);
	}
	start_next(p);
	return p->repo != NULL;
}

void publish_released(struct scheduler *s, const char *repo)
{
	if (s->cfg->upload.when != UPLOAD_END)
		publish_job_ready(s, repo);
	else if (s->opt.upload && repo[0] && s->publisher->at_end)
		publish_again(s, repo);
}

void publish_again(struct scheduler *s, const char *repo)
{
	want(s->publisher, repo);
	start_next(s->publisher);
}

void publish_go_on(struct scheduler *s)
{
	start_next(s->publisher);
}

bool publish_busy(const struct scheduler *s)
{
	return s->publisher->repo != NULL;
}

void publish_stop(struct scheduler *s, int sig)
{
	if (s->publisher->repo)
		child_signal(&s->publisher->child, sig);
}

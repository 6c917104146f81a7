/* orchestrator/command/cmd_fetch_repo.c -- one model of a hub as a child of quern: the
 * only process of the download side that holds a token. JSON lines on standard
 * output; exit 0 when all is there. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/child_say.h"
#include "orchestrator/command/commands.h"
#include "upload/fetch.h"
#include "upload/hub_env.h"

#define LINE_MAX_BYTES (16u << 20) /* the list of files is in one of the lines */

static void say_model(const struct fetch_options *o, const struct fetch_model *m)
{
	struct arena *a = arena_new();
	struct json_out w;
	struct buf b;

	buf_init(&b, LINE_MAX_BYTES);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "event", "metadata");
	jw_kstr(&w, "repo", m->repo);
	jw_kstr(&w, "id", m->id);
	jw_kstr(&w, "commit", m->commit);
	jw_kstr(&w, "gated", m->gated);
	jw_kbool(&w, "private", m->is_private);
	jw_kstr(&w, "cache", o->cache);
	jw_kstr(&w, "dir", fetch_snapshot(a, o->cache, m->repo, m->commit));
	jw_kint(&w, "bytes", (int64_t)m->size_bytes);
	jw_key(&w, "facts");
	fetch_write_facts(&w, &m->facts);
	jw_karray(&w, "files");
	for (size_t i = 0; i < m->n_files; i++) {
		jw_object(&w);
		jw_kstr(&w, "name", m->files[i].name);
		jw_kstr(&w, "etag", m->files[i].etag);
		jw_kint(&w, "size", (int64_t)m->files[i].size_bytes);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	child_say(&b);
	arena_free(a);
}

static void say_fetched(const struct fetch_result *r)
{
	printf("{\"event\":\"fetched\",\"bytes_fetched\":%llu,\"files_fetched\":%d,"
	       "\"files_kept\":%d}\n",
	       (unsigned long long)r->bytes_fetched, r->files_fetched, r->files_kept);
	fflush(stdout);
}

static void on_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)ctx;
	printf("{\"event\":\"progress\",\"done\":%llu,\"total\":%llu}\n",
	       (unsigned long long)done_bytes, (unsigned long long)total_bytes);
	fflush(stdout);
}

/* commit (may be NULL): what the revision was when the run began. */
static int fetch(const struct fetch_options *o, const char *commit, bool metadata, struct err *e)
{
	struct fetch_options at = *o;
	struct arena *a = arena_new();
	struct fetch_result r;
	struct fetch_model m;
	int rc;

	if (commit)
		at.revision = commit;
	rc = fetch_look(&at, a, &m, e);
	if (rc >= 0 && metadata) {
		say_model(o, &m);
	} else if (rc >= 0) {
		rc = fetch_files(o, &m, &r, e);
		if (rc >= 0)
			say_fetched(&r);
	}
	arena_free(a);
	return rc;
}

struct request {
	const char *cache, *memory, *repo, *revision, *commit, *file;
	bool adapter, code, metadata;
};

/* A plan waits for a hub that is in trouble for some minutes at most; a download has all night. */
static const struct http_policy patience_of_a_plan = {
	.attempts = 5,
	.first_ms = 500,
	.max_ms = 10000,
	.deadline_ms = 300000,
};

/* cause: of the error, "" when the hub has no part in it. */
static int with_env(const struct request *q, const struct hub_env *env, const char **cause,
		    struct err *e)
{
	struct http_options h = { .endpoint = env->endpoint,
				  .token = env->token,
				  .offline = env->offline,
				  .policy = q->metadata ? &patience_of_a_plan : NULL };
	struct fetch_options o = { .offline = env->offline,
				   .cache = q->cache ? q->cache : env->cache,
				   .memory = q->memory,
				   .repo = q->repo,
				   .revision = q->revision,
				   .adapter = q->adapter,
				   .code = q->code,
				   .known = !q->metadata, /* the plan has looked */
				   .file = q->file,
				   .stall_s = env->stall_s,
				   .progress = q->metadata ? NULL : on_progress };
	char *wait = q->memory ? mem_printf("%s/.slow-down", q->memory) : NULL;
	struct http_budget *budget = http_budget_new(wait);
	int rc;

	h.budget = budget;
	rc = http_open(&h, &o.http, e);
	if (rc >= 0)
		rc = fetch(&o, q->commit, q->metadata, e);
	if (rc < 0 && o.http && e->code != ERR_NOSPACE)
		*cause = http_last_cause(o.http);
	http_close(o.http);
	http_budget_free(budget);
	free(wait);
	return rc;
}

int cmd_fetch_repo(int argc, char **argv)
{
	struct request q = { .revision = "main" };
	int64_t parent = getppid();
	bool help;
	const struct option_def opts[] = {
		{ "cache", 0, OPT_STRING, "DIR", "the cache (default HF_HUB_CACHE)", &q.cache },
		{ "memory", 0, OPT_STRING, "DIR", "where facts are kept", &q.memory },
		{ "repo", 0, OPT_STRING, "NS/NAME", "the repository", &q.repo },
		{ "revision", 0, OPT_STRING, "REV", "branch, tag or commit", &q.revision },
		{ "commit", 0, OPT_STRING, "COMMIT", "what it is, when known", &q.commit },
		{ "file", 0, OPT_STRING, "NAME", "the GGUF file that is the model", &q.file },
		{ "parent", 0, OPT_INT, "PID", "the quern that asks", &parent },
		{ "adapter", 0, OPT_FLAG, NULL, "it is a LoRA adapter", &q.adapter },
		{ "code", 0, OPT_FLAG, NULL, "the Python of the repository too", &q.code },
		{ "metadata", 0, OPT_FLAG, NULL, "look only: no weights", &q.metadata },
	};
	struct hub_env env = { 0 };
	struct err e = ERR_INIT;
	const char *cause = "";
	int at = cli_parse("fetch-repo", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && !q.repo)
		at = err_set(&e, ERR_INVALID, "fetch-repo needs --repo");
	if (at < 0)
		return cli_fail(&e);
	/* It must not outlive the run that asked: the next run goes on where this one stopped. Who
	 * is dead before the prctl() sends no signal, and getppid() alone would not know him. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != (pid_t)parent)
		return EXIT_INTERRUPTED;
	hub_env_protect();
	rc = hub_env_read(&env, &e);
	hub_env_forget();
	if (rc >= 0)
		rc = with_env(&q, &env, &cause, &e);
	hub_env_release(&env);
	return rc < 0 ? child_say_error(&e, "cause", cause) : EXIT_GOOD;
}

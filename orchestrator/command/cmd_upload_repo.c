/* orchestrator/command/cmd_upload_repo.c -- the uploader as a child of `quern run`: one
 * repository, JSON lines on standard output, exit 0 when the hub has it all. It
 * does not outlive that run (spawn.h): the next one uploads by itself. */
#include <stdio.h>

#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/child_say.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/view/card_load.h"
#include "upload/hub_env.h"
#include "upload/uploader.h"

static void say_result(const struct uploader_result *r)
{
	struct json_out w;
	struct buf b;

	buf_init(&b, 1u << 16);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "event", "uploaded");
	jw_kint(&w, "files_sent", r->files_sent);
	jw_kint(&w, "files_kept", r->files_kept);
	jw_kint(&w, "commits", r->commits);
	jw_kint(&w, "bytes_sent", (int64_t)r->bytes_sent);
	jw_kint(&w, "bytes_dropped", (int64_t)r->bytes_dropped);
	jw_kstr(&w, "commit", r->commit);
	jw_end_object(&w);
	child_say(&b);
}

int cmd_upload_repo(int argc, char **argv)
{
	const char *work = NULL, *hub = NULL, *repo = NULL, *user = NULL;
	struct option_list exclude = { .n = 0 };
	int64_t run = 0, jobs = 0;
	bool private = false, pull = false, drop = false, help;
	struct uploader_options o = { 0 };
	const struct option_def opts[] = {
		{ "work", 0, OPT_STRING, "DIR", "the work folder", &work },
		{ "hub", 0, OPT_STRING, "HUB", "as in jobs.yaml", &hub },
		{ "repo", 0, OPT_STRING, "NS/NAME", "the repository", &repo },
		{ "run", 0, OPT_INT, "ID", "the run that asks", &run },
		{ "jobs", 0, OPT_INT, "N", "files and parts in flight", &jobs },
		{ "pull-request", 0, OPT_FLAG, NULL, "propose, do not commit", &pull },
		{ "user", 0, OPT_STRING, "NAME", "on a git server", &user },
		{ "private", 0, OPT_FLAG, NULL, "make it private", &private },
		{ "drop", 0, OPT_FLAG, NULL, "remove artifacts that the hub has", &drop },
		{ "exclude", 0, OPT_LIST, "GLOB", "files not to publish", &exclude },
		{ "quantized-by", 0, OPT_STRING, "NAME", "for the card", &o.quantized_by },
		{ "card", 0, OPT_STRING, "FILE", "the card's template", &o.template_name },
	};
	struct hub_options ho;
	struct uploader_result r = { 0 };
	struct err e = ERR_INIT;
	struct arena *a;
	struct store *s = NULL;
	struct hub *h = NULL;
	enum hub_verdict verdict;
	int at = cli_parse("upload-repo", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && (!work || !hub || !repo))
		at = err_set(&e, ERR_INVALID, "upload-repo needs --work, --hub and --repo");
	if (at < 0)
		return cli_fail(&e);
	hub_env_protect();
	ho = (struct hub_options){
		.work = work, .jobs = (int)jobs, .pull_request = pull, .user = user
	};
	o.work = work;
	o.hub_name = hub;
	o.is_private = private;
	o.drop = drop;
	o.exclude = exclude.v;
	o.n_exclude = exclude.n;
	o.run_id = run;
	a = arena_new();
	rc = o.template_name ? card_load_file(a, o.template_name, &o.template_text, &e) : 0;
	if (rc >= 0)
		rc = store_open(workdir_db(a, work), 0, &s, &e);
	if (rc >= 0)
		rc = hub_open(hub, &ho, &h, &e);
	hub_env_forget();
	if (rc >= 0)
		rc = uploader_run(s, h, repo, &o, &r, &e);
	verdict = h ? hub_verdict(h, e.code) : HUB_STOP;
	hub_close(h);
	store_close(s);
	arena_free(a);
	if (rc < 0)
		return child_say_error(&e, "verdict", hub_verdict_name(verdict));
	say_result(&r);
	return EXIT_GOOD;
}

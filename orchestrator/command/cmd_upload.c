/* orchestrator/command/cmd_upload.c -- quern upload: publish what is ready, convert
 * nothing. Also what `upload.hold: true` waits for. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/upload_options.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/run/session.h"
#include "upload/hub_env.h"
#include "upload/uploader.h"

#define HELD_SHOWN 20

struct totals {
	int repos, failed, commits, files;
	uint64_t bytes;
};

static void one(struct session *s, struct hub *h, const char *repo, struct totals *t)
{
	struct uploader_options o = upload_options(s->cfg);
	struct uploader_result r = { 0 };
	struct err e = ERR_INIT;

	if (uploader_run(s->store, h, repo, &o, &r, &e) < 0) {
		t->failed++;
		(void)cli_fail(&e);
	} else {
		t->repos++;
		printf("%s: %d file%s sent, %d kept\n", r.url, r.files_sent,
		       r.files_sent == 1 ? "" : "s", r.files_kept);
	}
	t->commits += r.commits;
	t->files += r.files_sent;
	t->bytes += r.bytes_sent;
}

/* What measurements hold: let it go, or say it. */
static int mind_held(struct session *s, bool publish, struct err *e)
{
	struct hold_row *rows = arena_array(s->a, HELD_SHOWN + 1, sizeof(*rows));
	int n, rc = 0;

	if (publish && config_drops_artifacts(s->cfg))
		rc = store_holds_keep_waiting(s->store, e);
	if (rc >= 0 && publish)
		rc = store_hold_clear(s->store, 0, NULL, e);
	n = rc < 0 ? rc : store_holds_publication(s->store, s->a, rows, HELD_SHOWN + 1, e);
	for (int i = 0; i < n && i < HELD_SHOWN; i++)
		printf("job %lld is held by %s: %s; quern show %lld says more\n",
		       (long long)rows[i].job_id, rows[i].stage, rows[i].reason,
		       (long long)rows[i].job_id);
	if (n > 0)
		printf("%s held; quern upload --held publishes all the same\n",
		       n > HELD_SHOWN ? "... and more are"
		       : n == 1	      ? "it stays"
				      : "they stay");
	return n < 0 ? n : 0;
}

static int upload_all(struct session *s, bool held, struct err *e)
{
	struct hub_options o = upload_hub_options(s->cfg);
	struct totals t = { 0 };
	struct hub *h = NULL;
	const char **repos;
	char size[24];
	size_t n;
	int rc;

	if (s->cfg->upload.kind == HUB_NONE)
		return err_set(
			e, ERR_INVALID,
			"%s has no `upload:` section; add one, at least `upload: {hub: local}`",
			s->cfg->file);
	rc = mind_held(s, held, e);
	if (rc >= 0)
		rc = store_repos_ready(s->store, s->a, &repos, &n, e);
	if (rc < 0)
		return rc;
	if (n == 0) {
		puts("nothing to publish");
		return EXIT_GOOD;
	}
	rc = upload_check_token(s->cfg, e);
	if (rc < 0)
		return rc;
	hub_env_protect();
	rc = hub_open(s->cfg->upload.hub, &o, &h, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		one(s, h, repos[i], &t);
	h->ops->close(h);
	units_format_size(t.bytes, size, sizeof(size));
	printf("%d repositor%s up to date, %d file%s (%s) sent, %d commit%s\n", t.repos,
	       t.repos == 1 ? "y" : "ies", t.files, t.files == 1 ? "" : "s", size, t.commits,
	       t.commits == 1 ? "" : "s");
	return t.failed ? EXIT_JOBS_FAILED : EXIT_GOOD;
}

int cmd_upload(int argc, char **argv)
{
	const char *file = "jobs.yaml";
	struct option_list set = { .n = 0 };
	bool held = false;
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the matrix (default jobs.yaml)", &file },
		{ "held", 0, OPT_FLAG, NULL, "also what a measurement holds back", &held },
		{ "set", 0, OPT_LIST, "KEY=VALUE", "override a value of the file", &set },
	};
	struct err e = ERR_INIT;
	struct session s;
	bool help;
	int at = cli_parse("upload", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at < argc)
		at = err_set(&e, ERR_INVALID, "upload takes no operand; name the file with -f %s",
			     argv[at]);
	if (at < 0)
		return cli_fail(&e);
	rc = session_open(&s, SESSION_RUN, file, &(struct config_set){ set.v, set.n }, "upload",
			  &e);
	if (rc < 0)
		return cli_fail(&e);
	rc = upload_all(&s, held, &e);
	session_close(&s);
	return rc < 0 ? cli_fail(&e) : rc;
}

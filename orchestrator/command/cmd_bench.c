/* orchestrator/command/cmd_bench.c -- quern bench: how fast does a file run, and does it talk
 * sense? A stage of measure alone, on the artifact of a job or on any file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/measure/record.h"
#include "orchestrator/view/measured.h"
#include "upload/http.h"
#include "upload/hub_env.h"

#define OUTPUT_MAX (64u << 20)

struct bench {
	const char *file, *work_option;
	const char *endpoint, *serve, *board, *stage, *model, *prompts, *folder;
	int64_t runs, warmup;
	bool json, no_store;
	const char *operand; /* NULL: none */

	struct arena *a;
	struct config *cfg; /* NULL: no jobs file was read */
	const char *work;
	struct store *store; /* NULL: the operand is no job */
	struct job_row job;
	struct measure_artifact art;
	const struct measure_stage **stages;
	size_t n_stages;
};

/* ---- what is measured */

static bool is_path(const char *word)
{
	return strchr(word, '/') || access(word, F_OK) == 0;
}

static int open_job(struct bench *b, struct err *e)
{
	int rc = workdir_open_store(b->a, b->work_option, b->file, 0, &b->work, &b->store, e);

	if (rc >= 0)
		rc = store_job_find(b->store, b->operand, b->a, &b->job, e);
	if (rc >= 0)
		rc = measure_artifact_of_job(b->a, b->store, b->work, &b->job, &b->art, e);
	return rc;
}

static int open_artifact(struct bench *b, struct err *e)
{
	if (b->operand && !is_path(b->operand))
		return open_job(b, e);
	if (b->operand)
		return measure_artifact_of_file(b->a, b->operand, &b->art, e);
	if (!b->endpoint)
		return err_set(e, ERR_INVALID,
			       "bench: name a job or a file; only what a running "
			       "server (--endpoint) has needs none");
	b->art = (struct measure_artifact){ .folder = "",
					    .file = "",
					    .label = b->endpoint,
					    .name = b->model ? b->model : "",
					    .model = b->model ? b->model : "",
					    .engine = "",
					    .platform = "",
					    .quant = "" };
	return 0;
}

/* ---- where */

static void add_stage(struct bench *b, const struct measure_stage *st)
{
	b->stages[b->n_stages++] = st;
}

static int from_options(struct bench *b, struct err *e)
{
	struct measure_stage *st = arena_alloc(b->a, sizeof(*st));

	config_measure_defaults(st);
	if (b->endpoint) {
		char *shown = http_url_public(b->endpoint);
		size_t n = strlen(b->endpoint);

		while (n && b->endpoint[n - 1] == '/')
			n--;
		if (n > 3 && strncmp(b->endpoint + n - 3, "/v1", 3) == 0)
			n -= 3; /* as other clients want it */
		if (!shown)
			return err_set(e, ERR_INVALID,
				       "\"%s\" is no address of a server; one looks like "
				       "http://host:8080",
				       b->endpoint);
		free(shown);
		st->where.kind = MEASURE_ENDPOINT;
		st->where.endpoint.url = arena_strndup(b->a, b->endpoint, n);
		st->where.endpoint.model = b->model;
	} else {
		struct measure_serve *to = &st->where.serve;

		st->where.kind = MEASURE_SERVE;
		to->command = config_split_words(b->a, b->serve, &to->n_command);
		if (!to->command || to->n_command == 0)
			return err_set(e, ERR_INVALID, "--serve: \"%s\" is no command", b->serve);
		if (!strstr(b->serve, "{port}"))
			return err_set(e, ERR_INVALID,
				       "--serve: the command has no {port}; write for instance "
				       "'llama-server -m {file} --port {port}'");
		to->at.model = b->model;
	}
	st->name = b->stage ? b->stage : "bench";
	add_stage(b, st);
	return 0;
}

static bool is_meant(const struct bench *b, const struct measure_stage *st)
{
	if (b->stage)
		return strcmp(st->name, b->stage) == 0;
	if (b->board)
		return st->where.kind == MEASURE_BOARD &&
		       (strcmp(st->where.board.name, b->board) == 0 ||
			strcmp(st->name, b->board) == 0);
	return !b->store || measure_stage_is_for(st, &b->job.spec);
}

static int load_config(struct bench *b, struct err *e)
{
	struct faults f = { .a = b->a };
	struct buf said;
	int rc = config_load(b->a, b->file ? b->file : "jobs.yaml", NULL, &f, &b->cfg, e);

	if (rc < 0 && f.n) {
		buf_init(&said, OUTPUT_MAX);
		faults_print(&f, &said);
		fputs(buf_str(&said), stderr);
		buf_release(&said);
	}
	return rc;
}

static int from_config(struct bench *b, struct err *e)
{
	int rc = load_config(b, e);

	if (rc < 0)
		return rc;
	b->stages = arena_array(b->a, b->cfg->n_measure + 1, sizeof(*b->stages));
	for (size_t i = 0; i < b->cfg->n_measure; i++)
		if (is_meant(b, &b->cfg->measure[i]))
			add_stage(b, &b->cfg->measure[i]);
	if (b->n_stages)
		return 0;
	if (b->board || b->stage)
		return err_set(e, ERR_INVALID, "%s has no %s \"%s\" under `measure`", b->cfg->file,
			       b->board ? "board" : "entry", b->board ? b->board : b->stage);
	return err_set(e, ERR_INVALID,
		       "%s measures this nowhere; say where with --endpoint or --serve, or add a "
		       "`measure` entry",
		       b->cfg->file);
}

static int find_stages(struct bench *b, struct err *e)
{
	b->stages = arena_array(b->a, 2, sizeof(*b->stages));
	if ((b->endpoint != NULL) + (b->serve != NULL) + (b->board != NULL) > 1)
		return err_set(e, ERR_INVALID,
			       "bench takes one of --endpoint, --serve and --board");
	return b->endpoint || b->serve ? from_options(b, e) : from_config(b, e);
}

/* ---- measuring */

static void on_progress(void *ctx, const char *stage, int done, int total)
{
	(void)ctx;
	if (cli_is_terminal(stderr))
		fprintf(stderr, "\r\033[K%s %d/%d", stage, done, total);
	if (cli_is_terminal(stderr) && done == total)
		fputs("\r\033[K", stderr);
}

static void end_progress(void)
{
	if (cli_is_terminal(stderr))
		fputs("\r\033[K", stderr);
}

/* With what the command line says in place of the stage's own. */
static struct measure_stage with_options(const struct bench *b, const struct measure_stage *from)
{
	struct measure_stage st = *from;

	if (b->runs)
		st.runs = (int)b->runs;
	if (b->warmup >= 0)
		st.warmup = (int)b->warmup;
	if (b->prompts)
		st.prompts = b->prompts;
	return st;
}

static const char *log_folder(struct bench *b)
{
	const char *tmp = getenv("TMPDIR");

	if (b->folder)
		return b->folder;
	if (b->store)
		return arena_printf(b->a, "%s/measure/%lld-bench", b->work, (long long)b->job.id);
	return arena_printf(b->a, "%s/quern-bench-%u", tmp && *tmp ? tmp : "/tmp",
			    (unsigned)getuid());
}

static int begin_row(struct bench *b, const struct measure_stage *st, int64_t *id, struct err *e)
{
	const char *settings;
	int rc = measure_stage_settings(b->a, st, &settings, e);

	if (rc < 0 || !b->store || b->no_store)
		return rc;
	return measure_record_begin(b->store, st, settings, b->job.id, 0, clock_wall_ms(), id, e);
}

static int end_row(struct bench *b, const struct measure_stage *st, int64_t id,
		   struct measure_result *r, const struct err *failed, struct err *e)
{
	if (!id)
		return 0;
	if (failed)
		return measure_record_failed(b->store, st, id, b->job.id, failed->msg,
					     clock_wall_ms(), NULL, e);
	return measure_record_done(b->store, st, id, b->job.id, r, clock_wall_ms(), NULL, e);
}

static int measure_one(struct bench *b, const struct measure_stage *from, struct measure_result *r,
		       struct err *e)
{
	struct measure_stage st = with_options(b, from);
	struct err ignored = ERR_INIT;
	int64_t id = 0;
	int rc = begin_row(b, &st, &id, e);

	if (rc < 0)
		return rc;
	r->a = b->a;
	rc = measure_stage_run(&st, &b->art, log_folder(b), on_progress, NULL, r, e);
	end_progress();
	if (rc < 0)
		(void)end_row(b, &st, id, r, e, &ignored);
	else
		rc = end_row(b, &st, id, r, NULL, e);
	return rc;
}

static void print_json(struct bench *b, const struct measure_result *r, size_t n)
{
	struct json_out w;
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	jw_init(&w, &out, 1);
	jw_object(&w);
	jw_kstr(&w, "file", b->art.file);
	jw_key(&w, "job");
	if (b->store)
		jw_int(&w, b->job.id);
	else
		jw_null(&w);
	jw_kstr(&w, "label", b->art.label);
	jw_karray(&w, "measurements");
	for (size_t i = 0; i < n; i++)
		measure_result_write(&w, &r[i]);
	jw_end_array(&w);
	jw_end_object(&w);
	buf_addc(&out, '\n');
	jw_flush(&w);
	buf_release(&out);
}

static bool is_bad(const struct measure_result *r)
{
	for (size_t i = 0; i < r->n_warnings; i++)
		if (strcmp(r->warnings[i].kind, MEASURE_WARN_TARGET) != 0)
			return true;
	return false;
}

static int bench(struct bench *b, struct err *e)
{
	struct measure_result *results;
	int rc = open_artifact(b, e), code = EXIT_GOOD;

	if (rc >= 0)
		rc = find_stages(b, e);
	if (rc < 0)
		return rc;
	hub_env_forget();
	results = arena_array(b->a, b->n_stages, sizeof(*results));
	for (size_t i = 0; i < b->n_stages; i++) {
		rc = measure_one(b, b->stages[i], &results[i], e);
		if (rc < 0)
			return rc;
		if (is_bad(&results[i]))
			code = EXIT_JOBS_FAILED;
		if (!b->json) {
			printf("%s%s%s\n", i ? "\n" : "", cli_style(stdout, STYLE_BOLD),
			       b->art.label);
			fputs(cli_style(stdout, STYLE_PLAIN), stdout);
			measured_print(stdout, b->a, b->stages[i]->name, &results[i]);
		}
	}
	if (b->json)
		print_json(b, results, b->n_stages);
	return code;
}

static int check_numbers(const struct bench *b, struct err *e)
{
	if (b->runs > 1000 || b->warmup > 100)
		return err_set(e, ERR_INVALID,
			       "bench: --runs is at most 1000 and --warmup at most 100");
	return 0;
}

int cmd_bench(int argc, char **argv)
{
	struct bench b = { .warmup = -1 };
	bool help;
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the jobs file (default jobs.yaml)", &b.file },
		{ "work", 0, OPT_STRING, "DIR",
		  "the work folder (default: `work` of the jobs file)", &b.work_option },
		{ "endpoint", 0, OPT_STRING, "URL", "an OpenAI-compatible server that runs",
		  &b.endpoint },
		{ "serve", 0, OPT_STRING, "COMMAND",
		  "start a server: 'llama-server -m {file} --port {port}'", &b.serve },
		{ "board", 0, OPT_STRING, "NAME", "a board of `measure` in the jobs file",
		  &b.board },
		{ "stage", 0, OPT_STRING, "NAME", "this entry of `measure` only", &b.stage },
		{ "model", 0, OPT_STRING, "NAME", "what the server calls the model", &b.model },
		{ "prompts", 0, OPT_STRING, "FILE", "a set of prompts (default: quern's own)",
		  &b.prompts },
		{ "runs", 0, OPT_INT, "N", "times that each prompt is asked (default 3)", &b.runs },
		{ "warmup", 0, OPT_INT, "N", "questions before that count for nothing (default 1)",
		  &b.warmup },
		{ "logs", 0, OPT_STRING, "DIR", "where the server's log goes", &b.folder },
		{ "no-store", 0, OPT_FLAG, NULL, "do not keep the result of a job", &b.no_store },
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &b.json },
	};
	struct err e = ERR_INIT;
	int at = cli_parse("bench", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && argc - at > 1)
		at = err_set(&e, ERR_INVALID, "bench takes one job or file");
	else if (at >= 0)
		b.operand = at < argc ? argv[at] : NULL;
	if (at >= 0)
		at = check_numbers(&b, &e);
	if (at < 0)
		return cli_fail(&e);
	measure_stop_on_signals();
	b.a = arena_new();
	rc = bench(&b, &e);
	store_close(b.store);
	arena_free(b.a);
	if (rc == ERR_CANCELLED)
		return EXIT_INTERRUPTED;
	if (rc == ERR_BUSY)
		e.code = ERR_ENV; /* a server that is not there is no other run */
	return rc < 0 ? cli_fail(&e) : rc;
}

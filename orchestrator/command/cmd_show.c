/* orchestrator/command/cmd_show.c -- quern show: all that is known of one job. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/units.h"
#include "db/cause.h"
#include "db/facts.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/view/json_rows.h"
#include "orchestrator/view/measured.h"
#include "orchestrator/view/table.h"

#define ATTEMPTS_MAX 100
#define EVENTS_MAX 200
#define FILES_MAX 1000
#define MEASURES_MAX 100
#define OUTPUT_MAX (64u << 20)

struct job_view {
	const char *work;
	struct arena *a;
	int64_t now_ms;
	struct job_row job;
	char key[SHA256_HEX];
	struct attempt_row *attempts; /* newest first */
	struct event_row *events;     /* oldest first */
	struct artifact_row *files;
	struct measurement_row *measures; /* newest first */
	struct hold_row *holds;
	int n_attempts, n_events, n_files, n_measures, n_holds;
};

static int load(struct store *s, const char *name, struct job_view *v, struct err *e)
{
	int rc = store_job_find(s, name, v->a, &v->job, e);

	if (rc < 0)
		return rc;
	hex_encode(v->job.key, SHA256_LEN, v->key);
	v->attempts = arena_array(v->a, ATTEMPTS_MAX, sizeof(*v->attempts));
	v->events = arena_array(v->a, EVENTS_MAX, sizeof(*v->events));
	v->files = arena_array(v->a, FILES_MAX, sizeof(*v->files));
	rc = v->n_attempts = store_attempts(s, v->job.id, v->a, v->attempts, ATTEMPTS_MAX, e);
	if (rc >= 0)
		rc = v->n_events = store_events(s, v->job.id, v->a, v->events, EVENTS_MAX, e);
	if (rc >= 0)
		rc = v->n_files = store_artifacts(s, v->job.id, v->a, v->files, FILES_MAX, e);
	v->measures = arena_array(v->a, MEASURES_MAX, sizeof(*v->measures));
	v->holds = arena_array(v->a, MEASURES_MAX, sizeof(*v->holds));
	if (rc >= 0)
		rc = v->n_measures =
			store_measures(s, v->job.id, v->a, v->measures, MEASURES_MAX, e);
	if (rc >= 0)
		rc = v->n_holds = store_holds(s, v->job.id, v->a, v->holds, MEASURES_MAX, e);
	return rc < 0 ? rc : 0;
}

/* ---- text */

static void line(const char *name, const char *value)
{
	if (!value || !*value)
		return;
	printf("%s%-10s%s ", cli_style(stdout, STYLE_DIM), name, cli_style(stdout, STYLE_PLAIN));
	cli_print_text(stdout, value);
	putchar('\n');
}

static const char *size_text(struct arena *a, int64_t bytes)
{
	char text[32];

	units_format_size(bytes > 0 ? (uint64_t)bytes : 0, text, sizeof(text));
	return arena_strdup(a, text);
}

static void print_parameters(const struct job_view *v)
{
	const struct job_row *j = &v->job;
	const struct job_spec *s = &j->spec;
	char number[32];

	line("key", v->key);
	line("model", s->model);
	line("engine", arena_printf(v->a, "%s %s", s->engine, s->engine_version));
	line("platform", s->platform);
	line("quant", s->quant);
	json_format_number(s->hybrid, number);
	line("hybrid", number);
	line("opt", arena_printf(v->a, "%d", s->opt));
	if (strcmp(s->with, "{}") != 0)
		line("with", s->with);
	line("source", arena_printf(v->a, "%s: %s", s->source_kind, s->source));
	line("version", s->source_version);
	if (s->lora)
		line("lora", arena_printf(v->a, "%s at %s", s->lora,
					  s->lora_version ? s->lora_version : "?"));
	line("expected",
	     arena_printf(v->a, "%s output, %s memory, %s scratch",
			  size_text(v->a, j->output_bytes), size_text(v->a, j->memory_bytes),
			  size_text(v->a, j->scratch_bytes)));
	line("file", j->file);
	line("repository", j->repo);
}

/* Of the last attempt, when it says more than the message. */
static void print_evidence(const struct job_view *v)
{
	const struct attempt_row *at = v->attempts;

	if (v->n_attempts && v->job.cause[0] && at->evidence[0] &&
	    strcmp(at->evidence, v->job.message) != 0)
		line("evidence", arena_printf(v->a, "%s: %s", at->evidence_from, at->evidence));
}

static void print_fix(const struct job_view *v)
{
	const struct cause *c = v->job.state == JOB_FAILED ? cause_find(v->job.cause) : NULL;

	if (c && c->fix[0])
		line("fix", c->retry ? arena_printf(v->a, "%s; then quern retry %lld && quern run",
						    c->fix, (long long)v->job.id)
				     : c->fix);
}

static void print_state(const struct job_view *v)
{
	const struct job_row *j = &v->job;

	printf("%sjob %lld%s ", cli_style(stdout, STYLE_BOLD), (long long)j->id,
	       cli_style(stdout, STYLE_PLAIN));
	cli_print_text(stdout, j->label);
	printf(": %s%s%s since %s (%s)\n", cli_style(stdout, state_style(j->state)),
	       job_state_name(j->state), cli_style(stdout, STYLE_PLAIN),
	       show_time(v->a, j->changed_ms), show_ago(v->a, j->changed_ms, v->now_ms));
	if (j->state == JOB_PENDING && j->not_before_ms > v->now_ms)
		line("next try", show_time(v->a, j->not_before_ms));
	if (j->cause[0] || j->message[0])
		line("because", arena_printf(v->a, "%s: %s", j->cause, j->message));
	print_evidence(v);
	if (j->rungs[0])
		line(j->state == JOB_PENDING ? "next with" : "made with", j->rungs);
	print_fix(v);
}

/* "exit 0", "signal 9", "going on". */
static const char *ending(const struct job_view *v, const struct attempt_row *at)
{
	if (at->signal)
		return arena_printf(v->a, "signal %d", at->signal);
	if (at->exit_code >= 0)
		return arena_printf(v->a, "exit %d", at->exit_code);
	return at->ended_ms ? "unknown" : "going on";
}

static void print_attempts(const struct job_view *v)
{
	static const struct column columns[] = {
		{ "attempt", ALIGN_RIGHT, 0 }, { "started", ALIGN_LEFT, 0 },
		{ "took", ALIGN_RIGHT, 0 },    { "ended", ALIGN_LEFT, 0 },
		{ "cpu", ALIGN_RIGHT, 0 },     { "memory", ALIGN_RIGHT, 0 },
		{ "with", ALIGN_LEFT, 0 },     { "cause", ALIGN_LEFT, 6 },
		{ "message", ALIGN_LEFT, 12 },
	};
	struct table *t;

	if (!v->n_attempts)
		return;
	t = table_new(columns, ARRAY_LEN(columns));
	for (int i = v->n_attempts - 1; i >= 0; i--) {
		const struct attempt_row *at = &v->attempts[i];
		int64_t end_ms = at->ended_ms ? at->ended_ms : v->now_ms;
		char took[32], cpu[32] = "";
		const char *row[] = { arena_printf(v->a, "%d", at->number),
				      show_time(v->a, at->started_ms),
				      took,
				      ending(v, at),
				      cpu,
				      at->peak_rss_bytes > 0 ? size_text(v->a, at->peak_rss_bytes)
							     : "",
				      at->rungs,
				      at->cause,
				      at->message };

		units_format_duration(end_ms > at->started_ms ? end_ms - at->started_ms : 0, took,
				      sizeof(took));
		if (at->user_ms + at->system_ms > 0)
			units_format_duration(at->user_ms + at->system_ms, cpu, sizeof(cpu));
		table_add(t, row);
	}
	putchar('\n');
	table_print(t, stdout, table_width_limit());
	table_free(t);
}

static void print_events(const struct job_view *v)
{
	static const struct column columns[] = {
		{ "event", ALIGN_LEFT, 0 },
		{ "", ALIGN_LEFT, 0 },
		{ "", ALIGN_LEFT, 0 },
		{ "", ALIGN_LEFT, 12 },
	};
	struct table *t;

	if (!v->n_events)
		return;
	t = table_new(columns, ARRAY_LEN(columns));
	for (int i = 0; i < v->n_events; i++) {
		const struct event_row *ev = &v->events[i];
		const char *row[] = { show_time(v->a, ev->at_ms), ev->event,
				      arena_printf(v->a, "%s -> %s", ev->from, ev->to),
				      ev->cause[0] && ev->message[0]
					      ? arena_printf(v->a, "%s: %s", ev->cause, ev->message)
					      : ev->message };

		table_add(t, row);
	}
	putchar('\n');
	table_print(t, stdout, table_width_limit());
	table_free(t);
}

/* Of an imported file. */
static void print_claims(const struct job_view *v)
{
	const struct json *claims;
	struct err ignored = ERR_INIT;
	struct facts f;

	if (!v->n_files || facts_parse(v->a, v->files[0].facts, &f, &ignored) < 0)
		return;
	claims = f.of[FACT_NAME];
	for (size_t i = 0; i < claims->count; i++) {
		struct buf b;

		buf_init(&b, OUTPUT_MAX);
		json_write_canonical(&b, claims->members[i].value);
		if (i == 0)
			puts("\nimported, not made here; its name claims, and nothing confirms:");
		line(claims->members[i].key, buf_str(&b));
		buf_release(&b);
	}
}

static void print_files(const struct job_view *v)
{
	char hex[SHA256_HEX];
	int dropped = 0;

	if (!v->n_files)
		return;
	for (int i = 0; i < v->n_files; i++)
		dropped += v->files[i].dropped_ms != 0;
	printf("\n%sfiles%s ", cli_style(stdout, STYLE_DIM), cli_style(stdout, STYLE_PLAIN));
	if (dropped == v->n_files) {
		fputs("on the hub; here they have left the disk", stdout);
	} else {
		fputs("in ", stdout);
		cli_print_text(stdout, workdir_artifact(v->a, v->work, v->job.key));
	}
	putchar('\n');
	for (int i = 0; i < v->n_files; i++) {
		hex_encode(v->files[i].sha256, SHA256_LEN, hex);
		fputs("  ", stdout);
		cli_print_text(stdout, v->files[i].name);
		printf("  %s  sha256 %s%s\n", size_text(v->a, v->files[i].size_bytes), hex,
		       v->files[i].dropped_ms && dropped < v->n_files ? "  on the hub only" : "");
	}
}

/* Of each stage the last one that was measured, and what went wrong since. */
static void print_measures(const struct job_view *v)
{
	const char *seen[MEASURES_MAX];
	struct measure_result r;
	int n = 0;

	for (int i = 0; i < v->n_measures; i++) {
		const struct measurement_row *m = &v->measures[i];
		int k = 0;

		while (k < n && strcmp(seen[k], m->stage) != 0)
			k++;
		if (k < n)
			continue;
		if (measured_read(v->a, m, &r)) {
			seen[n++] = m->stage;
			printf("\n%smeasured%s ", cli_style(stdout, STYLE_DIM),
			       cli_style(stdout, STYLE_PLAIN));
			measured_print(stdout, v->a, m->stage, &r);
		} else {
			printf("\n%smeasured%s %s: %s %s", cli_style(stdout, STYLE_DIM),
			       cli_style(stdout, STYLE_PLAIN), m->stage, m->state,
			       show_time(v->a, m->started_ms));
			fputs(m->message[0] ? ": " : "", stdout);
			cli_print_text(stdout, m->message);
			putchar('\n');
		}
	}
	for (int i = 0; i < v->n_holds; i++) {
		const struct hold_row *h = &v->holds[i];
		bool kept = strcmp(h->reason, HOLD_KEPT) == 0;

		printf("%s%s%s since %s by %s: %s\n", cli_style(stdout, STYLE_YELLOW),
		       kept ? "kept here" : "held", cli_style(stdout, STYLE_PLAIN),
		       show_time(v->a, h->since_ms), h->stage, kept ? "to be measured" : h->reason);
	}
}

static void print_text(const struct job_view *v)
{
	print_state(v);
	print_parameters(v);
	print_attempts(v);
	print_events(v);
	print_files(v);
	print_claims(v);
	print_measures(v);
	if (v->job.tries)
		printf("\n%squern logs %lld prints what the worker said%s\n",
		       cli_style(stdout, STYLE_DIM), (long long)v->job.id,
		       cli_style(stdout, STYLE_PLAIN));
}

/* ---- JSON */

static void json_text(struct json_out *w, const struct job_view *v, const char *key,
		      const char *text)
{
	struct err e = ERR_INIT;
	struct json *value;

	jw_key(w, key);
	if (text && json_parse(v->a, text, strlen(text), &value, &e) == 0)
		jw_value(w, value);
	else
		jw_null(w);
}

static void json_job(struct json_out *w, const struct job_view *v)
{
	const struct job_row *j = &v->job;

	json_job_name(w, j->id, j->key, j->label);
	jw_kstr(w, "state", job_state_name(j->state));
	jw_time(w, "changed", j->changed_ms);
	jw_time(w, "created", j->created_ms);
	jw_time(w, "not_before", j->not_before_ms);
	jw_kint(w, "run", j->run_id);
	jw_kint(w, "attempts_counted", j->attempts);
	jw_kint(w, "tries", j->tries);
	jw_kstr(w, "cause", j->cause);
	jw_kstr(w, "message", j->message);
	jw_kstr(w, "rungs", j->rungs);
	jw_kstr(w, "model", j->spec.model);
	jw_kstr(w, "engine", j->spec.engine);
	jw_kstr(w, "engine_version", j->spec.engine_version);
	jw_kstr(w, "platform", j->spec.platform);
	jw_kstr(w, "quant", j->spec.quant);
	jw_knum(w, "hybrid", j->spec.hybrid);
	jw_kint(w, "opt", j->spec.opt);
	json_text(w, v, "with", j->spec.with);
	jw_kstr(w, "source_kind", j->spec.source_kind);
	jw_kstr(w, "source", j->spec.source);
	jw_kstr(w, "source_version", j->spec.source_version);
	jw_kstr(w, "lora", j->spec.lora);
	jw_kstr(w, "lora_version", j->spec.lora_version);
	jw_kint(w, "memory_bytes", j->memory_bytes);
	jw_kint(w, "output_bytes", j->output_bytes);
	jw_kint(w, "scratch_bytes", j->scratch_bytes);
	jw_kstr(w, "repo", j->repo);
	jw_kstr(w, "file", j->file);
}

static void json_attempts(struct json_out *w, const struct job_view *v)
{
	jw_karray(w, "attempts");
	for (int i = v->n_attempts - 1; i >= 0; i--) {
		const struct attempt_row *at = &v->attempts[i];

		jw_object(w);
		jw_kint(w, "number", at->number);
		jw_kint(w, "run", at->run_id);
		jw_kstr(w, "verb", at->verb);
		jw_time(w, "started", at->started_ms);
		jw_time(w, "ended", at->ended_ms);
		jw_kint(w, "exit_code", at->exit_code);
		jw_kint(w, "signal", at->signal);
		json_failure(w, at->cause, at->message, at->evidence_from, at->evidence, at->rungs);
		jw_kint(w, "peak_rss_bytes", at->peak_rss_bytes);
		jw_kint(w, "user_ms", at->user_ms);
		jw_kint(w, "system_ms", at->system_ms);
		jw_kstr(w, "stage", at->stage);
		jw_kint(w, "done", at->done);
		jw_kint(w, "total", at->total);
		jw_kstr(w, "unit", at->unit);
		jw_kstr(w, "folder", workdir_job(v->a, v->work, v->job.key, at->number));
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_events(struct json_out *w, const struct job_view *v)
{
	jw_karray(w, "events");
	for (int i = 0; i < v->n_events; i++) {
		const struct event_row *ev = &v->events[i];

		jw_object(w);
		jw_time(w, "at", ev->at_ms);
		jw_kstr(w, "event", ev->event);
		jw_kstr(w, "from", ev->from);
		jw_kstr(w, "to", ev->to);
		jw_kint(w, "run", ev->run_id);
		jw_kstr(w, "cause", ev->cause);
		jw_kstr(w, "message", ev->message);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_files(struct json_out *w, const struct job_view *v)
{
	const char *dir = workdir_artifact(v->a, v->work, v->job.key);
	char hex[SHA256_HEX];

	jw_karray(w, "files");
	for (int i = 0; i < v->n_files; i++) {
		const struct artifact_row *f = &v->files[i];

		hex_encode(f->sha256, SHA256_LEN, hex);
		jw_object(w);
		jw_kstr(w, "name", f->name);
		jw_kstr(w, "path",
			f->dropped_ms ? NULL : arena_printf(v->a, "%s/%s", dir, f->name));
		jw_kint(w, "size_bytes", f->size_bytes);
		jw_kstr(w, "sha256", hex);
		json_text(w, v, "facts", f->facts);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_measures(struct json_out *w, const struct job_view *v)
{
	jw_karray(w, "measurements");
	for (int i = v->n_measures - 1; i >= 0; i--)
		measured_json(w, v->a, &v->measures[i]);
	jw_end_array(w);
	jw_karray(w, "holds");
	for (int i = 0; i < v->n_holds; i++) {
		jw_object(w);
		jw_kstr(w, "stage", v->holds[i].stage);
		jw_kstr(w, "reason", v->holds[i].reason);
		jw_time(w, "since", v->holds[i].since_ms);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static int print_json(const struct job_view *v, struct err *e)
{
	struct json_out w;
	struct buf b;
	int rc = 0;

	buf_init(&b, OUTPUT_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	json_job(&w, v);
	json_attempts(&w, v);
	json_events(&w, v);
	json_files(&w, v);
	json_measures(&w, v);
	jw_end_object(&w);
	buf_addc(&b, '\n');
	if (b.overflow)
		rc = err_set(e, ERR_NOSPACE, "more than %u bytes to show", OUTPUT_MAX);
	else
		jw_flush(&w);
	buf_release(&b);
	return rc;
}

int cmd_show(int argc, char **argv)
{
	struct store_command sc = { 0 };
	bool json = false, help;
	const struct option_def opts[] = {
		STORE_COMMAND_OPTIONS(&sc),
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &json },
	};
	struct job_view v = { 0 };
	struct err e = ERR_INIT;
	int at = cli_parse("show", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && argc - at != 1)
		at = err_set(&e, ERR_INVALID,
			     "show: name one job, by its number or the start of its key");
	if (at < 0)
		return cli_fail(&e);
	rc = store_command_open(&sc, 1);
	if (rc == 0) {
		v.work = sc.work;
		v.a = sc.a;
		v.now_ms = clock_wall_ms();
		rc = load(sc.store, argv[at], &v, &e);
		if (rc >= 0 && json)
			rc = print_json(&v, &e);
		else if (rc >= 0)
			print_text(&v);
		rc = rc < 0 ? cli_fail(&e) : EXIT_GOOD;
	}
	store_command_close(&sc);
	return rc;
}

/* orchestrator/command/cmd_explain.c -- quern explain: why a job would or would not run now. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/explain.h"
#include "orchestrator/view/json_rows.h"

#define OUTPUT_MAX (4u << 20)

static const char *const kind_names[] = {
	[REASON_GOOD] = "good",
	[REASON_LATER] = "later",
	[REASON_DONE] = "done",
	[REASON_NEVER] = "no",
};

static const char *verdict_word(const struct explained *x)
{
	const struct reason *r = explain_verdict(x);

	return !r || r->kind == REASON_GOOD ? "it would start now"
	       : r->kind == REASON_LATER    ? "not now"
	       : r->kind == REASON_DONE	    ? "there is nothing to do"
					    : "it is not done by any run";
}

/* ---- text */

static void row(const char *mark, enum style style, const char *name, const char *text)
{
	printf("  %s%-5s%s %-16s ", cli_style(stdout, style), mark, cli_style(stdout, STYLE_PLAIN),
	       name);
	cli_print_text(stdout, text);
	putchar('\n');
}

static void print_reasons(const struct explained *x)
{
	static const enum style styles[] = {
		[REASON_GOOD] = STYLE_GREEN,
		[REASON_LATER] = STYLE_YELLOW,
		[REASON_DONE] = STYLE_GREEN,
		[REASON_NEVER] = STYLE_RED,
	};

	for (size_t i = 0; i < x->n_reasons; i++)
		row(kind_names[x->reasons[i].kind], styles[x->reasons[i].kind], x->reasons[i].what,
		    x->reasons[i].text);
}

static void print_key(const struct explained *x)
{
	char hex[SHA256_HEX];

	hex_encode(x->job.key, SHA256_LEN, hex);
	printf("\nkey %s, made of\n", hex);
	for (size_t i = 0; i < KEY_PARTS; i++) {
		if (x->parts[i].in_key && x->parts[i].value[0])
			row("", STYLE_PLAIN, x->parts[i].name, x->parts[i].value);
	}
	puts("\na change makes these jobs anew");
	printf("  %-22s %lld\n", "of this source", (long long)x->same_source);
	printf("  %-22s %lld\n", "of this engine version", (long long)x->same_engine);
	printf("  %-22s %lld\n", "of these parameters", (long long)x->same_with);
}

static void print_nearest(const struct explained *x)
{
	if (!x->nearest_id) {
		puts("\nno other job of its engine is done");
		return;
	}
	printf("\nnearest done job: %lld ", (long long)x->nearest_id);
	cli_print_text(stdout, x->nearest_label);
	printf(", with %zu other part%s\n", x->n_differ, x->n_differ == 1 ? "" : "s");
	for (size_t i = 0; i < x->n_differ; i++) {
		const struct key_part *theirs = &x->nearest[x->differ[i]];

		printf("        %-16s ", theirs->name);
		cli_print_text(stdout, theirs->value[0] ? theirs->value : "none");
		fputs(" -> ", stdout);
		cli_print_text(stdout, x->parts[x->differ[i]].value[0]
					       ? x->parts[x->differ[i]].value
					       : "none");
		putchar('\n');
	}
}

static void print_text(const struct explained *x)
{
	const struct reason *r = explain_verdict(x);

	printf("%sjob %lld%s ", cli_style(stdout, STYLE_BOLD), (long long)x->job.id,
	       cli_style(stdout, STYLE_PLAIN));
	cli_print_text(stdout, x->job.label);
	printf(": %s", verdict_word(x));
	if (r && r->kind != REASON_GOOD) {
		printf(": %s: ", r->what);
		cli_print_text(stdout, r->text);
	}
	putchar('\n');
	print_reasons(x);
	print_key(x);
	print_nearest(x);
}

/* ---- JSON */

static void json_parts(struct json_out *w, const struct explained *x)
{
	jw_kobject(w, "key_parts");
	for (size_t i = 0; i < KEY_PARTS; i++) {
		if (x->parts[i].in_key)
			jw_kstr(w, x->parts[i].name, x->parts[i].value);
	}
	jw_end_object(w);
}

static void json_nearest(struct json_out *w, const struct explained *x)
{
	jw_key(w, "nearest");
	if (!x->nearest_id) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kint(w, "job", x->nearest_id);
	jw_kstr(w, "label", x->nearest_label);
	jw_karray(w, "differs");
	for (size_t i = 0; i < x->n_differ; i++) {
		jw_object(w);
		jw_kstr(w, "part", x->parts[x->differ[i]].name);
		jw_kstr(w, "theirs", x->nearest[x->differ[i]].value);
		jw_kstr(w, "this", x->parts[x->differ[i]].value);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
}

static void print_json(const struct explained *x)
{
	const struct reason *r = explain_verdict(x);
	struct json_out w;
	struct buf b;

	buf_init(&b, OUTPUT_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	json_job_name(&w, x->job.id, x->job.key, x->job.label);
	jw_kstr(&w, "state", job_state_name(x->job.state));
	jw_kstr(&w, "verdict", kind_names[r ? r->kind : REASON_GOOD]);
	jw_karray(&w, "reasons");
	for (size_t i = 0; i < x->n_reasons; i++) {
		jw_object(&w);
		jw_kstr(&w, "verdict", kind_names[x->reasons[i].kind]);
		jw_kstr(&w, "what", x->reasons[i].what);
		jw_kstr(&w, "text", x->reasons[i].text);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	json_parts(&w, x);
	jw_kobject(&w, "a_change_affects");
	jw_kint(&w, "source", x->same_source);
	jw_kint(&w, "engine_version", x->same_engine);
	jw_kint(&w, "with", x->same_with);
	jw_end_object(&w);
	json_nearest(&w, x);
	jw_end_object(&w);
	buf_addc(&b, '\n');
	jw_flush(&w);
	buf_release(&b);
}

int cmd_explain(int argc, char **argv)
{
	const char *file = "jobs.yaml";
	struct option_list set = { .n = 0 };
	bool json = false, help;
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE", "the matrix (default jobs.yaml)", &file },
		{ "set", 0, OPT_LIST, "KEY=VALUE", "override a value of the file", &set },
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &json },
	};
	struct err e = ERR_INIT;
	struct explained x = { 0 };
	struct session s;
	int at = cli_parse("explain", opts, ARRAY_LEN(opts), argc, argv, &help, &e), rc;

	if (help)
		return EXIT_GOOD;
	if (at >= 0 && argc - at != 1)
		at = err_set(&e, ERR_INVALID,
			     "explain: name one job, by its number or the start of its key");
	if (at < 0)
		return cli_fail(&e);
	rc = session_open(&s, SESSION_LOOK, file, &(struct config_set){ set.v, set.n }, "explain",
			  &e);
	if (rc < 0)
		return cli_fail(&e);
	if (!s.store)
		rc = err_set(&e, ERR_ENV, "nothing has run here yet; quern plan shows what would");
	else
		rc = explain(&s, argv[at], s.a, &x, &e);
	if (rc >= 0 && json)
		print_json(&x);
	else if (rc >= 0)
		print_text(&x);
	session_close(&s);
	return rc < 0 ? cli_fail(&e) : EXIT_GOOD;
}

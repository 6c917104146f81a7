/* orchestrator/command/cmd_engines.c -- quern engines: what can be made, and what is missing for
 * the rest.
 */
#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/config/config.h"
#include "orchestrator/view/engines_view.h"
#include "orchestrator/view/json_rows.h"
#include "orchestrator/view/table.h"

#define TEXT_MAX (4u << 20)

int engines_or_say(struct arena *a, struct engines *out)
{
	struct faults f = { .a = a, .file = "engines" };
	struct err e = ERR_INIT;
	struct buf b;

	if (engines_load(a, out, &f, &e) < 0)
		return cli_fail(&e);
	if (f.n) {
		buf_init(&b, TEXT_MAX);
		faults_print(&f, &b);
		fputs(buf_str(&b), stderr);
		buf_release(&b);
	}
	return 0;
}

static void add_words(struct buf *b, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s%s", i ? " " : "", v[i]);
}

static const char *quants(struct buf *b, const struct engine *en)
{
	buf_clear(b);
	for (size_t i = 0; i < en->n_quants; i++)
		buf_addf(b, "%s%s", i ? " " : "", en->quants[i].name);
	return buf_str(b);
}

static void print_text(const struct engines *es)
{
	static const struct column columns[] = {
		{ "engine", ALIGN_LEFT, 0 },	{ "version", ALIGN_LEFT, 0 },
		{ "from", ALIGN_LEFT, 6 },	{ "to", ALIGN_LEFT, 0 },
		{ "platforms", ALIGN_LEFT, 9 }, { "quants", ALIGN_LEFT, 10 },
		{ "status", ALIGN_LEFT, 10 },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns));
	struct buf in, platforms, q;

	buf_init(&in, TEXT_MAX);
	buf_init(&platforms, TEXT_MAX);
	buf_init(&q, TEXT_MAX);
	for (size_t i = 0; i < es->n; i++) {
		const struct engine *en = &es->v[i];
		const char *row[7] = { en->name,
				       en->version,
				       NULL,
				       en->output,
				       NULL,
				       NULL,
				       en->program ? "ok" : "missing" };

		buf_clear(&in);
		buf_clear(&platforms);
		add_words(&in, en->inputs, en->n_inputs);
		add_words(&platforms, en->platforms, en->n_platforms);
		row[2] = buf_str(&in);
		row[4] = buf_str(&platforms);
		row[5] = quants(&q, en);
		table_add(t, row);
		table_style(t, 6, en->program ? STYLE_GREEN : STYLE_YELLOW);
	}
	table_print(t, stdout, table_width_limit());
	for (size_t i = 0; i < es->n; i++) {
		if (es->v[i].program)
			continue;
		printf("%s: ", es->v[i].name);
		cli_print_text(stdout,
			       es->v[i].missing ? es->v[i].missing : "its program is missing");
		putchar('\n');
	}
	if (!es->n)
		puts("no engines; quern doctor says where they are looked for");
	buf_release(&in);
	buf_release(&platforms);
	buf_release(&q);
	table_free(t);
}

static void json_words(struct json_out *w, const char *key, const char *const *v, size_t n)
{
	jw_karray(w, key);
	for (size_t i = 0; i < n; i++)
		jw_str(w, v[i]);
	jw_end_array(w);
}

static void json_quants(struct json_out *w, const struct engine *en)
{
	jw_karray(w, "quants");
	for (size_t i = 0; i < en->n_quants; i++) {
		jw_object(w);
		jw_kstr(w, "name", en->quants[i].name);
		jw_knum(w, "bits", en->quants[i].bits);
		jw_kint(w, "group", en->quants[i].group);
		json_words(w, "platforms", en->quants[i].platforms, en->quants[i].n_platforms);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_params(struct json_out *w, const struct engine *en)
{
	jw_karray(w, "params");
	for (size_t i = 0; i < en->n_params; i++) {
		jw_object(w);
		jw_kstr(w, "name", en->params[i].name);
		jw_kstr(w, "type", en->params[i].type);
		jw_kstr(w, "help", en->params[i].help);
		jw_kstr(w, "since", en->params[i].since);
		json_words(w, "values", en->params[i].values, en->params[i].n_values);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_engine(struct json_out *w, const struct engine *en)
{
	jw_object(w);
	jw_kstr(w, "name", en->name);
	jw_kstr(w, "version", en->version);
	jw_kstr(w, "summary", en->summary);
	jw_kstr(w, "manifest", en->manifest);
	jw_kstr(w, "status", en->program ? "ok" : "missing");
	jw_kstr(w, "program", en->program);
	jw_kstr(w, "missing", en->missing);
	jw_kbool(w, "network", en->network);
	jw_kstr(w, "package", en->package);
	json_words(w, "inputs", en->inputs, en->n_inputs);
	jw_kstr(w, "output", en->output);
	jw_kstr(w, "extension", en->extension);
	json_words(w, "verbs", en->verbs, en->n_verbs);
	json_words(w, "architectures", en->architectures, en->n_architectures);
	json_words(w, "platforms", en->platforms, en->n_platforms);
	json_quants(w, en);
	jw_karray(w, "opts");
	for (size_t i = 0; i < en->n_opts; i++)
		jw_int(w, en->opts[i]);
	jw_end_array(w);
	json_params(w, en);
	if (en->renew_format) {
		json_renews(w, en);
	} else {
		jw_key(w, "renews");
		jw_null(w);
	}
	jw_end_object(w);
}

static void print_json(const struct engines *es)
{
	struct json_out w;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_karray(&w, "engines");
	for (size_t i = 0; i < es->n; i++)
		json_engine(&w, &es->v[i]);
	jw_end_array(&w);
	jw_end_object(&w);
	puts(buf_str(&b));
	buf_release(&b);
}

int cmd_engines(int argc, char **argv)
{
	bool json = false, help;
	const struct option_def opts[] = {
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &json },
	};
	struct err e = ERR_INIT;
	struct engines es;
	struct arena *a;
	int rc = cli_parse("engines", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (rc >= 0 && rc < argc)
		rc = err_set(&e, ERR_INVALID, "engines takes no operand");
	if (rc < 0)
		return cli_fail(&e);
	a = arena_new();
	rc = engines_or_say(a, &es);
	if (rc == 0 && json)
		print_json(&es);
	else if (rc == 0)
		print_text(&es);
	arena_free(a);
	return rc;
}

/* orchestrator/command/cmd_doctor.c -- quern doctor: what works on this machine, what is missing,
 * and the fix. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/host/container.h"
#include "orchestrator/host/workdir.h"
#include "orchestrator/view/doctor.h"

#define OUTPUT_MAX (1u << 20)

static const char *const level_names[] = {
	[CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_BAD] = "bad"
};

void check_add(struct checks *c, const char *name, enum check_level level, const char *fix,
	       const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	MEM_GROW(c->v, c->n, c->cap);
	c->v[c->n++] = (struct check){ .name = name,
				       .level = level,
				       .found = text ? arena_strdup(c->a, text) : "",
				       .fix = fix };
	free(text);
}

/* The jobs file is optional here; a broken one is a finding. */
static struct config *read_config(struct checks *c, const char *file)
{
	const char *name = file ? file : "jobs.yaml";
	struct faults f = { .a = c->a, .file = name };
	struct config *cfg = NULL;
	struct err e = ERR_INIT;

	if (!file && access(name, F_OK) != 0 && errno == ENOENT) {
		check_add(c, "jobs file", CHECK_OK, NULL, "no jobs.yaml here; -f names one");
		return NULL;
	}
	if (config_load(c->a, name, NULL, &f, &cfg, &e) < 0) {
		check_add(c, "jobs file", CHECK_BAD, "quern plan lists every fault", "%s",
			  f.n ? f.v[0].text : e.msg);
		return NULL;
	}
	check_add(c, "jobs file", CHECK_OK, NULL, "%s", name);
	return cfg;
}

static void environment_checks(struct checks *c, struct config *cfg, const struct engines *es,
			       const char *engine, bool deep)
{
	struct faults f = { .a = c->a, .file = "jobs.yaml" };

	if (cfg) {
		containers_look(c->a, cfg, es);
		environments_look(c->a, cfg, es, &f);
	}
	for (size_t i = 0; i < f.n; i++)
		check_add(c, "jobs file", CHECK_BAD, "correct `engines`", "%s", f.v[i].text);
	doctor_environments(c, cfg, es);
	if (deep)
		doctor_deep(c, cfg, es, engine);
}

static void all_checks(struct checks *c, const char *file, const char *work_option,
		       const char *engine, bool deep)
{
	struct config *cfg = read_config(c, file);
	struct engines es = { 0 };
	const char *work = ".quern";
	struct err e = ERR_INIT;

	/* A fault of the file has been told above; the checks go on with the usual folder. */
	if (workdir_find(c->a, work_option, file, &work, &e) < 0)
		work = ".quern";
	doctor_disk(c, work);
	doctor_memory(c);
	doctor_limits(c);
	doctor_clock(c, work);
	doctor_sandbox(c);
	doctor_engines(c, cfg, &es);
	environment_checks(c, cfg, &es, engine, deep);
	doctor_programs(c);
	doctor_libraries(c);
}

static void print_text(const struct checks *c)
{
	static const enum style styles[] = {
		[CHECK_OK] = STYLE_GREEN, [CHECK_WARN] = STYLE_YELLOW, [CHECK_BAD] = STYLE_RED
	};

	for (size_t i = 0; i < c->n; i++) {
		const struct check *k = &c->v[i];

		printf("%s%-4s%s  %s: ", cli_style(stdout, styles[k->level]), level_names[k->level],
		       cli_style(stdout, STYLE_PLAIN), k->name);
		cli_print_text(stdout, k->found);
		putchar('\n');
		if (k->fix && k->level != CHECK_OK) {
			fputs("      fix: ", stdout);
			cli_print_text(stdout, k->fix);
			putchar('\n');
		}
	}
}

static void print_json(const struct checks *c, size_t n_bad)
{
	struct json_out w;
	struct buf b;

	buf_init(&b, OUTPUT_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kbool(&w, "ok", n_bad == 0);
	jw_karray(&w, "checks");
	for (size_t i = 0; i < c->n; i++) {
		jw_object(&w);
		jw_kstr(&w, "name", c->v[i].name);
		jw_kstr(&w, "level", level_names[c->v[i].level]);
		jw_kstr(&w, "found", c->v[i].found);
		jw_kstr(&w, "fix", c->v[i].level == CHECK_OK ? NULL : c->v[i].fix);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	puts(buf_str(&b));
	buf_release(&b);
}

int cmd_doctor(int argc, char **argv)
{
	const char *file = NULL, *work = NULL;
	const char *engine = NULL;
	bool json = false, deep = false, help;
	const struct option_def opts[] = {
		{ "file", 'f', OPT_STRING, "FILE",
		  "the jobs file (default jobs.yaml, if there is one)", &file },
		{ "work", 0, OPT_STRING, "DIR",
		  "the work folder (default: `work` of the jobs file)", &work },
		{ "engine", 'e', OPT_STRING, "ENGINE", "whose toolkit --deep tries", &engine },
		{ "deep", 0, OPT_FLAG, NULL,
		  "convert a tiny model in each environment of the engine", &deep },
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &json },
	};
	struct checks c = { 0 };
	struct err e = ERR_INIT;
	size_t n_bad = 0;
	int rc = cli_parse("doctor", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (rc >= 0 && rc < argc)
		rc = err_set(&e, ERR_INVALID, "doctor takes no operand");
	if (rc >= 0 && deep != (engine != NULL))
		rc = err_set(&e, ERR_INVALID,
			     "--deep and --engine belong together: quern doctor --engine rkllm "
			     "--deep");
	if (rc < 0)
		return cli_fail(&e);
	c.a = arena_new();
	all_checks(&c, file, work, engine, deep);
	for (size_t i = 0; i < c.n; i++)
		n_bad += c.v[i].level == CHECK_BAD;
	if (json)
		print_json(&c, n_bad);
	else
		print_text(&c);
	free(c.v);
	arena_free(c.a);
	return n_bad ? EXIT_ENVIRONMENT : EXIT_GOOD;
}

/* orchestrator/command/cmd_verify.c -- quern verify: is this file whole? */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/plan/filekind.h"
#include "orchestrator/view/engines_view.h"

static int verify_tensors(struct arena *a, const struct filekind *k, struct buf *said,
			  struct err *e)
{
	struct st_model m;
	char size[24];
	int rc = filekind_tensors(a, k, &m, e);

	if (rc < 0)
		return rc;
	units_format_size(m.total_bytes, size, sizeof(size));
	return buf_addf(said, "safetensors, %zu tensor%s, %s in %zu file%s", m.n_tensors,
			m.n_tensors == 1 ? "" : "s", size, m.n_files, m.n_files == 1 ? "" : "s");
}

/* The scalar facts of the engine's answer, in its order: "architecture llama, quant Q8_0". */
static void add_facts(const struct json *v, struct buf *said)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct json *x = v->members[i].value;
		const char *key = v->members[i].key;

		if (x->type == JSON_STRING && x->len && x->len < 64 && strcmp(key, "file") != 0)
			buf_addf(said, ", %s %s", key, x->str);
		else if (x->type == JSON_NUMBER && x->is_integer)
			buf_addf(said, ", %s %lld", key, (long long)x->integer);
		else if (x->type == JSON_ARRAY && strcmp(key, "tensors") == 0)
			buf_addf(said, ", %zu tensors", x->count);
	}
}

static int verify_by_engine(struct arena *a, const struct filekind *k, struct buf *said,
			    struct err *e)
{
	/* inspect reads a file's structure; an engine that can check its content as well has
	 * verify. */
	const char *verb = engine_has_verb(k->engine, "verify") ? "verify" : "inspect";
	struct json *v;
	char size[24];
	int rc = filekind_ask(a, k, verb, &v, e);

	if (rc < 0)
		return rc;
	units_format_size(k->size_bytes, size, sizeof(size));
	buf_addf(said, "%s, %s", k->engine->output, size);
	add_facts(v, said);
	return 0;
}

/* Most errors begin with the file's name, which stands at the start of the line already. */
static const char *without_name(const char *msg, const char *path)
{
	size_t n = strlen(path);

	return strncmp(msg, path, n) == 0 && strncmp(msg + n, ": ", 2) == 0 ? msg + n + 2 : msg;
}

static int verify(const struct engines *es, const char *path)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct filekind k;
	struct buf said;
	int rc;

	buf_init(&said, 4096);
	rc = filekind_find(a, es, path, &k, &e);
	if (rc >= 0 && k.kind == FILE_OF_ENGINE)
		rc = verify_by_engine(a, &k, &said, &e);
	else if (rc >= 0)
		rc = verify_tensors(a, &k, &said, &e);
	cli_print_text(stdout, path);
	printf(": %s%s%s", cli_style(stdout, rc < 0 ? STYLE_RED : STYLE_GREEN),
	       rc < 0 ? "bad" : "ok", cli_style(stdout, STYLE_PLAIN));
	if (rc < 0 || said.len) {
		fputs(", ", stdout);
		cli_print_text(stdout, rc < 0 ? without_name(e.msg, path) : buf_str(&said));
	}
	putchar('\n');
	fflush(stdout);
	buf_release(&said);
	arena_free(a);
	return rc;
}

int cmd_verify(int argc, char **argv)
{
	struct engines es;
	struct arena *a;
	struct err e = ERR_INIT;
	int at, rc, code = EXIT_GOOD;
	bool help;

	at = cli_parse("verify", NULL, 0, argc, argv, &help, &e);
	if (help)
		return EXIT_GOOD;
	if (at >= 0 && at == argc)
		at = err_set(&e, ERR_INVALID, "verify: name at least one file or folder");
	if (at < 0)
		return cli_fail(&e);
	a = arena_new();
	rc = engines_or_say(a, &es);
	for (int i = at; rc == 0 && i < argc; i++) {
		int one = verify(&es, argv[i]);

		if (one == ERR_CANCELLED) {
			code = EXIT_INTERRUPTED;
			break;
		}
		if (one < 0)
			code = EXIT_JOBS_FAILED;
	}
	arena_free(a);
	return rc ? rc : code;
}

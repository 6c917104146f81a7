/* orchestrator/command/cmd_inspect.c -- quern inspect: what is in a converted or source file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/plan/filekind.h"
#include "orchestrator/start/rkllm_file.h"
#include "orchestrator/view/engines_view.h"
#include "orchestrator/view/table.h"

#define OUTPUT_MAX (256u << 20)
#define ROWS_SHOWN 40	/* tensors of a table without --all */
#define VALUE_SHOWN 100 /* bytes of a metadata value; templates and vocabularies are long */

struct inspecting {
	struct arena *a;
	const char *path; /* as given */
	bool json, all;
};

/* ---- safetensors */

static const char *shape_of(struct arena *a, const struct st_tensor *t)
{
	char text[ST_MAX_DIMS * 24] = "scalar";
	size_t n = 0;

	for (int i = 0; i < t->n_dims; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%" PRIu64, i ? " x " : "",
				      t->shape[i]);
	return arena_strdup(a, text);
}

static void tensors_text(const struct inspecting *x, const struct filekind *k,
			 const struct st_model *m)
{
	static const struct column columns[] = {
		{ "tensor", ALIGN_LEFT, 16 },
		{ "type", ALIGN_LEFT, 0 },
		{ "shape", ALIGN_LEFT, 0 },
		{ "size", ALIGN_RIGHT, 0 },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns));
	size_t shown = x->all || m->n_tensors < ROWS_SHOWN ? m->n_tensors : ROWS_SHOWN;
	char size[24];

	units_format_size(m->total_bytes, size, sizeof(size));
	cli_print_text(stdout, x->path);
	printf(": safetensors%s, %zu tensors, %s in %zu file%s\n",
	       k->kind == FILE_SAFETENSORS_FOLDER ? " folder" : "", m->n_tensors, size, m->n_files,
	       m->n_files == 1 ? "" : "s");
	for (size_t i = 0; i < shown; i++) {
		const struct st_tensor *s = &m->tensors[i];
		const char *row[] = { s->name, s->dtype_name, shape_of(x->a, s), size };

		units_format_size(s->size_bytes, size, sizeof(size));
		table_add(t, row);
	}
	table_print(t, stdout, table_width_limit());
	if (shown < m->n_tensors)
		printf("... and %zu more; --all lists them\n", m->n_tensors - shown);
	table_free(t);
}

static void tensors_json(const struct filekind *k, const struct st_model *m, struct json_out *w)
{
	jw_object(w);
	jw_kstr(w, "format", "safetensors");
	jw_kstr(w, "path", k->path);
	jw_kint(w, "tensor_bytes", (int64_t)m->total_bytes);
	jw_karray(w, "files");
	for (size_t i = 0; i < m->n_files; i++) {
		jw_object(w);
		jw_kstr(w, "name", m->files[i].name);
		jw_kint(w, "size_bytes", (int64_t)m->files[i].size_bytes);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_karray(w, "tensors");
	for (size_t i = 0; i < m->n_tensors; i++) {
		const struct st_tensor *t = &m->tensors[i];

		jw_object(w);
		jw_kstr(w, "name", t->name);
		jw_kstr(w, "type", t->dtype_name);
		jw_karray(w, "shape");
		for (int d = 0; d < t->n_dims; d++)
			jw_int(w, (int64_t)t->shape[d]);
		jw_end_array(w);
		jw_kint(w, "offset", (int64_t)t->offset);
		jw_kint(w, "size_bytes", (int64_t)t->size_bytes);
		jw_kstr(w, "file", m->files[t->file].name);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
}

/* ---- an engine's answer: any JSON object, shown by its shape */

static const char *value_text(struct arena *a, const struct json *v)
{
	struct buf b;
	const char *text;

	if (v->type == JSON_STRING)
		return arena_printf(a, v->len > VALUE_SHOWN ? "%.*s..." : "%.*s", VALUE_SHOWN,
				    v->str);
	buf_init(&b, OUTPUT_MAX);
	json_write_canonical(&b, v);
	if (v->type == JSON_ARRAY && b.len > VALUE_SHOWN)
		text = arena_printf(a, "%.*s... (%zu)", VALUE_SHOWN, buf_str(&b), v->count);
	else
		text = arena_printf(a, b.len > VALUE_SHOWN ? "%.*s..." : "%.*s", VALUE_SHOWN,
				    buf_str(&b));
	buf_release(&b);
	return text;
}

/* An array of objects is a table; the first object names the columns. */
static int is_table(const struct json *v)
{
	return v->type == JSON_ARRAY && v->count && v->members[0].value->type == JSON_OBJECT &&
	       v->members[0].value->count > 0;
}

static void object_table(const struct inspecting *x, const char *title, const struct json *v)
{
	const struct json *first = v->members[0].value;
	size_t n = first->count < 8 ? first->count : 8, shown = v->count;
	struct column *columns = arena_array(x->a, n, sizeof(*columns));
	const char **row = arena_array(x->a, n, sizeof(*row));
	struct table *t;

	for (size_t c = 0; c < n; c++) {
		const struct json *cell = first->members[c].value;

		columns[c].title = first->members[c].key;
		columns[c].align = cell->type == JSON_NUMBER ? ALIGN_RIGHT : ALIGN_LEFT;
		columns[c].least = cell->type == JSON_STRING ? 12 : 0;
	}
	if (!x->all && shown > ROWS_SHOWN)
		shown = ROWS_SHOWN;
	t = table_new(columns, n);
	for (size_t i = 0; i < shown; i++) {
		for (size_t c = 0; c < n; c++) {
			const struct json *cell = json_get(v->members[i].value, columns[c].title);

			row[c] = cell ? value_text(x->a, cell) : "";
		}
		table_add(t, row);
	}
	putchar('\n');
	cli_print_text(stdout, title);
	printf(" (%zu):\n", v->count);
	table_print(t, stdout, table_width_limit());
	if (shown < v->count)
		printf("... and %zu more; --all lists them\n", v->count - shown);
	table_free(t);
}

static void members(const struct inspecting *x, const struct json *v, int depth)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct json *m = v->members[i].value;

		if (is_table(m))
			continue;
		printf("%*s%s", 2 * depth, "", cli_style(stdout, STYLE_DIM));
		cli_print_text(stdout, v->members[i].key);
		printf("%s:", cli_style(stdout, STYLE_PLAIN));
		if (m->type == JSON_OBJECT) {
			putchar('\n');
			members(x, m, depth + 1);
			continue;
		}
		putchar(' ');
		cli_print_text(stdout, value_text(x->a, m));
		putchar('\n');
	}
}

static void answer_text(const struct inspecting *x, const struct filekind *k, const struct json *v)
{
	char size[24];

	units_format_size(k->size_bytes, size, sizeof(size));
	cli_print_text(stdout, x->path);
	printf(": %s, %s (by engine %s)\n", k->engine->output, size, k->engine->name);
	members(x, v, 0);
	for (size_t i = 0; i < v->count; i++) {
		if (is_table(v->members[i].value))
			object_table(x, v->members[i].key, v->members[i].value);
	}
}

/* ---- the command */

static int inspect(const struct inspecting *x, const struct engines *es, struct err *e)
{
	struct json_out w;
	struct filekind k;
	struct st_model m = { .n_files = 0 };
	struct json *v = NULL;
	struct buf b;
	int rc = filekind_find(x->a, es, x->path, &k, e);

	if (rc >= 0 && k.kind == FILE_OF_ENGINE)
		rc = filekind_ask(x->a, &k, "inspect", &v, e);
	else if (rc >= 0)
		rc = filekind_tensors(x->a, &k, &m, e);
	if (rc < 0)
		return rc;
	if (!x->json) {
		if (v)
			answer_text(x, &k, v);
		else
			tensors_text(x, &k, &m);
		return 0;
	}
	buf_init(&b, OUTPUT_MAX);
	jw_init(&w, &b, 1);
	if (v)
		jw_value(&w, v);
	else
		tensors_json(&k, &m, &w);
	if (b.overflow)
		rc = err_set(e, ERR_NOSPACE, "%s: more than %u bytes to say", x->path, OUTPUT_MAX);
	else
		puts(buf_str(&b));
	buf_release(&b);
	return rc;
}

/* Looked at by ourselves: the vendor's part may be on another machine. */
static bool is_rkllm(const char *path)
{
	size_t n = strlen(path), m = strlen(RKLLM_EXTENSION);

	return n > m && strcmp(path + n - m, RKLLM_EXTENSION) == 0;
}

int cmd_inspect(int argc, char **argv)
{
	struct inspecting x = { 0 };
	const struct option_def opts[] = {
		{ "json", 0, OPT_FLAG, NULL, "print JSON, with every tensor", &x.json },
		{ "all", 'a', OPT_FLAG, NULL, "list every tensor", &x.all },
	};
	struct err e = ERR_INIT;
	struct engines es;
	bool help;
	int rc = cli_parse("inspect", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (rc >= 0 && argc - rc != 1)
		rc = err_set(&e, ERR_INVALID, "inspect: name one file or folder");
	if (rc < 0)
		return cli_fail(&e);
	x.path = argv[rc];
	x.a = arena_new();
	rc = is_rkllm(x.path) ? 0 : engines_or_say(x.a, &es);
	if (rc == 0 && (is_rkllm(x.path) ? rkllm_file_inspect(x.a, x.path, x.json, &e)
					 : inspect(&x, &es, &e)) < 0) {
		rc = cli_fail(&e);
		/* A file that is not what it says it is: a finding, as in verify. */
		if (e.code == ERR_INVALID || e.code == ERR_CORRUPT)
			rc = EXIT_JOBS_FAILED;
	}
	arena_free(x.a);
	return rc;
}

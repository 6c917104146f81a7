/* upload/fetch_memory.c -- what was learned about a commit, kept as JSON: a
 * commit never changes, so it is asked about once. */
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_private.h"

#define FORMAT 3 /* of the files; others are made again */
#define MEMORY_MAX ((size_t)64 << 20)

/* MEMORY/org--name/COMMIT.json; adapters, single files, and those with their code apart; heap. A
 * file's name may be as long as a name can be: its hash stands for it. */
static char *memory_path(const struct fetch_options *o, const char *commit)
{
	const char *slash = strchr(o->repo, '/');
	char hex[SHA256_HEX] = "";
	uint8_t sha[SHA256_LEN];

	if (o->file) {
		sha256_bytes(o->file, strlen(o->file), sha);
		hex_encode(sha, SHA256_LEN, hex);
	}
	return mem_printf("%s/%.*s%s%s/%s%s%s%s%s.json", o->memory,
			  slash ? (int)(slash - o->repo) : (int)strlen(o->repo), o->repo,
			  slash ? "--" : "", slash ? slash + 1 : "", commit,
			  o->adapter ? "-adapter" : "", o->code ? "-code" : "",
			  hex[0] ? "-file-" : "", hex);
}

/* ---- facts */

void fetch_write_facts(struct json_out *w, const struct source_facts *f)
{
	jw_object(w);
	jw_kstr(w, "architecture", f->architecture);
	jw_kstr(w, "model_type", f->model_type);
	jw_kstr(w, "dtype", f->dtype);
	jw_kstr(w, "format", f->format);
	jw_kstr(w, "file", f->file);
	jw_kstr(w, "quant_form", f->quant_form);
	jw_kstr(w, "quant_text", f->quant_text);
	jw_kint(w, "quant_bits", f->quant_bits);
	jw_kint(w, "quant_group", f->quant_group);
	jw_kint(w, "quant_symmetric", f->quant_symmetric);
	jw_kint(w, "quant_desc_act", f->quant_desc_act);
	jw_kstr(w, "tensor_types", f->tensor_types);
	jw_kbool(w, "remote_code", f->remote_code);
	source_matrices_write(w, f);
	jw_kstr(w, "license", f->license);
	jw_kint(w, "params", (int64_t)f->params);
	jw_kint(w, "matrix_params", (int64_t)f->matrix_params);
	jw_kint(w, "vector_params", (int64_t)f->vector_params);
	jw_kint(w, "size_bytes", (int64_t)f->size_bytes);
	jw_kint(w, "largest_tensor_bytes", (int64_t)f->largest_tensor_bytes);
	jw_kint(w, "n_tensors", (int64_t)f->n_tensors);
	jw_kint(w, "max_row", (int64_t)f->max_row);
	jw_kint(w, "tokenizer_bytes", (int64_t)f->tokenizer_bytes);
	jw_end_object(w);
}

void fetch_read_facts(struct arena *a, const struct json *v, struct source_facts *f)
{
	memset(f, 0, sizeof(*f));
	f->architecture = arena_strdup(a, json_str(v, "architecture", NULL));
	f->model_type = arena_strdup(a, json_str(v, "model_type", NULL));
	f->dtype = arena_strdup(a, json_str(v, "dtype", NULL));
	f->format = arena_strdup(a, json_str(v, "format", NULL));
	f->file = arena_strdup(a, json_str(v, "file", NULL));
	f->quant_form = arena_strdup(a, json_str(v, "quant_form", NULL));
	f->quant_text = arena_strdup(a, json_str(v, "quant_text", NULL));
	f->quant_bits = (int)json_int(v, "quant_bits", 0);
	f->quant_group = json_int(v, "quant_group", 0);
	f->quant_symmetric = (int)json_int(v, "quant_symmetric", -1);
	f->quant_desc_act = (int)json_int(v, "quant_desc_act", 0);
	f->tensor_types = arena_strdup(a, json_str(v, "tensor_types", NULL));
	f->remote_code = json_bool(v, "remote_code", 0);
	source_matrices_read(a, v, f);
	f->license = arena_strdup(a, json_str(v, "license", NULL));
	f->params = (uint64_t)json_int(v, "params", 0);
	f->matrix_params = (uint64_t)json_int(v, "matrix_params", 0);
	f->vector_params = (uint64_t)json_int(v, "vector_params", 0);
	f->size_bytes = (uint64_t)json_int(v, "size_bytes", 0);
	f->largest_tensor_bytes = (uint64_t)json_int(v, "largest_tensor_bytes", 0);
	f->n_tensors = (uint64_t)json_int(v, "n_tensors", 0);
	f->max_row = (uint64_t)json_int(v, "max_row", 0);
	f->tokenizer_bytes = (uint64_t)json_int(v, "tokenizer_bytes", 0);
}

/* ---- the file */

static void write_files(struct json_out *w, const struct fetch_model *m)
{
	jw_array(w);
	for (size_t i = 0; i < m->n_files; i++) {
		jw_object(w);
		jw_kstr(w, "name", m->files[i].name);
		jw_kstr(w, "etag", m->files[i].etag);
		jw_kint(w, "size", (int64_t)m->files[i].size_bytes);
		jw_end_object(w);
	}
	jw_end_array(w);
}

/* The list as a hub would say it, to go through the same checks. */
static int read_files(const struct fetch_options *o, struct arena *a, const struct json *list,
		      struct fetch_model *m)
{
	struct err ignored = ERR_INIT;
	struct fetch_file *v;

	if (!list || list->type != JSON_ARRAY)
		return 0;
	v = arena_array(a, list->count + 1, sizeof(*v));
	for (size_t i = 0; i < list->count; i++) {
		const struct json *f = list->members[i].value;

		v[i].name = arena_strdup(a, json_str(f, "name", ""));
		v[i].etag = arena_strdup(a, json_str(f, "etag", ""));
		v[i].size_bytes = (uint64_t)json_int(f, "size", -1);
	}
	return fetch_choose(o, a, v, list->count, m, &ignored) >= 0 && m->n_files == list->count;
}

void fetch_remember(const struct fetch_options *o, const struct fetch_model *m)
{
	struct err ignored = ERR_INIT;
	char *path, *dir;
	struct json_out w;
	struct buf b;

	if (!o->memory)
		return;
	path = memory_path(o, m->commit);
	dir = path_dirname(path);
	buf_init(&b, MEMORY_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kint(&w, "format", FORMAT);
	jw_kstr(&w, "repo", m->repo);
	jw_kstr(&w, "commit", m->commit);
	jw_kstr(&w, "gated", m->gated);
	jw_kbool(&w, "private", m->is_private);
	jw_key(&w, "facts");
	fetch_write_facts(&w, &m->facts);
	jw_key(&w, "files");
	write_files(&w, m);
	jw_end_object(&w);
	if (!b.overflow && path_mkdirs(dir, 0755, &ignored) >= 0)
		(void)path_write(path, b.data, b.len, 0644, &ignored);
	buf_release(&b);
	free(dir);
	free(path);
}

int fetch_recall(const struct fetch_options *o, const char *commit, struct arena *a,
		 struct fetch_model *m)
{
	struct err ignored = ERR_INIT;
	struct json *v = NULL;
	char *path;
	struct buf b;
	int found = 0;

	if (!o->memory)
		return 0;
	path = memory_path(o, commit);
	buf_init(&b, MEMORY_MAX);
	if (path_read(path, MEMORY_MAX, &b, &ignored) >= 0 &&
	    json_parse(a, buf_str(&b), b.len, &v, &ignored) >= 0 &&
	    json_int(v, "format", 0) == FORMAT && strcmp(json_str(v, "commit", ""), commit) == 0 &&
	    strcmp(json_str(v, "repo", ""), o->repo) == 0) {
		m->repo = m->id = arena_strdup(a, o->repo);
		m->commit = arena_strdup(a, commit);
		m->gated = arena_strdup(a, json_str(v, "gated", "no"));
		m->is_private = json_bool(v, "private", 0);
		fetch_read_facts(a, json_get(v, "facts"), &m->facts);
		found = read_files(o, a, json_get(v, "files"), m);
	}
	buf_release(&b);
	free(path);
	return found;
}

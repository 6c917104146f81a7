/* What plan and cards know of a model before anything is converted. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/gguf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/safetensors.h"
#include "core/source.h"

#define CONFIG_MAX ((size_t)16 << 20)  /* bytes; real ones are a few KiB */
#define README_HEAD ((size_t)64 << 10) /* bytes in which front matter has to end */
#define GGUF_SHOWN 8		       /* names of files in a fault */
#define WORD_MAX 64		       /* bytes of the name of an architecture or a licence */

static const struct source_file *find_file(const struct source_files *files, const char *name)
{
	for (size_t i = 0; i < files->n; i++)
		if (strcmp(files->v[i].name, name) == 0)
			return &files->v[i];
	return NULL;
}

static int ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && strcmp(s + n - m, tail) == 0;
}

static int has_suffix(const struct source_files *files, const char *suffix)
{
	for (size_t i = 0; i < files->n; i++)
		if (ends_with(files->v[i].name, suffix))
			return 1;
	return 0;
}

/* A short word of letters, digits and "._+-": safe in a table, a card, a file name. */
static int is_word(const char *s, size_t n)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._+-";

	return n > 0 && n <= WORD_MAX && strspn(s, allowed) >= n;
}

/* --------------------------------------------------------------- config.json */

static int read_words(struct arena *a, const struct json *root, struct source_facts *f,
		      struct err *e)
{
	const struct json *list = json_get(root, "architectures");
	const struct json *first;
	const char *type = json_str(root, "model_type", NULL);

	if (!list || list->type != JSON_ARRAY || list->count == 0)
		return err_set(e, ERR_INVALID,
			       "\"architectures\" is missing; it should be a list like "
			       "[\"LlamaForCausalLM\"]");
	first = list->members[0].value;
	if (first->type != JSON_STRING || strlen(first->str) != first->len ||
	    !is_word(first->str, first->len))
		return err_set(e, ERR_INVALID,
			       "the first of \"architectures\" is not the name of a class, like "
			       "\"LlamaForCausalLM\"");
	if (type && !is_word(type, strlen(type)))
		return err_set(e, ERR_INVALID,
			       "\"model_type\" is not a plain word, like \"llama\"");
	f->architecture = arena_strdup(a, first->str);
	f->model_type = arena_strdup(a, type);
	return 0;
}

static int read_config(struct arena *a, const char *path, struct source_facts *f,
		       struct source_quant *q, struct err *e)
{
	struct json *root;
	struct buf text;
	int rc;

	buf_init(&text, CONFIG_MAX);
	rc = path_read(path, CONFIG_MAX, &text, e);
	if (rc == 0) {
		rc = json_parse(a, buf_str(&text), text.len, &root, e);
		if (rc == 0)
			rc = read_words(a, root, f, e);
		if (rc == 0)
			rc = source_quant_read(a, root, q, e);
		if (rc == 0)
			f->remote_code = json_get(root, "auto_map") != NULL;
		if (rc < 0)
			(void)err_wrap(e, "%s", path);
	}
	buf_release(&text);
	return rc;
}

/* ------------------------------------------------------------------ README.md */

/* The value of a line "license: x", without quotes; NULL when it is no plain word. */
static char *license_value(struct arena *a, const char *p, size_t n)
{
	while (n && (*p == ' ' || *p == '\t')) {
		p++;
		n--;
	}
	while (n && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
		n--;
	if (n >= 2 && (*p == '"' || *p == '\'') && p[n - 1] == *p) {
		p++;
		n -= 2;
	}
	return is_word(p, n) ? arena_strndup(a, p, n) : NULL;
}

/* Between the first line "---" and the next one. */
static char *find_license(struct arena *a, const char *text)
{
	static const char key[] = "license:";
	int inside = 0;

	while (*text) {
		size_t n = strcspn(text, "\n");
		size_t bare = n && text[n - 1] == '\r' ? n - 1 : n;
		int fence = bare == 3 && memcmp(text, "---", 3) == 0;

		if (fence == inside)
			return NULL; /* the front matter ended, or never began */
		if (fence)
			inside = 1;
		else if (n > strlen(key) && memcmp(text, key, strlen(key)) == 0)
			return license_value(a, text + strlen(key), n - strlen(key));
		text += n + (text[n] == '\n');
	}
	return NULL;
}

static int read_license(struct arena *a, const char *path, struct source_facts *f, struct err *e)
{
	char *head = mem_alloc(README_HEAD + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, head, README_HEAD);
	int rc = 0;

	if (n < 0) {
		rc = err_errno(e, "%s", path);
	} else {
		const char *found;

		head[n] = '\0';
		found = find_license(a, head);
		f->license = found ? found : f->license;
	}
	if (fd >= 0)
		close(fd);
	free(head);
	return rc;
}

/* -------------------------------------------------------------------- tensors */

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The dtype with the most elements; at equal numbers the first by name of tensor. */
static const char *main_dtype(const struct st_model *m)
{
	struct {
		const char *name;
		uint64_t elements;
	} seen[32] = { 0 };
	size_t n = 0, best = 0;

	for (size_t i = 0; i < m->n_tensors; i++) {
		size_t k = 0;

		while (k < n && strcmp(seen[k].name, m->tensors[i].dtype_name) != 0)
			k++;
		if (k == n) {
			if (n == ARRAY_LEN(seen))
				continue; /* there are 22 dtypes */
			seen[n++].name = m->tensors[i].dtype_name;
		}
		seen[k].elements += m->tensors[i].n_elements;
	}
	for (size_t k = 1; k < n; k++)
		if (seen[k].elements > seen[best].elements)
			best = k;
	return n ? seen[best].name : NULL;
}

static void count_weights(struct source_facts *f, uint64_t n, int matrix, uint64_t row)
{
	if (matrix) {
		f->matrix_params += n;
		if (n)
			f->max_row = max_u64(f->max_row, row);
	} else {
		f->vector_params += n;
	}
}

static void count_tensors(const struct st_model *m, const struct source_quant *q,
			  struct matrix_list *l, struct source_facts *f)
{
	for (size_t i = 0; i < m->n_tensors; i++) {
		const struct st_tensor *t = &m->tensors[i];
		uint64_t row = t->n_dims ? t->shape[t->n_dims - 1] : 1, rows = 0, cols = 0, n;

		f->largest_tensor_bytes = max_u64(f->largest_tensor_bytes, t->size_bytes);
		switch (source_quant_part(q, t, &rows, &cols)) {
		case PART_HELPER:
			break;
		case PART_CODES:
			n = cols && rows > UINT64_MAX / 64 / cols ? t->n_elements : rows * cols;
			count_weights(f, n, 1, cols);
			matrix_list_add(l, t->name, rows, cols, 1);
			break;
		case PART_PLAIN:
			count_weights(f, t->n_elements, t->n_dims >= 2, row);
			if (t->n_dims == 2 || t->n_dims == 3)
				matrix_list_add(l, t->name, t->shape[t->n_dims - 2], row,
						t->n_dims == 3 ? t->shape[0] : 1);
		}
	}
	f->params = f->matrix_params + f->vector_params;
	f->size_bytes = m->total_bytes;
	f->n_tensors = m->n_tensors;
	f->dtype = main_dtype(m);
	f->format = "safetensors";
}

static int read_tensors(struct arena *a, const char *dir, const struct source_quant *q,
			struct source_facts *f, struct err *e)
{
	struct matrix_list l = { 0 };
	struct st_model m;
	int rc = st_open_model(a, dir, &m, e);

	if (rc < 0)
		return rc;
	if (m.n_tensors == 0)
		return err_set(e, ERR_INVALID, "%s: its safetensors files hold no tensor", dir);
	count_tensors(&m, q, &l, f);
	matrix_list_finish(a, &l, f);
	if (q->method != QUANT_NONE) {
		f->quant_form = q->form;
		f->quant_text = source_quant_text(a, q);
		f->quant_bits = q->bits;
		f->quant_group = q->group_size;
		f->quant_symmetric = q->symmetric;
		f->quant_desc_act = q->desc_act;
	}
	return 0;
}

/* A tokenizer may bring code as well. One that cannot be read tells nothing: what is made with it
 * will. */
static int has_auto_map(struct arena *a, const struct source_file *f)
{
	struct err ignored = ERR_INIT;
	struct json *root = NULL;
	struct buf text;
	int found = 0;

	if (!f)
		return 0;
	buf_init(&text, CONFIG_MAX);
	if (path_read(f->path, CONFIG_MAX, &text, &ignored) == 0 &&
	    json_parse(a, buf_str(&text), text.len, &root, &ignored) == 0)
		found = json_get(root, "auto_map") != NULL;
	buf_release(&text);
	return found;
}

static int read_safetensors(struct arena *a, const struct source_files *files, const char *dir,
			    struct source_facts *f, struct err *e)
{
	const struct source_file *config = find_file(files, "config.json"), *tokenizer;
	struct source_quant q = { 0 };

	if (!config)
		return err_set(e, ERR_NOTFOUND, "%s: no config.json; not the folder of a model",
			       dir);
	if (read_config(a, config->path, f, &q, e) < 0 ||
	    source_quant_read_beside(a, dir, &q, e) < 0 || read_tensors(a, dir, &q, f, e) < 0)
		return e ? e->code : ERR_INVALID;
	f->remote_code |= has_auto_map(a, find_file(files, "tokenizer_config.json"));
	tokenizer = find_file(files, "tokenizer.json");
	if (!tokenizer)
		tokenizer = find_file(files, "tokenizer.model");
	if (tokenizer)
		f->tokenizer_bytes = tokenizer->size_bytes;
	return 0;
}

/* ----------------------------------------------------------------------- GGUF */

const char **source_gguf_files(struct arena *a, const struct source_files *files, size_t *n)
{
	const char **v = arena_array(a, files->n + 1, sizeof(*v));
	unsigned part, parts;

	*n = 0;
	for (size_t i = 0; i < files->n; i++) {
		const char *name = files->v[i].name;

		if (!ends_with(name, ".gguf") || strncmp(name, "mmproj", 6) == 0 ||
		    strncmp(name, "imatrix", 7) == 0)
			continue;
		if (!gguf_part_numbers(name, &part, &parts) || part == 1)
			v[(*n)++] = name;
	}
	return v;
}

/* The only one, or a fault that lists them. */
static const char *choose_gguf(struct arena *a, const struct source_files *files, const char *dir,
			       struct err *e)
{
	const char *list = "";
	const char **v;
	size_t n;

	v = source_gguf_files(a, files, &n);
	if (n == 1)
		return v[0];
	if (n == 0) {
		(void)err_set(e, ERR_NOTFOUND, "%s holds no GGUF file of a model", dir);
		return NULL;
	}
	for (size_t i = 0; i < n && i < GGUF_SHOWN; i++)
		list = arena_printf(a, "%s%s%s", list, i ? ", " : "", v[i]);
	(void)err_set(e, ERR_INVALID, "%s holds %zu GGUF models; choose one with `file:` (%s%s)",
		      dir, n, list, n > GGUF_SHOWN ? ", ..." : "");
	return NULL;
}

/* The type with the most weights; at equal numbers the lower number. */
static const struct gguf_block_type *main_type(const struct gguf_model *m)
{
	uint64_t elements[GGUF_TYPE_MAX + 1] = { 0 };
	uint32_t best = 0;

	for (size_t i = 0; i < m->n_tensors; i++)
		elements[m->tensors[i].type->id] += m->tensors[i].n;
	for (uint32_t id = 1; id <= GGUF_TYPE_MAX; id++)
		if (elements[id] > elements[best])
			best = id;
	return gguf_type_by_id(best);
}

static const char *type_names(struct arena *a, const struct gguf_model *m)
{
	char seen[GGUF_TYPE_MAX + 1] = { 0 };
	const char *text = "";

	for (size_t i = 0; i < m->n_tensors; i++)
		seen[m->tensors[i].type->id] = 1;
	for (uint32_t id = 0; id <= GGUF_TYPE_MAX; id++) {
		if (seen[id])
			text = arena_printf(a, "%s%s%s", text, *text ? " " : "",
					    gguf_type_by_id(id)->name);
	}
	return text;
}

static void count_gguf(struct arena *a, const struct gguf_model *m, struct source_facts *f)
{
	const struct gguf_block_type *type = main_type(m);
	struct matrix_list l = { 0 };
	int quantized = 0;

	for (size_t i = 0; i < m->n_tensors; i++) {
		const struct gguf_tensor_info *t = &m->tensors[i];

		f->largest_tensor_bytes = max_u64(f->largest_tensor_bytes, t->size_bytes);
		count_weights(f, t->n, t->n_dims >= 2, t->ne[0]);
		if (t->n_dims >= 2)
			matrix_list_add(&l, t->name, t->ne[1], t->ne[0], t->ne[2]);
		quantized |= t->type->block > 1;
	}
	matrix_list_finish(a, &l, f);
	f->params = f->matrix_params + f->vector_params;
	f->size_bytes = m->total_bytes;
	f->n_tensors = m->n_tensors;
	f->dtype = type->name;
	f->format = "gguf";
	f->file = m->files[0].name;
	f->tensor_types = type_names(a, m);
	if (quantized) {
		f->quant_form = "gguf";
		f->quant_text = arena_printf(a, "GGUF, mostly %s", type->name);
	}
	for (size_t i = 0; i < m->head.n_kv; i++)
		if (strncmp(m->head.kv[i].key, "tokenizer.", strlen("tokenizer.")) == 0)
			f->tokenizer_bytes += m->head.kv[i].size_bytes;
}

static int read_gguf(struct arena *a, const char *dir, const char *file, struct source_facts *f,
		     struct err *e)
{
	const char *architecture, *license, *type;
	struct gguf_model m;

	if (gguf_open_model(a, dir, file, &m, e) < 0)
		return e->code;
	architecture = gguf_text(&m.head, "general.architecture");
	type = gguf_text(&m.head, "general.type");
	license = gguf_text(&m.head, "general.license");
	if (!architecture || !is_word(architecture, strlen(architecture)))
		return err_set(e, ERR_INVALID,
			       "%s: general.architecture is missing or no plain word, like "
			       "\"llama\"",
			       m.files[0].path);
	if (type && strcmp(type, "model") != 0)
		return err_set(e, ERR_INVALID, "%s: it holds no model but a thing of type %.40s",
			       m.files[0].path, type);
	if (m.n_tensors == 0)
		return err_set(e, ERR_INVALID, "%s: it holds no tensor", m.files[0].path);
	f->architecture = f->model_type = architecture;
	if (license && is_word(license, strlen(license)))
		f->license = license;
	count_gguf(a, &m, f);
	return 0;
}

/* -------------------------------------------------------------------- finished */

static void read_finished(const struct source_file *file, struct source_facts *f)
{
	f->format = strrchr(file->name, '.') + 1;
	f->file = file->name;
	f->size_bytes = file->size_bytes;
}

/* ------------------------------------------------------------------------- all */

int source_read_file_facts(struct arena *a, const char *dir, const char *file,
			   struct source_facts *out, struct err *e)
{
	struct source_facts f = { 0 };
	const struct source_file *readme, *chosen;
	struct source_files files;
	int rc = source_list(a, dir, &files, e);

	if (rc < 0)
		return rc;
	if (!file && !has_suffix(&files, ".safetensors") && has_suffix(&files, ".gguf")) {
		file = choose_gguf(a, &files, dir, e);
		if (!file)
			return e ? e->code : ERR_INVALID;
	}
	chosen = file ? find_file(&files, file) : NULL;
	if (file && !chosen)
		return err_set(e, ERR_NOTFOUND, "%s holds no file %.200s; correct `file`", dir,
			       file);
	if (file && source_is_finished(file))
		read_finished(chosen, &f);
	else
		rc = file ? read_gguf(a, dir, file, &f, e)
			  : read_safetensors(a, &files, dir, &f, e);
	readme = find_file(&files, "README.md");
	if (rc == 0 && readme)
		rc = read_license(a, readme->path, &f, e);
	if (rc == 0)
		*out = f;
	return rc;
}

int source_read_facts(struct arena *a, const char *dir, struct source_facts *out, struct err *e)
{
	return source_read_file_facts(a, dir, NULL, out, e);
}

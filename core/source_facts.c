/* What plan and cards know of a model before anything is converted. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/safetensors.h"
#include "core/source.h"

#define CONFIG_MAX ((size_t)16 << 20)  /* bytes; real ones are a few KiB */
#define README_HEAD ((size_t)64 << 10) /* bytes in which front matter has to end */
#define WORD_MAX 64		       /* bytes of the name of an architecture or a licence */

static const struct source_file *find_file(const struct source_files *files, const char *name)
{
	for (size_t i = 0; i < files->n; i++)
		if (strcmp(files->v[i].name, name) == 0)
			return &files->v[i];
	return NULL;
}

static int has_suffix(const struct source_files *files, const char *suffix)
{
	for (size_t i = 0; i < files->n; i++) {
		size_t n = strlen(files->v[i].name), m = strlen(suffix);

		if (n > m && strcmp(files->v[i].name + n - m, suffix) == 0)
			return 1;
	}
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

static int read_config(struct arena *a, const char *path, struct source_facts *f, struct err *e)
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
		head[n] = '\0';
		f->license = find_license(a, head);
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

static void count_tensors(const struct st_model *m, struct source_facts *f)
{
	for (size_t i = 0; i < m->n_tensors; i++) {
		const struct st_tensor *t = &m->tensors[i];

		if (t->n_dims >= 2) {
			f->matrix_params += t->n_elements;
			if (t->n_elements)
				f->max_row = max_u64(f->max_row, t->shape[t->n_dims - 1]);
		} else {
			f->vector_params += t->n_elements;
		}
		f->largest_tensor_bytes = max_u64(f->largest_tensor_bytes, t->size_bytes);
	}
	f->params = f->matrix_params + f->vector_params;
	f->size_bytes = m->total_bytes;
	f->n_tensors = m->n_tensors;
	f->dtype = main_dtype(m);
	f->format = "safetensors";
}

static int read_tensors(struct arena *a, const char *dir, struct source_facts *f, struct err *e)
{
	struct st_model m;
	int rc = st_open_model(a, dir, &m, e);

	if (rc < 0)
		return rc;
	if (m.n_tensors == 0)
		return err_set(e, ERR_INVALID, "%s: its safetensors files hold no tensor", dir);
	count_tensors(&m, f);
	return 0;
}

int source_read_facts(struct arena *a, const char *dir, struct source_facts *out, struct err *e)
{
	struct source_facts f = { 0 };
	const struct source_file *config, *readme, *tokenizer;
	struct source_files files;
	int rc = source_list(a, dir, &files, e);

	if (rc < 0)
		return rc;
	if (!has_suffix(&files, ".safetensors") && has_suffix(&files, ".gguf"))
		return err_set(e, ERR_INVALID,
			       "%s holds GGUF files only, which this version does not read at plan "
			       "time; give the folder with the safetensors files",
			       dir);
	config = find_file(&files, "config.json");
	if (!config)
		return err_set(e, ERR_NOTFOUND, "%s: no config.json; not the folder of a model",
			       dir);
	rc = read_config(a, config->path, &f, e);
	if (rc == 0)
		rc = read_tensors(a, dir, &f, e);
	readme = find_file(&files, "README.md");
	if (rc == 0 && readme)
		rc = read_license(a, readme->path, &f, e);
	tokenizer = find_file(&files, "tokenizer.json");
	if (!tokenizer)
		tokenizer = find_file(&files, "tokenizer.model");
	if (tokenizer)
		f.tokenizer_bytes = tokenizer->size_bytes;
	if (rc == 0)
		*out = f;
	return rc;
}

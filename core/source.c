#include "core/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/gguf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"

#define ENTRIES_MAX 100000 /* names in one folder */

/* --------------------------------------------------------------- which files */

static int ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && strcmp(s + n - m, tail) == 0;
}

int source_is_template(const char *name)
{
	size_t n = strlen(SOURCE_TEMPLATES "/");

	return strncmp(name, SOURCE_TEMPLATES "/", n) == 0 && path_component_ok(name + n) &&
	       ends_with(name + n, ".jinja");
}

int source_is_finished(const char *name)
{
	return ends_with(name, ".rkllm");
}

int source_is_code(const char *name)
{
	return ends_with(name, ".py");
}

int source_wanted(const char *name)
{
	static const char *const names[] = {
		"LICENSE",
		"LICENSE.md",
		"LICENSE.txt",
		"README.md",
		"added_tokens.json",
		"chat_template.jinja",
		"chat_template.json",
		"config.json",
		"generation_config.json",
		"merges.txt",
		"imatrix.dat",
		"model.safetensors.index.json",
		"preprocessor_config.json",
		"quant_config.json",
		"quantize_config.json",
		"special_tokens_map.json",
		"spiece.model",
		"tokenizer.json",
		"tokenizer.model",
		"tokenizer_config.json",
		"vocab.json",
		"vocab.txt",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return 1;
	if (strncmp(name, SOURCE_TEMPLATES "/", strlen(SOURCE_TEMPLATES "/")) == 0)
		return source_is_template(name);
	/* consolidated*: the same weights once more, in Mistral's own naming. */
	if (ends_with(name, ".safetensors"))
		return strncmp(name, "consolidated", strlen("consolidated")) != 0;
	return ends_with(name, ".gguf") || ends_with(name, ".tiktoken") || source_is_finished(name);
}

/* "m" of m.gguf, and of each m-00001-of-00002.gguf. */
static size_t stem_length(const char *name)
{
	unsigned part, parts;

	return strlen(name) - (gguf_part_numbers(name, &part, &parts)
				       ? strlen("-00001-of-00001.gguf")
				       : strlen(".gguf"));
}

int source_belongs(const char *name, const char *file)
{
	unsigned part, a = 1, b = 1;
	size_t n;

	if (file && strcmp(name, file) == 0)
		return 1;
	if (source_is_finished(name))
		return 0;
	if (!file)
		return 1;
	if (source_is_finished(file))
		return 0; /* it is all of the model */
	if (ends_with(name, ".safetensors"))
		return 0;
	if (!ends_with(name, ".gguf") || strncmp(name, "imatrix", strlen("imatrix")) == 0)
		return 1;
	if (!gguf_part_numbers(name, &part, &a) || !gguf_part_numbers(file, &part, &b) || a != b)
		return 0;
	n = stem_length(name);
	return n == stem_length(file) && memcmp(name, file, n) == 0;
}

/* ------------------------------------------------------------------- listing */

static int is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || (n && dir[n - 1] == '/'));
}

/* The Hub cache keeps models--X/snapshots/REV/NAME -> ../../blobs/HASH. NULL when dir is none. */
static char *blobs_of(const char *real_dir)
{
	char *path = path_join(real_dir, "../../blobs");
	char *blobs = realpath(path, NULL);

	free(path);
	return blobs;
}

struct listing {
	struct arena *a;
	const char *dir;   /* real */
	const char *blobs; /* real, or NULL */
	int code;
	struct source_file *v;
	size_t n, cap;
};

/* path, with links resolved, must stay in the places a model may have its bytes in. */
static int check_place(const struct listing *l, const char *name, const char *real, struct err *e)
{
	char visible[256];

	if (is_inside(real, l->dir) || (l->blobs && is_inside(real, l->blobs)))
		return 0;
	text_visible(real, visible, sizeof(visible));
	return err_set(
		e, ERR_INVALID,
		"%s/%s is a link to %s, outside the model's folder; copy the file or give the "
		"folder it is in",
		l->dir, name, visible);
}

static int64_t to_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static int add_file(struct listing *l, const char *name, struct err *e)
{
	char *path, *real;
	struct stat st;
	int rc = 0;

	path = path_join(l->dir, name);
	real = path_real(path, e);
	if (!real) {
		free(path);
		return err_wrap(e, "a file of the model cannot be found");
	}
	rc = check_place(l, name, real, e);
	if (rc == 0 && stat(real, &st) != 0)
		rc = err_errno(e, "%s", path);
	if (rc == 0 && !S_ISREG(st.st_mode))
		rc = err_set(e, ERR_INVALID, "%s: not a regular file", path);
	if (rc == 0) {
		MEM_GROW(l->v, l->n, l->cap);
		l->v[l->n++] = (struct source_file){
			.name = arena_strdup(l->a, name),
			.path = arena_strdup(l->a, real),
			.size_bytes = (uint64_t)st.st_size,
			.mtime_ns = to_ns(&st.st_mtim),
			.ctime_ns = to_ns(&st.st_ctim),
			.inode = st.st_ino,
			.device = st.st_dev,
		};
	}
	free(path);
	free(real);
	return rc;
}

/* folder: NULL for the model's own, or the one of templates. */
static int list_entries(struct listing *l, const char *folder, DIR *d, struct err *e)
{
	struct dirent *entry;
	size_t seen = 0;
	int rc;

	while ((errno = 0, entry = readdir(d))) {
		const char *name =
			folder ? arena_printf(l->a, "%s/%s", folder, entry->d_name) : entry->d_name;

		if (++seen > ENTRIES_MAX)
			return err_set(e, ERR_INVALID,
				       "%s: more than %d files; not a model's folder", l->dir,
				       ENTRIES_MAX);
		if (!source_wanted(name) && !(l->code && !folder && source_is_code(name)))
			continue;
		if (!path_component_ok(entry->d_name)) {
			char visible[256];

			text_visible(entry->d_name, visible, sizeof(visible));
			return err_set(e, ERR_INVALID,
				       "%s: the file name \"%s\" has control characters or is not "
				       "UTF-8",
				       l->dir, visible);
		}
		rc = add_file(l, name, e);
		if (rc < 0)
			return rc;
	}
	return errno ? err_errno(e, "%s", l->dir) : 0;
}

/* A model has it or not; a link to a folder elsewhere is caught with the files in it. */
static int list_templates(struct listing *l, struct err *e)
{
	char *path = path_join(l->dir, SOURCE_TEMPLATES);
	DIR *d = opendir(path);
	int rc = 0;

	if (d) {
		rc = list_entries(l, SOURCE_TEMPLATES, d, e);
		closedir(d);
	} else if (errno != ENOENT && errno != ENOTDIR) {
		rc = err_errno(e, "%s", path);
	}
	free(path);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int list_folder(struct arena *a, const char *dir, int code, struct source_files *out,
		       struct err *e)
{
	struct listing l = { .a = a, .code = code };
	char *real = path_real(dir, e);
	char *blobs;
	DIR *d;
	int rc;

	if (!real)
		return e ? e->code : ERR_NOTFOUND;
	blobs = blobs_of(real);
	l.dir = real;
	l.blobs = blobs;
	d = opendir(real);
	if (!d) {
		rc = errno == ENOTDIR ? err_set(e, ERR_INVALID, "%s: not a folder", dir)
				      : err_errno(e, "%s", dir);
	} else {
		rc = list_entries(&l, NULL, d, e);
		closedir(d);
		if (rc == 0)
			rc = list_templates(&l, e);
	}
	if (rc == 0) {
		out->n = l.n;
		out->v = arena_array(a, l.n ? l.n : 1, sizeof(*l.v));
		if (l.n) {
			qsort(l.v, l.n, sizeof(*l.v), by_name);
			memcpy(out->v, l.v, l.n * sizeof(*l.v));
		}
	}
	free(l.v);
	free(blobs);
	free(real);
	return rc;
}

int source_list(struct arena *a, const char *dir, struct source_files *out, struct err *e)
{
	return list_folder(a, dir, 0, out, e);
}

int source_list_code(struct arena *a, const char *dir, struct source_files *out, struct err *e)
{
	return list_folder(a, dir, 1, out, e);
}

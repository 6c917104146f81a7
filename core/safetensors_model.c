/* A model's folder: which safetensors files are its parts, and all their tensors as one table. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/safetensors.h"

#define INDEX_NAME "model.safetensors.index.json"
#define INDEX_MAX ((size_t)64 << 20) /* ten times the largest published one */
#define FILES_MAX 10000		     /* parts of one model; the largest published have under 1000 */

struct names {
	const char **v;
	size_t n, cap;
};

struct shown {
	char text[160];
};

static struct shown show(const char *name)
{
	struct shown s = { "" };

	text_visible(name, s.text, sizeof(s.text));
	return s;
}

static int ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n >= m && strcmp(s + n - m, tail) == 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ------------------------------------------------------------ with an index */

/* The map's values, each once, sorted. */
static int files_of_map(const struct json *map, struct names *files, struct err *e)
{
	size_t kept = 0;

	if (!map || map->type != JSON_OBJECT || map->count == 0)
		return err_set(e, ERR_INVALID,
			       INDEX_NAME ": \"weight_map\" is missing, empty or no object");
	for (size_t i = 0; i < map->count; i++) {
		const struct json *v = map->members[i].value;

		/* A name with a separator could lead anywhere on this machine. */
		if (v->type != JSON_STRING || strlen(v->str) != v->len ||
		    !path_component_ok(v->str) || !ends_with(v->str, ".safetensors"))
			return err_set(e, ERR_INVALID,
				       INDEX_NAME ": \"%s\" is not mapped to the plain name of a "
						  ".safetensors file",
				       show(map->members[i].key).text);
		MEM_GROW(files->v, files->n, files->cap);
		files->v[files->n++] = v->str;
	}
	qsort(files->v, files->n, sizeof(*files->v), by_text);
	for (size_t i = 0; i < files->n; i++)
		if (kept == 0 || strcmp(files->v[kept - 1], files->v[i]) != 0)
			files->v[kept++] = files->v[i];
	files->n = kept;
	return 0;
}

/* Returns 1 with *map and files set, 0 without an index, or an error. */
static int read_index(struct arena *a, const char *dir, const struct json **map,
		      struct names *files, struct err *e)
{
	char *path = path_join(dir, INDEX_NAME);
	struct json *root;
	struct buf text;
	int rc;

	buf_init(&text, INDEX_MAX);
	rc = path_read(path, INDEX_MAX, &text, e);
	if (rc == ERR_NOTFOUND) {
		rc = 0;
	} else if (rc == 0) {
		rc = json_parse(a, buf_str(&text), text.len, &root, e);
		if (rc < 0) {
			(void)err_wrap(e, INDEX_NAME);
		} else {
			*map = json_get(root, "weight_map");
			rc = files_of_map(*map, files, e);
		}
		if (rc == 0)
			rc = 1;
	}
	buf_release(&text);
	free(path);
	return rc;
}

/* Names in index and files are the same set: each tensor is where the map says, and there are as
 * many of them as the map has. */
static int check_map(const struct st_model *m, const struct json *map, struct err *e)
{
	for (size_t i = 0; i < m->n_tensors; i++) {
		const struct st_tensor *t = &m->tensors[i];
		const char *file = m->files[t->file].name;
		const char *mapped = json_str(map, t->name, NULL);

		if (!mapped)
			return err_set(e, ERR_INVALID, "%s: tensor \"%s\" is not in " INDEX_NAME,
				       file, show(t->name).text);
		if (strcmp(mapped, file) != 0)
			return err_set(e, ERR_INVALID,
				       "tensor \"%s\" is in %s, but " INDEX_NAME " says %s",
				       show(t->name).text, file, mapped);
	}
	for (size_t i = 0; i < map->count && map->count != m->n_tensors; i++)
		if (!st_find(m, map->members[i].key))
			return err_set(e, ERR_INVALID,
				       "%s: tensor \"%s\", which " INDEX_NAME
				       " promises, is not there",
				       map->members[i].value->str, show(map->members[i].key).text);
	return 0;
}

/* --------------------------------------------------------- without an index */

/* "model-00002-of-00003.safetensors": 1 with both numbers, else 0. */
static int part_numbers(const char *name, unsigned *part, unsigned *parts)
{
	int end = 0;

	return sscanf(name, "model-%5u-of-%5u.safetensors%n", part, parts, &end) == 2 && end > 0 &&
	       !name[end];
}

/* Files that number themselves must all be there. */
static int check_numbered(const struct names *files, struct err *e)
{
	unsigned part, parts, have = 0, of = 0;

	for (size_t i = 0; i < files->n; i++) {
		if (!part_numbers(files->v[i], &part, &parts))
			continue;
		if (of && parts != of)
			return err_set(e, ERR_INVALID,
				       "parts of two models (of %u and of %u) and no " INDEX_NAME
				       " to tell which",
				       of, parts);
		of = parts;
		have++;
	}
	if (have < of)
		return err_set(e, ERR_INVALID,
			       "only %u of %u parts model-N-of-%05u.safetensors are here; is the "
			       "download complete?",
			       have, of, of);
	return 0;
}

/* model.safetensors alone if it is there, else all model*.safetensors. */
static int list_parts(struct arena *a, const char *dir, struct names *files, struct err *e)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int single = 0, others = 0;

	if (!d)
		return err_errno(e, "%s", dir);
	while ((errno = 0, entry = readdir(d)) && files->n <= FILES_MAX) {
		const char *name = entry->d_name;

		if (!ends_with(name, ".safetensors"))
			continue;
		/* gptq_model-4bit-128g.safetensors: AutoGPTQ's. */
		if ((strncmp(name, "model", 5) != 0 && strncmp(name, "gptq_model-", 11) != 0) ||
		    !path_component_ok(name)) {
			others++;
			continue;
		}
		single |= strcmp(name, "model.safetensors") == 0;
		MEM_GROW(files->v, files->n, files->cap);
		files->v[files->n++] = arena_strdup(a, name);
	}
	closedir(d);
	if (files->n == 0)
		return err_set(e, ERR_NOTFOUND,
			       "no model.safetensors and no model-*.safetensors in %s%s", dir,
			       others ? ", only safetensors files under other names" : "");
	if (single) {
		files->v[0] = "model.safetensors";
		files->n = 1;
	}
	qsort(files->v, files->n, sizeof(*files->v), by_text);
	return check_numbered(files, e);
}

/* ------------------------------------------------------------------- merging */

static int by_name(const void *a, const void *b)
{
	const struct st_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Read every header; add its tensors to all (heap). */
static int read_files(struct arena *a, const char *dir, const struct names *files,
		      struct st_model *m, struct st_tensor **all, struct err *e)
{
	size_t cap = 0;

	m->files = arena_array(a, files->n, sizeof(*m->files));
	m->n_files = files->n;
	for (size_t i = 0; i < files->n; i++) {
		struct st_header h;
		char *path = path_join(dir, files->v[i]);
		struct st_file *f = &m->files[i];
		int rc;

		f->path = arena_strdup(a, path);
		f->name = arena_strdup(a, files->v[i]);
		free(path);
		rc = st_read_header(a, f->path, &h, e);
		if (rc == ERR_NOTFOUND)
			return err_set(e, ERR_INVALID,
				       "%s: missing, though " INDEX_NAME
				       " names it; is the download complete?",
				       f->path);
		if (rc < 0)
			return rc;
		f->size_bytes = h.data_offset;
		for (size_t k = 0; k < h.count; k++) {
			h.tensors[k].file = (uint32_t)i;
			f->size_bytes += h.tensors[k].size_bytes;
			m->total_bytes += h.tensors[k].size_bytes;
			MEM_GROW(*all, m->n_tensors, cap);
			(*all)[m->n_tensors++] = h.tensors[k];
		}
	}
	return 0;
}

static int check_unique(const struct st_model *m, struct err *e)
{
	for (size_t i = 1; i < m->n_tensors; i++) {
		const struct st_tensor *x = &m->tensors[i - 1], *y = &m->tensors[i];

		if (strcmp(x->name, y->name) == 0)
			return err_set(e, ERR_INVALID, "tensor \"%s\" is both in %s and in %s",
				       show(x->name).text, m->files[x->file].name,
				       m->files[y->file].name);
	}
	return 0;
}

static int merge_files(struct arena *a, const char *dir, const struct names *files,
		       struct st_model *m, struct err *e)
{
	struct st_tensor *all = NULL;
	int rc = read_files(a, dir, files, m, &all, e);

	if (rc == 0) {
		m->tensors = arena_array(a, m->n_tensors ? m->n_tensors : 1, sizeof(*m->tensors));
		if (m->n_tensors) {
			memcpy(m->tensors, all, m->n_tensors * sizeof(*all));
			qsort(m->tensors, m->n_tensors, sizeof(*all), by_name);
		}
		rc = check_unique(m, e);
	}
	free(all);
	return rc;
}

int st_open_model(struct arena *a, const char *dir, struct st_model *out, struct err *e)
{
	const struct json *map = NULL;
	struct st_model m = { 0 };
	struct names files = { 0 };
	int rc = read_index(a, dir, &map, &files, e);

	if (rc == 0)
		rc = list_parts(a, dir, &files, e);
	if (rc >= 0)
		rc = merge_files(a, dir, &files, &m, e);
	if (rc == 0 && map)
		rc = check_map(&m, map, e);
	if (rc == 0)
		*out = m;
	free(files.v);
	return rc;
}

const struct st_tensor *st_find(const struct st_model *m, const char *name)
{
	struct st_tensor key = { .name = name };

	if (m->n_tensors == 0)
		return NULL;
	return bsearch(&key, m->tensors, m->n_tensors, sizeof(*m->tensors), by_name);
}

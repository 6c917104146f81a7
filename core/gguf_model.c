/* A model in GGUF: which files are its parts, and their tensors as one table. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/gguf.h"
#include "core/mem.h"
#include "core/path.h"

#define PARTS_MAX 4096 /* of one model; a part has 128 tensors unless asked otherwise */

int gguf_part_numbers(const char *name, unsigned *part, unsigned *parts)
{
	static const char pattern[] = "-00001-of-00003.gguf"; /* %05d, from 1 */
	size_t n = strlen(name), m = sizeof(pattern) - 1;
	const char *tail = name + n - m;
	int end = 0;

	if (n <= m)
		return 0;
	for (size_t i = 0; i < m; i++) {
		int digit = tail[i] >= '0' && tail[i] <= '9';

		if (pattern[i] >= '0' && pattern[i] <= '9' ? !digit : tail[i] != pattern[i])
			return 0;
	}
	return sscanf(tail, "-%5u-of-%5u.gguf%n", part, parts, &end) == 2 && *part && *parts &&
	       *part <= *parts;
}

static int read_part(struct arena *a, const struct gguf_part *part, struct gguf_file *f,
		     struct err *e)
{
	int fd = open(part->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return err_errno(e, "%s", part->path);
	rc = gguf_read_fd(a, fd, f, e);
	close(fd);
	return rc < 0 ? err_wrap(e, "%s", part->path) : 0;
}

/* A key of splits: a number of at most 16 or 32 bits, of whichever type. */
static int split_number(const struct gguf_file *f, const char *key, uint64_t *out)
{
	const struct gguf_kv *kv = gguf_find(f, key);

	if (!kv)
		return 0;
	switch (kv->type) {
	case GGUF_U8:
	case GGUF_U16:
	case GGUF_U32:
	case GGUF_U64:
		*out = kv->u;
		return 1;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		*out = (uint64_t)kv->i;
		return kv->i >= 0;
	default:
		return 0;
	}
}

static int check_part(const struct gguf_model *m, const struct gguf_file *f, size_t i,
		      struct err *e)
{
	uint64_t number = 0, count = 0;

	if (m->n_files == 1 && !gguf_find(f, "split.count"))
		return 0;
	if (!split_number(f, "split.no", &number) || !split_number(f, "split.count", &count))
		return err_set(e, ERR_INVALID,
			       "%s: split.no or split.count is missing; the name says that it is a "
			       "part of a split file",
			       m->files[i].path);
	if (number == i && count == m->n_files)
		return 0;
	return err_set(e, ERR_INVALID,
		       "%s: it says that it is part %llu of %llu, its name says %zu of %zu; give "
		       "parts the names that the splitter gave them",
		       m->files[i].path, (unsigned long long)number + 1, (unsigned long long)count,
		       i + 1, m->n_files);
}

static int by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static int check_whole(struct arena *a, const struct gguf_model *m, struct err *e)
{
	const char **names = arena_array(a, m->n_tensors + 1, sizeof(*names));
	uint64_t total = 0;

	for (size_t i = 0; i < m->n_tensors; i++)
		names[i] = m->tensors[i].name;
	qsort(names, m->n_tensors, sizeof(*names), by_text);
	for (size_t i = 1; i < m->n_tensors; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			return err_set(e, ERR_INVALID, "%s: tensor %s is in two parts",
				       m->files[0].path, names[i]);
	}
	if (!split_number(&m->head, "split.tensors.count", &total) || total == m->n_tensors)
		return 0;
	return err_set(e, ERR_INVALID, "%s: split.tensors.count is %llu, the parts hold %zu",
		       m->files[0].path, (unsigned long long)total, m->n_tensors);
}

/* Names of all parts from that of the first. */
static int name_parts(struct arena *a, const char *dir, const char *file, struct gguf_model *m,
		      struct err *e)
{
	unsigned part = 1, parts = 1;
	int split = gguf_part_numbers(file, &part, &parts);
	size_t stem = strlen(file);

	if (!path_component_ok(file))
		return err_set(e, ERR_INVALID, "a GGUF file's name is not a plain file name");
	if (split && part != 1)
		return err_set(e, ERR_INVALID,
			       "%s/%s is part %u of a split file; name the first one", dir, file,
			       part);
	if (parts > PARTS_MAX)
		return err_set(e, ERR_INVALID, "%s/%s: a model in %u parts; %d are the limit", dir,
			       file, parts, PARTS_MAX);
	if (split)
		stem -= strlen("-00001-of-00001.gguf");
	m->n_files = parts;
	m->files = arena_array(a, parts, sizeof(*m->files));
	for (unsigned i = 0; i < parts; i++) {
		struct gguf_part *p = &m->files[i];

		p->name = split ? arena_printf(a, "%.*s-%05u-of-%05u.gguf", (int)stem, file, i + 1,
					       parts)
				: arena_strdup(a, file);
		p->path = arena_printf(a, "%s/%s", dir, p->name);
	}
	return 0;
}

static void append(struct gguf_model *m, struct gguf_tensor_info **all, size_t *cap,
		   const struct gguf_file *f, uint32_t file)
{
	for (size_t i = 0; i < f->n_tensors; i++) {
		MEM_GROW(*all, m->n_tensors, *cap);
		(*all)[m->n_tensors] = f->tensors[i];
		(*all)[m->n_tensors++].file = file;
		m->total_bytes += f->tensors[i].size_bytes;
	}
}

int gguf_open_model(struct arena *a, const char *dir, const char *file, struct gguf_model *out,
		    struct err *e)
{
	struct gguf_tensor_info *all = NULL;
	struct gguf_model m = { 0 };
	size_t cap = 0;
	int rc = 0;

	if (name_parts(a, dir, file, &m, e) < 0 || !m.files)
		return e ? e->code : ERR_INVALID;
	for (size_t i = 0; rc == 0 && i < m.n_files; i++) {
		struct gguf_file f = { 0 };

		rc = read_part(a, &m.files[i], &f, e);
		if (rc == ERR_NOTFOUND && i)
			rc = err_set(e, ERR_INVALID, "%s: missing; is the download complete?",
				     m.files[i].path);
		if (rc == 0)
			rc = check_part(&m, &f, i, e);
		if (rc < 0)
			break;
		m.files[i].size_bytes = f.file_bytes;
		append(&m, &all, &cap, &f, (uint32_t)i);
		if (i == 0)
			m.head = f;
	}
	if (rc == 0) {
		m.tensors = arena_array(a, m.n_tensors + 1, sizeof(*m.tensors));
		if (m.n_tensors)
			memcpy(m.tensors, all, m.n_tensors * sizeof(*all));
		rc = check_whole(a, &m, e);
	}
	if (rc == 0)
		*out = m;
	free(all);
	return rc;
}

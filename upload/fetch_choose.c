/* upload/fetch_choose.c -- which files of a repository are taken. Names come
 * from strangers; pickles are programs and are never taken. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/gguf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_private.h"
#include "upload/hub.h"

#define FILE_MAX                                                                                   \
	((uint64_t)1 << 44) /* bytes; hubs stop at 500 GB, sums of these do not overflow           \
			     */
#define GGUF_SHOWN 8	    /* names of files in a fault */
#define CONVERTER "https://huggingface.co/spaces/safetensors/convert"

static bool ends_with(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n > m && strcmp(s + n - m, tail) == 0;
}

static bool is_pickle(const char *name)
{
	static const char *const tails[] = { ".bin", ".pt", ".pth", ".ckpt", ".pkl" };

	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		if (ends_with(name, tails[i]))
			return true;
	}
	return false;
}

/* As every system that shares a cache would read it: no "C:x", no backslash, no "..". */
static bool name_is_safe(const char *name)
{
	return (path_component_ok(name) || source_is_template(name)) && hub_path_ok(name) &&
	       !(isalpha((unsigned char)name[0]) && name[1] == ':');
}

/* What the listing holds, before anything is chosen. */
struct offer {
	bool safetensors, gguf, pickles;
};

static bool is_needed(const struct fetch_options *o, const char *file, const char *name)
{
	if (o->adapter)
		return strcmp(name, "adapter_config.json") == 0 ||
		       strcmp(name, "adapter_model.safetensors") == 0;
	if (source_is_code(name))
		return o->code;
	if (file)
		return source_wanted(name) && source_belongs(name, file);
	return source_wanted(name) && source_belongs(name, NULL) && !ends_with(name, ".gguf");
}

/* The GGUF file that is meant: as asked for, or the only model where there are no safetensors. *out
 * NULL: none. */
static int choose_gguf(const struct fetch_options *o, struct arena *a, const struct fetch_file *all,
		       size_t n, const struct offer *have, const char **out, struct err *e)
{
	struct source_files names = { arena_array(a, n + 1, sizeof(*names.v)), 0 };
	const char **v, *list = "";
	size_t found;

	*out = NULL;
	if (o->adapter || (!o->file && (have->safetensors || !have->gguf)))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (o->file && strcmp(all[i].name, o->file) == 0)
			*out = all[i].name;
		if (path_component_ok(all[i].name))
			names.v[names.n++].name = all[i].name;
	}
	if (*out)
		return 0;
	v = source_gguf_files(a, &names, &found);
	if (!o->file && found == 1) {
		*out = v[0];
		return 0;
	}
	for (size_t i = 0; i < found && i < GGUF_SHOWN; i++)
		list = arena_printf(a, "%s%s%s", list, i ? ", " : "", v[i]);
	return err_set(e, ERR_INVALID,
		       "%s holds %s%.100s; choose one of its %zu with `file:` (%s%s)", o->repo,
		       o->file ? "no file " : "several GGUF models", o->file ? o->file : "", found,
		       list, found > GGUF_SHOWN ? ", ..." : "");
}

static int refuse(const struct fetch_options *o, const struct offer *have, struct err *e)
{
	if (o->adapter)
		return err_set(
			e, ERR_INVALID,
			"%s is no adapter that can be taken: it should hold adapter_config.json "
			"and adapter_model.safetensors%s",
			o->repo, have->pickles ? " (pickles can run code and are not read)" : "");
	if (have->pickles)
		return err_set(
			e, ERR_INVALID,
			"%s holds its weights as pickles only (.bin, .pt), which can run code "
			"when they are read; use a repository with safetensors, or let " CONVERTER
			" make them",
			o->repo);
	return err_set(e, ERR_INVALID, "%s holds no weights (*.safetensors) in its root", o->repo);
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct fetch_file *)x)->name, ((const struct fetch_file *)y)->name);
}

static int check_file(const struct fetch_options *o, const struct fetch_file *f, struct err *e)
{
	char visible[128];

	if (name_is_safe(f->name) && fetch_is_etag(f->etag) && f->size_bytes <= FILE_MAX)
		return 0;
	text_visible(f->name, visible, sizeof(visible));
	return err_set(e, ERR_INVALID, "%s: the hub lists a file \"%s\" that is not taken: its %s",
		       o->repo, visible,
		       name_is_safe(f->name) ? "size or hash is impossible"
					     : "name could lead out of its folder");
}

int fetch_choose(const struct fetch_options *o, struct arena *a, const struct fetch_file *all,
		 size_t n, struct fetch_model *m, struct err *e)
{
	struct offer have = { 0 };
	const char *file = NULL;
	bool described = false;
	int rc;

	m->files = arena_array(a, n + 1, sizeof(*m->files));
	m->n_files = 0;
	m->size_bytes = 0;
	for (size_t i = 0; i < n; i++) {
		have.gguf |= ends_with(all[i].name, ".gguf");
		have.pickles |= is_pickle(all[i].name);
		have.safetensors |=
			ends_with(all[i].name, ".safetensors") && is_needed(o, NULL, all[i].name);
	}
	rc = choose_gguf(o, a, all, n, &have, &file, e);
	for (size_t i = 0; rc >= 0 && i < n; i++) {
		if (!is_needed(o, file, all[i].name))
			continue;
		rc = check_file(o, &all[i], e);
		described |= strcmp(all[i].name, "adapter_config.json") == 0;
		m->files[m->n_files++] = all[i];
		m->size_bytes += all[i].size_bytes;
	}
	if (rc < 0)
		return rc;
	if ((!have.safetensors && !file) || (o->adapter && !described))
		return refuse(o, &have, e);
	qsort(m->files, m->n_files, sizeof(*m->files), by_name);
	for (size_t i = 1; i < m->n_files; i++) {
		if (strcmp(m->files[i - 1].name, m->files[i].name) == 0)
			return err_set(e, ERR_INVALID, "%s: the hub lists %s twice", o->repo,
				       m->files[i].name);
	}
	return 0;
}

#include "orchestrator/plan/filekind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/host/launch.h"

#define ANSWER_MAX (64u << 20)	 /* a description of 100,000 tensors has some 20 MiB */
#define HEAD_BYTES 9		 /* enough for the magic of GGUF and the start of safetensors */
#define ST_HEADER_MAX 100000000u /* safetensors: the reference implementation's limit */

static int read_head(const char *path, unsigned char *head, size_t *n, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got;

	if (fd < 0)
		return err_errno(e, "%s", path);
	got = pread(fd, head, HEAD_BYTES, 0);
	if (got < 0)
		err_errno(e, "%s", path);
	close(fd);
	*n = got < 0 ? 0 : (size_t)got;
	return got < 0 ? e->code : 0;
}

/* u64 length of the header, then '{' (safetensors has no magic number). */
static int looks_like_safetensors(const unsigned char *head, size_t n)
{
	uint64_t len = 0;

	if (n < HEAD_BYTES || head[8] != '{')
		return 0;
	for (int i = 7; i >= 0; i--)
		len = len << 8 | head[i];
	return len >= 2 && len <= ST_HEADER_MAX;
}

static int ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return m && n > m && strcmp(s + n - m, end) == 0;
}

static const struct engine *engine_for(const struct engines *es, const char *path,
				       const char *format)
{
	for (size_t i = 0; i < es->n; i++) {
		const struct engine *en = &es->v[i];

		if (format ? strcmp(en->output, format) == 0 : ends_with(path, en->extension))
			return en;
	}
	return NULL;
}

static int unknown_kind(const struct engines *es, const char *path, struct err *e)
{
	char known[512] = "";

	for (size_t i = 0; i < es->n; i++) {
		size_t n = strlen(known);

		if (es->v[i].extension[0] && !strstr(known, es->v[i].extension))
			snprintf(known + n, sizeof(known) - n, ", %s", es->v[i].extension);
	}
	return err_set(e, ERR_INVALID,
		       "%s: neither GGUF nor safetensors by its content, and no engine makes files "
		       "of this "
		       "name; known are .safetensors%s",
		       path, known);
}

static int find_file(const struct engines *es, const char *shown, struct filekind *k, struct err *e)
{
	unsigned char head[HEAD_BYTES];
	const char *format = NULL;
	size_t n = 0;
	int rc = read_head(k->path, head, &n, e);

	if (rc < 0)
		return rc;
	if (n >= 4 && memcmp(head, "GGUF", 4) == 0) {
		format = "gguf";
	} else if (looks_like_safetensors(head, n) || ends_with(k->path, ".safetensors")) {
		k->kind = FILE_SAFETENSORS;
		return 0;
	}
	k->kind = FILE_OF_ENGINE;
	k->engine = engine_for(es, k->path, format);
	if (!k->engine && format)
		return err_set(
			e, ERR_ENV,
			"%s: a GGUF file, but no engine for GGUF is installed; see quern engines",
			shown);
	if (!k->engine)
		return unknown_kind(es, shown, e);
	if (!k->engine->program)
		return err_set(e, ERR_ENV, "%s: engine %s: %s", shown, k->engine->name,
			       k->engine->missing ? k->engine->missing : "its program is missing");
	return 0;
}

int filekind_find(struct arena *a, const struct engines *es, const char *path, struct filekind *out,
		  struct err *e)
{
	struct filekind k = { .kind = FILE_SAFETENSORS_FOLDER };
	char *real = path_real(path, e);
	struct stat st;
	int rc = 0;

	if (!real)
		return e->code;
	k.path = arena_strdup(a, real);
	free(real);
	if (stat(k.path, &st) != 0)
		return err_errno(e, "%s", path);
	k.size_bytes = (uint64_t)st.st_size;
	if (S_ISREG(st.st_mode))
		rc = find_file(es, path, &k, e);
	else if (!S_ISDIR(st.st_mode))
		rc = err_set(e, ERR_INVALID, "%s: neither a file nor a folder", path);
	if (rc < 0)
		return rc;
	*out = k;
	return 0;
}

int filekind_ask(struct arena *a, const struct filekind *k, const char *verb, struct json **out,
		 struct err *e)
{
	const struct engine *en = k->engine;
	const char **args = arena_array(a, en->n_args + 2, sizeof(*args));
	struct buf b;
	int rc;

	if (!engine_has_verb(en, verb))
		return err_set(e, ERR_ENV,
			       "engine %s has no verb \"%s\": it cannot look into files", en->name,
			       verb);
	if (en->n_args)
		memcpy(args, en->args, en->n_args * sizeof(*args));
	args[en->n_args] = verb;
	args[en->n_args + 1] = k->path;
	buf_init(&b, ANSWER_MAX);
	rc = launch_capture(en->program, args, en->n_args + 2, k->path, &b, e);
	if (rc > 0)
		rc = e->code < 0 ? e->code
				 : err_set(e, ERR_IO, "engine %s ended with code %d", en->name, rc);
	if (rc == 0 && json_parse(a, buf_str(&b), b.len, out, e) < 0) {
		err_wrap(e, "engine %s: its answer", en->name);
		rc = e->code = ERR_IO; /* the worker's fault, and no word on the file */
	}
	if (rc == 0 && (*out)->type != JSON_OBJECT)
		rc = err_set(e, ERR_IO, "engine %s: its answer is no JSON object", en->name);
	buf_release(&b);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct st_tensor *)a)->name, ((const struct st_tensor *)b)->name);
}

int filekind_tensors(struct arena *a, const struct filekind *k, struct st_model *out, struct err *e)
{
	struct st_header h;
	struct st_model m = { .n_files = 1 };
	int rc;

	if (k->kind == FILE_SAFETENSORS_FOLDER)
		return st_open_model(a, k->path, out, e);
	rc = st_read_header(a, k->path, &h, e);
	if (rc < 0)
		return rc;
	m.files = arena_array(a, 1, sizeof(*m.files));
	m.files[0] = (struct st_file){ k->path, path_basename(k->path), k->size_bytes };
	m.tensors = h.tensors;
	m.n_tensors = h.count;
	for (size_t i = 0; i < h.count; i++)
		m.total_bytes += h.tensors[i].size_bytes;
	if (h.count)
		qsort(m.tensors, m.n_tensors, sizeof(*m.tensors), by_name);
	*out = m;
	return 0;
}

#include "orchestrator/plan/hub_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/plan/filekind.h"

#define HEAD_FIRST ((uint64_t)1 << 20) /* holds the metadata of most models */
#define HEAD_GROWS 8
#define CHUNK ((size_t)4 << 20)

struct look {
	struct hub *hub;
	const char *repo;
	const struct hub_file *file;
	const struct engines *engines;
	struct arena *a;
	const char *path; /* of the copy */
	uint64_t have;	  /* bytes of it that are the file's; behind them it is empty */
};

static int write_all(int fd, const char *p, size_t n, uint64_t at, const char *path, struct err *e)
{
	while (n > 0) {
		ssize_t w = pwrite(fd, p, n, (off_t)at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_errno(e, "%s", path);
		p += w;
		n -= (size_t)w;
		at += (uint64_t)w;
	}
	return 0;
}

/* Bring the copy up to the file's first `want` bytes. */
static int fetch_head(struct look *l, uint64_t want, struct err *e)
{
	int fd = open(l->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;
	char *chunk;

	if (fd < 0)
		return err_errno(e, "%s", l->path);
	if (want > l->file->size_bytes)
		want = l->file->size_bytes;
	if (ftruncate(fd, (off_t)l->file->size_bytes) != 0)
		rc = err_errno(e, "%s", l->path);
	chunk = mem_alloc(CHUNK);
	while (rc >= 0 && l->have < want) {
		size_t n = want - l->have < CHUNK ? (size_t)(want - l->have) : CHUNK, got = 0;

		rc = l->hub->ops->read_at(l->hub, l->repo, l->file, l->have, chunk, n, &got, e);
		if (rc >= 0 && got == 0)
			rc = err_set(e, ERR_INVALID, "it ends after %llu bytes",
				     (unsigned long long)l->have);
		if (rc >= 0)
			rc = write_all(fd, chunk, got, l->have, l->path, e);
		if (rc >= 0)
			l->have += got;
	}
	free(chunk);
	close(fd);
	return rc < 0 ? rc : 0;
}

/* Where the weights begin, by the answer of an engine that lists tensors with their places in the
 * file. What is before them was needed for the answer, so it has to be the file's own: zeros in its
 * place could be read as something, but never end before the copy does. UINT64_MAX: not said. */
static uint64_t weights_begin(const struct json *answer)
{
	const struct json *tensors = json_get(answer, "tensors");
	uint64_t first = UINT64_MAX;

	if (!tensors || tensors->type != JSON_ARRAY)
		return UINT64_MAX;
	for (size_t i = 0; i < tensors->count; i++) {
		int64_t at = json_int(tensors->members[i].value, "offset", -1);

		if (at >= 0 && (uint64_t)at < first)
			first = (uint64_t)at;
	}
	return first;
}

/* 1, or 0 when nobody can look into this kind of file, or not on this machine: that is no fault of
 * the file. */
static int find_kind(const struct look *l, struct filekind *k, struct err *e)
{
	int rc = filekind_find(l->a, l->engines, l->path, k, e);

	if (rc == ERR_INVALID || rc == ERR_ENV) {
		*e = (struct err)ERR_INIT;
		return 0;
	}
	if (rc < 0)
		return rc;
	return k->kind == FILE_SAFETENSORS ||
	       (k->kind == FILE_OF_ENGINE && engine_has_verb(k->engine, "inspect"));
}

static int ask_once(struct look *l, const struct filekind *k, struct json **answer, struct err *e)
{
	struct st_model m;

	if (k->kind == FILE_OF_ENGINE)
		return filekind_ask(l->a, k, "inspect", answer, e);
	*answer = NULL;
	return filekind_tensors(l->a, k, &m, e);
}

/* Ask with more and more of the file, until the answer needs nothing that is not there. */
static int ask(struct look *l, struct json **answer, struct err *e)
{
	struct filekind k;
	uint64_t want = HEAD_FIRST;
	int rc;

	for (;;) {
		rc = fetch_head(l, want, e);
		if (rc >= 0)
			rc = find_kind(l, &k, e);
		if (rc <= 0)
			return rc;
		rc = ask_once(l, &k, answer, e);
		if (l->have == l->file->size_bytes)
			return rc < 0 ? rc : 1;
		if (rc >= 0 && *answer && weights_begin(*answer) <= l->have)
			return 1;
		if (rc < 0 && e->code != ERR_INVALID && e->code != ERR_CORRUPT)
			return rc;
		*e = (struct err)ERR_INIT;
		want = l->have * HEAD_GROWS;
	}
}

/* The worker names the copy, whose path means nothing to anybody. */
static void forget_copy(const struct look *l, struct err *e)
{
	const char *at = strstr(e->msg, l->path);

	if (!at)
		return;
	at += strlen(l->path);
	at += strspn(at, ": ");
	err_set(e, e->code, "%s", arena_strdup(l->a, at));
}

int hub_look(void *ctx, struct hub *h, const char *repo, const struct hub_file *f, struct arena *a,
	     const struct json **facts, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = mem_printf("%s/quern-look-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	struct look l = { .hub = h, .repo = repo, .file = f, .engines = ctx, .a = a };
	struct err ignored = ERR_INIT;
	struct json *answer = NULL;
	int rc;

	if (!mkdtemp(dir)) {
		rc = err_errno(e, "%s", dir);
		free(dir);
		return rc;
	}
	l.path = arena_printf(a, "%s/%s", dir, path_basename(f->path));
	rc = ask(&l, &answer, e);
	if (rc < 0)
		forget_copy(&l, e);
	if (rc > 0)
		*facts = json_get(answer, "facts");
	(void)path_remove_tree(dir, &ignored);
	free(dir);
	return rc;
}

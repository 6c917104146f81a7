#include "orchestrator/plan/hub_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/host/capture.h"
#include "orchestrator/host/workdir.h"
#include "upload/fetch.h"

#define ANSWER_MAX (16u << 20)

/* resolved in the child of quern, which is quern */
#define OURSELVES "/proc/self/exe"

static const char **argv_of(struct arena *a, const char *work, const struct hub_source *s,
			    size_t *n)
{
	const char **argv = arena_array(a, 24, sizeof(*argv));

	*n = 0;
	argv[(*n)++] = OURSELVES;
	argv[(*n)++] = "fetch-repo";
	argv[(*n)++] = "--memory";
	argv[(*n)++] = workdir_hub_memory(a, work);
	argv[(*n)++] = "--repo";
	argv[(*n)++] = s->repo;
	argv[(*n)++] = "--revision";
	argv[(*n)++] = s->revision;
	argv[(*n)++] = "--parent";
	argv[(*n)++] = arena_printf(a, "%ld", (long)getpid());
	if (s->adapter)
		argv[(*n)++] = "--adapter";
	if (s->code)
		argv[(*n)++] = "--code";
	if (s->file) {
		argv[(*n)++] = "--file";
		argv[(*n)++] = s->file;
	}
	return argv;
}

const char **hub_source_argv(struct arena *a, const char *work, const struct hub_source *s)
{
	size_t n;
	const char **argv = argv_of(a, work, s, &n);

	argv[n++] = "--cache";
	argv[n++] = s->cache;
	argv[n++] = "--commit";
	argv[n++] = s->commit;
	argv[n] = NULL;
	return argv;
}

/* ---- what the child says */

static int code_of_name(const char *name)
{
	for (int code = ERR_CANCELLED; code < 0; code++) {
		if (strcmp(err_name(code), name) == 0)
			return code;
	}
	return ERR_IO;
}

int hub_source_error(const struct json *line, struct err *e)
{
	if (strcmp(json_str(line, "event", ""), "error") != 0)
		return 0;
	return err_set(e, code_of_name(json_str(line, "code", "")), "%s",
		       json_str(line, "message", "the fetcher gave no reason"));
}

static void read_files(struct arena *a, const struct json *list, struct hub_source *s)
{
	size_t n = list && list->type == JSON_ARRAY ? list->count : 0;

	s->files = arena_array(a, n + 1, sizeof(*s->files));
	for (size_t i = 0; i < n; i++) {
		const struct json *f = list->members[i].value;

		s->files[i].name = json_str(f, "name", "");
		s->files[i].etag = json_str(f, "etag", "");
		s->files[i].size_bytes = (uint64_t)json_int(f, "size", 0);
	}
	s->n_files = n;
}

/* "X/snapshots/COMMIT" gives "X/blobs". */
static const char *blobs_of(struct arena *a, const char *dir)
{
	char *snapshots = path_dirname(dir), *root = path_dirname(snapshots);
	const char *blobs = arena_printf(a, "%s/blobs", root);

	free(snapshots);
	free(root);
	return blobs;
}

/* v and all its strings live in a. */
static int read_answer(struct arena *a, const struct json *v, struct hub_source *s, struct err *e)
{
	int rc = hub_source_error(v, e);

	if (rc < 0)
		return rc;
	s->id = json_str(v, "id", s->repo);
	s->commit = json_str(v, "commit", "");
	s->gated = json_str(v, "gated", "no");
	s->is_private = json_bool(v, "private", 0);
	s->cache = json_str(v, "cache", "");
	s->dir = json_str(v, "dir", "");
	s->blobs = blobs_of(a, s->dir);
	s->size_bytes = (uint64_t)json_int(v, "bytes", 0);
	fetch_read_facts(a, json_get(v, "facts"), &s->facts);
	read_files(a, json_get(v, "files"), s);
	if (strcmp(json_str(v, "event", ""), "metadata") != 0 || !*s->commit || *s->dir != '/')
		return err_set(e, ERR_IO, "the fetcher answers nothing that can be understood");
	return 0;
}

/* What one child said, and how it ended. */
static int read_reply(struct arena *a, const struct capture *c, struct hub_source *s,
		      char cause[32], struct err *e)
{
	struct json *v = NULL;

	if (c->rc < 0 || json_parse(a, buf_str(c->out), c->out->len, &v, e) < 0) {
		if (c->rc != 0)
			*e = c->err; /* the last words of its standard error */
		return c->rc > 0 ? ERR_IO : c->rc < 0 ? c->rc : e->code;
	}
	snprintf(cause, 32, "%s", json_str(v, "cause", ""));
	return read_answer(a, v, s, e);
}

void hub_source_look(struct arena *a, const char *work, struct hub_question *v, size_t n)
{
	struct hub_source *all = arena_array(a, n + 1, sizeof(*all));
	struct capture *c = mem_array(n + 1, sizeof(*c));
	struct buf *out = mem_array(n + 1, sizeof(*out));

	for (size_t i = 0; i < n; i++) {
		const char **argv;
		size_t n_args;

		all[i] = (struct hub_source){ .repo = arena_strdup(a, v[i].repo),
					      .revision = arena_strdup(a, v[i].revision),
					      .adapter = v[i].adapter,
					      .code = v[i].code,
					      .file = arena_strdup(a, v[i].file) };
		argv = argv_of(a, work, &all[i], &n_args);
		argv[n_args++] = "--metadata";
		argv[n_args] = NULL;
		buf_init(&out[i], ANSWER_MAX);
		c[i] = (struct capture){
			.argv = argv, .name = "the fetcher", .lock_fd = -1, .out = &out[i]
		};
	}
	capture_run(c, n, HUB_QUESTIONS_AT_ONCE);
	for (size_t i = 0; i < n; i++) {
		v[i].err = (struct err)ERR_INIT;
		v[i].rc = read_reply(a, &c[i], &all[i], v[i].cause, &v[i].err);
		v[i].answer = v[i].rc < 0 ? NULL : &all[i];
		buf_release(&out[i]);
	}
	free(out);
	free(c);
}

/* ---- what is there */

static bool is_there(const struct hub_source *s, const struct hub_source_file *f)
{
	char *path = path_join(s->dir, f->name);
	struct stat st;
	bool there = stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		     (uint64_t)st.st_size == f->size_bytes;

	free(path);
	return there;
}

bool hub_source_ready(const struct hub_source *s)
{
	for (size_t i = 0; i < s->n_files; i++) {
		if (!is_there(s, &s->files[i]))
			return false;
	}
	return true;
}

uint64_t hub_source_missing_bytes(const struct hub_source *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_files; i++)
		sum += is_there(s, &s->files[i]) ? 0 : s->files[i].size_bytes;
	return sum;
}

/* On the disk already, as the blob or as the file that becomes it. */
static uint64_t has_taken(const struct hub_source *s, const struct hub_source_file *f)
{
	static const char *const suffixes[] = { "", ".quern-part" };
	uint64_t taken = 0;

	for (size_t i = 0; f->etag[0] && i < ARRAY_LEN(suffixes); i++) {
		char *path = mem_printf("%s/%s%s", s->blobs, f->etag, suffixes[i]);
		struct stat st;

		if (stat(path, &st) == 0 && (uint64_t)st.st_blocks * 512 > taken)
			taken = (uint64_t)st.st_blocks * 512;
		free(path);
	}
	return taken < f->size_bytes ? taken : f->size_bytes;
}

uint64_t hub_source_room_bytes(const struct hub_source *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_files; i++)
		sum += is_there(s, &s->files[i])
			       ? 0
			       : s->files[i].size_bytes - has_taken(s, &s->files[i]);
	return sum;
}

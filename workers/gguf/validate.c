/* workers/gguf/validate.c -- after the fact, in a process of its own: is what lies in
 * out/ a GGUF that its result describes? */
#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/path.h"
#include "workers/common/protocol.h"
#include "workers/gguf/convert.h"
#include "workers/gguf/examine.h"

#define RESULT_MAX (16u << 20)
#define FACTS_MAX (60u << 10) /* they go on one line, which has 64 KiB */

static int read_result(struct arena *a, const struct worker_job *j, struct json **out,
		       struct err *e)
{
	const char *path = arena_printf(a, "%s/result.json", j->dir);
	struct buf b;
	int rc;

	buf_init(&b, RESULT_MAX);
	rc = path_read(path, RESULT_MAX, &b, e);
	if (rc >= 0)
		rc = json_parse(a, b.data ? b.data : "", b.len, out, e);
	buf_release(&b);
	return rc < 0 ? rc : 0;
}

/* Several files are parts of one model, in the order of the result. */
static int check_files(struct arena *a, const struct worker_job *j, struct buf *facts,
		       struct err *e)
{
	const struct json *files;
	const char **paths;
	struct json *root;

	if (read_result(a, j, &root, e) < 0)
		return e->code;
	files = json_get(root, "files");
	if (!files || files->type != JSON_ARRAY || files->count == 0)
		return err_set(e, ERR_INVALID, "result.json lists no file");
	paths = arena_array(a, files->count, sizeof(*paths));
	for (size_t i = 0; i < files->count; i++) {
		const char *name = json_str(files->members[i].value, "path", "");

		if (!path_component_ok(name))
			return err_set(e, ERR_INVALID, "result.json: \"%s\" is no plain file name",
				       name);
		paths[i] = arena_printf(a, "%s/%s", j->out, name);
	}
	return examine_gguf((const char *const *)paths, files->count, j->threads, facts, e);
}

int validate_main(const char *job_path)
{
	struct arena *a = arena_new();
	struct worker_job j;
	struct err e = ERR_INIT;
	int code = WORKER_OK;
	struct buf facts;

	buf_init(&facts, FACTS_MAX);

	if (worker_job_read(a, job_path, &j, &e) < 0)
		code = WORKER_USAGE;
	else if (check_files(a, &j, &facts, &e) < 0)
		code = WORKER_REFUSED;
	else if (!facts.overflow)
		worker_facts(buf_str(&facts));
	if (code != WORKER_OK)
		fprintf(stderr, "quern-gguf: %s\n", e.msg);
	buf_release(&facts);
	arena_free(a);
	return code;
}

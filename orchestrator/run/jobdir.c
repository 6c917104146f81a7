#include "orchestrator/run/jobdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/proc.h"
#include "db/cause.h"

#define RESULT_MAX                                                                                 \
	(16u << 20) /* a result lists files and facts; 16 MiB is far above any honest one */

static void write_source(struct json_out *w, const struct jobdir_job *j)
{
	jw_kobject(w, "source");
	jw_kstr(w, "dir", j->source_dir);
	jw_kstr(w, "format", j->source_format);
	if (j->source_file)
		jw_kstr(w, "file", j->source_file);
	jw_end_object(w);
	jw_key(w, "lora");
	if (!j->lora_dir) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kstr(w, "dir", j->lora_dir);
	jw_end_object(w);
}

static void write_environment(struct json_out *w, const struct jobdir_job *j)
{
	jw_key(w, "environment");
	if (!j->toolkit) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_kstr(w, "path", j->environment);
	if (j->container)
		jw_kstr(w, "container", j->container);
	jw_kstr(w, "version", j->toolkit);
	jw_end_object(w);
}

static int write_with(struct json_out *w, const char *with, struct err *e)
{
	struct arena *a = arena_new();
	struct json *v = NULL;
	int rc = json_parse(a, with, strlen(with), &v, e);

	if (rc == 0) {
		jw_key(w, "with");
		jw_value(w, v);
	}
	arena_free(a);
	return rc;
}

static int job_json(const struct jobdir_job *j, struct buf *b, struct err *e)
{
	struct json_out w;
	int rc;

	jw_init(&w, b, 1);
	jw_object(&w);
	jw_kint(&w, "protocol", 1);
	jw_kstr(&w, "job", j->key_hex);
	jw_kint(&w, "attempt", j->attempt);
	jw_kstr(&w, "verb", "convert");
	jw_kobject(&w, "engine");
	jw_kstr(&w, "name", j->spec->engine);
	jw_kstr(&w, "version", j->spec->engine_version);
	jw_end_object(&w);
	jw_kstr(&w, "name", j->spec->model);
	jw_kstr(&w, "file", j->file);
	write_source(&w, j);
	jw_kstr(&w, "platform", j->spec->platform);
	jw_kstr(&w, "quant", j->spec->quant);
	jw_knum(&w, "hybrid", j->spec->hybrid);
	jw_kint(&w, "opt", j->spec->opt);
	rc = write_with(&w, j->with, e);
	write_environment(&w, j);
	jw_kbool(&w, "trust_remote_code", j->trust_remote_code);
	jw_kstr(&w, "out", "out");
	jw_kint(&w, "threads", j->threads);
	jw_end_object(&w);
	buf_addc(b, '\n');
	return rc;
}

static int write_plain(const char *path, const struct buf *b, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0)
		return err_errno(e, "%s", path);
	n = write(fd, b->data, b->len);
	if (n != (ssize_t)b->len) {
		if (n >= 0)
			errno = ENOSPC;
		err_errno(e, "%s", path);
		close(fd);
		return e->code;
	}
	close(fd);
	return 0;
}

static int make_folders(const char *dir, struct err *e)
{
	char *key = path_dirname(dir), *out = path_join(dir, "out");
	int rc = 0;

	/* The folder of the key is there from the second attempt on. */
	if (mkdir(key, 0755) != 0 && errno != EEXIST)
		rc = path_mkdirs(key, 0755, e);
	if (rc == 0 && mkdir(dir, 0755) != 0) {
		rc = errno == EEXIST ? path_remove_tree(dir, e) : err_errno(e, "%s", dir);
		if (rc == 0 && mkdir(dir, 0755) != 0)
			rc = err_errno(e, "%s", dir);
	}
	if (rc == 0 && mkdir(out, 0755) != 0)
		rc = err_errno(e, "%s", out);
	free(key);
	free(out);
	return rc;
}

int jobdir_create(const struct jobdir_job *j, struct err *e)
{
	char *path = path_join(j->dir, "job.json"), *lock = path_join(j->dir, "lock");
	struct buf b;
	int rc;

	buf_init(&b, 1u << 20);
	rc = make_folders(j->dir, e);
	if (rc == 0)
		rc = job_json(j, &b, e);
	if (rc == 0)
		rc = write_plain(path, &b, e);
	if (rc == 0)
		rc = lock_take(lock, e);
	buf_release(&b);
	free(path);
	free(lock);
	return rc;
}

static int is_ours(const char *name)
{
	static const char *const ours[] = { ".",   "..",  "job.json",	"lock", "lock.validate",
					    "log", "out", "result.json" };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (strcmp(name, ours[i]) == 0)
			return 1;
	}
	return 0;
}

void jobdir_clear(const char *dir)
{
	struct err ignored = ERR_INIT;
	DIR *d = opendir(dir);
	struct dirent *de;

	while (d && (de = readdir(d)) != NULL) {
		char *path = is_ours(de->d_name) ? NULL : path_join(dir, de->d_name);

		if (path)
			(void)path_remove_tree(path, &ignored);
		free(path);
	}
	if (d)
		closedir(d);
}

/* Of a word that nobody knows, only the exit code speaks. */
static void read_more(const struct json *v, struct jobdir_error *more)
{
	const struct json *retry = json_get(v, "retry");
	const struct cause *c = cause_find(json_str(v, "cause", ""));

	if (c && c->told)
		snprintf(more->cause, sizeof(more->cause), "%s", c->name);
	if (retry && retry->type == JSON_BOOL)
		more->retry = retry->boolean;
}

static enum jobdir_result judge(const struct json *v, char *message, size_t size,
				struct jobdir_error *more)
{
	const char *status = json_str(v, "status", "");

	if (json_int(v, "protocol", 0) != 1) {
		snprintf(message, size, "result.json: \"protocol\" is not 1");
		return JOBDIR_RUBBISH;
	}
	if (strcmp(status, "ok") == 0)
		return JOBDIR_OK;
	if (strcmp(status, "error") == 0) {
		snprintf(message, size, "%s", json_str(v, "message", "the worker gave no message"));
		if (more)
			read_more(v, more);
		return JOBDIR_ERROR;
	}
	snprintf(message, size, "result.json: \"status\" is neither \"ok\" nor \"error\"");
	return JOBDIR_RUBBISH;
}

enum jobdir_result jobdir_result(const char *dir, char *message, size_t size,
				 struct jobdir_error *more)
{
	char *path = path_join(dir, "result.json");
	struct arena *a = arena_new();
	enum jobdir_result r = JOBDIR_RUBBISH;
	struct json *v = NULL;
	struct err e = ERR_INIT;
	struct buf b;

	message[0] = '\0';
	if (more)
		*more = (struct jobdir_error){ .cause = "", .retry = -1 };
	buf_init(&b, RESULT_MAX);
	if (path_read(path, RESULT_MAX, &b, &e) < 0) {
		if (e.code == ERR_NOTFOUND)
			r = JOBDIR_NONE;
		else
			snprintf(message, size, "%s", e.msg);
	} else if (json_parse(a, b.data, b.len, &v, &e) < 0) {
		snprintf(message, size, "result.json:%s", e.msg);
	} else {
		r = judge(v, message, size, more);
	}
	buf_release(&b);
	arena_free(a);
	free(path);
	return r;
}

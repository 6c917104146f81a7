#include "workers/common/protocol.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"
#include "core/path.h"

#define JOB_MAX (1u << 20)     /* bytes of job.json */
#define RESULT_MAX (16u << 20) /* bytes of result.json: what the reader accepts */
#define PROGRESS_GAP_MS 100
#define LINE_LIMIT (64u << 10) /* bytes of a line, with its end */

static const char *text_of(const struct json *v, const char *name, struct err *e)
{
	const char *s = json_str(v, name, NULL);

	if (!s)
		(void)err_set(e, ERR_INVALID, "job.json: \"%s\" is missing or no string", name);
	return s;
}

static int read_fields(struct arena *a, const struct json *v, struct worker_job *j, struct err *e)
{
	const struct json *source = json_get(v, "source");
	const char *out;

	if (json_int(v, "protocol", 0) != 1)
		return err_set(e, ERR_INVALID,
			       "job.json: \"protocol\" is not 1, the only one this worker speaks");
	j->key = text_of(v, "job", e);
	j->name = text_of(v, "name", e);
	j->file = text_of(v, "file", e);
	j->quant = text_of(v, "quant", e);
	out = text_of(v, "out", e);
	j->source = source ? text_of(source, "dir", e) : NULL;
	if (!j->key || !j->name || !j->file || !j->quant || !out)
		return ERR_INVALID;
	if (!j->source)
		return err_set(e, ERR_INVALID, "job.json: \"source\" has no \"dir\"");
	j->source_file = json_str(source, "file", NULL);
	if (j->source_file && !path_component_ok(j->source_file))
		return err_set(e, ERR_INVALID,
			       "job.json: \"file\" of \"source\" must be a plain name");
	if (!path_component_ok(j->file) || !path_component_ok(out))
		return err_set(e, ERR_INVALID,
			       "job.json: \"file\" and \"out\" must be plain names");
	j->out = arena_printf(a, "%s/%s", j->dir, out);
	j->attempt = (int)json_int(v, "attempt", 1);
	j->platform = json_str(v, "platform", "");
	j->hybrid = json_num(v, "hybrid", 0);
	j->opt = (int)json_int(v, "opt", 0);
	j->threads = (int)json_int(v, "threads", 1);
	j->with = json_get(v, "with");
	if (j->threads < 1 || j->threads > 1024)
		return err_set(e, ERR_INVALID, "job.json: \"threads\" is not between 1 and 1024");
	if (!j->with || j->with->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "job.json: \"with\" is missing or no object");
	return 0;
}

int worker_job_read(struct arena *a, const char *path, struct worker_job *out, struct err *e)
{
	struct worker_job j = { 0 };
	struct json *v = NULL;
	char *real, *dir;
	struct buf b;
	int rc;

	buf_init(&b, JOB_MAX);
	rc = path_read(path, JOB_MAX, &b, e);
	if (rc >= 0)
		rc = json_parse(a, b.data ? b.data : "", b.len, &v, e);
	buf_release(&b);
	if (rc < 0)
		return e->code == ERR_INVALID ? err_wrap(e, "%s", path) : rc;
	real = path_real(path, e);
	if (!real)
		return e->code;
	dir = path_dirname(real);
	j.dir = arena_strdup(a, dir);
	free(dir);
	free(real);
	j.root = v;
	rc = read_fields(a, v, &j, e);
	if (rc < 0)
		return rc;
	*out = j;
	return 0;
}

/* ---- lines */

static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;

/* One write a line, so that lines of two threads do not mix. Nobody may be listening: errors are
 * ignored. */
static void send_line(struct buf *b)
{
	size_t at = 0;

	buf_addc(b, '\n');
	while (at < b->len) {
		ssize_t n = write(STDOUT_FILENO, b->data + at, b->len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += (size_t)n;
	}
}

void worker_progress(const char *stage, uint64_t done, uint64_t total, const char *unit)
{
	static int64_t last_ms;
	static char last_stage[32];
	struct json_out w;
	struct buf b;
	int64_t now = clock_mono_ms();

	pthread_mutex_lock(&line_lock);
	if (done != total && strcmp(stage, last_stage) == 0 && now - last_ms < PROGRESS_GAP_MS) {
		pthread_mutex_unlock(&line_lock);
		return;
	}
	last_ms = now;
	snprintf(last_stage, sizeof(last_stage), "%s", stage);
	buf_init(&b, 4096);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "event", "progress");
	jw_kstr(&w, "stage", stage);
	jw_kint(&w, "done", (int64_t)(done > INT64_MAX ? INT64_MAX : done));
	jw_kint(&w, "total", (int64_t)(total > INT64_MAX ? INT64_MAX : total));
	jw_kstr(&w, "unit", unit);
	jw_end_object(&w);
	send_line(&b);
	buf_release(&b);
	pthread_mutex_unlock(&line_lock);
}

void worker_warn(const char *fmt, ...)
{
	struct json_out w;
	char text[2048];
	struct buf b;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&b, 16384);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "event", "warning");
	jw_kstr(&w, "text", text);
	jw_end_object(&w);
	pthread_mutex_lock(&line_lock);
	send_line(&b);
	pthread_mutex_unlock(&line_lock);
	buf_release(&b);
}

void worker_facts(const char *facts)
{
	struct buf b;

	buf_init(&b, LINE_LIMIT);
	buf_addf(&b, "{\"event\":\"facts\",\"facts\":%s}", facts);
	pthread_mutex_lock(&line_lock);
	if (!b.overflow)
		send_line(&b);
	pthread_mutex_unlock(&line_lock);
	buf_release(&b);
}

/* ---- the result */

static int write_result(const struct worker_job *j, struct buf *b, struct err *e)
{
	char *path = path_join(j->dir, "result.json");
	int rc;

	buf_addc(b, '\n');
	rc = b->overflow ? err_set(e, ERR_NOSPACE, "result.json would be too large")
			 : path_write(path, b->data, b->len, 0644, e);
	free(path);
	return rc;
}

int worker_result_ok(const struct worker_job *j, const struct worker_output *files, size_t n,
		     const char *facts, struct err *e)
{
	struct arena *a = arena_new();
	struct json *v = NULL;
	struct json_out w;
	struct buf b;
	int rc = json_parse(a, facts, strlen(facts), &v, e);

	buf_init(&b, RESULT_MAX);
	if (rc >= 0) {
		jw_init(&w, &b, 1);
		jw_object(&w);
		jw_kint(&w, "protocol", 1);
		jw_kstr(&w, "status", "ok");
		jw_karray(&w, "files");
		for (size_t i = 0; i < n; i++) {
			jw_object(&w);
			jw_kstr(&w, "path", files[i].path);
			jw_kint(&w, "size", (int64_t)files[i].size_bytes);
			if (files[i].sha256) /* quern hashes every file itself */
				jw_kstr(&w, "sha256", files[i].sha256);
			jw_end_object(&w);
		}
		jw_end_array(&w);
		jw_key(&w, "facts");
		jw_value(&w, v);
		jw_end_object(&w);
		rc = write_result(j, &b, e);
	}
	buf_release(&b);
	arena_free(a);
	return rc;
}

int worker_result_error(const struct worker_job *j, const struct err *why)
{
	struct err ignored = ERR_INIT; /* the exit code says the same */
	struct json_out w;
	struct buf b;

	buf_init(&b, RESULT_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kint(&w, "protocol", 1);
	jw_kstr(&w, "status", "error");
	jw_kstr(&w, "code", err_name(why->code));
	jw_kstr(&w, "message", why->msg);
	jw_end_object(&w);
	(void)write_result(j, &b, &ignored);
	buf_release(&b);
	return worker_exit_of(why);
}

int worker_exit_of(const struct err *why)
{
	switch (why->code) {
	case ERR_INVALID:
	case ERR_CORRUPT:
	case ERR_NOTFOUND:
		return WORKER_REFUSED;
	case ERR_ENV:
		return WORKER_ENV;
	default:
		return WORKER_FAILED;
	}
}

#include "upload/hub_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "upload/base64.h"

#define FILES_MAX 1000000 /* ten times what a repository may hold */

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_IO, "the hub's answer cannot be used: %s", what);
}

static int parse(struct arena *a, const char *text, size_t len, struct json **v, struct err *e)
{
	return json_parse(a, text, len, v, NULL) < 0 ? bad(e, "it is no JSON") : 0;
}

static bool is_id(const char *s)
{
	return strlen(s) == HUB_BLOB_ID - 1 && strspn(s, "0123456789abcdef") == HUB_BLOB_ID - 1;
}

/* ---- repository */

int hub_api_head(const char *text, size_t len, char head[HUB_BLOB_ID], bool *is_private,
		 struct err *e)
{
	struct arena *a = arena_new();
	struct json *v = NULL;
	const char *sha;
	int rc = parse(a, text, len, &v, e);

	if (rc >= 0) {
		sha = json_str(v, "sha", "");
		if (*sha && !is_id(sha))
			rc = bad(e, "its commit is none");
		else
			(void)snprintf(head, HUB_BLOB_ID, "%s", sha);
		*is_private = json_bool(v, "private", 0);
	}
	arena_free(a);
	return rc;
}

void hub_api_create_write(struct buf *b, const char *repo, bool is_private)
{
	const char *slash = strchr(repo, '/');
	struct json_out w;

	jw_init(&w, b, 0);
	jw_object(&w);
	jw_kstr(&w, "type", "model");
	jw_kstr(&w, "name", slash + 1);
	jw_key(&w, "organization");
	jw_strn(&w, repo, (size_t)(slash - repo));
	jw_kbool(&w, "private", is_private);
	jw_kstr(&w, "visibility", is_private ? "private" : "public");
	jw_end_object(&w);
}

/* ---- tree */

static bool read_size(const struct json *v, const char *key, uint64_t *out)
{
	const struct json *size = json_get(v, key);

	if (!size || size->type != JSON_NUMBER || !size->is_integer || size->integer < 0)
		return false;
	*out = (uint64_t)size->integer;
	return true;
}

static int read_lfs(const struct json *lfs, struct hub_file *out, struct err *e)
{
	uint64_t size;

	if (hex_decode(json_str(lfs, "oid", ""), out->sha256, SHA256_LEN) < 0 ||
	    !read_size(lfs, "size", &size))
		return bad(e, "an LFS file without hash or size");
	out->size_bytes = size;
	out->lfs = 1;
	return 0;
}

static int read_entry(struct arena *a, const struct json *entry, struct hub_api_files *out,
		      struct err *e)
{
	const char *path = json_str(entry, "path", ""), *oid = json_str(entry, "oid", "");
	const struct json *lfs = json_get(entry, "lfs");
	struct hub_file f = { .path = NULL };
	int rc = 0;

	if (strcmp(json_str(entry, "type", ""), "file") != 0 || !hub_path_ok(path))
		return 0;
	if (!is_id(oid) || !read_size(entry, "size", &f.size_bytes))
		return bad(e, "a file without id or size");
	if (lfs && lfs->type != JSON_NULL)
		rc = read_lfs(lfs, &f, e);
	else
		f.blob = arena_strdup(a, oid);
	if (rc < 0)
		return rc;
	if (out->n == FILES_MAX)
		return bad(e, "more files than a repository has");
	f.path = arena_strdup(a, path);
	MEM_GROW(out->v, out->n, out->cap);
	out->v[out->n++] = f;
	return 0;
}

int hub_api_tree(struct arena *a, const char *text, size_t len, struct hub_api_files *out,
		 struct err *e)
{
	struct arena *scratch = arena_new();
	struct json *v = NULL;
	int rc = parse(scratch, text, len, &v, e);

	if (rc >= 0 && v->type != JSON_ARRAY)
		rc = bad(e, "a listing that is none");
	for (size_t i = 0; rc >= 0 && i < v->count; i++)
		rc = read_entry(a, v->members[i].value, out, e);
	arena_free(scratch);
	return rc;
}

/* ---- preupload */

void hub_api_preupload_write(struct buf *b, const struct hub_file *files,
			     const struct hub_api_sample *samples, size_t n)
{
	struct json_out w;
	struct buf text;

	buf_init(&text, (size_t)4 * HUB_SAMPLE_BYTES);
	jw_init(&w, b, 0);
	jw_object(&w);
	jw_karray(&w, "files");
	for (size_t i = 0; i < n; i++) {
		buf_clear(&text);
		(void)base64_add(&text, samples[i].bytes, samples[i].n);
		jw_object(&w);
		jw_kstr(&w, "path", files[i].path);
		jw_key(&w, "size");
		jw_uint(&w, files[i].size_bytes);
		jw_kstr(&w, "sample", buf_str(&text));
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	buf_release(&text);
}

/* The answer for files[i]: most servers keep the order, none has to. */
static const struct json *answer_for(const struct json *list, const char *path, size_t i)
{
	if (i < list->count && strcmp(json_str(list->members[i].value, "path", ""), path) == 0)
		return list->members[i].value;
	for (size_t k = 0; k < list->count; k++)
		if (strcmp(json_str(list->members[k].value, "path", ""), path) == 0)
			return list->members[k].value;
	return NULL;
}

static int read_mode(const struct json *answer, struct hub_file *f, bool *ignored, struct err *e)
{
	const char *mode = answer ? json_str(answer, "uploadMode", "") : "";

	if (strcmp(mode, "lfs") != 0 && strcmp(mode, "regular") != 0)
		return bad(e, "it does not say how a file is to be sent");
	*ignored = json_bool(answer, "shouldIgnore", 0);
	/* The Hub takes as LFS whatever is sent as LFS; an empty file never is. */
	if (strcmp(mode, "lfs") == 0 && f->size_bytes > 0)
		f->lfs = 1;
	return 0;
}

int hub_api_preupload(struct arena *a, const char *text, size_t len, struct hub_file *files,
		      size_t n, bool *ignored, struct err *e)
{
	const struct json *list;
	struct json *v = NULL;
	int rc = parse(a, text, len, &v, e);

	if (rc < 0)
		return rc;
	list = json_get(v, "files");
	if (!list || list->type != JSON_ARRAY || list->count > HUB_PREUPLOAD_MAX)
		return bad(e, "it does not say how files are to be sent");
	for (size_t i = 0; rc >= 0 && i < n; i++)
		rc = read_mode(answer_for(list, files[i].path, i), &files[i], &ignored[i], e);
	return rc;
}

/* ---- card */

void hub_api_card_write(struct buf *b, const char *text, size_t len)
{
	struct json_out w;

	jw_init(&w, b, 0);
	jw_object(&w);
	jw_kstr(&w, "repoType", "model");
	jw_key(&w, "content");
	jw_strn(&w, text, len);
	jw_end_object(&w);
}

int hub_api_card(const char *text, size_t len, struct err *e)
{
	struct arena *a = arena_new();
	const struct json *errors;
	struct json *v = NULL;
	char words[300];
	int rc = parse(a, text, len, &v, e);

	errors = rc >= 0 ? json_get(v, "errors") : NULL;
	if (errors && errors->type == JSON_ARRAY && errors->count) {
		text_visible(json_str(errors->members[0].value, "message", "it gives no reason"),
			     words, sizeof(words));
		rc = err_set(e, ERR_INVALID, "README.md: the hub refuses the card: %s", words);
	}
	arena_free(a);
	return rc;
}

/* ---- commit */

int hub_api_commit(struct arena *a, const char *text, size_t len, char id[HUB_BLOB_ID],
		   const char **pull_request, struct err *e)
{
	struct json *v = NULL;
	const char *oid, *url;
	int rc = parse(a, text, len, &v, e);

	if (rc < 0)
		return rc;
	oid = json_str(v, "commitOid", "");
	if (!is_id(oid))
		return bad(e, "the commit has no id");
	url = json_str(v, "pullRequestUrl", NULL);
	(void)snprintf(id, HUB_BLOB_ID, "%s", oid);
	*pull_request = url;
	return 0;
}

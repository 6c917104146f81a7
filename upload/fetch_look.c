/* upload/fetch_look.c -- what a repository is at a revision: its commit, its
 * state, its list of files. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_private.h"

#define PAGES_MAX 200	   /* of a listing, 1000 entries each */
#define ENTRIES_MAX 100000 /* files of a repository: the Hub's own limit */

bool fetch_is_commit(const char *s)
{
	return strlen(s) == 40 && s[strspn(s, "0123456789abcdef")] == '\0';
}

bool fetch_is_etag(const char *s)
{
	size_t n = strlen(s);

	return (n == 40 || n == 64) && s[strspn(s, "0123456789abcdef")] == '\0';
}

char *fetch_resolve_path(const char *repo, const char *commit, const char *name)
{
	struct buf b;

	buf_init(&b, 8192);
	buf_addf(&b, "/%s/resolve/%s/", repo, commit);
	http_quote(&b, name, true);
	return buf_detach(&b);
}

static int get_json(const struct fetch_options *o, const char *url, struct arena *a,
		    struct http_response *rs, struct json **out, struct err *e)
{
	const struct http_request rq = {
		.url = url,
		.want_json = true,
		.about = { .repo = o->repo, .revision = o->revision },
	};
	int rc = http_call(o->http, &rq, rs, e);

	if (rc >= 0 && (rs->status < 200 || rs->status > 299))
		rc = err_set(e, ERR_IO, "%s: the hub sends elsewhere what it should answer itself",
			     o->repo);
	if (rc < 0)
		return rc;
	if (json_parse(a, buf_str(&rs->body), rs->body.len, out, e) < 0) {
		(void)err_wrap(e, "%s: the hub's answer is broken", o->repo);
		return e ? e->code = ERR_IO : ERR_IO;
	}
	return 0;
}

/* ---- state and commit */

static const char *gated_of(const struct json *info)
{
	const char *word = json_str(info, "gated", NULL);

	if (word && (strcmp(word, "auto") == 0 || strcmp(word, "manual") == 0))
		return word;
	return json_bool(info, "gated", 0) ? "manual" : "no";
}

static int read_info(const struct fetch_options *o, const struct json *info, struct arena *a,
		     struct fetch_model *m, struct err *e)
{
	const char *sha = json_str(info, "sha", "");

	if (json_bool(info, "disabled", 0))
		return err_set(e, ERR_ENV, "%s was disabled by the hub; see %s/%s", o->repo,
			       http_endpoint(o->http), o->repo);
	if (!fetch_is_commit(sha))
		return err_set(e, ERR_IO, "%s: the hub names no commit for \"%s\"", o->repo,
			       o->revision);
	m->repo = arena_strdup(a, o->repo);
	m->id = arena_strdup(a, json_str(info, "id", o->repo));
	m->commit = arena_strdup(a, sha);
	m->gated = arena_strdup(a, gated_of(info));
	m->is_private = json_bool(info, "private", 0);
	return 0;
}

static int ask_info(const struct fetch_options *o, struct arena *a, struct fetch_model *m,
		    struct err *e)
{
	struct arena *scratch = arena_new();
	struct http_response rs;
	struct json *info = NULL;
	struct buf url;
	int rc;

	buf_init(&url, 4096);
	buf_addf(&url, "/api/models/%s/revision/", o->repo);
	http_quote(&url, o->revision, false);
	rc = get_json(o, buf_str(&url), scratch, &rs, &info, e);
	if (rc >= 0)
		rc = read_info(o, info, a, m, e);
	http_response_release(&rs);
	buf_release(&url);
	arena_free(scratch);
	return rc;
}

/* ---- listing */

struct listing {
	struct fetch_file *v;
	size_t n, cap;
	bool has_templates; /* a folder of them */
};

/* Files of the root, and templates: other folders hold other forms of the same model (onnx/,
 * original/). */
static void add_entry(struct listing *l, struct arena *a, const struct json *entry)
{
	const struct json *lfs = json_get(entry, "lfs");
	const char *path = json_str(entry, "path", "");

	l->has_templates |= strcmp(json_str(entry, "type", ""), "directory") == 0 &&
			    strcmp(path, SOURCE_TEMPLATES) == 0;
	if (strcmp(json_str(entry, "type", ""), "file") != 0 ||
	    (strchr(path, '/') && !source_is_template(path)))
		return;
	MEM_GROW(l->v, l->n, l->cap);
	l->v[l->n++] = (struct fetch_file){
		.name = arena_strdup(a, path),
		.etag = arena_strdup(a,
				     lfs ? json_str(lfs, "oid", "") : json_str(entry, "oid", "")),
		.size_bytes = (uint64_t)json_int(entry, "size", -1),
	};
}

static int list_page(const struct fetch_options *o, const char *url, struct arena *a,
		     struct listing *l, char **next, struct err *e)
{
	struct arena *scratch = arena_new();
	struct http_response rs;
	struct json *page = NULL;
	int rc = get_json(o, url, scratch, &rs, &page, e);

	if (rc >= 0 && page->type != JSON_ARRAY)
		rc = err_set(e, ERR_IO, "%s: the hub's listing is no list", o->repo);
	for (size_t i = 0; rc >= 0 && i < page->count; i++)
		add_entry(l, a, page->members[i].value);
	if (rc >= 0 && l->n > ENTRIES_MAX)
		rc = err_set(e, ERR_INVALID, "%s holds more than %d files; no model", o->repo,
			     ENTRIES_MAX);
	if (rc >= 0)
		*next = http_next_page(o->http, &rs);
	http_response_release(&rs);
	arena_free(scratch);
	return rc;
}

/* folder: "", or "/NAME". */
static int list_folder(const struct fetch_options *o, const char *commit, const char *folder,
		       struct arena *a, struct listing *l, struct err *e)
{
	char *url = mem_printf("/api/models/%s/tree/%s%s?recursive=false&expand=false", o->repo,
			       commit, folder);
	int rc = 0, pages = 0;

	while (rc >= 0 && url) {
		char *next = NULL;

		rc = pages++ < PAGES_MAX
			     ? list_page(o, url, a, l, &next, e)
			     : err_set(e, ERR_IO, "%s: the hub's listing has no end", o->repo);
		free(url);
		url = next;
	}
	free(url);
	return rc;
}

static int list_files(const struct fetch_options *o, struct arena *a, struct fetch_model *m,
		      struct err *e)
{
	struct listing l = { .n = 0 };
	int rc = list_folder(o, m->commit, "", a, &l, e);

	if (rc >= 0 && l.has_templates && !o->adapter)
		rc = list_folder(o, m->commit, "/" SOURCE_TEMPLATES, a, &l, e);
	if (rc >= 0)
		rc = fetch_choose(o, a, l.v, l.n, m, e);
	free(l.v);
	return rc;
}

/* ---- without a network */

static int not_here(const struct fetch_options *o, struct err *e)
{
	return err_set(
		e, ERR_ENV,
		"%s at %s is not in the cache %s, and HF_HUB_OFFLINE is set; unset it, or run "
		"`hf download %s` where there is a network",
		o->repo, o->revision, o->cache, o->repo);
}

/* What an official client fetched, without our notes on it. */
static int look_at_snapshot(const struct fetch_options *o, const char *commit, struct arena *a,
			    struct fetch_model *m, struct err *e)
{
	const char *dir = fetch_snapshot(a, o->cache, o->repo, commit);
	struct source_files files;
	int rc = o->code ? source_list_code(a, dir, &files, e) : source_list(a, dir, &files, e);

	if (rc == ERR_NOTFOUND)
		return not_here(o, e);
	if (rc >= 0 && !o->adapter)
		rc = source_read_file_facts(a, dir, o->file, &m->facts, e);
	if (rc < 0)
		return rc;
	m->repo = m->id = arena_strdup(a, o->repo);
	m->commit = arena_strdup(a, commit);
	m->gated = "no";
	m->files = arena_array(a, files.n + 1, sizeof(*m->files));
	for (size_t i = 0; i < files.n; i++) {
		if (!source_belongs(files.v[i].name, m->facts.file))
			continue;
		m->files[m->n_files++] = (struct fetch_file){ .name = files.v[i].name,
							      .etag = "",
							      .size_bytes = files.v[i].size_bytes };
		m->size_bytes += files.v[i].size_bytes;
	}
	return 0;
}

static int look_offline(const struct fetch_options *o, struct arena *a, struct fetch_model *m,
			struct err *e)
{
	char commit[41];

	if (fetch_is_commit(o->revision))
		memcpy(commit, o->revision, sizeof(commit));
	else if (!fetch_cache_read_ref(o, commit))
		return not_here(o, e);
	if (fetch_recall(o, commit, a, m))
		return 0;
	return look_at_snapshot(o, commit, a, m, e);
}

int fetch_look(const struct fetch_options *o, struct arena *a, struct fetch_model *out,
	       struct err *e)
{
	struct fetch_model m = { 0 }, known = { 0 };
	int rc;

	if (o->offline) {
		rc = look_offline(o, a, &m, e);
		if (rc >= 0)
			*out = m;
		return rc;
	}
	if (fetch_is_commit(o->revision) && fetch_recall(o, o->revision, a, out))
		return 0;
	rc = ask_info(o, a, &m, e);
	if (rc >= 0 && fetch_recall(o, m.commit, a, &known)) {
		known.id = m.id;
		known.gated = m.gated;
		known.is_private = m.is_private;
		*out = known;
		return 0;
	}
	if (rc >= 0)
		rc = list_files(o, a, &m, e);
	if (rc >= 0 && !o->adapter && !o->known)
		rc = fetch_facts(o, a, &m, e);
	if (rc < 0)
		return rc;
	if (!o->known)
		fetch_remember(o, &m);
	*out = m;
	return 0;
}

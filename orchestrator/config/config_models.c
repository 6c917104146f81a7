/* orchestrator/config/config_models.c -- the models of jobs.yaml and their names. */
#include <stdlib.h>
#include <string.h>

#include "core/gguf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"
#include "orchestrator/config/config_private.h"

#define HUB_NAME_MAX 96 /* huggingface_hub validate_repo_id(): the limit of the Hub */
#define REVISION_MAX 250

#define WORD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

int config_hub_name_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= HUB_NAME_MAX && !s[strspn(s, WORD_CHARS)] && !strstr(s, "--") &&
	       !strstr(s, "..") && !strchr("-.", s[0]) && !strchr("-.", s[n - 1]) &&
	       !(n >= 4 && strcmp(s + n - 4, ".git") == 0);
}

static int hub_id_ok(const char *s)
{
	const char *slash = strchr(s, '/');
	char owner[HUB_NAME_MAX + 1];
	size_t n = slash ? (size_t)(slash - s) : 0;

	if (!slash)
		return config_hub_name_ok(s);
	if (n >= sizeof(owner) || strlen(s) > HUB_NAME_MAX)
		return 0;
	memcpy(owner, s, n);
	owner[n] = '\0';
	return config_hub_name_ok(owner) && config_hub_name_ok(slash + 1);
}

/* ---- values */

static void read_hub_id(struct reader *r, const struct ynode *v, void *target)
{
	if (!read_is_text(r, v, "a repository like org/name"))
		return;
	if (!hub_id_ok(v->text))
		read_wrong(r, v, "a repository like org/name");
	else
		*(const char **)target = v->text;
}

/* What git takes as a branch, a tag or a commit; it becomes part of URLs and of folder names. */
static void read_revision(struct reader *r, const struct ynode *v, void *target)
{
	if (!read_is_text(r, v, "a branch, a tag or a commit"))
		return;
	if (strlen(v->text) > REVISION_MAX || v->text[strspn(v->text, WORD_CHARS "/+")] ||
	    !path_relative_ok(v->text) || strchr("-.", v->text[0]) || strstr(v->text, ".."))
		read_wrong(r, v, "a branch, a tag or a commit");
	else
		*(const char **)target = v->text;
}

static void read_name(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "a name of letters, digits, '.', '_' and '-' (no \"--\" and no "
				   "\"..\", no '-' or '.' at its ends)";

	(void)read_checked(r, v, want, config_hub_name_ok, target);
}

static int names_one_file(const char *name)
{
	size_t n = strlen(name), m = strlen(".gguf");

	return path_component_ok(name) &&
	       (source_is_finished(name) || (n > m && strcmp(name + n - m, ".gguf") == 0));
}

static void read_file(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "the name of a GGUF file in the model's folder, like m-F16.gguf "
				   "(or of an .rkllm file, which is renewed)";

	(void)read_checked(r, v, want, names_one_file, target);
}

/* ---- derived names */

/* The last part of an id or path, or the whole spec of a fake model, as a file name: what does not
 * fit becomes one '-'. NULL when nothing is left. */
static const char *derived_name(struct arena *a, const struct model *m)
{
	const char *from = m->id ? m->id : m->path ? m->path : m->fake;
	char *text = arena_strdup(a, from), *name, *to;
	unsigned part, parts;
	size_t n = strlen(text);

	while (n > 1 && text[n - 1] == '/')
		text[--n] = '\0';
	if (m->path && n > 5 && strcmp(text + n - 5, ".gguf") == 0)
		text[n - (gguf_part_numbers(text, &part, &parts) ? 20 : 5)] = '\0';
	else if (m->path && source_is_finished(text))
		*strrchr(text, '.') = '\0';
	name = m->fake ? text : arena_strdup(a, path_basename(text));
	to = name;
	for (const char *p = name; *p && to - name < HUB_NAME_MAX; p++) {
		char c = *p;

		if (!strchr(WORD_CHARS, c))
			c = '-';
		if ((c == '-' || c == '.') && (to == name || to[-1] == '-' || to[-1] == '.'))
			continue;
		*to++ = c;
	}
	while (to > name && (to[-1] == '-' || to[-1] == '.'))
		to--;
	*to = '\0';
	return config_hub_name_ok(name) ? name : NULL;
}

/* ---- models */

static void check_model(struct reader *r, struct model *m, const struct ynode *v)
{
	static const char *const sources[] = { "id", "path", "fake" };
	const char *const read[] = { m->id, m->path, m->fake };
	const struct yentry *stray;
	int written = 0, good = 0, meant = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		written += ynode_get(v, sources[i]) != NULL;
		meant |= read_has(v, sources[i]);
		good += read[i] != NULL;
	}
	if (!meant)
		faults_add(r->f, m->at,
			   "a model without a source; write `path` (a local folder), "
			   "`id` (a Hub repository) or `fake` (a spec)");
	if (written > 1)
		faults_add(r->f, m->at,
			   "a model with several sources; keep one of `id`, `path` "
			   "and `fake`");
	stray = ynode_entry(v, "revision");
	if (stray && !ynode_get(v, "id"))
		faults_add(r->f, stray->at,
			   "revision without `id`; only Hub repositories have one");
	stray = ynode_entry(v, "file");
	if (stray && ynode_get(v, "fake"))
		faults_add(r->f, stray->at,
			   "file beside `fake`; only models of `id` and `path` have one");
	if (stray && m->id && m->file && source_is_finished(m->file))
		faults_add(r->f, stray->at,
			   "file %.80s of a Hub repository; a finished file is renewed where it "
			   "lies in a local folder: `path`",
			   m->file);
	stray = ynode_entry(v, "lora_path");
	if (stray && ynode_get(v, "lora"))
		faults_add(r->f, stray->at, "lora_path beside `lora`; keep one of them");
	stray = ynode_entry(v, "lora_revision");
	if (stray && !ynode_get(v, "lora"))
		faults_add(r->f, stray->at, "lora_revision without `lora`; remove it");
	if (m->id && !m->revision)
		m->revision = "main";
	if (m->lora && !m->lora_revision)
		m->lora_revision = "main";
	if (written != 1 || good != 1 || ynode_get(v, "name"))
		return;
	m->name = derived_name(r->a, m);
	if (!m->name)
		faults_add(r->f, m->at, "no name can be made of this model's source; add `name:`");
}

static int by_name_then_place(const void *x, const void *y)
{
	const struct model *a = *(const struct model *const *)x,
			   *b = *(const struct model *const *)y;
	int order = strcmp(a->name, b->name);

	/* Models are one array: its order is the order of the file. */
	return order ? order : (a > b) - (a < b);
}

static void check_names(struct reader *r, struct config *c)
{
	const struct model **sorted = arena_array(r->a, c->n_models + 1, sizeof(*sorted));
	size_t n = 0, first = 0;

	for (size_t i = 0; i < c->n_models; i++) {
		if (c->models[i].name)
			sorted[n++] = &c->models[i];
	}
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_name_then_place);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(sorted[i]->name, sorted[first]->name) == 0)
			faults_add(r->f, sorted[i]->at,
				   "the name \"%s\" is taken by the model on line %d; add `name:` "
				   "to one of them",
				   sorted[i]->name, sorted[first]->at.line);
		else
			first = i;
	}
}

static void read_model(struct reader *r, const struct ynode *v, struct model *m)
{
	const struct key keys[] = {
		{ "id", read_hub_id, &m->id },
		{ "revision", read_revision, &m->revision },
		{ "path", read_text, &m->path },
		{ "fake", read_text, &m->fake },
		{ "name", read_name, &m->name },
		{ "file", read_file, &m->file },
		{ "lora", read_hub_id, &m->lora },
		{ "lora_path", read_text, &m->lora_path },
		{ "lora_revision", read_revision, &m->lora_revision },
		{ "trust_remote_code", read_flag, &m->trust_remote_code },
		{ "priority", config_read_priority, &m->priority },
	};

	m->at = v->at;
	read_map(r, v, "a model", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP)
		check_model(r, m, v);
}

void config_read_models(struct reader *r, const struct ynode *v, void *target)
{
	struct draft *d = target;
	struct config *c = d->c;

	if (v->type != YNODE_LIST || v->n == 0) {
		read_wrong(r, v, "a list like \"- path: FOLDER\"");
		return;
	}
	c->models = arena_array(r->a, v->n, sizeof(*c->models));
	c->n_models = v->n;
	for (size_t i = 0; i < v->n; i++)
		read_model(r, v->items[i], &c->models[i]);
	check_names(r, c);
}

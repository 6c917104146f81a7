/* orchestrator/config/config_sections.c -- what each key of jobs.yaml means: one table a
 * map. Models are in config_models.c. */
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/config/config_private.h"
#include "orchestrator/plan/matrix.h"

/* ---- targets, include */

static void read_engine(struct reader *r, const struct ynode *v, void *target)
{
	struct target *t = target;

	t->engine_at = v->at;
	read_text(r, v, &t->engine);
}

static void read_with(struct reader *r, const struct ynode *v, void *target)
{
	struct target *t = target;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map of the engine's parameters");
		return;
	}
	if (!ynode_canonical(r->a, v)) {
		faults_add(r->f, v->at, "with is larger than 1 MiB; write less");
		return;
	}
	t->with = arena_array(r->a, v->n + 1, sizeof(*t->with));
	for (size_t i = 0; i < v->n; i++) {
		const struct yentry *en = &v->entries[i];

		t->with[t->n_with++] = (struct param){ .name = en->key,
						       .value = ynode_canonical(r->a, en->value),
						       .at = en->value->at,
						       .name_at = en->at };
	}
}

/* Numbers of rules; what they are, docs/engine-manifest.md says. */
static void read_allow(struct reader *r, const struct ynode *v, void *target)
{
	struct int_list *l = target;
	struct ynode *const *items;
	size_t n = read_items(r, &v, &items);

	*l = (struct int_list){ arena_array(r->a, n + 1, sizeof(*l->v)), 0 };
	for (size_t i = 0; i < n; i++)
		l->n += (size_t)read_whole(r, items[i], 1, 9999, &l->v[l->n]);
}

static void read_target(struct reader *r, const struct ynode *v, struct target *t)
{
	const struct key keys[] = {
		{ "engine", read_engine, t },
		{ "platform", read_strings, &t->platform },
		{ "quant", read_strings, &t->quant },
		{ "hybrid", read_hybrids, &t->hybrid },
		{ "opt", read_opts, &t->opt },
		{ "model", read_strings, &t->models },
		{ "with", read_with, t },
		{ "allow", read_allow, &t->allow },
		{ "priority", config_read_priority, &t->priority },
	};

	t->at = t->engine_at = v->at;
	read_map(r, v, "a target", keys, ARRAY_LEN(keys));
}

/* What a target must have, and what it takes from `defaults`. */
static void finish_target(struct reader *r, const struct ynode *v, struct target *t,
			  const struct draft *d)
{
	static double no_hybrid[] = { 0 };
	static int plain_opt[] = { 0 };

	if (v->type != YNODE_MAP)
		return; /* said */
	if (!read_has(v, "engine"))
		faults_add(r->f, t->at, "a target without `engine`; 'quern engines' lists them");
	if (!ynode_get(v, "quant")) {
		t->quant = d->quant;
		if (!t->quant.n && !read_has(v, "quant"))
			faults_add(r->f, t->at,
				   "a target without `quant`; 'quern engines' lists "
				   "what each engine has");
	}
	if (!ynode_get(v, "platform")) {
		t->platform = d->platform;
		t->platform_is_default = 1;
	}
	if (!t->hybrid.n)
		t->hybrid = d->hybrid.n ? d->hybrid : (struct number_list){ no_hybrid, 1 };
	if (!t->opt.n)
		t->opt = d->opt.n ? d->opt : (struct int_list){ plain_opt, 1 };
}

static size_t read_target_list(struct reader *r, const struct ynode *v, struct target **out)
{
	*out = arena_array(r->a, v->n + 1, sizeof(**out));
	for (size_t i = 0; i < v->n; i++)
		read_target(r, v->items[i], &(*out)[i]);
	return v->n;
}

static const char a_target_list[] = "a list like \"- {engine: gguf, quant: Q8_0}\"";

static void read_targets(struct reader *r, const struct ynode *v, void *target)
{
	struct draft *d = target;

	if (v->type != YNODE_LIST || v->n == 0) {
		read_wrong(r, v, a_target_list);
		return;
	}
	d->targets = v;
	d->c->n_targets = read_target_list(r, v, &d->c->targets);
}

static void read_include(struct reader *r, const struct ynode *v, void *target)
{
	struct draft *d = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, a_target_list);
		return;
	}
	d->include = v;
	d->c->n_include = read_target_list(r, v, &d->c->include);
}

void config_finish_targets(struct reader *r, const struct draft *d)
{
	for (size_t i = 0; d->targets && i < d->targets->n; i++)
		finish_target(r, d->targets->items[i], &d->c->targets[i], d);
	for (size_t i = 0; d->include && i < d->include->n; i++)
		finish_target(r, d->include->items[i], &d->c->include[i], d);
}

/* ---- exclude, defaults */

void config_read_pattern(struct reader *r, const struct ynode *v, const char *what,
			 struct pattern *p)
{
	const struct key keys[] = {
		{ "model", read_strings, &p->model },	    { "engine", read_strings, &p->engine },
		{ "platform", read_strings, &p->platform }, { "quant", read_strings, &p->quant },
		{ "hybrid", read_hybrids, &p->hybrid },	    { "opt", read_opts, &p->opt },
	};

	p->at = v->at;
	read_map(r, v, what, keys, ARRAY_LEN(keys));
}

static void read_exclude(struct reader *r, const struct ynode *v, void *target)
{
	struct draft *d = target;
	struct config *c = d->c;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list like \"- {engine: gguf, quant: Q4_0}\"");
		return;
	}
	c->exclude = arena_array(r->a, v->n + 1, sizeof(*c->exclude));
	c->n_exclude = v->n;
	for (size_t i = 0; i < v->n; i++) {
		struct pattern *p = &c->exclude[i];

		config_read_pattern(r, v->items[i], "an exclusion", p);
		if (v->items[i]->type == YNODE_MAP && v->items[i]->n == 0)
			faults_add(r->f, p->at,
				   "an exclusion of everything; name what it excludes, "
				   "for instance {quant: Q4_0}");
	}
}

static void read_defaults(struct reader *r, const struct ynode *v, void *target)
{
	struct draft *d = target;
	const struct key keys[] = {
		{ "hybrid", read_hybrids, &d->hybrid },
		{ "opt", read_opts, &d->opt },
		{ "platform", read_strings, &d->platform },
		{ "quant", read_strings, &d->quant },
	};

	read_map(r, v, "defaults", keys, ARRAY_LEN(keys));
}

/* ---- resources, retry */

static void read_jobs(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 256, target);
}

static void read_threads(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 1024, target);
}

static void read_attempts(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 100, target);
}

static void read_memory(struct reader *r, const struct ynode *v, void *target)
{
	uint64_t bytes = UINT64_MAX;

	read_size(r, v, &bytes);
	if (bytes == 0)
		read_wrong(r, v, "more than nothing");
	else if (bytes != UINT64_MAX)
		*(uint64_t *)target = bytes;
}

static void read_keep(struct reader *r, const struct ynode *v, void *target)
{
	static const char *const names[] = { [KEEP_ALL] = "all", [KEEP_NONE] = "none" };

	for (size_t i = 0; v->type == YNODE_SCALAR && i < ARRAY_LEN(names); i++) {
		if (strcmp(v->text, names[i]) == 0) {
			*(enum keep *)target = (enum keep)i;
			return;
		}
	}
	read_wrong(r, v, "all, or none: artifacts leave the disk once the hub has them");
}

static void read_resources(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = ((struct draft *)target)->c;
	const struct key keys[] = {
		{ "jobs", read_jobs, &c->resources.jobs },
		{ "threads", read_threads, &c->resources.threads },
		{ "memory", read_memory, &c->resources.memory_bytes },
		{ "disk_reserve", read_size, &c->resources.disk_reserve_bytes },
		{ "keep", read_keep, &c->resources.keep },
		{ "timeout", read_limit, &c->resources.timeout_ms },
		{ "stall", read_limit, &c->resources.stall_ms },
		{ "grace", read_duration, &c->resources.grace_ms },
	};

	read_map(r, v, "resources", keys, ARRAY_LEN(keys));
}

static void read_retry(struct reader *r, const struct ynode *v, void *target)
{
	struct draft *d = target;
	struct config *c = d->c;
	const struct key keys[] = {
		{ "attempts", read_attempts, &c->retry.attempts },
		{ "backoff", read_duration, &c->retry.backoff_ms },
		{ "backoff_max", read_duration, &c->retry.backoff_max_ms },
		{ "causes", config_read_retry_causes, c },
	};

	read_map(r, v, "retry", keys, ARRAY_LEN(keys));
	d->backoff_max_seen |= ynode_get(v, "backoff_max") != NULL;
}

/* ---- upload */

static enum upload_hub_kind hub_kind(const char *hub)
{
	static const struct {
		const char *prefix;
		enum upload_hub_kind kind;
	} kinds[] = {
		{ "git+https://", HUB_GIT },
		{ "git+http://", HUB_GIT },
		{ "https://", HUB_HTTP },
		{ "http://", HUB_HTTP },
	};

	if (strcmp(hub, "local") == 0)
		return HUB_LOCAL;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(hub, kinds[i].prefix, n) == 0 && hub[n])
			return kinds[i].kind;
	}
	return HUB_NONE;
}

static void read_hub(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "local, a Hub like https://huggingface.co, or a git server like "
				   "git+https://HOST/PATH";
	struct config *c = target;
	const char *host, *end;

	if (!read_is_text(r, v, want))
		return;
	host = strstr(v->text, "://");
	host = host ? host + 3 : "";
	end = host + strcspn(host, "/");
	if (hub_kind(v->text) == HUB_NONE) {
		read_wrong(r, v, want);
	} else if (memchr(host, '@', (size_t)(end - host))) {
		/* Not shown: what stands before the '@' may be a password. */
		faults_add(r->f, v->at,
			   "hub is a URL with a user or a password in it; write it "
			   "without, tokens do not belong into this file");
	} else {
		c->upload.hub = v->text;
		c->upload.kind = hub_kind(v->text);
	}
}

static void read_namespace(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_checked(r, v, "the name of an account or an organisation", config_hub_name_ok,
			   target);
}

static void read_when(struct reader *r, const struct ynode *v, void *target)
{
	static const char *const names[] = {
		[UPLOAD_END] = "end", [UPLOAD_MODEL] = "model", [UPLOAD_JOB] = "job"
	};

	for (size_t i = 0; v->type == YNODE_SCALAR && i < ARRAY_LEN(names); i++) {
		if (strcmp(v->text, names[i]) == 0) {
			*(enum upload_when *)target = (enum upload_when)i;
			return;
		}
	}
	read_wrong(r, v, "end, model or job");
}

static void read_template(struct reader *r, const struct ynode *v, void *target)
{
	struct err why = ERR_INIT;

	if (!read_is_text(r, v, "a template like \"{model}-{quant}\""))
		return;
	if (template_check(v->text, &why) < 0)
		faults_add(r->f, v->at, "%s: %s", r->key, why.msg);
	else
		*(const char **)target = v->text;
}

static void read_card(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = target;

	if (!read_is_text(r, v, "the path of a card template"))
		return;
	c->upload.card = v->text;
	c->upload.card_at = v->at;
}

static void read_upload_jobs(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 64, target);
}

static void read_user(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "the name of an account on the git server";

	if (!read_is_text(r, v, want))
		return;
	if (strpbrk(v->text, ": \t\r\n") || !v->text[0])
		read_wrong(r, v, want);
	else
		*(const char **)target = v->text;
}

static void read_upload(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = ((struct draft *)target)->c;
	const struct key keys[] = {
		{ "hub", read_hub, c },
		{ "namespace", read_namespace, &c->upload.namespace_ },
		{ "repo", read_template, &c->upload.repo },
		{ "file", read_template, &c->upload.file },
		{ "private", read_flag, &c->upload.is_private },
		{ "hold", read_flag, &c->upload.hold },
		{ "when", read_when, &c->upload.when },
		{ "jobs", read_upload_jobs, &c->upload.jobs },
		{ "pull_request", read_flag, &c->upload.pull_request },
		{ "user", read_user, &c->upload.user },
		{ "exclude", read_strings, &c->upload.exclude },
		{ "card", read_card, c },
		{ "quantized_by", read_text, &c->upload.quantized_by },
	};

	read_map(r, v, "upload", keys, ARRAY_LEN(keys));
	if (v->type != YNODE_MAP)
		return;
	if (!read_has(v, "hub") && c->upload.kind == HUB_NONE)
		faults_add(r->f, v->at,
			   "upload without `hub`; write local, a Hub like "
			   "https://huggingface.co, or a git server like "
			   "git+https://HOST/PATH");
	else if (!c->upload.namespace_[0] && !read_has(v, "namespace") &&
		 (c->upload.kind == HUB_HTTP || c->upload.kind == HUB_GIT))
		faults_add(r->f, v->at,
			   "upload without `namespace`; name the account or the "
			   "organisation that owns the repositories");
	if (c->upload.pull_request && c->upload.kind != HUB_HTTP && c->upload.kind != HUB_NONE)
		faults_add(r->f, v->at,
			   "pull_request is for hubs like https://huggingface.co; remove it");
}

/* ---- top */

static void read_version(struct reader *r, const struct ynode *v, void *target)
{
	double version;

	(void)target;
	if (!ynode_number(v, &version) || version != 1)
		read_wrong(r, v, "1");
}

void config_read_top(struct reader *r, const struct ynode *root, struct draft *d)
{
	const struct key keys[] = {
		{ "version", read_version, d },		{ "name", read_word, &d->c->name },
		{ "work", read_text, &d->c->work },	{ "models", config_read_models, d },
		{ "defaults", read_defaults, d },	{ "targets", read_targets, d },
		{ "exclude", read_exclude, d },		{ "include", read_include, d },
		{ "resources", read_resources, d },	{ "retry", read_retry, d },
		{ "upload", read_upload, d },		{ "engines", config_read_engines, d },
		{ "run", config_read_run, d->c },	{ "metrics", read_text, &d->c->metrics },
		{ "notify", config_read_notify, d->c }, { "measure", config_read_measure, d },
	};

	read_map(r, root, "the file", keys, ARRAY_LEN(keys));
	d->version_seen |= read_has(root, "version");
	d->models_seen |= read_has(root, "models");
	d->targets_seen |= read_has(root, "targets");
}

/* "retry.attempts" becomes {retry: {attempts: v}}: the same tables, the same words. */
static const struct ynode *map_of_one(struct arena *a, const char *key, const struct ynode *v)
{
	struct ynode *map = arena_alloc(a, sizeof(*map));

	*map = (struct ynode){ .type = YNODE_MAP, .n = 1 };
	map->entries = arena_array(a, 1, sizeof(*map->entries));
	map->entries[0] = (struct yentry){ key, { 0, 0 }, (struct ynode *)v };
	return map;
}

void config_read_dotted(struct reader *r, const char *path, const struct ynode *v, struct draft *d)
{
	static const char *const settable[] = { "name",	 "work", "defaults", "resources",
						"retry", "run",	 "upload" };
	char *head = arena_strdup(r->a, path), *dot = strchr(head, '.');
	const char *near;

	if (dot) {
		*dot = '\0';
		v = map_of_one(r->a, dot + 1, v);
	}
	for (size_t i = 0; i < ARRAY_LEN(settable); i++) {
		if (strcmp(head, settable[i]) == 0) {
			config_read_top(r, map_of_one(r->a, settable[i], v), d);
			return;
		}
	}
	near = nearest_name(head, settable, ARRAY_LEN(settable));
	if (near)
		faults_add(r->f, (struct mark){ 0, 0 },
			   "\"%s\" is no key that can be set; did you mean \"%s\"?", head, near);
	else
		faults_add(r->f, (struct mark){ 0, 0 },
			   "\"%s\" is no key that can be set; those are name, work, defaults.*, "
			   "resources.*, retry.*, run.* and upload.*",
			   head);
}

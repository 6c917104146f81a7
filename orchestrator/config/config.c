#include "orchestrator/config/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/path.h"
#include "core/utf8.h"
#include "orchestrator/config/config_private.h"

/* ---- what a file need not say */

static uint64_t memory_of_machine(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 1ull << 30;
}

static long processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? n : 1;
}

static void set_defaults(struct config *c)
{
	long cpus = processors();

	c->resources.jobs = cpus > 511 ? 256 : cpus > 3 ? (int)(cpus / 2) : 1;
	c->resources.memory_bytes = memory_of_machine() / 5 * 4;
	c->resources.disk_reserve_bytes = 1ull << 30;
	c->resources.timeout_ms = 6 * 3600 * 1000ll;
	c->resources.stall_ms = 30 * 60 * 1000ll;
	c->resources.grace_ms = 10 * 1000;
	c->retry.attempts = 3;
	c->retry.backoff_ms = 30 * 1000;
	c->retry.backoff_max_ms = 3600 * 1000;
	c->upload.hub = "";
	c->upload.namespace_ = "";
	c->upload.jobs = 8;
	c->upload.user = "";
}

static const char *default_name(struct arena *a, const char *path)
{
	const char *base = path_basename(path), *dot = strrchr(base, '.');

	return arena_strndup(a, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

/* path, or DIR/path, without what means nothing in it ("//", "/./", a slash at the end): the same
 * folder written differently is one source. Links and ".." are for the file system to say. */
static const char *below(struct arena *a, const char *dir, const char *path)
{
	char *text = path[0] == '/' ? arena_strdup(a, path) : arena_printf(a, "%s/%s", dir, path);
	char *to = text;

	for (const char *p = text; *p;) {
		size_t n = strcspn(p + 1, "/"); /* p is at a slash */

		if (n > 0 && !(n == 1 && p[1] == '.')) {
			memmove(to, p, n + 1);
			to += n + 1;
		}
		p += n + 1;
	}
	if (to == text)
		*to++ = '/';
	*to = '\0';
	return text;
}

/* As ssh itself would take it. */
static const char *key_file(struct arena *a, const char *dir, const char *path)
{
	const char *home = getenv("HOME");

	return strncmp(path, "~/", 2) == 0 && home ? arena_printf(a, "%s/%s", home, path + 2)
						   : below(a, dir, path);
}

static void set_paths(struct reader *r, struct config *c)
{
	if (!c->name)
		c->name = default_name(r->a, c->file);
	if (c->upload.card)
		c->upload.card = below(r->a, c->dir, c->upload.card);
	c->work = below(r->a, c->dir, c->work ? c->work : ".quern");
	for (size_t i = 0; i < c->n_measure; i++) {
		struct measure_stage *m = &c->measure[i];

		if (m->prompts)
			m->prompts = below(r->a, c->dir, m->prompts);
		if (m->where.board.identity)
			m->where.board.identity = key_file(r->a, c->dir, m->where.board.identity);
		if (m->where.board.known_hosts)
			m->where.board.known_hosts =
				key_file(r->a, c->dir, m->where.board.known_hosts);
		if (m->where.board.harness)
			m->where.board.harness = below(r->a, c->dir, m->where.board.harness);
	}
	if (c->metrics)
		c->metrics = below(r->a, c->dir, c->metrics);
	for (size_t i = 0; i < c->n_notify; i++) {
		if (c->notify[i].command.n && strchr(c->notify[i].command.v[0], '/'))
			c->notify[i].command.v[0] = below(r->a, c->dir, c->notify[i].command.v[0]);
	}
	for (size_t i = 0; i < c->n_models; i++) {
		if (c->models[i].path)
			c->models[i].path = below(r->a, c->dir, c->models[i].path);
		if (c->models[i].lora_path)
			c->models[i].lora_path = below(r->a, c->dir, c->models[i].lora_path);
	}
	for (size_t i = 0; i < c->n_engines; i++) {
		for (size_t k = 0; k < c->engines[i].n_environments; k++) {
			struct environment *env = &c->engines[i].environments[k];

			env->path = below(r->a, c->dir, env->path);
		}
	}
}

static void finish(struct reader *r, const struct draft *d)
{
	const struct mark top = { 1, 1 };
	struct config *c = d->c;
	long cpus = processors() / c->resources.jobs;

	if (!d->version_seen)
		faults_add(r->f, top, "no `version`; write \"version: 1\"");
	if (!d->models_seen)
		faults_add(r->f, top, "no `models`; list at least one, like \"- path: FOLDER\"");
	if (!d->targets_seen && !c->n_include)
		faults_add(
			r->f, top,
			"no `targets`; list at least one, like \"- {engine: gguf, quant: Q8_0}\"");
	config_finish_targets(r, d);
	set_paths(r, c);
	if (!c->resources.threads)
		c->resources.threads = cpus > 1 ? (int)cpus : 1;
	if (!d->backoff_max_seen && c->retry.backoff_max_ms < c->retry.backoff_ms)
		c->retry.backoff_max_ms = c->retry.backoff_ms;
	/* The default namespace is nobody's name. */
	if (!c->upload.quantized_by && c->upload.namespace_[0])
		c->upload.quantized_by = c->upload.namespace_;
	if (c->upload.kind == HUB_LOCAL && !c->upload.namespace_[0])
		c->upload.namespace_ = "local";
}

/* ---- --set */

static void apply_set(struct reader *r, const char *word, struct draft *d)
{
	const struct mark none = { 0, 0 };
	struct faults own = { .a = r->a };
	struct reader inner = { .a = r->a, .f = &own };
	const char *eq = strchr(word, '=');
	struct ynode *v = NULL;

	if (!eq || eq == word) {
		faults_add(r->f, none,
			   "--set: \"%s\" is not KEY=VALUE; write for instance "
			   "--set resources.jobs=4",
			   word);
		return;
	}
	if (yaml_tree_parse(r->a, eq + 1, strlen(eq + 1), &own, &v) == 0) {
		if (v)
			config_read_dotted(&inner, arena_strndup(r->a, word, (size_t)(eq - word)),
					   v, d);
		else
			faults_add(&own, none, "no value; write KEY=VALUE");
	} else if (own.n) {
		faults_add(&own, none,
			   "the value is YAML; put text with { [ : # & * in it in "
			   "quotes: --set 'KEY=\"VALUE\"'");
	}
	for (size_t i = 0; i < own.n; i++)
		faults_add(r->f, none, "--set: %s: %s", word, own.v[i].text);
}

/* ---- the whole */

int config_parse(struct arena *a, const char *path, const char *dir, const char *text, size_t len,
		 const struct config_set *set, struct faults *f, struct config **out, struct err *e)
{
	struct reader r = { .a = a, .f = f };
	struct draft d = { 0 };
	struct ynode *root = NULL;
	size_t n;

	f->a = a;
	f->file = path;
	d.c = arena_alloc(a, sizeof(*d.c));
	d.c->file = path;
	d.c->dir = arena_strdup(a, dir);
	set_defaults(d.c);
	if (yaml_tree_parse(a, text, len, f, &root) == 0) {
		if (root)
			config_read_top(&r, root, &d);
		else
			faults_add(f, (struct mark){ 1, 1 },
				   "the file is empty; begin with \"version: 1\", `models` and "
				   "`targets`");
		for (size_t i = 0; set && i < set->n; i++)
			apply_set(&r, set->v[i], &d);
		if (root && root->type == YNODE_MAP)
			finish(&r, &d);
	}
	for (size_t i = 0; set && i < set->n; i++) {
		if (i == 0)
			d.c->set.v = arena_array(a, set->n, sizeof(*d.c->set.v));
		d.c->set.v[d.c->set.n++] = arena_strdup(a, set->v[i]);
	}
	*out = d.c;
	n = f->n + f->more;
	if (n)
		return err_set(e, ERR_INVALID, "%s: %zu fault%s", path, n, n == 1 ? "" : "s");
	return 0;
}

int config_load(struct arena *a, const char *path, const struct config_set *set, struct faults *f,
		struct config **out, struct err *e)
{
	char *real = path_real(path, e), *dir;
	struct buf b;
	int rc;

	if (!real && e->code == ERR_NOTFOUND)
		return err_set(e, ERR_NOTFOUND,
			       "there is no %s; write one, or name another with -f", path);
	if (!real)
		return e->code;
	dir = path_dirname(real);
	buf_init(&b, YAML_TEXT_MAX);
	rc = path_read(real, YAML_TEXT_MAX, &b, e);
	if (rc >= 0)
		rc = config_parse(a, path, dir, buf_str(&b), b.len, set, f, out, e);
	buf_release(&b);
	free(dir);
	free(real);
	return rc < 0 ? rc : 0;
}

int config_drops_artifacts(const struct config *c)
{
	return c->resources.keep == KEEP_NONE && c->upload.kind != HUB_NONE && !c->upload.hold;
}

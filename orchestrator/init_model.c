/* orchestrator/init_model.c -- quern init: which model, and what is known of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/init.h"
#include "orchestrator/sources.h"
#include "orchestrator/summary.h"

#define TEXT_MAX (1u << 16)
#define FAKE "fake:"

/* "~" means nothing in jobs.yaml, and a question has no shell to fill it in. */
static const char *at_home(struct arena *a, const char *answer)
{
	const char *home = getenv("HOME");

	if (answer[0] == '~' && (answer[1] == '/' || !answer[1]) && home && *home == '/')
		return arena_printf(a, "%s%s", home, answer + 1);
	return answer;
}

/* The folder as the file has to name it: as it was written when the file stands here, else
 * absolute. */
static int take_path(struct init *x, const char *path, struct model *m, struct err *e)
{
	char *here = path_real(".", e), *real = here ? path_real(path, e) : NULL;

	if (real)
		m->path = strcmp(here, x->dir) == 0 ? arena_strdup(x->a, path)
						    : arena_strdup(x->a, real);
	free(here);
	free(real);
	return m->path ? 0 : e->code;
}

/* What the answer names: a folder wins when it is there, or when it can be nothing else. */
static int read_answer(struct init *x, const char *answer, struct model *m, struct err *e)
{
	const char *path = at_home(x->a, answer);
	struct stat st;

	*m = (struct model){ .lora = x->flags->lora, .name = x->flags->name };
	if (strncmp(answer, FAKE, strlen(FAKE)) == 0) {
		m->fake = arena_strdup(x->a, answer + strlen(FAKE));
		return 0;
	}
	if (strchr("./~", answer[0]) || stat(path, &st) == 0)
		return take_path(x, path, m, e);
	m->id = arena_strdup(x->a, answer);
	m->revision = x->flags->revision;
	return 0;
}

int init_parse(struct init *x, const struct jobs_sketch *s, struct config **cfg, struct err *e)
{
	const char *quant = "none";
	struct target any = { .engine = "none", .quant = { .v = &quant, .n = 1 } };
	struct jobs_sketch whole = *s;
	struct faults f = { .a = x->a };
	struct buf b;
	int rc;

	whole.targets = &any;
	whole.n_targets = 1;
	buf_init(&b, TEXT_MAX);
	jobs_write(&b, &whole);
	rc = config_parse(x->a, "jobs.yaml", x->dir, buf_str(&b), b.len, NULL, &f, cfg, e);
	if (rc < 0 && f.n)
		rc = err_set(e, ERR_INVALID, "%s", f.v[0].text);
	buf_release(&b);
	return rc;
}

static void say_local(const struct init *x, const struct source_facts *f)
{
	char size[24];

	if (!x->ask.terminal)
		return;
	units_format_size(f->size_bytes, size, sizeof(size));
	fprintf(stderr, "  %s", cli_style(stderr, STYLE_DIM));
	cli_print_text(stderr, f->architecture ? f->architecture : "no architecture is named");
	if (f->dtype)
		fprintf(stderr, ", %.3g million parameters in %s", (double)f->params / 1e6,
			f->dtype);
	fprintf(stderr, ", %s%s\n", size, cli_style(stderr, STYLE_PLAIN));
}

/* A hub that cannot be asked now, or that wants a token first, is no reason to stop: the file is
 * right all the same, and the plan says what is missing. */
static int look_at_hub(struct init *x, const struct config *cfg, struct err *e)
{
	const struct model *m = &cfg->models[0];
	struct hub_source *h;
	int rc;

	if (x->ask.terminal)
		fprintf(stderr, "  looking at %s ...\n", m->id);
	rc = hub_source_look(x->a, cfg->work, m->id, m->revision, false, &h, e);
	if (rc >= 0) {
		x->facts = h->facts;
		x->known = true;
		if (x->ask.terminal) {
			fputs("  ", stderr);
			summary_hub_source(stderr, "found", h);
		}
		return 0;
	}
	if (ask_stopped(&(struct err)ERR_INIT) < 0)
		return ask_stopped(e);
	if (rc == ERR_INVALID || rc == ERR_NOTFOUND || rc == ERR_CORRUPT)
		return e->code = ERR_INVALID;
	fputs("quern: ", stderr);
	cli_print_text(stderr, e->msg);
	fputs("; what the model is like is not known yet\n", stderr);
	*e = (struct err)ERR_INIT;
	return 0;
}

static int look(struct init *x, struct model *m, struct err *e)
{
	const struct jobs_sketch one = { .models = m, .n_models = 1 };
	struct config *cfg;
	struct sources *s;
	const struct resolved *r;
	int rc = init_parse(x, &one, &cfg, e);

	x->known = false;
	if (rc < 0 || m->id)
		return rc < 0 ? rc : look_at_hub(x, cfg, e);
	s = sources_new(cfg, NULL);
	r = sources_get(s, 0, false);
	if (r->fault) {
		rc = err_set(e, ERR_INVALID, "%s", r->fault);
	} else {
		x->facts = r->facts;
		x->facts.architecture = arena_strdup(x->a, r->facts.architecture);
		x->facts.dtype = arena_strdup(x->a, r->facts.dtype);
		x->facts.format = arena_strdup(x->a, r->facts.format);
		x->known = true;
		say_local(x, &x->facts);
	}
	sources_free(s);
	return rc;
}

static int take_model(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;
	struct model m;
	int rc = read_answer(x, answer, &m, e);

	if (rc >= 0)
		rc = look(x, &m, e);
	if (rc >= 0)
		x->model = m;
	return rc;
}

int init_model(struct init *x, struct err *e)
{
	const struct question q = { .flag = "--model MODEL",
				    .text = "Model (org/name on the Hub, or a folder)?",
				    .given = x->flags->model,
				    .take = take_model,
				    .ctx = x };

	return ask(&x->ask, &q, e);
}

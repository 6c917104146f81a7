/* orchestrator/start/init_model.c -- quern init: which model, and what is known of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/plan/sources.h"
#include "orchestrator/start/init.h"
#include "orchestrator/start/model_word.h"
#include "orchestrator/view/summary.h"

#define TEXT_MAX (1u << 16)

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

static void say_local(const struct source_facts *f)
{
	char size[24];

	units_format_size(f->size_bytes, size, sizeof(size));
	fprintf(stderr, "  %s", cli_style(stderr, STYLE_DIM));
	cli_print_text(stderr, f->architecture ? f->architecture : "no architecture is named");
	if (f->dtype)
		fprintf(stderr, ", %.3g million parameters in %s", (double)f->params / 1e6,
			f->dtype);
	fprintf(stderr, ", %s%s\n", size, cli_style(stderr, STYLE_PLAIN));
}

static void say_found(const struct init *x, const struct resolved *r)
{
	if (!x->ask.terminal)
		return;
	if (!r->hub) {
		say_local(&r->facts);
		return;
	}
	fputs("  ", stderr);
	summary_hub_source(stderr, "found", r->hub);
}

/* A hub that cannot be asked now, or that wants a token first, is no reason to stop: the file is
 * right all the same, and the plan says what is missing. */
static int not_found(struct init *x, const struct resolved *r, struct err *e)
{
	bool wrong = r->fault_code == ERR_INVALID || r->fault_code == ERR_NOTFOUND ||
		     r->fault_code == ERR_CORRUPT;

	if (ask_stopped(e) < 0)
		return e->code;
	if (wrong || !r->model->id)
		return err_set(e, ERR_INVALID, "%s", r->fault);
	fputs("quern: ", stderr);
	cli_print_text(stderr, r->fault);
	fputs("; what the model is like is not known yet\n", stderr);
	x->known = false;
	return 0;
}

static int look(struct init *x, struct model *m, struct err *e)
{
	const struct jobs_sketch one = { .models = m, .n_models = 1 };
	const struct resolved *r;
	struct config *cfg;
	int rc = init_parse(x, &one, &cfg, e);

	if (rc < 0)
		return rc;
	if (m->id && x->ask.terminal)
		fprintf(stderr, "  looking at %s ...\n", m->id);
	sources_free(x->sources);
	x->sources = sources_new(cfg, NULL);
	r = sources_get(x->sources, 0, false);
	if (r->fault)
		return not_found(x, r, e);
	x->facts = &r->facts;
	x->known = true;
	say_found(x, r);
	return 0;
}

static int take_model(void *ctx, const char *answer, struct err *e)
{
	struct init *x = ctx;
	struct model m = x->model; /* its name and its adapter */
	int rc;

	m.path = m.id = m.fake = m.revision = NULL;
	rc = model_word(x->a, answer, x->dir, &m, e);
	if (m.id)
		m.revision = x->flags->revision;
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

	x->model.name = x->flags->name;
	if (x->flags->lora && lora_word(x->a, x->flags->lora, x->dir, &x->model, e) < 0)
		return e->code;
	return ask(&x->ask, &q, e);
}

/* orchestrator/plan/preflight_source.c -- rules on the model itself: what its headers
 * and its config.json say. */
#include "orchestrator/plan/preflight.h"

#include <inttypes.h>
#include <string.h>

#include "db/job.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/engine/version.h"

/* ---- groups: every linear layer's outputs are a multiple of them */

static const struct source_matrix *misfit(const struct source_facts *f, int group)
{
	for (size_t i = 0; group && i < f->n_matrices; i++) {
		if (f->matrices[i].out % (uint64_t)group != 0)
			return &f->matrices[i];
	}
	return NULL;
}

static int is_on(const struct engine_quant *q, const char *platform)
{
	for (size_t i = 0; i < q->n_platforms; i++) {
		if (strcmp(q->platforms[i], platform) == 0)
			return 1;
	}
	return q->n_platforms == 0;
}

/* Of nearly the same size, the legal quant with the largest group that fits; NULL: none does. */
static const char *fitting(const struct engine *en, const struct source_facts *f,
			   const struct engine_quant *want, const char *platform)
{
	const struct engine_quant *best = NULL;

	for (size_t i = 0; i < en->n_quants; i++) {
		const struct engine_quant *q = &en->quants[i];

		if (is_on(q, platform) && !misfit(f, q->group) && q->bits - want->bits < 1 &&
		    want->bits - q->bits < 1 && (!best || q->group > best->group))
			best = q;
	}
	return best ? best->name : NULL;
}

static int check_group(const struct preflight *p, struct err *e)
{
	const struct source_facts *f = &p->source->facts;
	const char *nearest;
	char note[RULE_NOTE_MAX];

	for (size_t i = 0; i < p->engine->n_quants; i++) {
		const struct engine_quant *q = &p->engine->quants[i];
		const struct source_matrix *m =
			strcmp(q->name, p->spec->quant) == 0 ? misfit(f, q->group) : NULL;

		if (!m)
			continue;
		nearest = fitting(p->engine, f, q, p->spec->platform);
		return err_set(e, ERR_INVALID,
			       "quant %s needs layers whose outputs are a multiple of %d, and %s "
			       "has %" PRIu64 "; %s%s%s",
			       q->name, q->group, m->name, m->out,
			       nearest ? "nearest: " : "no group of this platform fits",
			       nearest ? nearest : "",
			       engine_rule_note(p->engine, "group", NULL, note));
	}
	return 0;
}

/* ---- code of the checkpoint */

static int check_auto_map(const struct preflight *p, struct err *e)
{
	char note[RULE_NOTE_MAX];

	if (!p->source->facts.remote_code || p->source->model->trust_remote_code ||
	    !engine_rule_of(p->engine, "auto_map", NULL))
		return 0;
	return err_set(
		e, ERR_INVALID,
		"the checkpoint brings Python code (auto_map in its configuration), which the "
		"toolkit runs unasked; write `trust_remote_code: true` beside the model if "
		"you trust it%s",
		engine_rule_note(p->engine, "auto_map", NULL, note));
}

/* ---- GGUF */

static int is_listed(const struct string_list *l, const char *s, size_t n)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strlen(l->v[i]) == n && strncmp(l->v[i], s, n) == 0)
			return 1;
	}
	return 0;
}

static int check_tensors(const struct preflight *p, struct err *e)
{
	const struct engine_rule *r = engine_rule_of(p->engine, "gguf_tensors", NULL);
	const char *types = p->source->facts.tensor_types;
	char note[RULE_NOTE_MAX];

	while (r && r->types.n && types && *types) {
		size_t n = strcspn(types, " ");

		if (!is_listed(&r->types, types, n))
			return err_set(
				e, ERR_INVALID,
				"the GGUF file has tensors of type %.*s, which engine %s does not "
				"read; make one with llama-quantize --leave-output-tensor "
				"--token-embedding-type f16, of %s alone%s",
				(int)n, types, p->engine->name, r->types.v[0],
				engine_rule_note(p->engine, "gguf_tensors", NULL, note));
		types += n;
		types += *types == ' ';
	}
	return 0;
}

/* ---- quantized already */

/* The entry of the form that the source is; NULL: none of its group and kind. */
static const struct engine_accept *accepted(const struct engine_rule *r,
					    const struct source_facts *f)
{
	for (size_t i = 0; i < r->n_accepts; i++) {
		const struct engine_accept *x = &r->accepts[i];

		if (strcmp(x->form, f->quant_form) == 0 && x->group == f->quant_group &&
		    (x->symmetric < 0 || x->symmetric == f->quant_symmetric) &&
		    (x->desc_act < 0 || x->desc_act == f->quant_desc_act))
			return x;
	}
	return NULL;
}

int preflight_quantized(const struct preflight *p, const char *version, struct err *e)
{
	const struct engine_rule *r = engine_rule_of(p->engine, "source_quantization", NULL);
	const struct source_facts *f = &p->source->facts;
	const struct engine_accept *x;
	char note[RULE_NOTE_MAX];

	if (!r || !f->quant_form || f->tensor_types)
		return 0;
	engine_rule_note(p->engine, "source_quantization", NULL, note);
	x = accepted(r, f);
	if (!x)
		return err_set(e, ERR_INVALID,
			       "the checkpoint is quantized already (%s%s%s), and engine %s does "
			       "not read that form; name the original checkpoint in float%s",
			       f->quant_text, f->quant_desc_act > 0 ? ", desc_act" : "",
			       f->quant_symmetric == 0 ? ", not symmetric" : "", p->engine->name,
			       note);
	if (strcmp(x->quant, p->spec->quant) != 0)
		return err_set(e, ERR_INVALID,
			       "the checkpoint is quantized already (%s) and can become %s only%s",
			       f->quant_text, x->quant, note);
	if (x->since && version && version_compare(version, x->since) < 0)
		return err_set(e, ERR_INVALID,
			       "a checkpoint of %s needs version %s of the toolkit, and the "
			       "environment has %s; add a newer one%s",
			       f->quant_text, x->since, version, note);
	return 0;
}

/* ---- finished files */

static int check_renewal(const struct preflight *p, struct err *e)
{
	const struct engine *en = p->engine;
	const char *format = p->source->facts.format ? p->source->facts.format : "";
	const int is_finished = en->renew_format && strcmp(format, en->renew_format) == 0;
	const int renews = engine_renews(en, p->spec);

	if (is_finished && !renews)
		return err_set(e, ERR_INVALID,
			       "an .%s file is finished and keeps its quant; it can be renewed for "
			       "newer runtimes: quant: %s",
			       format, en->renew_quant);
	if (renews && !is_finished)
		return err_set(e, ERR_INVALID,
			       "quant %s renews finished .%s files, and this source is %s; name a "
			       "quant that is made",
			       p->spec->quant, en->renew_format, format[0] ? format : "none");
	if (renews && p->spec->lora)
		return err_set(e, ERR_INVALID,
			       "quant %s: a finished file is renewed as it is; a model without "
			       "`lora` is wanted",
			       p->spec->quant);
	if (renews && p->with && p->with->count)
		return err_set(e, ERR_INVALID,
			       "quant %s: a finished file is renewed as it is; remove `with` "
			       "(%s)",
			       p->spec->quant, p->with->members[0].key);
	return 0;
}

int preflight_source(const struct preflight *p, struct err *e)
{
	int rc = engine_check_model(p->engine, &p->source->facts, e);

	if (rc == 0)
		rc = check_renewal(p, e);

	if (rc == 0)
		rc = engine_check_quantized(p->engine, p->spec, &p->source->facts, e);
	if (rc == 0)
		rc = check_auto_map(p, e);
	if (rc == 0)
		rc = check_tensors(p, e);
	return rc < 0 ? rc : check_group(p, e);
}

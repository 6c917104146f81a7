/* What a conversion does with weights: importances, hybrid, the pass, the files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/path.h"
#include "workers/common/outfile.h"
#include "workers/gguf/conversion.h"

/* ---- importances */

int conversion_read_imatrix(struct conversion *c, struct err *e)
{
	size_t used = 0;

	if (!c->imatrix_path)
		return 0;
	/* What is in it changes the output: either it is a file that the source's hash covers, or
	 * one that quern has hashed for the key and gives by its absolute path. */
	if (c->imatrix_path[0] != '/' &&
	    (!path_component_ok(c->imatrix_path) || !source_wanted(c->imatrix_path) ||
	     !source_belongs(c->imatrix_path, c->facts.file)))
		return err_set(
			e, ERR_INVALID,
			"imatrix is \"%.100s\"; it is a path, or the name of a file in the model's "
			"folder, imatrix.dat or one that ends in .gguf%s",
			c->imatrix_path,
			c->input ? " and, beside a model in GGUF, begins with imatrix" : "");
	c->imatrix_name = "imatrix";
	if (c->imatrix_path[0] != '/') {
		c->imatrix_name = c->imatrix_path;
		c->imatrix_path = arena_printf(c->a, "%s/%s", c->job.source, c->imatrix_path);
	}
	if (imatrix_read_file(c->a, c->imatrix_path, &c->imatrix, e) < 0)
		return e->code;
	for (size_t i = 0; i < c->layout.n; i++) {
		struct out_tensor *t = &c->layout.v[i];
		const struct importance *found = imatrix_find(&c->imatrix, t->name);
		uint64_t want = t->n_dims > 1 ? t->n / t->ne[1] : 0;

		if (!found || !want)
			continue;
		/* llama.cpp also lets an embedding pass that was measured as the output. */
		if (found->n != want && strcmp(t->name, "token_embd.weight") == 0)
			continue;
		if (found->n != want)
			return err_set(
				e, ERR_INVALID,
				"%s: %s has %llu importances, the tensor has %llu columns; it was "
				"measured on another model",
				c->imatrix_path, t->name, (unsigned long long)found->n,
				(unsigned long long)want);
		t->importance = found->v;
		used++;
	}
	if (!used)
		return err_set(
			e, ERR_INVALID,
			"%s knows none of this model's tensors; it was measured on another model",
			c->imatrix_path);
	return 0;
}

/* ---- hybrid */

struct candidate {
	size_t tensor;
	double loss; /* squared error of all its weights, as far as was looked */
};

static int by_loss(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;

	if (a->loss != b->loss)
		return a->loss > b->loss ? -1 : 1;
	return a->tensor < b->tensor ? -1 : 1;
}

static const struct type *better_type(const struct out_tensor *t)
{
	return t->source && t->n_dims > 1 && t->type->id != TYPE_F32 && !layout_copies(t)
		       ? mix_promoted(t->type, t->ne[0])
		       : NULL;
}

int conversion_promote(struct conversion *c, struct err *e)
{
	struct candidate *v = arena_array(c->a, c->layout.n + 1, sizeof(*v));
	struct pass p = { .mode = PASS_LOOK, .model = &c->model, .layout = &c->layout };
	size_t n = 0, promoted;

	c->quality = arena_array(c->a, c->layout.n + 1, sizeof(*c->quality));
	if (c->job.hybrid <= 0)
		return 0;
	p.threads = c->job.threads;
	p.zero_nonfinite = c->zero_nonfinite;
	p.quality = c->quality;
	if (pass_run(&p, e) < 0)
		return e->code;
	for (size_t i = 0; i < c->layout.n; i++) {
		const struct quality *q = &c->quality[i];

		if (!better_type(&c->layout.v[i]))
			continue;
		v[n].tensor = i;
		v[n++].loss = q->n ? q->error / (double)q->n * (double)c->layout.v[i].n : 0;
	}
	qsort(v, n, sizeof(*v), by_loss);
	promoted = (size_t)ceil(c->job.hybrid * (double)n - 1e-9);
	for (size_t i = 0; i < promoted && i < n; i++) {
		struct out_tensor *t = &c->layout.v[v[i].tensor];

		t->type = better_type(t);
		t->promoted = 1;
	}
	return 0;
}

/* ---- the files */

static const char *out_path(struct conversion *c, int i)
{
	return arena_printf(c->a, "%s/%s", c->job.out, c->outs[i].path);
}

/* All of its room now, and the head in front; the weights come to their places behind it. */
static int begin_file(struct conversion *c, int i, struct pass_file *f, struct err *e)
{
	const struct gguf_writer *w = conversion_writer(c, i);
	struct worker_output *out = &c->outs[i];
	struct buf head;
	int rc;

	out->path = shard_name(c->a, c->job.file, i, c->n_files);
	buf_init(&head, GGUF_HEAD_MAX);
	rc = gguf_head(w, &head, e);
	f->data_at = head.len;
	out->size_bytes = head.len + w->data_bytes;
	if (rc == 0)
		rc = out_open(out_path(c, i), out->size_bytes, c->n_files > 16, &f->out, e);
	if (rc == 0)
		rc = out_write(f->out, head.data, head.len, 0, e);
	buf_release(&head);
	return rc;
}

/* On the disk before result.json, which says that everything is there: a power cut may not make it
 * lie. Of a failure nothing is left. */
static int close_files(struct conversion *c, struct pass_file *files, int rc, struct err *e)
{
	for (int i = 0; i < c->n_files; i++)
		rc = out_close(files[i].out, rc, e);
	for (int i = 0; rc < 0 && i < c->n_files && c->outs[i].path; i++)
		(void)unlink(out_path(c, i));
	return rc;
}

int conversion_write_files(struct conversion *c, struct err *e)
{
	struct pass_file *files = arena_array(c->a, (size_t)c->n_files, sizeof(*files));
	struct pass p = {
		.model = &c->model, .layout = &c->layout, .files = files, .threads = c->job.threads
	};
	int rc = 0;

	c->outs = arena_array(c->a, (size_t)c->n_files, sizeof(*c->outs));
	p.zero_nonfinite = c->zero_nonfinite;
	p.opt = c->job.opt;
	p.quality = c->quality;
	for (int i = 0; rc == 0 && i < c->n_files; i++)
		rc = begin_file(c, i, &files[i], e);
	if (rc == 0)
		rc = pass_run(&p, e);
	c->n_zeroed = p.n_zeroed;
	return close_files(c, files, rc, e);
}

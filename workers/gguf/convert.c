#include "workers/gguf/convert.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "workers/gguf/conversion.h"
#include "workers/gguf/dora.h"
#include "workers/gguf/general.h"

/* ---- metadata */

static void write_imatrix_keys(struct conversion *c)
{
	if (!c->imatrix_path)
		return;
	gguf_str(&c->w, "quantize.imatrix.file", c->imatrix_name);
	gguf_str(&c->w, "quantize.imatrix.dataset", c->imatrix.dataset);
	gguf_u32(&c->w, "quantize.imatrix.entries_count", (uint32_t)c->imatrix.n);
	gguf_u32(&c->w, "quantize.imatrix.chunks_count", c->imatrix.chunks);
}

/* ---- checks that need no weights */

static int check_job(struct conversion *c, struct err *e)
{
	const struct worker_job *j = &c->job;
	const char *nonfinite = json_str(j->with, "nonfinite", "error");

	c->mix.quant = file_type_by_name(j->quant);
	if (!c->mix.quant)
		return err_set(e, ERR_INVALID, "quant %s is not written by this version", j->quant);
	c->imatrix_path = json_str(j->with, "imatrix", NULL);
	c->mix.has_imatrix = c->imatrix_path != NULL;
	if (j->opt < 0 || j->opt > 1 || j->hybrid < 0 || j->hybrid > 1)
		return err_set(e, ERR_INVALID,
			       "opt %d, hybrid %g: opt is 0 or 1, hybrid from 0 to 1", j->opt,
			       j->hybrid);
	if (mix_read(j->with, &c->mix, e) < 0 || shards_read(j->with, &c->split, e) < 0)
		return e->code;
	if (file_type_needs_imatrix(c->mix.quant) && !c->mix.has_imatrix && !c->mix.without_imatrix)
		return err_set(e, ERR_INVALID,
			       "quant %s needs importances: `with: {imatrix: FILE}`; `with: "
			       "{without_imatrix: true}` makes it without, for what it is worth",
			       j->quant);
	if (strcmp(nonfinite, "error") != 0 && strcmp(nonfinite, "zero") != 0)
		return err_set(e, ERR_INVALID, "nonfinite is \"%.60s\"; it may be error or zero",
			       nonfinite);
	c->zero_nonfinite = nonfinite[0] == 'z';
	c->pre = json_str(j->with, "pre_tokenizer", NULL);
	if (c->pre && !*c->pre)
		return err_set(e, ERR_INVALID,
			       "pre_tokenizer is empty; it names a pre-tokenizer of llama.cpp");
	return 0;
}

/* ---- the model */

/* One that is in GGUF already. */
static int read_gguf(struct conversion *c, struct err *e)
{
	int requantize = json_bool(c->job.with, "allow_requantize", 0);

	if (json_get(json_get(c->job.root, "lora"), "dir"))
		return err_set(e, ERR_INVALID,
			       "lora: adapters are merged into checkpoints only, not into GGUF; "
			       "give the safetensors of the model");
	if (c->pre)
		return err_set(e, ERR_INVALID,
			       "pre_tokenizer: the metadata of a model in GGUF stays as it is");
	c->input = arena_alloc(c->a, sizeof(*c->input));
	if (gguf_input_open(c->a, c->job.source, c->facts.file, requantize, c->input, e) < 0 ||
	    gguf_input_layout(c->a, c->input, &c->layout, e) < 0)
		return e->code;
	c->architecture = c->input->architecture;
	c->model = c->input->files;
	gguf_input_mix(c->input, &c->mix);
	if (c->facts.quant_form)
		worker_warn("the source is quantized already (%s): what its rounding lost stays "
			    "lost, and each further rounding adds to it",
			    c->facts.quant_text);
	return 0;
}

static int read_checkpoint(struct conversion *c, struct err *e)
{
	struct checkpoint from;
	struct lora_ends ends;
	const char *hf_class, *dir;

	if (tokenizer_read_json(c->a, c->job.source, "config.json", &c->config, e) < 0)
		return e->code;
	hf_class = c->facts.architecture;
	c->arch = arch_by_class(hf_class);
	if (!c->arch)
		return err_set(e, ERR_INVALID,
			       "architecture %s is not converted by this version; `quern engines` "
			       "lists those that are",
			       hf_class);
	c->architecture = c->arch->name;
	if (source_quant_read(c->a, c->config, &c->quant, e) < 0 ||
	    source_quant_read_beside(c->a, c->job.source, &c->quant, e) < 0 ||
	    packed_check_form(&c->quant, e) < 0)
		return e->code;
	if (hparams_read(c->a, c->arch, c->config, &c->h, e) < 0 ||
	    tokenizer_open(c->a, c->job.source, c->config, c->h.vocab, c->pre, &c->tokenizer, e) <
		    0 ||
	    st_open_model(c->a, c->job.source, &c->model, e) < 0 ||
	    packed_open(c->a, &c->quant, &c->model, &c->packed, e) < 0)
		return e->code;
	if (c->arch->globals[0].how == CUT_TO_TOKENS)
		c->h.tokens = c->tokenizer.n_tokens;
	dir = json_str(json_get(c->job.root, "lora"), "dir", NULL);
	ends = layout_ends(c->a, c->arch, &c->h, &c->model);
	if (dir && lora_open(c->a, dir, &c->model, &ends, &c->lora, e) < 0)
		return e->code;
	c->h.tied = ends.tied;
	from = (struct checkpoint){ &c->model, &c->quant, &c->packed, dir ? &c->lora : NULL };
	if (layout_make(c->a, c->arch, &c->h, &from, &c->layout, e) < 0 ||
	    dora_prepare(c->a, &from, &c->lora, c->job.threads, e) < 0)
		return e->code;
	c->mix.arch = c->arch->name;
	c->mix.layers = (uint32_t)c->h.layers;
	c->mix.heads = (uint32_t)c->h.heads;
	c->mix.kv_heads = (uint32_t)c->h.kv_heads;
	c->mix.experts = (uint32_t)c->h.experts;
	return 0;
}

static int read_model(struct conversion *c, struct err *e)
{
	if (source_read_file_facts(c->a, c->job.source, c->job.source_file, &c->facts, e) < 0)
		return e->code;
	if ((c->facts.file ? read_gguf(c, e) : read_checkpoint(c, e)) < 0)
		return e->code;
	if (conversion_read_imatrix(c, e) < 0 || mix_apply(&c->mix, &c->layout, e) < 0)
		return e->code;
	return conversion_promote(c, e);
}

struct gguf_writer *conversion_writer(struct conversion *c, int file)
{
	return file ? &c->rest[file - 1] : &c->w;
}

static int write_metadata(struct conversion *c, struct err *e)
{
	if (c->input ? gguf_input_metadata(c->input, c->imatrix_path != NULL,
					   file_type_number(c->mix.quant), GENERAL_QUANTIZATION,
					   &c->w, e) < 0
		     : general_write(c, e) < 0)
		return e->code;
	write_imatrix_keys(c);
	if (!c->input) {
		hparams_write(c->a, c->arch, &c->h, &c->w);
		if (tokenizer_write(c->a, &c->tokenizer, c->h.tokens, &c->w, e) < 0)
			return e->code;
	}
	c->n_files = shards_assign(&c->split, &c->layout, e);
	if (c->n_files < 0)
		return c->n_files;
	c->rest = arena_array(c->a, (size_t)c->n_files, sizeof(*c->rest));
	for (int i = 0; i < c->n_files; i++) {
		if (i)
			gguf_init(conversion_writer(c, i));
		shard_keys(conversion_writer(c, i), i, c->n_files, c->layout.n);
	}
	for (size_t i = 0; i < c->layout.n; i++) {
		struct out_tensor *t = &c->layout.v[i];

		t->offset = gguf_tensor(conversion_writer(c, t->shard), t->name, t->ne, t->n_dims,
					t->type);
		if (t->fallback)
			worker_warn("%s: rows of %llu weights do not fit what %s has for it; it "
				    "becomes %s",
				    t->name, (unsigned long long)t->ne[0], c->job.quant,
				    t->type->name);
	}
	return 0;
}

static int convert(struct conversion *c, struct err *e)
{
	if (check_job(c, e) < 0 || read_model(c, e) < 0 || write_metadata(c, e) < 0 ||
	    conversion_write_files(c, e) < 0)
		return e->code;
	if (c->n_zeroed)
		worker_warn("%llu weights were no finite numbers and became 0",
			    (unsigned long long)c->n_zeroed);
	return worker_result_ok(&c->job, c->outs, (size_t)c->n_files, conversion_facts(c), e);
}

int convert_main(const char *job_path)
{
	struct conversion c = { .a = arena_new() };
	struct err e = ERR_INIT;
	int code = WORKER_OK;

	gguf_init(&c.w);
	if (worker_job_read(c.a, job_path, &c.job, &e) < 0) {
		fprintf(stderr, "quern-gguf: %s\n", e.msg);
		code = WORKER_USAGE;
	} else if (convert(&c, &e) < 0) {
		fprintf(stderr, "quern-gguf: %s\n", e.msg);
		code = worker_result_error(&c.job, &e);
	}
	gguf_release(&c.w);
	for (int i = 1; c.rest && i < c.n_files; i++)
		gguf_release(conversion_writer(&c, i));
	arena_free(c.a);
	return code;
}

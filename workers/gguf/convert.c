#include "workers/gguf/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"
#include "workers/common/fileio.h"
#include "workers/common/protocol.h"
#include "workers/gguf/dora.h"
#include "workers/gguf/gguf_input.h"
#include "workers/gguf/imatrix.h"
#include "workers/gguf/layout.h"
#include "workers/gguf/mix.h"
#include "workers/gguf/pass.h"
#include "workers/gguf/shards.h"
#include "workers/gguf/tokenizer.h"
#include "workers/gguf/writer.h"

#define QUANTIZATION_VERSION 2 /* GGML_QNT_VERSION */

struct conversion {
	struct arena *a;
	struct worker_job job;
	const struct arch *arch;
	struct json *config;
	struct hparams h;
	struct st_model model;
	struct source_quant quant;
	struct packed_set packed;
	struct lora lora; /* v NULL: none */
	struct mix mix;
	struct quality *quality; /* of each tensor */
	struct imatrix imatrix;
	const char *imatrix_path; /* or NULL */
	const char *imatrix_name; /* in the output; the key has no name of a file elsewhere */
	struct layout layout;
	struct tokenizer tokenizer;
	struct source_facts facts;
	const char *architecture; /* as the file names it */
	struct gguf_input *input; /* NULL: from a checkpoint */
	struct gguf_writer w;	  /* of the first file */
	struct gguf_writer *rest; /* of the others */
	struct shard_options split;
	int n_files;
	struct worker_output *outs; /* of each file */
	int zero_nonfinite;
	const char *pre; /* the user's choice, or NULL */
	uint64_t n_zeroed;
};

/* ---- metadata */

/* "4.2M", "494M", "8.0B": two digits at least. */
static const char *size_label(struct arena *a, uint64_t params)
{
	static const struct {
		double unit;
		const char *name;
	} units[] = { { 1e12, "T" }, { 1e9, "B" }, { 1e6, "M" }, { 1e3, "K" } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		double v = (double)params / units[i].unit;

		if (v >= 1)
			return arena_printf(a, v < 10 ? "%.1f%s" : "%.0f%s", v, units[i].name);
	}
	return arena_printf(a, "%llu", (unsigned long long)params);
}

static void write_general(struct conversion *c)
{
	if (!c->input) {
		gguf_str(&c->w, "general.architecture", c->architecture);
		gguf_str(&c->w, "general.type", "model");
		gguf_str(&c->w, "general.name", c->job.name);
		gguf_str(&c->w, "general.license", c->facts.license);
		gguf_str(&c->w, "general.size_label", size_label(c->a, c->layout.params));
		gguf_u32(&c->w, "general.file_type", file_type_number(c->mix.quant));
		gguf_u32(&c->w, "general.quantization_version", QUANTIZATION_VERSION);
	}
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

/* ---- importances */

static int read_imatrix(struct conversion *c, struct err *e)
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

/* The share `hybrid` of the matrices that could be better gets the next better type: those first
 * that add most to the error of the whole model. */
static int hybrid_promote(struct conversion *c, struct err *e)
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
	if (dir && lora_open(c->a, dir, &c->model, c->h.tied, &c->lora, e) < 0)
		return e->code;
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
	if (read_imatrix(c, e) < 0 || mix_apply(&c->mix, &c->layout, e) < 0)
		return e->code;
	return hybrid_promote(c, e);
}

static struct gguf_writer *writer_of(struct conversion *c, int file)
{
	return file ? &c->rest[file - 1] : &c->w;
}

static int write_metadata(struct conversion *c, struct err *e)
{
	if (c->input &&
	    gguf_input_metadata(c->input, c->imatrix_path != NULL, file_type_number(c->mix.quant),
				QUANTIZATION_VERSION, &c->w, e) < 0)
		return e->code;
	write_general(c);
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
			gguf_init(writer_of(c, i));
		shard_keys(writer_of(c, i), i, c->n_files, c->layout.n);
	}
	for (size_t i = 0; i < c->layout.n; i++) {
		struct out_tensor *t = &c->layout.v[i];

		t->offset = gguf_tensor(writer_of(c, t->shard), t->name, t->ne, t->n_dims, t->type);
		if (t->fallback)
			worker_warn("%s: rows of %llu weights do not fit what %s has for it; it "
				    "becomes %s",
				    t->name, (unsigned long long)t->ne[0], c->job.quant,
				    t->type->name);
	}
	return 0;
}

/* ---- the files */

/* All of it now: a full disk is found before the work, and padding is zero. The head goes in first
 * and the weights to their places behind it. */
static int begin_file(struct conversion *c, int i, struct pass_file *f, struct err *e)
{
	struct worker_output *out = &c->outs[i];
	struct buf head;
	int rc;

	buf_init(&head, GGUF_HEAD_MAX);
	rc = gguf_head(writer_of(c, i), &head, e);
	f->data_at = head.len;
	out->size_bytes = head.len + writer_of(c, i)->data_bytes;
	if (rc == 0 && (errno = posix_fallocate(f->fd, 0, (off_t)out->size_bytes)) != 0)
		rc = err_errno(e, "the output of %llu bytes", (unsigned long long)out->size_bytes);
	if (rc == 0)
		rc = file_write_at(f->fd, head.data, head.len, 0, "the output", e);
	buf_release(&head);
	return rc;
}

static const char *out_path(struct conversion *c, int i)
{
	return arena_printf(c->a, "%s/%s", c->job.out, c->outs[i].path);
}

static int open_outputs(struct conversion *c, struct pass_file *files, struct err *e)
{
	for (int i = 0; i < c->n_files; i++) {
		c->outs[i].path = shard_name(c->a, c->job.file, i, c->n_files);
		files[i].fd = open(out_path(c, i),
				   O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (files[i].fd < 0)
			return err_errno(e, "%s", out_path(c, i));
		if (begin_file(c, i, &files[i], e) < 0)
			return e->code;
	}
	return 0;
}

/* On the disk before result.json, which says that everything is there: a power cut may not make it
 * lie. Of a failure nothing is left. */
static int close_outputs(struct conversion *c, struct pass_file *files, int rc, struct err *e)
{
	for (int i = 0; i < c->n_files; i++) {
		if (files[i].fd < 0)
			continue;
		if (rc == 0 && fsync(files[i].fd) != 0)
			rc = err_errno(e, "%s", out_path(c, i));
		if (close(files[i].fd) != 0 && rc == 0)
			rc = err_errno(e, "%s", out_path(c, i));
	}
	for (int i = 0; rc < 0 && i < c->n_files; i++) {
		if (files[i].fd >= 0)
			(void)unlink(out_path(c, i));
	}
	return rc;
}

static int write_files(struct conversion *c, struct err *e)
{
	struct pass_file *files = arena_array(c->a, (size_t)c->n_files, sizeof(*files));
	struct pass p = {
		.model = &c->model, .layout = &c->layout, .files = files, .threads = c->job.threads
	};
	int rc;

	c->outs = arena_array(c->a, (size_t)c->n_files, sizeof(*c->outs));
	for (int i = 0; i < c->n_files; i++)
		files[i].fd = -1;
	p.zero_nonfinite = c->zero_nonfinite;
	p.opt = c->job.opt;
	p.quality = c->quality;
	rc = open_outputs(c, files, e);
	if (rc == 0)
		rc = pass_run(&p, e);
	c->n_zeroed = p.n_zeroed;
	return close_outputs(c, files, rc, e);
}

static void write_type_counts(struct conversion *c, struct json_out *w)
{
	jw_key(w, "tensor_types");
	jw_object(w);
	for (uint32_t id = 0; id <= TYPE_ID_MAX; id++) {
		const struct type *t = type_by_id(id);
		int64_t n = 0;

		for (size_t i = 0; t && i < c->layout.n; i++)
			n += c->layout.v[i].type == t;
		if (n)
			jw_kint(w, t->name, n);
	}
	jw_end_object(w);
}

/* Four digits: more say nothing. */
static double short_number(double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4g", v);
	return strtod(text, NULL);
}

static void write_measures(const struct quality *q, struct json_out *w)
{
	jw_num(w, short_number(quality_rmse(q)));
	jw_num(w, short_number(quality_relative(q)));
	if (q->error > 0)
		jw_num(w, short_number(quality_snr(q)));
	else
		jw_null(w);
	jw_num(w, short_number(q->worst));
	jw_num(w, short_number(quality_saturated(q)));
}

/* One row for the whole and one for each matrix; columns are named once. */
static void write_quality(struct conversion *c, struct json_out *w)
{
	static const char *const columns[] = { "rmse", "relative", "snr_db", "max_error",
					       "saturated" };
	struct quality all = { 0 };

	jw_key(w, "quality");
	jw_object(w);
	jw_key(w, "columns");
	jw_array(w);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		jw_strn(w, columns[i], strlen(columns[i]));
	jw_end_array(w);
	jw_key(w, "tensors");
	jw_object(w);
	for (size_t i = 0; i < c->layout.n; i++) {
		const struct out_tensor *t = &c->layout.v[i];

		if (!c->quality[i].n)
			continue;
		quality_join(&all, &c->quality[i]);
		jw_key(w, t->name);
		jw_array(w);
		jw_strn(w, t->type->name, strlen(t->type->name));
		write_measures(&c->quality[i], w);
		jw_end_array(w);
	}
	jw_end_object(w);
	jw_key(w, "all");
	jw_array(w);
	write_measures(&all, w);
	jw_end_array(w);
	jw_end_object(w);
}

static void write_promoted(struct conversion *c, struct json_out *w)
{
	jw_key(w, "promoted");
	jw_array(w);
	for (size_t i = 0; i < c->layout.n; i++) {
		if (c->layout.v[i].promoted)
			jw_strn(w, c->layout.v[i].name, strlen(c->layout.v[i].name));
	}
	jw_end_array(w);
}

static void write_numbers(struct conversion *c, struct json_out *w)
{
	const struct gguf_input *in = c->input;
	uint64_t context = in ? in->context : c->h.context;
	uint64_t vocabulary = in ? in->vocabulary : c->h.vocab; /* with the padding of the file */
	const char *pre = in ? in->pre : c->tokenizer.pre;

	if (context)
		jw_kint(w, "context_length", (int64_t)context);
	if (pre)
		jw_kstr(w, "pre_tokenizer", pre);
	if (vocabulary)
		jw_kint(w, "vocabulary", (int64_t)vocabulary);
}

static const char *facts_text(struct conversion *c)
{
	int64_t fallbacks = 0;
	uint64_t elements = 0;
	struct json_out w;
	const char *text;
	struct buf b;

	for (size_t i = 0; i < c->layout.n; i++) {
		fallbacks += c->layout.v[i].fallback;
		elements += c->layout.v[i].n; /* as validation counts them, derived ones too */
	}
	buf_init(&b, 1u << 20);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "architecture", c->architecture);
	jw_kstr(&w, "quant", c->job.quant);
	jw_knum(&w, "hybrid", c->job.hybrid);
	jw_kint(&w, "opt", c->job.opt);
	jw_kint(&w, "tensors", (int64_t)c->layout.n);
	write_type_counts(c, &w);
	jw_kint(&w, "fallback_tensors", fallbacks);
	if (c->job.hybrid > 0)
		write_promoted(c, &w);
	write_quality(c, &w);
	jw_kint(&w, "parameters", (int64_t)elements);
	write_numbers(c, &w);
	jw_key(&w, "tools");
	jw_object(&w);
	jw_kstr(&w, "quern-gguf", QUERN_VERSION);
	jw_end_object(&w);
	if (c->n_zeroed)
		jw_kint(&w, "nonfinite_weights_zeroed", (int64_t)c->n_zeroed);
	jw_end_object(&w);
	text = arena_strdup(c->a, buf_str(&b));
	buf_release(&b);
	return text;
}

static int convert(struct conversion *c, struct err *e)
{
	if (check_job(c, e) < 0 || read_model(c, e) < 0 || write_metadata(c, e) < 0 ||
	    write_files(c, e) < 0)
		return e->code;
	if (c->n_zeroed)
		worker_warn("%llu weights were no finite numbers and became 0",
			    (unsigned long long)c->n_zeroed);
	return worker_result_ok(&c->job, c->outs, (size_t)c->n_files, facts_text(c), e);
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
		gguf_release(writer_of(&c, i));
	arena_free(c.a);
	return code;
}

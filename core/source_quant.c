#include "core/source_quant.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"

#define WORD_MAX 64	    /* bytes of a method, a format */
#define IGNORE_MAX 100000   /* entries; large mixtures of experts list every router */
#define GROUP_MAX (1 << 20) /* weights of a group */
#define GROUPS_MAX 256	    /* config_groups; real ones have one to four */
#define BLOCK_MAX (1 << 20)
#define FILE_MAX (1u << 20) /* of a file beside config.json; real ones have some hundred bytes */

struct reading {
	struct arena *a;
	const struct json *q; /* quantization_config */
	const char *where;    /* it stands, for errors */
	struct source_quant *out;
	struct err *e;
};

/* ---- members */

static int is_word(const struct json *v)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._+-:";

	return v->type == JSON_STRING && v->len > 0 && v->len <= WORD_MAX &&
	       strspn(v->str, allowed) == v->len;
}

static int bad(struct reading *r, const char *name, const char *want)
{
	return err_set(r->e, ERR_INVALID, "%s has %s that is %s", r->where, name, want);
}

/* A word, or the default when the member is absent or null. */
static int word(struct reading *r, const struct json *of, const char *name, const char *dflt,
		const char **out)
{
	const struct json *v = json_get(of, name);

	*out = dflt;
	if (!v || v->type == JSON_NULL)
		return 0;
	if (!is_word(v))
		return bad(r, name, "no plain word");
	*out = arena_strdup(r->a, v->str);
	return 0;
}

static int whole(struct reading *r, const struct json *of, const char *name, int64_t min,
		 int64_t max, int64_t *out)
{
	const struct json *v = json_get(of, name);

	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_NUMBER || !v->is_integer || v->integer < min || v->integer > max)
		return bad(r, name,
			   arena_printf(r->a, "no whole number from %" PRId64 " to %" PRId64, min,
					max));
	*out = v->integer;
	return 0;
}

static int bits_of(struct reading *r, const struct json *of, const char *name)
{
	int64_t n = r->out->bits;

	if (whole(r, of, name, 1, 32, &n) < 0)
		return r->e->code;
	r->out->bits = (int)n;
	return 0;
}

static int group_of(struct reading *r, const struct json *of)
{
	return whole(r, of, "group_size", -1, GROUP_MAX, &r->out->group_size);
}

static int flag(struct reading *r, const struct json *of, const char *name, int *out)
{
	const struct json *v = json_get(of, name);

	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_BOOL)
		return bad(r, name, "neither true nor false");
	*out = v->boolean;
	return 0;
}

static int names(struct reading *r, const char *name)
{
	const struct json *v = json_get(r->q, name);
	const char **list;

	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_ARRAY || v->count > IGNORE_MAX)
		return bad(r, name, "no list of modules");
	list = arena_array(r->a, v->count + 1, sizeof(*list));
	for (size_t i = 0; i < v->count; i++) {
		const struct json *one = v->members[i].value;

		if (one->type != JSON_STRING || strlen(one->str) != one->len)
			return bad(r, name, "no list of modules");
		list[i] = arena_strdup(r->a, one->str);
	}
	r->out->ignore = list;
	r->out->n_ignore = v->count;
	return 0;
}

static const char *with_bits(struct reading *r, const char *method)
{
	return r->out->bits ? arena_printf(r->a, "%s-%dbit", method, r->out->bits) : method;
}

/* ---- methods */

/* Source: GPTQModel, quantization/config.py: FORMAT. */
static int read_gptq(struct reading *r)
{
	struct source_quant *o = r->out;
	const char *format;

	if (bits_of(r, r->q, "bits") < 0 || group_of(r, r->q) < 0 ||
	    flag(r, r->q, "sym", &o->symmetric) < 0 ||
	    flag(r, r->q, "desc_act", &o->desc_act) < 0 ||
	    word(r, r->q, "checkpoint_format", "gptq", &format) < 0)
		return r->e->code;
	if (!o->bits)
		return bad(r, "bits", "missing");
	o->zero_is_stored = strcmp(format, "gptq_v2") == 0;
	if (strcmp(format, "gptq") == 0 || o->zero_is_stored)
		o->form = with_bits(r, "gptq");
	else
		o->form = arena_printf(r->a, "gptq-%s", format);
	return 0;
}

/* Source: AutoAWQ, awq/models/_config.py; w_bit and q_group_size are its older names. */
static int read_awq(struct reading *r)
{
	struct source_quant *o = r->out;
	const char *version;
	int zero_point = 1;

	if (bits_of(r, r->q, "w_bit") < 0 || bits_of(r, r->q, "bits") < 0 ||
	    whole(r, r->q, "q_group_size", -1, GROUP_MAX, &o->group_size) < 0 ||
	    group_of(r, r->q) < 0 || flag(r, r->q, "zero_point", &zero_point) < 0 ||
	    names(r, "modules_to_not_convert") < 0 ||
	    word(r, r->q, "version", "gemm", &version) < 0)
		return r->e->code;
	if (!o->bits)
		return bad(r, "bits", "missing");
	o->symmetric = !zero_point;
	if (strcmp(version, "gemm") == 0 || strcmp(version, "GEMM") == 0)
		o->form = with_bits(r, "awq");
	else
		o->form = arena_printf(r->a, "awq-%s", version);
	return 0;
}

static int blocks(struct reading *r, const struct json *of, const char *name)
{
	const struct json *size = json_get(of, name);
	struct source_quant *o = r->out;

	if (!size || size->type == JSON_NULL)
		return 0;
	if (size->type != JSON_ARRAY || size->count != 2)
		return bad(r, name, "not two numbers");
	for (size_t i = 0; i < 2; i++) {
		const struct json *v = size->members[i].value;

		if (v->type != JSON_NUMBER || !v->is_integer || v->integer < 1 ||
		    v->integer > BLOCK_MAX)
			return bad(r, name, "not two numbers above 0");
		*(i ? &o->block_cols : &o->block_rows) = (uint64_t)v->integer;
	}
	return 0;
}

static int read_fp8(struct reading *r)
{
	struct source_quant *o = r->out;

	o->bits = 8;
	o->form = "fp8";
	if (names(r, "modules_to_not_convert") < 0 ||
	    (!o->n_ignore && names(r, "ignored_layers") < 0))
		return r->e->code;
	return blocks(r, r->q, "weight_block_size");
}

static int read_bitsandbytes(struct reading *r)
{
	int four = 0, eight = 0;

	if (flag(r, r->q, "load_in_4bit", &four) < 0 || flag(r, r->q, "load_in_8bit", &eight) < 0)
		return r->e->code;
	r->out->bits = four ? 4 : eight ? 8 : 0;
	r->out->form = with_bits(r, "bitsandbytes");
	return 0;
}

/* The weights of one config_group. Where groups differ, there is no one number for all. */
static int read_group(struct reading *r, const struct json *group, int first)
{
	const struct json *w = json_get(group, "weights");
	struct source_quant one = { .symmetric = 1, .group_size = 0 }, *all = r->out;
	struct reading inner = *r;
	const char *strategy;

	if (!w || w->type != JSON_OBJECT)
		return bad(r, "config_groups", "without the weights' arguments");
	inner.out = &one;
	if (bits_of(&inner, w, "num_bits") < 0 || group_of(&inner, w) < 0 ||
	    flag(&inner, w, "symmetric", &one.symmetric) < 0 ||
	    word(&inner, w, "strategy", "tensor", &strategy) < 0)
		return r->e->code;
	if (strcmp(strategy, "channel") == 0)
		one.group_size = -1;
	if (strcmp(strategy, "block") == 0 && blocks(r, w, "block_structure") < 0)
		return r->e->code;
	all->bits = first || all->bits == one.bits ? one.bits : 0;
	all->group_size = first || all->group_size == one.group_size ? one.group_size : 0;
	all->symmetric = first || all->symmetric == one.symmetric ? one.symmetric : -1;
	return 0;
}

/* What is not weights alone: sparse ones, and rotations that have to be undone at run time. */
static const char *ct_variant(struct reading *r)
{
	const struct json *sparse = json_get(r->q, "sparsity_config");
	const struct json *transform = json_get(r->q, "transform_config");
	const char *format = json_str(sparse, "format", "dense");

	if (strcmp(format, "dense") != 0)
		return "sparse";
	return json_get(transform, "config_groups") ? "transformed" : NULL;
}

/* Source: compressed-tensors, quantization/quant_config.py and quant_args.py. */
static int read_compressed(struct reading *r)
{
	const struct json *groups = json_get(r->q, "config_groups");
	const char *format, *status, *variant = ct_variant(r);

	if (word(r, r->q, "format", "unknown", &format) < 0 ||
	    word(r, r->q, "quantization_status", "compressed", &status) < 0 ||
	    names(r, "ignore") < 0)
		return r->e->code;
	if (groups && (groups->type != JSON_OBJECT || groups->count > GROUPS_MAX))
		return bad(r, "config_groups", "no object of groups");
	for (size_t i = 0; groups && i < groups->count; i++) {
		if (read_group(r, groups->members[i].value, i == 0) < 0)
			return r->e->code;
	}
	/* "initialized", "frozen": floats with scales beside them, not codes. */
	if (!variant && strcmp(status, "compressed") != 0)
		variant = status;
	r->out->form = arena_printf(r->a, "compressed-tensors-%s", variant ? variant : format);
	if (!variant && strcmp(format, "pack-quantized") == 0)
		r->out->form = with_bits(r, r->out->form);
	return 0;
}

static int read_mlx(struct reading *r)
{
	if (bits_of(r, r->q, "bits") < 0 || group_of(r, r->q) < 0)
		return r->e->code;
	r->out->form = with_bits(r, "mlx");
	return 0;
}

static int read_other(struct reading *r)
{
	if (bits_of(r, r->q, "bits") < 0 || group_of(r, r->q) < 0)
		return r->e->code;
	r->out->form = r->out->method_name;
	return 0;
}

static int read_mxfp4(struct reading *r)
{
	r->out->bits = 4;
	r->out->group_size = 32;
	r->out->form = "mxfp4";
	return names(r, "modules_to_not_convert");
}

static const struct {
	const char *name, *shown;
	enum quant_method method;
	int (*read)(struct reading *r);
} methods[] = {
	{ "fp8", "FP8", QUANT_FP8, read_fp8 },
	{ "gptq", "GPTQ", QUANT_GPTQ, read_gptq },
	{ "awq", "AWQ", QUANT_AWQ, read_awq },
	{ "compressed-tensors", "compressed-tensors", QUANT_COMPRESSED_TENSORS, read_compressed },
	{ "bitsandbytes", "bitsandbytes", QUANT_BITSANDBYTES, read_bitsandbytes },
	{ "mxfp4", "MXFP4", QUANT_MXFP4, read_mxfp4 },
	{ "mlx", "MLX", QUANT_MLX, read_mlx },
};

static int read_method(struct reading *r)
{
	struct source_quant *o = r->out;

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(o->method_name, methods[i].name) == 0) {
			o->method = methods[i].method;
			return methods[i].read(r);
		}
	}
	o->method = QUANT_OTHER;
	return read_other(r);
}

/* r->q, an object; usual: the method where none is named, or NULL. *out only when all is well. */
static int read_all(struct reading *r, const char *usual, struct source_quant *out)
{
	int rc = word(r, r->q, "quant_method", usual, &r->out->method_name);

	if (rc == 0 && !r->out->method_name)
		rc = bad(r, "quant_method", "missing");
	if (rc == 0)
		rc = read_method(r);
	if (rc == 0)
		*out = *r->out;
	return rc;
}

int source_quant_read(struct arena *a, const struct json *config, struct source_quant *out,
		      struct err *e)
{
	struct source_quant found = { .symmetric = -1 };
	struct reading r = {
		.a = a, .out = &found, .where = "config.json: quantization_config", .e = e
	};

	r.q = json_get(config, "quantization_config");
	if (!r.q || r.q->type == JSON_NULL)
		r.q = json_get(json_get(config, "text_config"), "quantization_config");
	if (!r.q || r.q->type == JSON_NULL) {
		*out = found;
		return 0;
	}
	if (r.q->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "config.json: quantization_config is no object");
	/* mlx-lm alone names no method. */
	return read_all(&r, json_get(config, "quantization") ? "mlx" : NULL, out);
}

/* 1: it was there. */
static int read_file(struct arena *a, const char *dir, const char *name, const char *usual,
		     struct source_quant *out, struct err *e)
{
	struct source_quant found = { .symmetric = -1 };
	struct reading r = { .a = a, .out = &found, .where = name, .e = e };
	char *path = path_join(dir, name);
	struct json *root;
	struct buf text;
	int rc;

	buf_init(&text, FILE_MAX);
	rc = path_read(path, FILE_MAX, &text, e);
	if (rc == ERR_NOTFOUND) {
		rc = 0;
	} else if (rc >= 0) {
		rc = json_parse(a, buf_str(&text), text.len, &root, e);
		if (rc >= 0 && root->type != JSON_OBJECT)
			rc = err_set(e, ERR_INVALID, "it is no object");
		if (rc < 0)
			(void)err_wrap(e, "%s", name);
		r.q = root;
		if (rc >= 0)
			rc = read_all(&r, usual, out);
		rc = rc < 0 ? rc : 1;
	}
	buf_release(&text);
	free(path);
	return rc;
}

int source_quant_read_beside(struct arena *a, const char *dir, struct source_quant *out,
			     struct err *e)
{
	int rc = 0;

	if (out->method == QUANT_NONE)
		rc = read_file(a, dir, SOURCE_GPTQ_CONFIG, "gptq", out, e);
	if (rc == 0 && out->method == QUANT_NONE)
		rc = read_file(a, dir, SOURCE_AWQ_CONFIG, "awq", out, e);
	return rc < 0 ? rc : 0;
}

const char *source_quant_text(struct arena *a, const struct source_quant *q)
{
	const char *text = q->method_name ? q->method_name : "";

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (q->method == methods[i].method)
			text = methods[i].shown;
	}
	if (q->bits)
		text = arena_printf(a, "%s, %d bits", text, q->bits);
	if (q->group_size > 0)
		text = arena_printf(a, "%s, groups of %" PRId64, text, q->group_size);
	if (q->block_rows)
		text = arena_printf(a, "%s, blocks of %" PRIu64 " x %" PRIu64, text, q->block_rows,
				    q->block_cols);
	return text;
}

/* ---- tensors */

static int ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

static int ends_in(const char *s, const char *const *ends, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ends_with(s, ends[i]))
			return 1;
	}
	return 0;
}

/* Words of 32 bits hold several codes along one dimension. */
static uint64_t unpacked(const struct source_quant *q, uint64_t words)
{
	return q->bits && words <= UINT64_MAX / 32 ? words * 32 / (uint64_t)q->bits : words;
}

enum quant_part source_quant_part(const struct source_quant *q, const struct st_tensor *t,
				  uint64_t *rows, uint64_t *cols)
{
	static const char *const helpers[] = {
		".qzeros",	     ".scales",		  ".g_idx",
		".weight_scale",     ".weight_scale_inv", ".weight_zero_point",
		".weight_shape",     ".weight_g_idx",	  ".input_scale",
		".activation_scale", ".biases",		  ".weight_global_scale",
		".absmax",	     ".quant_map",
	};

	if (q->method == QUANT_NONE)
		return PART_PLAIN;
	if (ends_in(t->name, helpers, ARRAY_LEN(helpers)))
		return PART_HELPER;
	if (t->n_dims != 2 || (t->dtype != ST_I32 && t->dtype != ST_U32))
		return PART_PLAIN;
	if (ends_with(t->name, ".qweight")) {
		int awq = q->method == QUANT_AWQ;

		*rows = awq ? unpacked(q, t->shape[1]) : t->shape[1];
		*cols = awq ? t->shape[0] : unpacked(q, t->shape[0]);
		return PART_CODES;
	}
	if (ends_with(t->name, ".weight_packed") ||
	    (q->method == QUANT_MLX && ends_with(t->name, ".weight"))) {
		*rows = t->shape[0];
		*cols = unpacked(q, t->shape[1]);
		return PART_CODES;
	}
	return PART_PLAIN;
}

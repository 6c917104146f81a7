#include "workers/fake/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "workers/fake/tokenizer.h"

#define SHARD_DEFAULT 5000000000u /* bytes; what the transformers library writes */

/* Shapes as in the published config.json of each model, under its name on the Hub; the tiny ones
 * are our own. */
/* clang-format off */
#define SHAPE(n, f, l, h, ff, hd, kv, dim, v, c, t, theta, factor, ...)                            \
	{ .preset = (n), .family = &fake_families[FAMILY_##f], .layers = (l), .hidden = (h), .ffn = (ff), \
	  .heads = (hd), .kv_heads = (kv), .head_dim = (dim), .vocab = (v), .ctx = (c), .tie = (t),       \
	  .dtype = FAKE_BF16, .fill = FAKE_ZERO, .seed = 0, .shard_bytes = SHARD_DEFAULT,                 \
	  .rope_theta = (theta), .rope_factor = (factor), .more = { __VA_ARGS__ } }

static const struct fake_spec presets[] = {
	/*    name              family   layers hidden   ffn heads kv  dim   vocab     ctx tie    theta factor more */
	SHAPE("llama-tiny",         LLAMA,        2,  128,   256,   4,   2,  32,    512,   2048, 0,  10000.0,  0, 0),
	SHAPE("qwen2-tiny",         QWEN2,        2,  128,   256,   4,   2,  32,   1024,   2048, 1,      1e6,  0, 0),
	SHAPE("qwen2-0.5b",         QWEN2,       24,  896,  4864,  14,   2,  64, 151936, 131072, 1,      1e6,  0, 0),
	SHAPE("qwen2-1.5b",         QWEN2,       28, 1536,  8960,  12,   2, 128, 151936, 131072, 1,      1e6,  0, 0),
	SHAPE("qwen2-7b",           QWEN2,       28, 3584, 18944,  28,   4, 128, 152064, 131072, 0,      1e6,  0, 0),
	SHAPE("tinyllama-1.1b",     LLAMA,       22, 2048,  5632,  32,   4,  64,  32000,   2048, 0,  10000.0,  0, 0),
	SHAPE("llama-1b",           LLAMA,       16, 2048,  8192,  32,   8,  64, 128256, 131072, 1, 500000.0, 32, 0),
	SHAPE("llama-3b",           LLAMA,       28, 3072,  8192,  24,   8, 128, 128256, 131072, 1, 500000.0, 32, 0),
	SHAPE("llama-8b",           LLAMA,       32, 4096, 14336,  32,   8, 128, 128256, 131072, 0, 500000.0,  8, 0),
	SHAPE("mistral-tiny",       MISTRAL,      2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0, 0),
	SHAPE("mistral-7b",         MISTRAL,     32, 4096, 14336,  32,   8, 128,  32000,  32768, 0,      1e4,  0, 0),
	SHAPE("mixtral-tiny",       MIXTRAL,      2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0,
	      .experts = 4, .experts_used = 2),
	SHAPE("mixtral-8x7b",       MIXTRAL,     32, 4096, 14336,  32,   8, 128,  32000,  32768, 0,      1e6,  0,
	      .experts = 8, .experts_used = 2),
	SHAPE("internlm3-tiny",     INTERNLM3,    2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0, 0),
	SHAPE("internlm3-8b",       INTERNLM3,   48, 4096, 10240,  32,   2, 128, 128512,  32768, 0,      5e7,  0, 0),
	SHAPE("telechat2-tiny",     TELECHAT,     2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0, 0),
	SHAPE("telechat2-7b",       TELECHAT,    30, 4096, 12288,  32,  32, 128, 131072,   8192, 0,      1e4,  0, 0),
	SHAPE("smollm3-tiny",       SMOLLM3,      5,  128,   256,   4,   2,  32,    512,   2048, 1,      1e4,  0, 0),
	SHAPE("smollm3-3b",         SMOLLM3,     36, 2048, 11008,  16,   4, 128, 128256,  65536, 1,      5e6,  0, 0),
	SHAPE("granite-tiny",       GRANITE,      2,  128,   256,   4,   2,  32,    512,   2048, 1,      1e4,  0, 0),
	SHAPE("granite-2b",         GRANITE,     40, 2048,  8192,  32,   8,  64,  49155, 131072, 1,      5e6,  0, 0),
	SHAPE("minicpm-tiny",       MINICPM,      2,  128,   256,   4,   2,  32,    512,   2048, 1,      1e4,  0, 0),
	SHAPE("minicpm-2b",         MINICPM,     40, 2304,  5760,  36,  36,  64, 122753,   4096, 1,      1e4,  0, 0),
	SHAPE("internlm2-tiny",     INTERNLM2,    2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0, 0),
	SHAPE("internlm2-1.8b",     INTERNLM2,   24, 2048,  8192,  16,   8, 128,  92544,  32768, 0,      1e6,  0, 0),
	SHAPE("qwen3-tiny",         QWEN3,        2,  128,   256,   4,   2,  64,   1024,   2048, 1,      1e4,  0, 0),
	SHAPE("qwen3-0.6b",         QWEN3,       28, 1024,  3072,  16,   8, 128, 151936,  40960, 1,      1e6,  0, 0),
	SHAPE("qwen2-moe-tiny",     QWEN2_MOE,    2,  128,   256,   4,   2,  32,   1024,   2048, 0,      1e4,  0,
	      .experts = 8, .experts_used = 2, .expert_ffn = 64, .shared_ffn = 96),
	SHAPE("qwen1.5-moe-a2.7b",  QWEN2_MOE,   24, 2048,  5632,  16,  16, 128, 151936,   8192, 0,      1e6,  0,
	      .experts = 60, .experts_used = 4, .expert_ffn = 1408, .shared_ffn = 5632),
	SHAPE("qwen3-moe-tiny",     QWEN3_MOE,    2,  128,   256,   4,   2,  32,   1024,   2048, 0,      1e4,  0,
	      .experts = 8, .experts_used = 2, .expert_ffn = 64),
	SHAPE("qwen3-30b-a3b",      QWEN3_MOE,   48, 2048,  6144,  32,   4, 128, 151936,  40960, 0,      1e6,  0,
	      .experts = 128, .experts_used = 8, .expert_ffn = 768),
	SHAPE("gemma-tiny",         GEMMA,        2,  128,   256,   4,   2,  32,    512,   2048, 1,      1e4,  0, 0),
	SHAPE("gemma-2b",           GEMMA,       18, 2048, 16384,   8,   1, 256, 256000,   8192, 1,      1e4,  0, 0),
	SHAPE("gemma2-tiny",        GEMMA2,       2,  128,   256,   4,   2,  32,    512,   2048, 1,      1e4,  0, .window = 8),
	SHAPE("gemma2-2b",          GEMMA2,      26, 2304,  9216,   8,   4, 256, 256000,   8192, 1,      1e4,  0,
	      .window = 4096),
	SHAPE("gemma3-tiny",        GEMMA3_TEXT,  7,  128,   256,   4,   2,  32,    512,   2048, 1,      1e6,  0, .window = 8),
	SHAPE("gemma3-1b",          GEMMA3_TEXT, 26, 1152,  6912,   4,   1, 256, 262144,  32768, 1,      1e6,  0,
	      .window = 512),
	SHAPE("gemma3-vision-tiny", GEMMA3,       7,  128,   256,   4,   2,  32,    512,   2048, 1,      1e6,  0, .window = 8),
	SHAPE("phi2-tiny",          PHI,          2,  128,   256,   4,   4,  32,    512,   2048, 0,      1e4,  0,
	      .partial = 0.5),
	SHAPE("phi-2",              PHI,         32, 2560, 10240,  32,  32,  80,  51200,   2048, 0,      1e4,  0,
	      .partial = 0.4),
	SHAPE("phi3-tiny",          PHI3,         2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0, .window = 64),
	SHAPE("phi3-mini",          PHI3,        32, 3072,  8192,  32,  32,  96,  32064,   4096, 0,      1e4,  0,
	      .window = 2047),
	SHAPE("minicpm3-tiny",      MINICPM3,     2,  128,   256,   4,   4,  48,    512,   2048, 1,      1e4,  0,
	      .q_rank = 48, .kv_rank = 32, .nope = 32, .rope = 16, .value = 24),
	SHAPE("minicpm3-4b",        MINICPM3,    62, 2560,  6400,  40,  40,  96,  73448,  32768, 1,      1e4,  0,
	      .q_rank = 768, .kv_rank = 256, .nope = 64, .rope = 32, .value = 64),
	SHAPE("deepseek2-tiny",     DEEPSEEK_V2,  3,  128,   256,   4,   4,  48,    512,   2048, 0,      1e4,  0,
	      .q_rank = 48, .kv_rank = 32, .nope = 32, .rope = 16, .value = 24, .experts = 8, .experts_used = 2,
	      .expert_ffn = 64, .shared_experts = 2, .shared_ffn = 128, .dense_layers = 1, .groups = 1, .groups_used = 1),
	/* llama.cpp knows by its 27 layers that queries are not latent. */
	SHAPE("deepseek2-lite-tiny", DEEPSEEK_V2, 27,  64,    64,   2,   2,  48,    512,   2048, 0,      1e4,  0,
	      .kv_rank = 32, .nope = 32, .rope = 16, .value = 24, .experts = 4, .experts_used = 2, .expert_ffn = 32,
	      .shared_experts = 2, .shared_ffn = 64, .dense_layers = 1, .groups = 1, .groups_used = 1),
	SHAPE("deepseek-v2-lite",   DEEPSEEK_V2, 27, 2048, 10944,  16,  16, 192, 102400, 163840, 0,      1e4,  0,
	      .kv_rank = 512, .nope = 128, .rope = 64, .value = 128, .experts = 64, .experts_used = 6, .expert_ffn = 1408, .shared_experts = 2, .shared_ffn = 2816, .dense_layers = 1, .groups = 1, .groups_used = 1),
	SHAPE("deepseek3-tiny",     DEEPSEEK_V3,  3,  128,   256,   4,   4,  48,    512,   2048, 0,      1e4,  0,
	      .q_rank = 48, .kv_rank = 32, .nope = 32, .rope = 16, .value = 24, .experts = 8, .experts_used = 2, .expert_ffn = 64, .shared_experts = 1, .shared_ffn = 64, .dense_layers = 1, .groups = 4, .groups_used = 2),
	SHAPE("deepseek-v3",        DEEPSEEK_V3, 61, 7168, 18432, 128, 128, 192, 129280, 163840, 0,      1e4,  0,
	      .q_rank = 1536, .kv_rank = 512, .nope = 128, .rope = 64, .value = 128, .experts = 256, .experts_used = 8, .expert_ffn = 2048, .shared_experts = 1, .shared_ffn = 2048, .dense_layers = 3, .groups = 8, .groups_used = 4),
	SHAPE("chatglm-tiny",       CHATGLM,      2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0, 0),
	SHAPE("chatglm3-6b",        CHATGLM,     28, 4096, 13696,  32,   2, 128,  65024,   8192, 0,      1e4,  0, 0),
	SHAPE("glm-4-9b",           CHATGLM,     40, 4096, 13696,  32,   2, 128, 151552, 131072, 0,      1e4,  0, 0),
	SHAPE("stablelm-tiny",      STABLELM,     2,  128,   256,   4,   2,  32,   1024,   2048, 0,      1e4,  0,
	      .partial = 0.25),
	SHAPE("stablelm2-1.6b",     STABLELM,    24, 2048,  5632,  32,  32,  64, 100352,   4096, 0,      1e4,  0,
	      .partial = 0.25),
	SHAPE("gpt2-tiny",          GPT2,         2,  128,   512,   4,   4,  32,    512,   2048, 1,      1e4,  0, 0),
	SHAPE("gpt2-124m",          GPT2,        12,  768,  3072,  12,  12,  64,  50257,   1024, 1,      0.0,  0, 0),
	SHAPE("falcon-tiny",        FALCON,       2,  128,   512,   4,   1,  32,    512,   2048, 1,      1e4,  0, 0),
	SHAPE("falcon-grouped-tiny", FALCON,       2,  128,   512,   4,   2,  32,    512,   2048, 1,      1e4,  0, 0),
	SHAPE("falcon-7b",          FALCON,      32, 4544, 18176,  71,   1,  64,  65024,   2048, 1,      1e4,  0, 0),
	SHAPE("olmo2-tiny",         OLMO2,        2,  128,   256,   4,   2,  32,    512,   2048, 0,      1e4,  0, 0),
	SHAPE("olmo2-1b",           OLMO2,       16, 2048,  8192,  16,  16, 128, 100352,   4096, 0, 500000.0,  0, 0),
};

static const struct { const char *name; size_t bytes; } dtypes[] = {
	[FAKE_BF16] = { "BF16", 2 }, [FAKE_F16] = { "F16", 2 }, [FAKE_F32] = { "F32", 4 },
};
/* clang-format on */

const struct fake_spec *fake_preset(size_t i)
{
	return i < ARRAY_LEN(presets) ? &presets[i] : NULL;
}

const char *fake_architecture(const struct fake_spec *s)
{
	return s->family->hf_class;
}

const char *fake_model_type(const struct fake_spec *s)
{
	return s->family->name;
}

const char *fake_dtype_name(enum fake_dtype t)
{
	return dtypes[t].name;
}

size_t fake_dtype_bytes(enum fake_dtype t)
{
	return dtypes[t].bytes;
}

/* ---- the text */

/* Bounds keep every product far below 2^63: 2^10 layers of 3 * 2^18 * 2^16 weights of 4 bytes. */
struct number_key {
	const char *name;
	size_t at; /* in struct fake_spec */
	uint64_t min, max;
};

#define NUMBER(field, lo, hi)                                                                      \
	{                                                                                          \
		.name = #field, .at = offsetof(struct fake_spec, field), .min = (lo), .max = (hi)  \
	}
static const struct number_key number_keys[] = {
	NUMBER(layers, 1, 1024),	  NUMBER(hidden, 8, 65536),  NUMBER(ffn, 8, 262144),
	NUMBER(heads, 1, 1024),		  NUMBER(kv_heads, 1, 1024), NUMBER(head_dim, 2, 1024),
	NUMBER(vocab, 1, FAKE_VOCAB_MAX), NUMBER(ctx, 1, 1 << 24),   NUMBER(seed, 0, INT64_MAX),
};

/* Places in key_names. */
enum { KEY_HIDDEN = 1, KEY_HEADS = 3, KEY_HEAD_DIM = 5 };

static const char *const key_names[] = { "layers",   "hidden", "ffn",  "heads", "kv_heads",
					 "head_dim", "vocab",  "ctx",  "tie",	"dtype",
					 "fill",     "seed",   "shard" };

static int unknown(const char *what, const char *word, const char *const *names, size_t n,
		   struct err *e)
{
	const char *near = nearest_name(word, names, n);
	struct buf all;

	buf_init(&all, 512);
	for (size_t i = 0; i < n && !near; i++)
		buf_addf(&all, "%s%s", i ? ", " : "it is one of ", names[i]);
	err_set(e, ERR_INVALID, "unknown %s \"%.40s\"; %s%s%s", what, word,
		near ? "did you mean \"" : buf_str(&all), near ? near : "", near ? "\"?" : "");
	buf_release(&all);
	return e->code;
}

/* Digits only: no sign, no space, no overflow. */
static int parse_number(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	if (!*s || strlen(s) > 19 || strspn(s, "0123456789") != strlen(s))
		return ERR_INVALID;
	for (; *s; s++)
		v = v * 10 + (uint64_t)(*s - '0');
	*out = v;
	return 0;
}

/* One of names, by place. */
static int parse_word(const char *key, const char *value, const char *const *names, size_t n,
		      struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(value, names[i]) == 0)
			return (int)i;
	}
	return unknown(key, value, names, n, e);
}

static int set_word(struct fake_spec *s, const char *key, const char *value, struct err *e)
{
	static const char *const dtype_names[] = { "BF16", "F16", "F32" };
	static const char *const fills[] = { "zero", "random" }, *const ties[] = { "false",
										   "true" };
	int rc;

	if (strcmp(key, "dtype") == 0) {
		rc = parse_word(key, value, dtype_names, ARRAY_LEN(dtype_names), e);
		if (rc >= 0)
			s->dtype = (enum fake_dtype)rc;
	} else if (strcmp(key, "fill") == 0) {
		rc = parse_word(key, value, fills, ARRAY_LEN(fills), e);
		if (rc >= 0)
			s->fill = (enum fake_fill)rc;
	} else if (strcmp(key, "tie") == 0) {
		rc = parse_word(key, value, ties, ARRAY_LEN(ties), e);
		if (rc >= 0)
			s->tie = rc;
	} else { /* "shard", the last one */
		rc = units_parse_size(value, &s->shard_bytes);
		if (rc < 0 || s->shard_bytes == 0)
			rc = err_set(e, ERR_INVALID, "shard: \"%.40s\" is not a size like 2GB",
				     value);
	}
	return rc;
}

static int set_key(struct fake_spec *s, const char *key, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(number_keys); i++) {
		const struct number_key *k = &number_keys[i];
		uint64_t v;

		if (strcmp(key, k->name) != 0)
			continue;
		if (parse_number(value, &v) < 0 || v < k->min || v > k->max)
			return err_set(e, ERR_INVALID,
				       "%s: \"%.40s\" is not a number from %" PRIu64 " to %" PRIu64,
				       key, value, k->min, k->max);
		memcpy((char *)s + k->at, &v, sizeof(v));
		return 0;
	}
	return set_word(s, key, value, e);
}

/* What one key cannot see. */
static int check(struct fake_spec *s, struct err *e)
{
	if (s->head_dim == 0 && s->hidden % s->heads != 0)
		return err_set(e, ERR_INVALID,
			       "hidden %" PRIu64 " is no multiple of heads %" PRIu64
			       "; correct one, or give head_dim",
			       s->hidden, s->heads);
	if (s->head_dim == 0)
		s->head_dim = s->hidden / s->heads;
	if (s->head_dim < 2 || s->head_dim > 1024 || s->head_dim % 2 != 0)
		return err_set(e, ERR_INVALID,
			       "head_dim %" PRIu64 " is not an even number from 2 to 1024; rotary "
			       "positions turn pairs",
			       s->head_dim);
	if (s->heads % s->kv_heads != 0)
		return err_set(e, ERR_INVALID,
			       "heads %" PRIu64 " is no multiple of kv_heads %" PRIu64, s->heads,
			       s->kv_heads);
	if (s->vocab < fake_vocab_min(s))
		return err_set(e, ERR_INVALID,
			       "vocab %" PRIu64 " is too small: 256 bytes and the special tokens "
			       "need %" PRIu64,
			       s->vocab, fake_vocab_min(s));
	return 0;
}

/* The name of a preset, or of an architecture, whose first preset is the small one. */
static const struct fake_spec *preset_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		if (strcmp(name, presets[i].preset) == 0)
			return &presets[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		if (strcmp(name, presets[i].family->name) == 0 ||
		    strcmp(name, presets[i].family->hf_class) == 0)
			return &presets[i];
	}
	return NULL;
}

static int find_preset(const char *name, struct fake_spec *out, struct err *e)
{
	const struct fake_spec *p = preset_named(name);
	const char *names[2 * ARRAY_LEN(presets)], *near;

	if (p) {
		*out = *p;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		names[2 * i] = presets[i].preset;
		names[2 * i + 1] = presets[i].family->hf_class;
	}
	near = nearest_name(name, names, ARRAY_LEN(names));
	return err_set(e, ERR_INVALID, "unknown model \"%.40s\"; %s%s%s", name,
		       near ? "did you mean \"" : "quern fake --list has the names",
		       near ? near : "", near ? "\"?" : "");
}

/* "KEY=VALUE"; seen has a bit for each of key_names. */
static int take_pair(struct fake_spec *s, char *pair, unsigned *seen, struct err *e)
{
	char *value = strchr(pair, '=');
	int key;

	if (!value)
		return err_set(e, ERR_INVALID, "\"%.40s\" is not KEY=VALUE, as in layers=4", pair);
	*value++ = '\0';
	key = parse_word("key", pair, key_names, ARRAY_LEN(key_names), e);
	if (key < 0)
		return key;
	if (*seen & 1u << key)
		return err_set(e, ERR_INVALID, "%s is given twice", pair);
	*seen |= 1u << key;
	return set_key(s, pair, value, e);
}

int fake_spec_parse(const char *text, struct fake_spec *out, struct err *e)
{
	char copy[512], *rest = copy;
	struct fake_spec s;
	unsigned seen = 0;
	int rc;

	if (strlen(text) >= sizeof(copy))
		return err_set(e, ERR_INVALID, "a spec has fewer than %zu characters",
			       sizeof(copy));
	memcpy(copy, text, strlen(text) + 1);
	rc = find_preset(strsep(&rest, ":"), &s, e);
	while (rc >= 0 && rest)
		rc = take_pair(&s, strsep(&rest, ","), &seen, e);
	if (rc < 0)
		return rc;
	if (seen & (1u << KEY_HIDDEN | 1u << KEY_HEADS) && !(seen & 1u << KEY_HEAD_DIM))
		s.head_dim = 0; /* the preset's no longer fits: check() finds it */
	rc = check(&s, e);
	if (rc == 0)
		*out = s;
	return rc;
}

void fake_spec_write(const struct fake_spec *s, struct buf *out)
{
	buf_adds(out, s->preset);
	for (size_t i = 0; i < ARRAY_LEN(number_keys); i++) {
		uint64_t v;

		memcpy(&v, (const char *)s + number_keys[i].at, sizeof(v));
		buf_addf(out, "%c%s=%" PRIu64, i ? ',' : ':', number_keys[i].name, v);
	}
	buf_addf(out, ",tie=%s,dtype=%s,fill=%s,shard=%" PRIu64, s->tie ? "true" : "false",
		 fake_dtype_name(s->dtype), s->fill == FAKE_ZERO ? "zero" : "random",
		 s->shard_bytes);
}

#include "workers/fake/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "workers/fake/tokenizer.h"

#define SHARD_DEFAULT 5000000000u /* bytes; what the transformers library writes */

/* Shapes as in the published config.json of each model: Qwen/Qwen2-0.5B, -1.5B, -7B,
 * meta-llama/Llama-3.2-1B, -3B, Llama-3.1-8B, TinyLlama/TinyLlama-1.1B-Chat-v1.0. The two small
 * ones are our own. */
/* clang-format off */
#define SHAPE(n, f, l, h, ff, hd, kv, dim, v, c, t, theta, factor)                                 \
	{ .preset = (n), .family = (f), .layers = (l), .hidden = (h), .ffn = (ff), .heads = (hd),         \
	  .kv_heads = (kv), .head_dim = (dim), .vocab = (v), .ctx = (c), .tie = (t),                      \
	  .dtype = FAKE_BF16, .fill = FAKE_ZERO, .seed = 0, .shard_bytes = SHARD_DEFAULT,                 \
	  .rope_theta = (theta), .rope_factor = (factor) }

static const struct fake_spec presets[] = {
	/*    name              family      layers hidden   ffn heads kv  dim   vocab     ctx tie    theta factor */
	SHAPE("llama-tiny",     FAKE_LLAMA,  2,  128,   256,  4, 2,  32,    512,   2048, 0,  10000.0,  0),
	SHAPE("qwen2-tiny",     FAKE_QWEN2,  2,  128,   256,  4, 2,  32,   1024,   2048, 1,    1e6,    0),
	SHAPE("qwen2-0.5b",     FAKE_QWEN2, 24,  896,  4864, 14, 2,  64, 151936, 131072, 1,    1e6,    0),
	SHAPE("qwen2-1.5b",     FAKE_QWEN2, 28, 1536,  8960, 12, 2, 128, 151936, 131072, 1,    1e6,    0),
	SHAPE("qwen2-7b",       FAKE_QWEN2, 28, 3584, 18944, 28, 4, 128, 152064, 131072, 0,    1e6,    0),
	SHAPE("tinyllama-1.1b", FAKE_LLAMA, 22, 2048,  5632, 32, 4,  64,  32000,   2048, 0,  10000.0,  0),
	SHAPE("llama-1b",       FAKE_LLAMA, 16, 2048,  8192, 32, 8,  64, 128256, 131072, 1, 500000.0, 32),
	SHAPE("llama-3b",       FAKE_LLAMA, 28, 3072,  8192, 24, 8, 128, 128256, 131072, 1, 500000.0, 32),
	SHAPE("llama-8b",       FAKE_LLAMA, 32, 4096, 14336, 32, 8, 128, 128256, 131072, 0, 500000.0,  8),
};

static const struct { const char *name; size_t preset; } aliases[] = {
	{ "llama", 0 }, { "LlamaForCausalLM", 0 }, { "qwen2", 1 }, { "Qwen2ForCausalLM", 1 },
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
	return s->family == FAKE_LLAMA ? "LlamaForCausalLM" : "Qwen2ForCausalLM";
}

const char *fake_model_type(const struct fake_spec *s)
{
	return s->family == FAKE_LLAMA ? "llama" : "qwen2";
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

static int find_preset(const char *name, struct fake_spec *out, struct err *e)
{
	const char *names[ARRAY_LEN(presets) + ARRAY_LEN(aliases)];

	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		names[i] = presets[i].preset;
		if (strcmp(name, names[i]) == 0) {
			*out = presets[i];
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		names[ARRAY_LEN(presets) + i] = aliases[i].name;
		if (strcmp(name, aliases[i].name) == 0) {
			*out = presets[aliases[i].preset];
			return 0;
		}
	}
	return unknown("model", name, names, ARRAY_LEN(names), e);
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

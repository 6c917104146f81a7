#include "workers/fake/texts.h"

#include <string.h>

#include "core/json.h"
#include "core/source.h"
#include "workers/fake/tokenizer.h"

#define FAKE_LICENSE "apache-2.0"

/* Below this context Llama 3 needs no scaling of its positions; it is also a parameter of it. */
#define ROPE_ORIGINAL_CTX 8192

static const char *torch_dtype(const struct fake_spec *s)
{
	static const char *const names[] = {
		[FAKE_BF16] = "bfloat16", [FAKE_F16] = "float16", [FAKE_F32] = "float32"
	};

	return names[s->dtype];
}

/* The numbers other than the factor are those of every published Llama 3.1 and 3.2. */
static void add_rope(struct json_out *w, const struct fake_spec *s)
{
	jw_key(w, "rope_scaling");
	if (s->rope_factor > 0 && s->ctx > ROPE_ORIGINAL_CTX) {
		jw_object(w);
		jw_knum(w, "factor", s->rope_factor);
		jw_knum(w, "high_freq_factor", 4);
		jw_knum(w, "low_freq_factor", 1);
		jw_kint(w, "original_max_position_embeddings", ROPE_ORIGINAL_CTX);
		jw_kstr(w, "rope_type", "llama3");
		jw_end_object(w);
	} else {
		jw_null(w);
	}
	jw_knum(w, "rope_theta", s->rope_theta);
}

/* The sizes, under the names that most classes give them. */
static void add_sizes(struct json_out *w, const struct fake_spec *s,
		      const struct fake_special_ids *ids)
{
	jw_knum(w, "attention_dropout", 0);
	jw_kint(w, "bos_token_id", (int64_t)ids->bos);
	jw_kint(w, "eos_token_id", (int64_t)ids->turn_end);
	jw_kint(w, "head_dim", (int64_t)(s->more.rope ? s->more.rope : s->head_dim));
	jw_kstr(w, "hidden_act", s->family->activation);
	jw_kint(w, "hidden_size", (int64_t)s->hidden);
	jw_knum(w, "initializer_range", 0.02);
	jw_kint(w, "intermediate_size", (int64_t)s->ffn);
	jw_kint(w, "max_position_embeddings", (int64_t)s->ctx);
	if (s->family->form == CONFIG_COMMON)
		jw_kstr(w, "model_type", fake_model_type(s));
	jw_kint(w, "num_attention_heads", (int64_t)s->heads);
	jw_kint(w, "num_hidden_layers", (int64_t)s->layers);
	jw_kint(w, "num_key_value_heads", (int64_t)s->kv_heads);
	add_rope(w, s);
	s->family->config(w, s);
}

static void add_members(struct json_out *w, const struct fake_spec *s,
			const struct fake_special_ids *ids)
{
	if (s->family->form == CONFIG_COMMON) {
		add_sizes(w, s, ids);
		return;
	}
	jw_kstr(w, "model_type", fake_model_type(s));
	if (s->family->form == CONFIG_OWN) {
		jw_kint(w, "bos_token_id", (int64_t)ids->bos);
		jw_kint(w, "eos_token_id", (int64_t)ids->turn_end);
		s->family->config(w, s);
	} else {
		jw_kobject(w, "text_config");
		add_sizes(w, s, ids);
		jw_kint(w, "vocab_size", (int64_t)s->vocab);
		jw_end_object(w);
	}
}

void fake_config_json(const struct fake_spec *s, struct buf *out)
{
	struct fake_special_ids ids;
	struct json_out w;

	fake_special_ids(s, &ids);
	jw_init(&w, out, 2);
	jw_object(&w);
	jw_karray(&w, "architectures");
	jw_str(&w, fake_architecture(s));
	jw_end_array(&w);
	add_members(&w, s, &ids);
	jw_kbool(&w, "tie_word_embeddings", s->tie);
	jw_kstr(&w, "torch_dtype", torch_dtype(s));
	jw_kbool(&w, "use_cache", 1);
	if (s->family->form == CONFIG_COMMON)
		jw_kint(&w, "vocab_size", (int64_t)s->vocab);
	jw_end_object(&w);
	buf_addc(out, '\n');
}

void fake_generation_config_json(const struct fake_spec *s, struct buf *out)
{
	struct fake_special_ids ids;
	struct json_out w;

	fake_special_ids(s, &ids);
	jw_init(&w, out, 2);
	jw_object(&w);
	jw_kint(&w, "bos_token_id", (int64_t)ids.bos);
	jw_kbool(&w, "do_sample", 1);
	jw_karray(&w, "eos_token_id");
	jw_int(&w, (int64_t)ids.turn_end);
	jw_int(&w, (int64_t)ids.eos);
	jw_end_array(&w);
	jw_knum(&w, "temperature", 0.7);
	jw_knum(&w, "top_p", 0.8);
	jw_end_object(&w);
	buf_addc(out, '\n');
}

void fake_readme(const struct fake_spec *s, struct buf *out)
{
	buf_addf(out,
		 "---\nlicense: " FAKE_LICENSE "\nlibrary_name: transformers\n"
		 "pipeline_tag: text-generation\ntags:\n- fake\n- %s\n---\n\n# %s, fake\n\n"
		 "A model in the real shapes of `%s` whose weights are %s: for tests and "
		 "rehearsals,\nnot for use. Made by `quern fake` from this spec:\n\n    ",
		 fake_model_type(s), s->preset, s->preset,
		 s->fill == FAKE_ZERO ? "all zero" : "random numbers");
	fake_spec_write(s, out);
	buf_addc(out, '\n');
}

static void write_matrices(const struct fake_spec *s, struct json_out *w)
{
	struct arena *a = arena_new();
	struct source_facts facts = { 0 };
	struct matrix_list l = { 0 };

	for (size_t i = 0; i < fake_tensor_count(s); i++) {
		struct fake_tensor t;

		fake_tensor_get(s, i, &t);
		if (t.n_dims == 2)
			matrix_list_add(&l, arena_strdup(a, t.name), t.shape[0], t.shape[1], 1);
	}
	matrix_list_finish(a, &l, &facts);
	source_matrices_write(w, &facts);
	arena_free(a);
}

void fake_describe(const struct fake_spec *s, struct buf *out)
{
	struct fake_totals t;
	struct buf text;
	struct json_out w;

	fake_totals(s, &t);
	buf_init(&text, FAKE_TOKENIZER_MAX);
	fake_spec_write(s, &text);
	jw_init(&w, out, 2);
	jw_object(&w);
	jw_kstr(&w, "spec", buf_str(&text));
	jw_kint(&w, "format_version", FAKE_FORMAT_VERSION);
	jw_kstr(&w, "architecture", fake_architecture(s));
	jw_kstr(&w, "model_type", fake_model_type(s));
	jw_kstr(&w, "dtype", fake_dtype_name(s->dtype));
	jw_kstr(&w, "license", FAKE_LICENSE);
	jw_kint(&w, "params", (int64_t)t.params);
	jw_kint(&w, "matrix_params", (int64_t)t.matrix_params);
	jw_kint(&w, "vector_params", (int64_t)t.vector_params);
	jw_kint(&w, "size_bytes", (int64_t)t.size_bytes);
	jw_kint(&w, "largest_tensor_bytes", (int64_t)t.largest_tensor_bytes);
	jw_kint(&w, "n_tensors", (int64_t)fake_tensor_count(s));
	jw_kint(&w, "max_row", (int64_t)t.max_row);
	write_matrices(s, &w);
	buf_clear(&text);
	if (fake_has_sentencepiece(s))
		fake_tokenizer_model(s, &text);
	else
		fake_tokenizer_json(s, &text);
	jw_kint(&w, "tokenizer_bytes", (int64_t)text.len);
	jw_end_object(&w);
	buf_addc(out, '\n');
	buf_release(&text);
}

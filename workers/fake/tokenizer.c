#include "workers/fake/tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "workers/fake/merges.h"

/* ---- what a family's tokenizer looks like */

/* The published vocabularies end at these ids, and the special tokens follow; smaller ones end
 * earlier. (tokenizer.json of Llama-3.1-8B and Qwen2-7B) */
#define LLAMA_BASE 128000
#define LLAMA_SPECIALS 256
#define LLAMA_SPECIALS_SMALL 16
#define QWEN2_BASE 151643

static const char *const llama_named[] = { "<|begin_of_text|>",
					   "<|end_of_text|>",
					   "<|reserved_special_token_0|>",
					   "<|reserved_special_token_1|>",
					   "<|finetune_right_pad_id|>",
					   "<|reserved_special_token_2|>",
					   "<|start_header_id|>",
					   "<|end_header_id|>",
					   "<|eom_id|>",
					   "<|eot_id|>",
					   "<|python_tag|>" };

static const char *const qwen2_named[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" };

struct layout {
	uint64_t base;	   /* ordinary tokens; the first special token's id */
	uint64_t specials; /* rows beyond base + specials are padding */
};

static void lay_out(const struct fake_spec *s, struct layout *l)
{
	switch (s->family->tokenizer) {
	case TOK_LLAMA3:
		l->specials = s->vocab >= LLAMA_BASE + LLAMA_SPECIALS ? LLAMA_SPECIALS
								      : LLAMA_SPECIALS_SMALL;
		l->base = s->vocab - l->specials;
		break;
	case TOK_QWEN2:
		/* Qwen2 pads its embedding; so do we, from 1024 rows on. */
		l->specials = ARRAY_LEN(qwen2_named);
		l->base = s->vocab - l->specials - s->vocab / 1024;
		if (l->base > QWEN2_BASE)
			l->base = QWEN2_BASE;
		break;
	default:
		l->specials = 1;
		l->base = s->vocab - 1;
		break;
	}
}

uint64_t fake_vocab_min(const struct fake_spec *s)
{
	switch (s->family->tokenizer) {
	case TOK_LLAMA3:
		return 256 + LLAMA_SPECIALS_SMALL;
	case TOK_QWEN2:
		return 256 + ARRAY_LEN(qwen2_named);
	case TOK_PLAIN:
		return 256 + 1;
	default:
		return FAKE_SPM_VOCAB_MIN;
	}
}

static void special_name(const struct fake_spec *s, uint64_t i, char *out, size_t size)
{
	if (s->family->tokenizer != TOK_LLAMA3)
		snprintf(out, size, "%s", qwen2_named[i]); /* the first one is everybody's */
	else if (i < ARRAY_LEN(llama_named))
		snprintf(out, size, "%s", llama_named[i]);
	else /* three of them come earlier */
		snprintf(out, size, "<|reserved_special_token_%" PRIu64 "|>",
			 i - ARRAY_LEN(llama_named) + 3);
}

void fake_special_ids(const struct fake_spec *s, struct fake_special_ids *out)
{
	struct layout l;

	lay_out(s, &l);
	switch (s->family->tokenizer) {
	case TOK_LLAMA3:
		*out = (struct fake_special_ids){ l.base, l.base + 1, l.base + 9 };
		break;
	case TOK_QWEN2:
		*out = (struct fake_special_ids){ l.base, l.base, l.base + 2 };
		break;
	case TOK_PLAIN:
		*out = (struct fake_special_ids){ l.base, l.base, l.base };
		break;
	default:
		*out = (struct fake_special_ids){ 1, 2, 2 };
		break;
	}
}

/* ---- the vocabulary */

/* '_' in a piece is the space, which byte-level BPE shows as U+0120. */
static void show(const char *piece, char *out, size_t size)
{
	if (piece[0] == '_')
		snprintf(out, size, "\xc4\xa0%s", piece + 1);
	else
		snprintf(out, size, "%s", piece);
}

/* The character that stands for a byte: itself if it is printable Latin-1, else one from U+0100 on,
 * in the order of the bytes. (bytes_to_unicode() of GPT-2's encoder) */
static int byte_is_printable(unsigned b)
{
	return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

static void add_entry(struct buf *out, const char *token, size_t len, uint64_t id)
{
	buf_adds(out, id ? "," : "");
	buf_addc(out, '"');
	for (size_t i = 0; i < len; i++) {
		if (token[i] == '"' || token[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, token[i]);
	}
	buf_addf(out, "\":%" PRIu64, id);
}

/* GPT-2's order: the printable ones first, then the others. */
static uint64_t add_bytes(struct buf *out)
{
	uint64_t id = 0;

	for (int printable = 1; printable >= 0; printable--) {
		uint32_t shifted = 0x100;

		for (unsigned b = 0; b < 256; b++) {
			char text[4];

			if (byte_is_printable(b) != printable)
				continue;
			add_entry(out, text, (size_t)utf8_put(printable ? b : shifted++, text),
				  id++);
		}
	}
	return id;
}

static void add_vocab(const struct layout *l, const struct fake_merges *m, struct buf *out)
{
	uint64_t id = add_bytes(out);
	char left[FAKE_PIECE_MAX + 4], text[32];

	for (size_t i = 0; i < m->n; i++) {
		show(m->v[i].left, left, sizeof(left));
		add_entry(out, text,
			  (size_t)snprintf(text, sizeof(text), "%s%c", left, m->v[i].right), id++);
	}
	/* Digits and letters never share a pre-token: no text gives these. */
	for (; id < l->base; id++)
		add_entry(out, text, (size_t)snprintf(text, sizeof(text), "fake%06" PRIu64, id),
			  id);
}

static void add_merges(const struct fake_merges *m, struct buf *out)
{
	char left[FAKE_PIECE_MAX + 4];

	for (size_t i = 0; i < m->n; i++) {
		show(m->v[i].left, left, sizeof(left));
		buf_addf(out, "%s\"%s %c\"", i ? "," : "", left, m->v[i].right);
	}
}

/* ---- tokenizer.json */

#define SPLIT(digits)                                                                              \
	"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"               \
	"[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}" digits                                  \
	"| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}," \
	"\"behavior\":\"Isolated\",\"invert\":false}"

#define BYTE_LEVEL(prefix, trim, regex)                                                            \
	"{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix ",\"trim_offsets\":" trim           \
	",\"use_regex\":" regex "}"

#define SEQUENCE(id) "{\"Sequence\":{\"id\":\"" id "\",\"type_id\":0}}"
#define BOS "{\"SpecialToken\":{\"id\":\"<|begin_of_text|>\",\"type_id\":0}}"

static void add_llama_parts(const struct layout *l, struct buf *out)
{
	buf_adds(out,
		 "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":"
		 "[" SPLIT("{1,3}") "," BYTE_LEVEL("false", "true", "false") "]},");
	buf_addf(out,
		 "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[" BYTE_LEVEL(
			 "true", "false",
			 "true") ",{\"type\":\"TemplateProcessing\",\"single\":[" BOS
				 "," SEQUENCE("A") "],"
						   "\"pair\":[" BOS
						   "," SEQUENCE("A") "," BOS "," SEQUENCE(
							   "B") "],"
								"\"special_tokens\":{\"<|begin_of_"
								"text|>\":{\"id\":\"<|begin_of_"
								"text|>\",\"ids\":[%" PRIu64
								"],\"tokens\":[\"<|begin_of_text|>"
								"\"]}}}]},",
		 l->base);
	buf_adds(out,
		 "\"decoder\":" BYTE_LEVEL(
			 "true", "true",
			 "true") ","
				 "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
				 "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
				 "\"fuse_unk\":false,"
				 "\"byte_fallback\":false,\"ignore_merges\":true,\"vocab\":{");
}

static void add_qwen2_parts(struct buf *out)
{
	buf_adds(
		out,
		"\"normalizer\":{\"type\":\"NFC\"},"
		"\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(
			"") "," BYTE_LEVEL("false", "false",
					   "false") "]},"
						    "\"post_processor\":" BYTE_LEVEL(
							    "false", "false",
							    "false") ","
								     "\"decoder\":" BYTE_LEVEL(
									     "false", "false",
									     "false") ","
										      "\"model\":{"
										      "\"type\":"
										      "\"BPE\","
										      "\"dropout\":"
										      "null,\"unk_"
										      "token\":"
										      "null,"
										      "\"continuing"
										      "_subword_"
										      "prefix\":"
										      "\"\",\"end_"
										      "of_word_"
										      "suffix\":"
										      "\"\",\"fuse_"
										      "unk\":false,"
										      "\"byte_"
										      "fallback\":"
										      "false,"
										      "\"ignore_"
										      "merges\":"
										      "false,"
										      "\"vocab\":"
										      "{");
}

static void add_plain_parts(const struct fake_spec *s, struct buf *out)
{
	buf_addf(out, "\"normalizer\":%s,\"pre_tokenizer\":%s,", s->family->normalizer,
		 s->family->pre_tokenizer);
	buf_adds(out, "\"post_processor\":" BYTE_LEVEL("false", "true", "true") ",\"decoder\":");
	buf_adds(out, BYTE_LEVEL("true", "true", "true") ",\"model\":{\"type\":\"BPE\",");
	buf_adds(out, "\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
		      "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,"
		      "\"ignore_merges\":false,\"vocab\":{");
}

void fake_tokenizer_json(const struct fake_spec *s, struct buf *out)
{
	struct fake_merges *m = mem_alloc(sizeof(*m));
	struct layout l;
	char name[64];

	lay_out(s, &l);
	fake_merges_make(m, l.base - 256);
	buf_adds(out,
		 "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
	for (uint64_t i = 0; i < l.specials; i++) {
		special_name(s, i, name, sizeof(name));
		buf_addf(out,
			 "%s{\"id\":%" PRIu64 ",\"content\":\"%s\",\"single_word\":false,"
			 "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}",
			 i ? "," : "", l.base + i, name);
	}
	buf_adds(out, "],");
	if (s->family->tokenizer == TOK_LLAMA3)
		add_llama_parts(&l, out);
	else if (s->family->tokenizer == TOK_QWEN2)
		add_qwen2_parts(out);
	else
		add_plain_parts(s, out);
	add_vocab(&l, m, out);
	buf_adds(out, "},\"merges\":[");
	add_merges(m, out);
	buf_adds(out, "]}}\n");
	free(m);
}

/* ---- tokenizer_config.json */

/* The plain part of each family's template: turns, no tools. */
static const char llama_template[] =
	"{{- bos_token }}{%- for message in messages %}"
	"{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
	"message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
	"{%- if add_generation_prompt %}"
	"{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}";

static const char qwen2_template[] =
	"{%- if messages[0]['role'] != 'system' %}"
	"{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{%- endif %}"
	"{%- for message in messages %}"
	"{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
	"{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}";

static void add_special(struct json_out *w, uint64_t id, const char *name)
{
	char key[24];

	snprintf(key, sizeof(key), "%" PRIu64, id);
	jw_key(w, key);
	jw_object(w);
	jw_kstr(w, "content", name);
	jw_kbool(w, "lstrip", 0);
	jw_kbool(w, "normalized", 0);
	jw_kbool(w, "rstrip", 0);
	jw_kbool(w, "single_word", 0);
	jw_kbool(w, "special", 1);
	jw_end_object(w);
}

static void add_specials_decoder(struct json_out *w, const struct fake_spec *s)
{
	struct layout l;
	char name[64];

	lay_out(s, &l);
	jw_kobject(w, "added_tokens_decoder");
	for (uint64_t i = 0; i < l.specials; i++) {
		special_name(s, i, name, sizeof(name));
		add_special(w, l.base + i, name);
	}
	jw_end_object(w);
}

static const char plain_template[] =
	"{%- for message in messages %}{{- message['role'] + ': ' + message['content'] + '\n' }}"
	"{%- endfor %}{%- if add_generation_prompt %}{{- 'assistant: ' }}{%- endif %}";

static void plain_config(struct json_out *w, const struct fake_spec *s)
{
	add_specials_decoder(w, s);
	jw_kstr(w, "bos_token", qwen2_named[0]);
	jw_kstr(w, "chat_template", plain_template);
	jw_kbool(w, "clean_up_tokenization_spaces", 0);
	jw_kstr(w, "eos_token", qwen2_named[0]);
	jw_kint(w, "model_max_length", (int64_t)s->ctx);
	jw_kstr(w, "tokenizer_class", "PreTrainedTokenizerFast");
	jw_kstr(w, "unk_token", qwen2_named[0]);
}

static void bpe_config(struct json_out *w, const struct fake_spec *s)
{
	int llama = s->family->tokenizer == TOK_LLAMA3;

	jw_kbool(w, "add_prefix_space", 0);
	add_specials_decoder(w, s);
	jw_kstr(w, "bos_token", llama ? "<|begin_of_text|>" : NULL);
	jw_kstr(w, "chat_template", llama ? llama_template : qwen2_template);
	jw_kbool(w, "clean_up_tokenization_spaces", 0);
	jw_kstr(w, "eos_token", llama ? "<|eot_id|>" : "<|im_end|>");
	jw_kint(w, "model_max_length", (int64_t)s->ctx);
	jw_kstr(w, "pad_token", llama ? "<|finetune_right_pad_id|>" : "<|endoftext|>");
	jw_kstr(w, "tokenizer_class", llama ? "PreTrainedTokenizerFast" : "Qwen2Tokenizer");
	jw_kstr(w, "unk_token", NULL);
}

static void sentencepiece_config(struct json_out *w, const struct fake_spec *s)
{
	jw_kbool(w, "add_bos_token", 1);
	jw_kbool(w, "add_eos_token", 0);
	jw_kbool(w, "add_prefix_space", s->family->tokenizer != TOK_GEMMA);
	jw_kobject(w, "added_tokens_decoder");
	add_special(w, 0, "<unk>");
	add_special(w, 1, "<s>");
	add_special(w, 2, "</s>");
	add_special(w, s->vocab - 1, qwen2_named[0]);
	jw_end_object(w);
	jw_kstr(w, "bos_token", "<s>");
	jw_kstr(w, "chat_template", plain_template);
	jw_kbool(w, "clean_up_tokenization_spaces", 0);
	jw_kstr(w, "eos_token", "</s>");
	jw_kint(w, "model_max_length", (int64_t)s->ctx);
	jw_kstr(w, "tokenizer_class", "LlamaTokenizer");
	jw_kstr(w, "unk_token", "<unk>");
}

void fake_tokenizer_config_json(const struct fake_spec *s, struct buf *out)
{
	struct json_out w;

	jw_init(&w, out, 2);
	jw_object(&w);
	switch (s->family->tokenizer) {
	case TOK_LLAMA3:
	case TOK_QWEN2:
		bpe_config(&w, s);
		break;
	case TOK_PLAIN:
		plain_config(&w, s);
		break;
	default:
		sentencepiece_config(&w, s);
		break;
	}
	jw_end_object(&w);
	buf_addc(out, '\n');
}

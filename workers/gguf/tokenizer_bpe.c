/* Byte-level BPE, as GPT-2 has it: tokens are bytes, shown as printable characters, and a list of
 * merges in the order in which they were learned. */
#include <string.h>

#include "core/buf.h"
#include "workers/gguf/tokenizer.h"

/* llama.cpp normalizes nothing here. Text that NFC would change is rare; any other normalizer
 * changes most texts. */
static int check_normalizer(const struct json *v, struct err *e)
{
	const char *type = json_str(v, "type", "NFC");
	const struct json *parts = json_get(v, "normalizers");

	if (strcmp(type, "NFC") == 0)
		return 0;
	if (strcmp(type, "Sequence") != 0)
		return err_set(e, ERR_INVALID,
			       "tokenizer.json: llama.cpp has no normalizer %s, and would give "
			       "other ids without it",
			       type);
	for (size_t i = 0; parts && parts->type == JSON_ARRAY && i < parts->count; i++) {
		/* One level: a sequence of sequences is as unknown as any other. */
		if (strcmp(json_str(parts->members[i].value, "type", ""), "NFC") != 0)
			return err_set(e, ERR_INVALID,
				       "tokenizer.json: llama.cpp has no normalizer %s, and would "
				       "give other ids without it",
				       json_str(parts->members[i].value, "type", "like this"));
	}
	return 0;
}

static int load(struct arena *a, struct tokenizer *t, struct err *e)
{
	(void)a;
	if (check_normalizer(json_get(t->root, "normalizer"), e) < 0)
		return e->code;
	return tokenizer_place_vocab(t, e);
}

static int write_merges(const struct tokenizer *t, struct gguf_writer *w, struct err *e)
{
	const struct json *merges = json_get(json_get(t->root, "model"), "merges");
	struct buf b;
	int rc = 0;

	if (!merges || merges->type != JSON_ARRAY)
		return err_set(e, ERR_INVALID, "tokenizer.json: model.merges is missing");
	buf_init(&b, 1u << 20);
	gguf_array(w, "tokenizer.ggml.merges", GGUF_STRING, merges->count);
	for (size_t i = 0; rc == 0 && i < merges->count; i++) {
		rc = tokenizer_merge_text(merges->members[i].value, &b, e);
		gguf_put_str(w, buf_str(&b), b.len);
	}
	buf_release(&b);
	return rc < 0 && t->from_files ? err_wrap(e, "merges.txt, in the form of") : rc;
}

static int write(struct tokenizer *t, struct gguf_writer *w, struct err *e)
{
	t->pre = t->chosen_pre ? t->chosen_pre : pretokenizer_name(t->root, e);
	if (!t->pre)
		return e->code;
	gguf_str(w, "tokenizer.ggml.pre", t->pre);
	return write_merges(t, w, e);
}

const struct tokenizer_kind tokenizer_bpe = { "gpt2", 0, 0, load, write };

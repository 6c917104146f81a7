/* vocab.json and merges.txt over any bytes, one NUL between them: no crash, and what is accepted
 * becomes a list in which every row has a text, and merges of two halves. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/json.h"
#include "workers/gguf/tokenizer.h"

#define ROWS 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_write(struct arena *a, struct tokenizer *t)
{
	struct gguf_writer w;
	struct err e = ERR_INIT;

	tokens_init(a, ROWS, "vocab.json", &t->list);
	t->kind = tokenizer_json_kind(t->root, &e);
	assert(t->kind == &tokenizer_bpe);
	gguf_init(&w);
	if (t->kind->load(a, t, &e) == 0 &&
	    tokens_add_list(a, &t->list, json_get(t->root, "added_tokens"), &e) == 0 &&
	    t->kind->write(t, &w, &e) == 0 &&
	    tokens_write(a, &t->list, ROWS, t->kind->scores, &w, &e) == 0) {
		for (size_t i = 0; i < ROWS; i++)
			assert(t->list.v[i].text && t->list.v[i].type >= TOKEN_NORMAL);
		assert(w.n_kv >= 3);
	} else {
		assert(e.code < 0 && e.msg[0]);
	}
	gguf_release(&w);
}

/* The settings are in vocab.json too: a token named "tokenizer_class" is as good as any. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
	struct tokenizer t = {
		.own_bos = -1, .own_eos = -1, .own_unk = -1, .own_pad = -1, .space_in_front = -1
	};
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct json *vocab;

	if (cut && json_parse(a, (const char *)data, (size_t)(cut - data), &vocab, &e) == 0) {
		size_t n = size - (size_t)(cut + 1 - data);
		const char *merges = arena_strndup(a, (const char *)cut + 1, n);

		t.config = t.model_config = t.generation_config = vocab;
		if (n % 2)
			t.chosen_pre = "gpt-2";
		if (tokenizer_from_texts(a, &t, vocab, merges, n, &e) == 0)
			try_write(a, &t);
		else
			assert(e.code < 0 && e.msg[0]);
	}
	arena_free(a);
	return 0;
}

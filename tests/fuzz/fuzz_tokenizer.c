/* tokenizer.json of every kind over any bytes: no crash, and what is accepted becomes a list in
 * which every row has a text. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"
#include "workers/gguf/tokenizer.h"

#define ROWS 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_write(struct arena *a, struct tokenizer *t)
{
	struct gguf_writer w;
	struct err e = ERR_INIT;

	gguf_init(&w);
	if (t->kind->write(t, &w, &e) == 0 &&
	    tokens_write(a, &t->list, ROWS, t->kind->scores, &w, &e) == 0) {
		for (size_t i = 0; i < ROWS; i++)
			assert(t->list.v[i].text && t->list.v[i].type >= TOKEN_NORMAL);
		tokenizer_write_specials(t, ROWS, &w);
		assert(w.n_kv >= 3);
	} else {
		assert(e.code < 0 && e.msg[0]);
	}
	gguf_release(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tokenizer t = {
		.own_bos = -1, .own_eos = -1, .own_unk = -1, .own_pad = -1, .space_in_front = -1
	};
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct json *root;

	if (json_parse(a, (const char *)data, size, &root, &e) == 0) {
		t.root = t.config = t.model_config = t.generation_config = root;
		tokens_init(a, ROWS, "tokenizer.json", &t.list);
		t.kind = tokenizer_json_kind(root, &e);
		if (t.kind && t.kind->load(a, &t, &e) == 0 &&
		    tokens_add_list(a, &t.list, json_get(root, "added_tokens"), &e) == 0)
			try_write(a, &t);
	}
	arena_free(a);
	return 0;
}

/* workers/gguf/pretokenizer.c -- which of llama.cpp's pre-tokenizers splits text
 * as this tokenizer.json does: by comparing the rules themselves. Upstream hashes
 * the ids of a probe text instead, which any change of the vocabulary breaks. */
#include <string.h>

#include "core/pretokenizer.h"
#include "workers/gguf/tokenizer.h"

static int same_step(const char *step, const char *pattern)
{
	size_t n = strlen(pattern), mark = strlen(PRETOKENIZER_MORE);

	if (n > mark && strcmp(pattern + n - mark, PRETOKENIZER_MORE) == 0)
		return strncmp(step, pattern, n - mark) == 0;
	return strcmp(step, pattern) == 0;
}

static int same(const struct pretokenizer_chain *c, const char *const *step)
{
	size_t n = 0;

	while (n < PRETOKENIZER_STEPS && step[n])
		n++;
	if (n != c->n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (!same_step(c->step[i], step[i]))
			return 0;
	}
	return 1;
}

static int is_roberta(const struct json *root)
{
	return strcmp(json_str(json_get(root, "post_processor"), "type", ""),
		      "RobertaProcessing") == 0;
}

const char *pretokenizer_name(const struct json *root, struct err *e)
{
	int merges = json_bool(json_get(root, "model"), "ignore_merges", 0);
	struct pretokenizer_chain c;

	pretokenizer_read(json_get(root, "pre_tokenizer"), &c);
	for (size_t i = 0; !c.unknown && i < n_pretokenizers; i++) {
		if (!same(&c, pretokenizers[i].step) || (pretokenizers[i].ignore_merges >= 0 &&
							 pretokenizers[i].ignore_merges != merges))
			continue;
		/* RoBERTa's splits as GPT-2's, and says how texts begin and end. */
		return i == 0 && is_roberta(root) ? "roberta-bpe" : pretokenizers[i].name;
	}
	(void)err_set(e, ERR_INVALID,
		      "tokenizer.json: this pre-tokenizer%s%s%s is not known, and a guess would "
		      "split text wrongly; name llama.cpp's "
		      "with `with: {pre_tokenizer: NAME}`",
		      c.why[0] ? " (" : "", c.why, c.why[0] ? ")" : "");
	return NULL;
}

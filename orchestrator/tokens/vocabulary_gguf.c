/* orchestrator/tokens/vocabulary_gguf.c -- the tokenizer that a GGUF file carries: its metadata
 * tokenizer.ggml.* (ggml/docs/gguf.md; llama.cpp src/llama-vocab.cpp). */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/gguf.h"
#include "orchestrator/tokens/vocabulary.h"

#define LIST_MAX ((uint64_t)256 << 20) /* bytes of one list; the largest published have 10 MB */
#define LIST_HEAD 12		       /* type and number stand before a list's values */

/* llama.cpp include/llama.h, enum llama_token_type */
enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER = 4 };

struct list { /* of texts or of 4-byte values */
	const char *at, *end;
	uint64_t n;
};

static int read_list(struct arena *a, int fd, const struct gguf_file *f, const char *key,
		     enum gguf_value of, struct list *out, struct err *e)
{
	const struct gguf_kv *kv = gguf_find(f, key);
	uint64_t bytes;
	char *text;

	*out = (struct list){ .n = 0 };
	if (!kv)
		return 0;
	if (kv->type != GGUF_ARRAY || kv->of != of || kv->size_bytes < LIST_HEAD ||
	    kv->size_bytes > LIST_MAX || kv->count > VOCABULARY_TOKENS_MAX)
		return err_set(e, ERR_INVALID, "%s is no list that can be read", key);
	bytes = kv->size_bytes - LIST_HEAD;
	text = arena_alloc(a, bytes + 1);
	if (pread(fd, text, bytes, (off_t)(kv->at + LIST_HEAD)) != (ssize_t)bytes)
		return err_set(e, ERR_IO, "%s cannot be read", key);
	*out = (struct list){ text, text + bytes, kv->count };
	return 0;
}

static uint64_t little(const char *p, int n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | (unsigned char)p[n];
	return v;
}

static int next_text(struct list *l, const char **text, size_t *len, struct err *e)
{
	uint64_t n = l->end - l->at >= 8 ? little(l->at, 8) : UINT64_MAX;

	if (n > VOCABULARY_TEXT_MAX || n > (uint64_t)(l->end - l->at - 8))
		return err_set(e, ERR_INVALID, "a token of the vocabulary is longer than 64 KiB");
	*text = l->at + 8;
	*len = (size_t)n;
	l->at += 8 + n;
	return 0;
}

static bool has_value(const struct list *l, uint64_t i)
{
	return (uint64_t)(l->end - l->at) / 4 > i;
}

static int add_tokens(struct vocabulary *v, struct list *tokens, const struct list *types,
		      struct err *e)
{
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < tokens->n; i++) {
		uint64_t type = has_value(types, i) ? little(types->at + 4 * i, 4) : 0;
		const char *text = "";
		size_t len = 0;

		rc = next_text(tokens, &text, &len, e);
		if (rc < 0)
			break;
		text_map_put(&v->tokens, text, len, (uint32_t)i);
		if (type == TYPE_UNKNOWN || type == TYPE_CONTROL || type == TYPE_USER)
			vocabulary_add_whole(v, text, len);
	}
	return rc;
}

static int add_merges(struct vocabulary *v, struct list *merges, struct err *e)
{
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && i < merges->n; i++) {
		const char *text = "";
		size_t len = 0;

		rc = next_text(merges, &text, &len, e);
		if (rc == 0)
			vocabulary_add_merge_text(v, text, len, (uint32_t)i);
	}
	return rc;
}

static void add_scores(struct vocabulary *v, const struct list *scores, uint64_t n)
{
	v->scores = arena_array(v->a, (size_t)n + 1, sizeof(*v->scores));
	for (uint64_t i = 0; i < n && has_value(scores, i); i++) {
		uint32_t bits = (uint32_t)little(scores->at + 4 * i, 4);

		memcpy(&v->scores[i], &bits, sizeof(bits));
	}
}

static bool flag(const struct gguf_file *f, const char *key, bool otherwise)
{
	const struct gguf_kv *kv = gguf_find(f, key);

	return kv && kv->type == GGUF_BOOL ? kv->u != 0 : otherwise;
}

/* How text is split, and what llama.cpp does with words that are tokens. */
static int set_rules(struct vocabulary *v, const struct gguf_file *f, struct err *e)
{
	const char *pre = gguf_text(f, "tokenizer.ggml.pre");
	const struct pretokenizer *p = pretokenizer_find(pre ? pre : "gpt-2");
	size_t n = 0;

	if (!p)
		return err_set(e, ERR_INVALID, "the pre-tokenizer \"%.40s\" is not known", pre);
	while (n < PRETOKENIZER_STEPS && p->step[n])
		n++;
	v->keep_words = p->ignore_merges == 1 || strcmp(p->name, "tekken") == 0;
	return split_init(&v->split, p->step, n, e);
}

static int set_kind(struct vocabulary *v, const struct gguf_file *f, struct err *e)
{
	const char *model = gguf_text(f, "tokenizer.ggml.model");

	if (!model)
		return err_set(e, ERR_NOTFOUND, "it has no tokenizer");
	v->bytes = strcmp(model, "gpt2") == 0;
	if (!v->bytes && strcmp(model, "llama") != 0)
		return err_set(e, ERR_INVALID,
			       "its tokenizer is a \"%.40s\", not BPE or SentencePiece", model);
	if (v->bytes)
		return set_rules(v, f, e);
	v->spells = true;
	if (flag(f, "tokenizer.ggml.add_space_prefix", true))
		v->space = SPACE_FRONT;
	return 0;
}

static int read_all(struct vocabulary *v, int fd, const struct gguf_file *f, struct err *e)
{
	struct list tokens = { .n = 0 }, types = tokens, scores = tokens, merges = tokens;
	int rc = set_kind(v, f, e);

	if (rc == 0)
		rc = read_list(v->a, fd, f, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, e);
	if (rc == 0)
		rc = read_list(v->a, fd, f, "tokenizer.ggml.token_type", GGUF_I32, &types, e);
	if (rc == 0 && v->bytes)
		rc = read_list(v->a, fd, f, "tokenizer.ggml.merges", GGUF_STRING, &merges, e);
	else if (rc == 0)
		rc = read_list(v->a, fd, f, "tokenizer.ggml.scores", GGUF_F32, &scores, e);
	if (rc < 0)
		return rc;
	if (tokens.n == 0 || (v->bytes ? merges.n == 0 : scores.n == 0))
		return err_set(e, ERR_INVALID, "its vocabulary is not whole");
	vocabulary_begin(v, (size_t)tokens.n, (size_t)tokens.n, (size_t)merges.n);
	rc = add_tokens(v, &tokens, &types, e);
	if (rc == 0)
		rc = add_merges(v, &merges, e);
	if (rc == 0 && !v->bytes)
		add_scores(v, &scores, tokens.n);
	return rc;
}

int vocabulary_from_gguf(struct vocabulary *v, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct gguf_file f;

	if (fd < 0)
		return err_errno(e, "%s", path);
	rc = gguf_read_fd(v->a, fd, &f, e);
	if (rc >= 0)
		rc = read_all(v, fd, &f, e);
	close(fd);
	return rc < 0 ? rc : 0;
}

/* SentencePiece BPE: tokens have scores, and of all pairs of neighbours that together are a token,
 * the one with the highest score is merged first. Text that no token covers becomes bytes. From
 * tokenizer.model, or from a tokenizer.json that was made of one and has merges instead. */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/path.h"
#include "workers/common/protocol.h"
#include "workers/gguf/sentencepiece.h"
#include "workers/gguf/tokenizer.h"

#define DRAGON "\xf0\x9f\x90\x89" /* what stands for a token of one NUL, as InternLM2 has */

/* Below every merge there is: what no merge makes is never made. */
#define SCORE_UNMERGED (-1e9f)

/* ---- tokenizer.model */

static int read_model(struct arena *a, const char *dir, struct spm_model *m, struct err *e)
{
	char *path = path_join(dir, "tokenizer.model");
	struct buf b;
	int rc;

	buf_init(&b, SPM_FILE_MAX);
	rc = path_read(path, SPM_FILE_MAX, &b, e);
	if (rc >= 0)
		rc = spm_parse(a, buf_str(&b), b.len, m, e);
	buf_release(&b);
	free(path);
	return rc < 0 ? rc : 0;
}

static int check_model(const struct spm_model *m, struct err *e)
{
	if (m->kind != SPM_BPE)
		return err_set(e, ERR_INVALID,
			       "tokenizer.model is of another type than BPE, which is all that "
			       "llama.cpp splits as SentencePiece does");
	if (m->normalizes)
		worker_warn("tokenizer.model normalizes characters; llama.cpp does not, and gives "
			    "other ids for those");
	if (m->merge_spaces)
		worker_warn("tokenizer.model takes several spaces for one; llama.cpp does not");
	return 0;
}

static int place_piece(struct tokenizer *t, size_t id, const struct spm_piece *p, struct err *e)
{
	struct token token = { p->text, p->len, (enum token_type)p->type, p->score };

	if (p->len == 1 && p->text[0] == '\0') {
		/* With byte fallback, SentencePiece too takes it for one that is not used. */
		token.text = DRAGON;
		token.len = strlen(DRAGON);
		token.type = TOKEN_UNUSED;
	} else if (p->len == 0 || memchr(p->text, '\0', p->len)) {
		return err_set(e, ERR_INVALID,
			       "tokenizer.model: the text of token %zu is empty or has a NUL in it",
			       id);
	}
	if (strncmp(p->text, "[UNUSED", 7) == 0)
		token.type = TOKEN_UNUSED;
	return tokens_place(&t->list, (int64_t)id, &token, e);
}

static int load_model(struct arena *a, struct tokenizer *t, struct err *e)
{
	struct spm_model m;

	if (read_model(a, t->dir, &m, e) < 0 || check_model(&m, e) < 0)
		return e->code;
	for (size_t i = 0; i < m.n; i++) {
		const struct spm_piece *p = &m.pieces[i];
		int rc = p->type == SPM_USER_DEFINED ? tokens_place_added(a, &t->list, (int64_t)i,
									  p->text, p->len, 0, e)
						     : place_piece(t, i, p, e);

		if (rc < 0)
			return rc;
	}
	t->space_in_front = m.space_in_front;
	t->own_unk = m.unk;
	t->own_bos = m.bos;
	t->own_eos = m.eos;
	t->own_pad = m.pad;
	return 0;
}

/* ---- tokenizer.json */

static int is_byte(const char *s)
{
	return strlen(s) == 6 && strncmp(s, "<0x", 3) == 0 && s[5] == '>' &&
	       strspn(s + 3, "0123456789ABCDEF") == 2;
}

/* 1: a text gets a space in front, 0: it does not. Spaces become U+2581 in any case; whatever else
 * happens to a text is refused. */
static int take_normalizer(const struct json *v, int *front, struct err *e)
{
	const char *type = json_str(v, "type", "none");
	const struct json *parts = json_get(v, "normalizers");

	if (strcmp(type, "Prepend") == 0) {
		*front = 1;
	} else if (strcmp(type, "Sequence") == 0 && parts && parts->type == JSON_ARRAY) {
		for (size_t i = 0; i < parts->count; i++) {
			if (strcmp(json_str(parts->members[i].value, "type", ""), "Sequence") ==
				    0 ||
			    take_normalizer(parts->members[i].value, front, e) < 0)
				return err_set(e, ERR_INVALID,
					       "tokenizer.json: llama.cpp has not this normalizer");
		}
	} else if (strcmp(type, "Replace") != 0 && strcmp(type, "none") != 0) {
		return err_set(e, ERR_INVALID,
			       "tokenizer.json: llama.cpp has no normalizer %s, and would give "
			       "other ids without it",
			       type);
	}
	return 0;
}

/* Metaspace says the same in newer files. A Split at spaces is idle, for there are none left. */
static int take_pretokenizer(const struct json *v, int *front, struct err *e)
{
	const char *type = json_str(v, "type", "none");

	if (strcmp(type, "Metaspace") == 0)
		*front = strcmp(json_str(v, "prepend_scheme", "always"), "never") != 0;
	else if (strcmp(type, "none") != 0 &&
		 !(strcmp(type, "Split") == 0 &&
		   strcmp(json_str(json_get(v, "pattern"), "String", ""), " ") == 0))
		return err_set(e, ERR_INVALID,
			       "tokenizer.json: llama.cpp does not split text before BPE with byte "
			       "fallback; this one does (%s)",
			       type);
	return 0;
}

static void set_types(struct tokenizer *t)
{
	const char *unknown = json_str(json_get(t->root, "model"), "unk_token", NULL);

	for (uint64_t i = 0; i < t->list.n; i++) {
		struct token *v = &t->list.v[i];

		v->score = SCORE_UNMERGED;
		if (!v->text)
			continue;
		if (is_byte(v->text))
			v->type = TOKEN_BYTE;
		else if (unknown && strcmp(v->text, unknown) == 0)
			v->type = TOKEN_UNKNOWN;
	}
}

/* The token that a merge makes gets the merge's rank, negative, as its score; the first merge that
 * makes it counts. Then the order of scores is the order of merges. */
static int set_scores(struct tokenizer *t, struct err *e)
{
	const struct json *model = json_get(t->root, "model"), *merges = json_get(model, "merges");
	const struct json *vocab = json_get(model, "vocab");
	struct buf b;
	int rc = 0;

	if (!merges || merges->type != JSON_ARRAY)
		return err_set(e, ERR_INVALID, "tokenizer.json: model.merges is missing");
	buf_init(&b, 1u << 20);
	for (size_t i = 0; rc == 0 && i < merges->count; i++) {
		int64_t id;

		rc = tokenizer_merge_text(merges->members[i].value, &b, e);
		if (rc < 0)
			break;
		/* Both halves without the space between them. */
		memmove(strchr(b.data, ' '), strchr(b.data, ' ') + 1,
			strlen(strchr(b.data, ' ') + 1) + 1);
		id = json_int(vocab, b.data, -1);
		if (id < 0 || (uint64_t)id >= t->list.n)
			rc = err_set(e, ERR_INVALID,
				     "tokenizer.json: a merge makes \"%.60s\", which is no token",
				     b.data);
		else if (t->list.v[id].score == SCORE_UNMERGED)
			t->list.v[id].score = -(float)i;
	}
	buf_release(&b);
	return rc;
}

static int load_json(struct arena *a, struct tokenizer *t, struct err *e)
{
	int front = 0;

	(void)a;
	if (take_normalizer(json_get(t->root, "normalizer"), &front, e) < 0 ||
	    take_pretokenizer(json_get(t->root, "pre_tokenizer"), &front, e) < 0 ||
	    tokenizer_place_vocab(t, e) < 0)
		return e->code;
	t->space_in_front = front;
	set_types(t);
	return set_scores(t, e);
}

/* ---- both */

static int write(struct tokenizer *t, struct gguf_writer *w, struct err *e)
{
	(void)e;
	t->pre = "default";
	gguf_str(w, "tokenizer.ggml.pre", t->pre);
	gguf_bool(w, "tokenizer.ggml.add_space_prefix",
		  json_bool(t->config, "add_prefix_space", t->space_in_front));
	return 0;
}

const struct tokenizer_kind tokenizer_spm = { "llama", 1, 1, load_model, write };
const struct tokenizer_kind tokenizer_spm_json = { "llama", 1, 1, load_json, write };

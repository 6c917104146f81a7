/* A SentencePiece model of type BPE. Format: sentencepiece/src/sentencepiece_model.proto; messages
 * are fields of a tag (number << 3 | wire type) and a value. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "workers/fake/merges.h"
#include "workers/fake/tokenizer.h"

enum wire { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32 = 5 };
enum piece_type { PIECE_NORMAL = 1, PIECE_UNKNOWN = 2, PIECE_CONTROL = 3, PIECE_BYTE = 6 };

#define SPACE "\xe2\x96\x81" /* U+2581 stands for the space */

int fake_has_sentencepiece(const struct fake_spec *s)
{
	return s->family->tokenizer == TOK_SENTENCEPIECE || s->family->tokenizer == TOK_GEMMA;
}

static void put_varint(struct buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_addc(out, (char)(v | 0x80));
	buf_addc(out, (char)v);
}

static void put_tag(struct buf *out, unsigned field, enum wire wire)
{
	put_varint(out, field << 3 | (unsigned)wire);
}

static void put_int(struct buf *out, unsigned field, uint64_t v)
{
	put_tag(out, field, WIRE_VARINT);
	put_varint(out, v);
}

static void put_bytes(struct buf *out, unsigned field, const void *p, size_t n)
{
	put_tag(out, field, WIRE_BYTES);
	put_varint(out, n);
	buf_add(out, p, n);
}

/* Fields of SentencePiece: 1 the text, 2 the score, 3 the type. */
static void put_piece(struct buf *out, const char *text, float score, enum piece_type type)
{
	struct buf b;

	buf_init(&b, 128);
	put_bytes(&b, 1, text, strlen(text));
	put_tag(&b, 2, WIRE_32);
	buf_add(&b, &score, sizeof(score));
	if (type != PIECE_NORMAL)
		put_int(&b, 3, type);
	put_bytes(out, 1, buf_str(&b), b.len);
	buf_release(&b);
}

static void put_specials(struct buf *out)
{
	char text[8];

	put_piece(out, "<unk>", 0, PIECE_UNKNOWN);
	put_piece(out, "<s>", 0, PIECE_CONTROL);
	put_piece(out, "</s>", 0, PIECE_CONTROL);
	for (int i = 0; i < 256; i++) {
		snprintf(text, sizeof(text), "<0x%02X>", (unsigned)i);
		put_piece(out, text, 0, PIECE_BYTE);
	}
}

/* Of two merges, the one that was learned first has the higher score. */
static void put_pieces(const struct fake_spec *s, const struct fake_merges *m, struct buf *out)
{
	uint64_t id = 3 + 256;
	float score = 0;
	char text[64];

	for (size_t i = 0; i < m->n; i++, id++) {
		int space = m->v[i].left[0] == '_';

		snprintf(text, sizeof(text), "%s%s%c", space ? SPACE : "", m->v[i].left + space,
			 m->v[i].right);
		put_piece(out, text, score--, PIECE_NORMAL);
	}
	put_piece(out, SPACE, score--, PIECE_NORMAL);
	for (int c = '!'; c <= '~'; c++) {
		snprintf(text, sizeof(text), "%c", (char)c);
		put_piece(out, text, score--, PIECE_NORMAL);
	}
	/* No two neighbours make one of these. The last row is an added token's. */
	for (id += 1 + '~' - '!' + 1; id < s->vocab - 1; id++) {
		snprintf(text, sizeof(text), "fake%06" PRIu64, id);
		put_piece(out, text, score--, PIECE_NORMAL);
	}
}

/* Fields of TrainerSpec: 3 the model's type, 35 bytes for what is unknown, 40 to 43 special ids. */
static void put_trainer(struct buf *out)
{
	struct buf b;

	buf_init(&b, 128);
	put_int(&b, 3, 2);
	put_int(&b, 35, 1);
	put_int(&b, 40, 0);
	put_int(&b, 41, 1);
	put_int(&b, 42, 2);
	put_int(&b, 43, UINT64_MAX); /* -1: no padding */
	put_bytes(out, 2, buf_str(&b), b.len);
	buf_release(&b);
}

/* Fields of NormalizerSpec: 1 its name, 3 a space in front, 4 spaces in a row become one. */
static void put_normalizer(const struct fake_spec *s, struct buf *out)
{
	struct buf b;

	buf_init(&b, 128);
	put_bytes(&b, 1, "identity", strlen("identity"));
	put_int(&b, 3, s->family->tokenizer != TOK_GEMMA);
	put_int(&b, 4, 0);
	put_bytes(out, 3, buf_str(&b), b.len);
	buf_release(&b);
}

void fake_tokenizer_model(const struct fake_spec *s, struct buf *out)
{
	struct fake_merges *m = mem_alloc(sizeof(*m));

	fake_merges_make(m, s->vocab - FAKE_SPM_VOCAB_MIN);
	put_specials(out);
	put_pieces(s, m, out);
	put_trainer(out);
	put_normalizer(s, out);
	free(m);
}

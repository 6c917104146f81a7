/* workers/fake/tokenizer.h -- a working byte-level BPE tokenizer of any size:
 * 256 bytes, merges that spell common English words, synthetic tokens that no
 * text produces up to the size asked for, and the family's special tokens at
 * the end. Normalizer, pre-tokenizer and template are those of the family. Or,
 * for families that have one, a SentencePiece model of the same words. */
#ifndef QUERN_WORKERS_FAKE_TOKENIZER_H
#define QUERN_WORKERS_FAKE_TOKENIZER_H

#include "core/buf.h"
#include "workers/fake/shape.h"

#define FAKE_VOCAB_MAX (1 << 19) /* tokenizer.json is held in memory, 25 bytes a token */
#define FAKE_SPM_VOCAB_MIN                                                                         \
	355 /* 3 special, 256 bytes, 94 characters, the space's sign, one added */
#define FAKE_TOKENIZER_MAX ((size_t)48 << 20)

/* Rows of the embedding below which there is no room for bytes and special tokens. */
uint64_t fake_vocab_min(const struct fake_spec *s);

void fake_tokenizer_json(const struct fake_spec *s, struct buf *out);
/* tokenizer.model: spm.c */
void fake_tokenizer_model(const struct fake_spec *s, struct buf *out);
int fake_has_sentencepiece(const struct fake_spec *s);
void fake_tokenizer_config_json(const struct fake_spec *s, struct buf *out);

struct fake_special_ids {
	uint64_t bos, eos, turn_end; /* turn_end also ends a text */
};
void fake_special_ids(const struct fake_spec *s, struct fake_special_ids *out);

#endif

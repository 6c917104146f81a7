/* workers/gguf/sentencepiece.h -- tokenizer.model: the parts of a SentencePiece model
 * that decide which ids a text gets. The file is foreign bytes: a protobuf whose
 * lengths are all checked. Format: sentencepiece/src/sentencepiece_model.proto. */
#ifndef QUERN_WORKERS_GGUF_SENTENCEPIECE_H
#define QUERN_WORKERS_GGUF_SENTENCEPIECE_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"

/* ModelProto.SentencePiece.Type; llama.cpp's token types have the same numbers. */
enum spm_type { SPM_NORMAL = 1, SPM_UNKNOWN, SPM_CONTROL, SPM_USER_DEFINED, SPM_UNUSED, SPM_BYTE };

/* TrainerSpec.ModelType */
enum spm_kind { SPM_UNIGRAM = 1, SPM_BPE, SPM_WORD, SPM_CHAR };

struct spm_piece {
	const char *text; /* UTF-8, terminated; may contain NUL */
	size_t len;
	float score;
	enum spm_type type;
};

struct spm_model {
	struct spm_piece *pieces;
	size_t n;
	enum spm_kind kind;
	int64_t unk, bos, eos, pad; /* ids; -1: none */
	int space_in_front;	    /* a text gets one: add_dummy_prefix */
	int merge_spaces;	    /* several become one: remove_extra_whitespaces */
	int normalizes;		    /* there is a table of characters to replace */
};

#define SPM_FILE_MAX (64u << 20) /* the largest published ones have 5 MB */
#define SPM_PIECES_MAX (1u << 22)

/* ERR_INVALID with the place. Texts are copied into a. */
int spm_parse(struct arena *a, const void *data, size_t n, struct spm_model *out, struct err *e);

#endif

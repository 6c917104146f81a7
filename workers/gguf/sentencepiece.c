#include "workers/gguf/sentencepiece.h"

#include <math.h>
#include <string.h>

#include "core/utf8.h"

/* ---- protobuf: a field is a tag, number << 3 | wire type, and a value */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct message {
	const unsigned char *p, *end;
	const unsigned char *file; /* its first byte, for messages */
	struct err *e;
};

struct field {
	uint32_t number;
	enum wire wire;
	uint64_t value;		    /* VARINT */
	const unsigned char *bytes; /* BYTES, WIRE_32 */
	size_t len;
};

static int bad(const struct message *m, const char *what)
{
	(void)err_set(m->e, ERR_INVALID,
		      "tokenizer.model: byte %td: %s; it is damaged or no SentencePiece model",
		      m->p - m->file, what);
	return ERR_INVALID;
}

/* Seven bits a byte, the lowest first; ten bytes hold 64 bits. */
static int read_varint(struct message *m, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		unsigned char b;

		if (m->p == m->end)
			return bad(m, "a number is cut off");
		b = *m->p++;
		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*out = v;
			return 0;
		}
	}
	return bad(m, "a number has more than 64 bits");
}

static int take_bytes(struct message *m, struct field *f, uint64_t n)
{
	if (n > (uint64_t)(m->end - m->p))
		return bad(m, "a field is longer than what is left");
	f->bytes = m->p;
	f->len = (size_t)n;
	m->p += n;
	return 0;
}

/* 1: a field, 0: the message is over. */
static int next_field(struct message *m, struct field *f)
{
	uint64_t tag = 0, n = 0;

	if (m->p == m->end)
		return 0;
	if (read_varint(m, &tag) < 0)
		return ERR_INVALID;
	if (tag >> 3 == 0 || tag >> 3 > (1u << 29) - 1)
		return bad(m, "a field has no valid number");
	*f = (struct field){ .number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7) };
	switch (tag & 7) {
	case WIRE_VARINT:
		return read_varint(m, &f->value) < 0 ? ERR_INVALID : 1;
	case WIRE_64:
		return take_bytes(m, f, 8) < 0 ? ERR_INVALID : 1;
	case WIRE_32:
		return take_bytes(m, f, 4) < 0 ? ERR_INVALID : 1;
	case WIRE_BYTES:
		if (read_varint(m, &n) < 0 || take_bytes(m, f, n) < 0)
			return ERR_INVALID;
		return 1;
	default:
		return bad(m, "a field has no known form");
	}
}

static struct message inside(const struct message *m, const struct field *f)
{
	return (struct message){ f->bytes, f->bytes + f->len, m->file, m->e };
}

/* ---- the three messages that matter */

static int take_piece_field(struct arena *a, const struct message *m, const struct field *f,
			    struct spm_piece *p)
{
	if (f->number == 1 && f->wire == WIRE_BYTES) {
		if (!utf8_valid((const char *)f->bytes, f->len))
			return bad(m, "a piece is not UTF-8");
		p->text = memcpy(arena_alloc(a, f->len + 1), f->bytes, f->len);
		p->len = f->len;
	} else if (f->number == 2 && f->wire == WIRE_32) {
		memcpy(&p->score, f->bytes, sizeof(p->score));
		if (!isfinite(p->score))
			return bad(m, "a score is not a finite number");
	} else if (f->number == 3 && f->wire == WIRE_VARINT) {
		if (f->value < SPM_NORMAL || f->value > SPM_BYTE)
			return bad(m, "a piece has an unknown type");
		p->type = (enum spm_type)f->value;
	}
	return 0;
}

static int read_piece(struct arena *a, struct message m, struct spm_piece *p)
{
	struct field f;
	int rc;

	*p = (struct spm_piece){ .text = "", .type = SPM_NORMAL };
	while ((rc = next_field(&m, &f)) > 0) {
		if (take_piece_field(a, &m, &f, p) < 0)
			return m.e->code;
	}
	return rc;
}

static int read_trainer(struct message m, struct spm_model *out)
{
	struct field f;
	int rc;

	while ((rc = next_field(&m, &f)) > 0) {
		if (f.wire != WIRE_VARINT)
			continue;
		switch (f.number) {
		case 3:
			if (f.value < SPM_UNIGRAM || f.value > SPM_CHAR)
				return bad(&m, "the model has an unknown type");
			out->kind = (enum spm_kind)f.value;
			break;
		case 40: /* int32, as 64 bits with its sign */
			out->unk = (int32_t)f.value;
			break;
		case 41:
			out->bos = (int32_t)f.value;
			break;
		case 42:
			out->eos = (int32_t)f.value;
			break;
		case 43:
			out->pad = (int32_t)f.value;
			break;
		default:
			break;
		}
	}
	return rc;
}

static int read_normalizer(struct message m, struct spm_model *out)
{
	struct field f;
	int rc;

	while ((rc = next_field(&m, &f)) > 0) {
		if (f.number == 2 && f.wire == WIRE_BYTES)
			out->normalizes = f.len > 0;
		else if (f.number == 3 && f.wire == WIRE_VARINT)
			out->space_in_front = f.value != 0;
		else if (f.number == 4 && f.wire == WIRE_VARINT)
			out->merge_spaces = f.value != 0;
	}
	return rc;
}

/* How many pieces: so that they are allocated once. */
static int count_pieces(struct message m, size_t *n)
{
	struct field f;
	int rc;

	*n = 0;
	while ((rc = next_field(&m, &f)) > 0)
		*n += f.number == 1 && f.wire == WIRE_BYTES;
	if (rc == 0 && (*n == 0 || *n > SPM_PIECES_MAX))
		return bad(&m, *n ? "there are too many pieces" : "there are no pieces");
	return rc;
}

int spm_parse(struct arena *a, const void *data, size_t n, struct spm_model *out, struct err *e)
{
	struct message m = { data, (const unsigned char *)data + n, data, e };
	/* What the fields are when they are not there. */
	struct spm_model model = { .kind = SPM_UNIGRAM,
				   .unk = 0,
				   .bos = 1,
				   .eos = 2,
				   .pad = -1,
				   .space_in_front = 1,
				   .merge_spaces = 1 };
	struct field f;
	size_t count;
	int rc = count_pieces(m, &count);

	if (rc < 0)
		return rc;
	model.pieces = arena_array(a, count, sizeof(*model.pieces));
	while ((rc = next_field(&m, &f)) > 0) {
		if (f.wire != WIRE_BYTES)
			continue;
		if (f.number == 1)
			rc = read_piece(a, inside(&m, &f), &model.pieces[model.n++]);
		else if (f.number == 2)
			rc = read_trainer(inside(&m, &f), &model);
		else if (f.number == 3)
			rc = read_normalizer(inside(&m, &f), &model);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		*out = model;
	return rc;
}

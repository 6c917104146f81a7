/* workers/gguf/encode_k_sym.c -- Q3_K, Q6_K (sixteen sub-blocks of 16) and IQ4_XS (eight of 32).
 * Layouts: decode_k.c. Compiled once for each instruction set (codec.h). */
#include "workers/gguf/codec.h"
#include "workers/gguf/iq4.h"
#include "workers/gguf/super_sym.h"

INLINE void put_whole(struct tile *t, const struct kind *k, const struct fit *f, float zero)
{
	for (int g = 0; g < GROUPS; g++) {
		vf code[16];

		levels_of(t, g, k, f, code);
		for (int i = 0; i < 16; i++)
			code[i] += splat(zero);
		put_codes(t, g, code, 16);
	}
}

/* ---- Q3_K */

INLINE vf three_bits(vf v)
{
	return clamp(nearest(v), splat(-4), splat(3));
}

static const float q3_steps[] = { -4.2f, -3.2f, -4.7f, -3.8f, -5.2f, -6.4f, 4.5f };
static const struct kind q3 = { 16, 16, three_bits, -32, 31, q3_steps, 3, 7, 3, 1, 1 };

/* Low four bits of sixteen in eight bytes, then the high two in four. */
INLINE void pack_q3_scales(const struct subs *s, unsigned char *out)
{
	unsigned v[SUBS];

	UNROLL
	for (int b = 0; b < SUBS; b++)
		v[b] = (unsigned)((int)s->v[b] + 32);
	for (int b = 0; b < 8; b++)
		out[b] = (unsigned char)((v[b] & 15) | (v[b + 8] & 15) << 4);
	for (int b = 0; b < 4; b++)
		out[8 + b] = (unsigned char)(v[b] >> 4 | v[b + 4] >> 4 << 2 | v[b + 8] >> 4 << 4 |
					     v[b + 12] >> 4 << 6);
}

INLINE void pack_q3_codes(const uint8_t *q, unsigned char *out)
{
	for (int l = 0; l < 32; l += 8) {
		uint64_t high = 0;

		UNROLL
		for (int h = 0; h < 2; h++) {
			uint64_t low = 0;

			UNROLL
			for (int g = 0; g < 4; g++) {
				uint64_t v = eight(q + 128 * h + 32 * g + l);

				low |= (v & BYTES(3)) << 2 * g;
				high |= (v >> 2 & BYTES(1)) << (4 * h + g);
			}
			put_eight(out + 32 + 32 * h + l, low);
		}
		put_eight(out + l, high);
	}
}

INLINE void tile_q3_k(struct tile *t, enum importance given, unsigned char *out, int supers,
		      int opt)
{
	struct fit f = best_fit(t, given, &q3, opt);

	(void)supers;
	put_whole(t, &q3, &f, 4);
	f = stored_fit(t, given, &q3, &f);
	pack_q3_codes(t->code, out);
	pack_q3_scales(&f.s, out + 96);
	put_half(out + 108, f.d.v[0]);
}

/* ---- Q6_K */

INLINE vf six_bits(vf v)
{
	return clamp(nearest(v), splat(-32), splat(31));
}

static const float q6_steps[] = { -32,	  -31, -30, -29,    -28,    -27,
				  -32.4f, -26, -25, -31.5f, -30.5f, -24 };
static const struct kind q6 = { 16, 16, six_bits, -128, 127, q6_steps, 6, 12, 4, 2, 0 };

INLINE void pack_q6_codes(const uint8_t *q, unsigned char *out)
{
	for (int h = 0; h < 2; h++, q += 128) {
		for (int l = 0; l < 32; l += 8) {
			uint64_t a = eight(q + l), b = eight(q + 32 + l);
			uint64_t c = eight(q + 64 + l), d = eight(q + 96 + l);

			put_eight(out + 64 * h + l, (a & BYTES(15)) | (c & BYTES(15)) << 4);
			put_eight(out + 64 * h + 32 + l, (b & BYTES(15)) | (d & BYTES(15)) << 4);
			put_eight(out + 128 + 32 * h + l,
				  (a >> 4 & BYTES(3)) | (b >> 4 & BYTES(3)) << 2 |
					  (c >> 4 & BYTES(3)) << 4 | (d >> 4 & BYTES(3)) << 6);
		}
	}
}

INLINE void tile_q6_k(struct tile *t, enum importance given, unsigned char *out, int supers,
		      int opt)
{
	struct fit f = best_fit(t, given, &q6, opt);

	(void)supers;
	put_whole(t, &q6, &f, 32);
	pack_q6_codes(t->code, out);
	for (int b = 0; b < SUBS; b++)
		out[192 + b] = (unsigned char)(signed char)f.s.v[b];
	put_half(out + 208, f.d.v[0]);
}

/* ---- IQ4_XS */

static const float iq4_steps[] = { -128, -136, 114, -122, -108, 120, -142, 110, -154, -114 };
static const struct kind iq4 = { 32, 8, iq4_level, -32, 31, iq4_steps, 7, 10, 5, 2, 0 };

INLINE void put_iq4_scales(const float *s, unsigned char *out)
{
	unsigned v[8];

	for (int j = 0; j < 8; j++)
		v[j] = (unsigned)((int)s[j] + 32);
	for (int j = 0; j < 4; j++)
		out[2 + j] = (unsigned char)((v[2 * j] & 15) | (v[2 * j + 1] & 15) << 4);
	for (int j = 0; j < 2; j++)
		out[j] = (unsigned char)(v[4 * j] >> 4 | v[4 * j + 1] >> 4 << 2 |
					 v[4 * j + 2] >> 4 << 4 | v[4 * j + 3] >> 4 << 6);
}

INLINE void tile_iq4_xs(struct tile *t, enum importance given, unsigned char *out, int supers,
			int opt)
{
	struct fit f = best_fit(t, given, &iq4, opt);

	for (int g = 0; g < GROUPS; g++) {
		vf code[32], per = inverse(lanes_of(&f.d, g) * lanes_of(&f.s, g));

		for (int i = 0; i < 32; i++)
			code[i] = iq4_code(t->x[g][i] * per);
		put_codes(t, g, code, 32);
	}
	for (int k = 0; k < supers; k++, out += 136) {
		put_half(out, f.d.v[8 * k]);
		put_iq4_scales(f.s.v + 8 * k, out + 2);
		for (int j = 0; j < 8; j++) {
			const uint8_t *q = t->code + SUPER * k + 32 * j;

			put_eight(out + 8 + 16 * j, eight(q) | eight(q + 16) << 4);
			put_eight(out + 16 + 16 * j, eight(q + 8) | eight(q + 24) << 4);
		}
	}
}

void ISA(encode_q3_k)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 16, 110, opt, tile_q3_k);
}

void ISA(encode_q6_k)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 16, 210, opt, tile_q6_k);
}

void ISA(encode_iq4_xs)(const float *x, const float *w, void *out, size_t n, int opt)
{
	each_tile(x, w, out, n, 32, 136, opt, tile_iq4_xs);
}

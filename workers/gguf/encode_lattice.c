/* workers/gguf/encode_lattice.c -- IQ1, IQ2 and IQ3. Layouts: decode_lattice.c; the search:
 * lattice_search.h. Compiled once for each instruction set (codec.h). */
#include "workers/gguf/codec.h"
#include "workers/gguf/lattice_search.h"

#define KIND static const struct kind

/* size, top, below and above were found by trying for the least error of normal and Laplace
 * weights, the latter also with importances; most so that the error stays below ggml's. */
#define LEVELS_2                                                                                   \
	{                                                                                          \
		8, 25, 43                                                                          \
	}
#define LEVELS_1                                                                                   \
	{ -0.875f, 0.125f, 1.125f },                                                               \
	{                                                                                          \
		-1.125f, -0.125f, 0.875f                                                           \
	}

INLINE void put_u16(unsigned char *p, unsigned v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
}

INLINE void put_u32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

INLINE unsigned small_scale(const struct fit *f, int sub)
{
	return (unsigned)f->s.v[sub];
}

/* Two small scales in each byte. */
INLINE void put_scales(const struct fit *f, int first, int count, unsigned char *out)
{
	for (int k = 0; k < count; k += 2)
		out[k / 2] = (unsigned char)(small_scale(f, first + k) |
					     small_scale(f, first + k + 1) << 4);
}

/* ---- IQ2_XXS, IQ3_XXS: eight sub-blocks of 32, a word of signs and scale for each */

/* 4 x 7 signs, then the scale. */
INLINE uint32_t signs_and_scale(const struct fit *f, const struct about *a, int sub)
{
	uint32_t word = small_scale(f, sub) << 28;

	for (int j = 0; j < 4; j++)
		word |= (a->minus[sub] >> 8 * j & 127) << 7 * j;
	return word;
}

KIND iq2_xxs = { LATTICE_IQ2_XXS, SIGNS_EVEN, 32,      8,      8,  3, 15, 0.125f,
		 { LEVELS_2 },	  0.0567f,    0.0174f, 0.125f, 25, 4, 0,  1.08f };

INLINE void tile_iq2_xxs(struct tile *t, enum importance given, unsigned char *out, int supers,
			 int opt)
{
	struct about a;
	struct fit f = best_fit(t, given, &iq2_xxs, opt, &a);

	for (int b = 0; b < 8 * supers; b++) {
		unsigned char *p = out + b / 8 * 66 + 2 + b % 8 * 8;

		for (int j = 0; j < 4; j++)
			p[j] = (unsigned char)f.point[b][j];
		put_u32(p + 4, signs_and_scale(&f, &a, b));
		if (b % 8 == 0)
			put_half(p - 2, f.d.v[b]);
	}
}

KIND iq3_xxs = { LATTICE_IQ3_XXS,
		 SIGNS_EVEN,
		 32,
		 8,
		 4,
		 8,
		 15,
		 0.25f,
		 { { 4, 12, 20, 28, 36, 44, 52, 62 } },
		 0.051f,
		 0.0121f,
		 0,
		 25,
		 4,
		 1,
		 1.25f };

INLINE void tile_iq3_xxs(struct tile *t, enum importance given, unsigned char *out, int supers,
			 int opt)
{
	struct about a;
	struct fit f = best_fit(t, given, &iq3_xxs, opt, &a);

	for (int b = 0; b < 8 * supers; b++) {
		unsigned char *p = out + b / 8 * 98;

		for (int j = 0; j < 8; j++)
			p[2 + b % 8 * 8 + j] = (unsigned char)f.point[b][j];
		put_u32(p + 66 + b % 8 * 4, signs_and_scale(&f, &a, b));
		put_half(p, f.d.v[b]);
	}
}

/* ---- IQ2_XS, IQ2_S: sixteen sub-blocks of 16 */

KIND iq2_xs = { LATTICE_IQ2_XS, SIGNS_EVEN, 16,	     16,     8,	 3, 15, 0.125f,
		{ LEVELS_2 },	0.0505f,    0.0174f, 0.125f, 25, 3, 1,	1.07f };

INLINE void tile_iq2_xs(struct tile *t, enum importance given, unsigned char *out, int supers,
			int opt)
{
	struct about a;
	struct fit f = best_fit(t, given, &iq2_xs, opt, &a);

	(void)supers;
	put_half(out, f.d.v[0]);
	for (int i = 0; i < 32; i++)
		put_u16(out + 2 + 2 * i, f.point[i / 2][i % 2] | (a.minus[i / 2] >> i % 2 * 8 & 127)
									 << 9);
	put_scales(&f, 0, 16, out + 66);
}

KIND iq2_s = { LATTICE_IQ2_S, SIGNS_FREE, 16,	   16,	   8,  3, 15, 0.125f,
	       { LEVELS_2 },  0.0505f,	  0.0174f, 0.125f, 25, 3, 2,  1.25f };

INLINE void tile_iq2_s(struct tile *t, enum importance given, unsigned char *out, int supers,
		       int opt)
{
	struct about a;
	struct fit f = best_fit(t, given, &iq2_s, opt, &a);

	(void)supers;
	put_half(out, f.d.v[0]);
	memset(out + 66, 0, 8);
	for (int i = 0; i < 32; i++) {
		unsigned point = f.point[i / 2][i % 2];

		out[2 + i] = (unsigned char)point;
		out[34 + i] = (unsigned char)(a.minus[i / 2] >> i % 2 * 8);
		out[66 + i / 4] |= (unsigned char)(point >> 8 << i % 4 * 2);
	}
	put_scales(&f, 0, 16, out + 74);
}

/* ---- IQ3_S: eight sub-blocks of 32 */

KIND iq3_s = { LATTICE_IQ3_S, SIGNS_FREE, 32, 8,  4, 8, 15,   1, { { 1, 3, 5, 7, 9, 11, 13, 15 } },
	       0.2166f,	      0.05f,	  0,  25, 4, 1, 1.25f };

INLINE void tile_iq3_s(struct tile *t, enum importance given, unsigned char *out, int supers,
		       int opt)
{
	struct about a;
	struct fit f = best_fit(t, given, &iq3_s, opt, &a);

	for (int k = 0; k < supers; k++, out += 110) {
		put_half(out, f.d.v[8 * k]);
		for (int b = 0; b < 8; b++) {
			unsigned high = 0;

			for (int j = 0; j < 8; j++) {
				unsigned point = f.point[8 * k + b][j];

				out[2 + 8 * b + j] = (unsigned char)point;
				high |= point >> 8 << j;
			}
			out[66 + b] = (unsigned char)high;
			put_u32(out + 74 + 4 * b, a.minus[8 * k + b]);
		}
		put_scales(&f, 8 * k, 8, out + 106);
	}
}

/* ---- IQ1_S: eight sub-blocks of 32; IQ1_M: sixteen of 16 */

KIND iq1_s = { LATTICE_IQ1,  SHIFT_SUB, 32,    8, 8,  3, 7, 1,
	       { LEVELS_1 }, 0.9667f,	0.33f, 0, 11, 0, 1, 1.1f };

INLINE void tile_iq1_s(struct tile *t, enum importance given, unsigned char *out, int supers,
		       int opt)
{
	struct about a;
	struct fit f = best_fit(t, given, &iq1_s, opt, &a);

	for (int k = 0; k < supers; k++, out += 50) {
		put_half(out, f.d.v[8 * k]);
		for (int b = 0; b < 8; b++) {
			unsigned word = small_scale(&f, 8 * k + b) << 12 |
					(unsigned)f.down[8 * k + b][0] << 15;

			for (int j = 0; j < 4; j++) {
				unsigned point = f.point[8 * k + b][j];

				out[2 + 4 * b + j] = (unsigned char)point;
				word |= point >> 8 << 3 * j;
			}
			put_u16(out + 34 + 2 * b, word);
		}
	}
}

KIND iq1_m = { LATTICE_IQ1,  SHIFT_PART, 16,	16, 8,	3, 7, 1,
	       { LEVELS_1 }, 0.9832f,	 0.33f, 0,  11, 0, 2, 1.03f };

INLINE void tile_iq1_m(struct tile *t, enum importance given, unsigned char *out, int supers,
		       int opt)
{
	struct about a;
	struct fit f = best_fit(t, given, &iq1_m, opt, &a);
	unsigned d = float_to_half(f.d.v[0]);

	(void)supers;
	for (int b = 0; b < 16; b++) {
		unsigned high = 0;

		for (int j = 0; j < 2; j++) {
			unsigned point = f.point[b][j];

			out[2 * b + j] = (unsigned char)point;
			high |= (point >> 8 | (unsigned)f.down[b][j] << 3) << 4 * j;
		}
		out[32 + b] = (unsigned char)high;
	}
	for (int k = 0; k < 4; k++) {
		unsigned word = (d >> 4 * k & 15) << 12;

		for (int j = 0; j < 4; j++)
			word |= small_scale(&f, 4 * k + j) << 3 * j;
		put_u16(out + 48 + 2 * k, word);
	}
}

#define ENCODER(name, n_sub, bytes)                                                                \
	void ISA(encode_##name)(const float *x, const float *w, void *out, size_t n, int opt)      \
	{                                                                                          \
		each_tile(x, w, out, n, n_sub, bytes, opt, tile_##name);                           \
	}

ENCODER(iq2_xxs, 32, 66)
ENCODER(iq2_xs, 16, 74)
ENCODER(iq2_s, 16, 82)
ENCODER(iq3_xxs, 32, 98)
ENCODER(iq3_s, 32, 110)
ENCODER(iq1_s, 32, 50)
ENCODER(iq1_m, 16, 56)

/* workers/gguf/fp4.h -- the eight sizes of E2M1 (OCP Microscaling Formats, 5.3.3), doubled so that
 * they are whole, for lanes: MXFP4 and NVFP4. Boundaries lie half way between. */
#ifndef QUERN_WORKERS_GGUF_FP4_H
#define QUERN_WORKERS_GGUF_FP4_H

#include "workers/gguf/lanes.h"

/* E2M1, doubled: 0 1 2 3 4 6 8 12. */
#define FP4_EACH(DO)                                                                               \
	DO(0, 1, 1)                                                                                \
	DO(1, 2, 2)                                                                                \
	DO(2, 3, 3)                                                                                \
	DO(3, 4, 4)                                                                                \
	DO(4, 6, 5)                                                                                \
	DO(6, 8, 6)                                                                                \
	DO(8, 12, 7)

INLINE vf fp4_level(vf size)
{
	vf level = splat(0);

#define STEP(below, here, code)                                                                    \
	level = pick(above(size, splat((below + here) / 2.0f)), splat(here), level);
	FP4_EACH(STEP)
#undef STEP
	return level;
}

INLINE vf fp4_code(vf size)
{
	vf at = splat(0);

#define STEP(below, here, code)                                                                    \
	at = pick(above(size, splat((below + here) / 2.0f)), splat(code), at);
	FP4_EACH(STEP)
#undef STEP
	return at;
}

/* Codes of n weights with their signs; zero has none. Returns the largest code without sign. */
INLINE vf fp4_codes(const vf *x, int n, vf per, vf *code)
{
	vf most = splat(0);

	for (int i = 0; i < n; i++) {
		vf c = fp4_code(magnitude(x[i]) * per);

		most = vmax(most, c);
		code[i] = c + pick(above(splat(0), x[i] * c), splat(8), splat(0));
	}
	return most;
}

#endif

/* workers/gguf/iq4.h -- the sixteen uneven levels of IQ4_NL and IQ4_XS (kvalues_iq4nl in
 * ggml/src/ggml-common.h) for lanes. Boundaries lie half way between levels. */
#ifndef QUERN_WORKERS_GGUF_IQ4_H
#define QUERN_WORKERS_GGUF_IQ4_H

#include "workers/gguf/lanes.h"

#define IQ4_EACH(DO)                                                                               \
	DO(-127, -104, 1)                                                                          \
	DO(-104, -83, 2)                                                                           \
	DO(-83, -65, 3)                                                                            \
	DO(-65, -49, 4)                                                                            \
	DO(-49, -35, 5)                                                                            \
	DO(-35, -22, 6)                                                                            \
	DO(-22, -10, 7)                                                                            \
	DO(-10, 1, 8)                                                                              \
	DO(1, 13, 9)                                                                               \
	DO(13, 25, 10)                                                                             \
	DO(25, 38, 11)                                                                             \
	DO(38, 53, 12)                                                                             \
	DO(53, 69, 13)                                                                             \
	DO(69, 89, 14)                                                                             \
	DO(89, 113, 15)

INLINE vf iq4_level(vf v)
{
	vf level = splat(-127);

#define STEP(below, here, code)                                                                    \
	level = pick(above(v, splat((below + here) / 2.0f)), splat(here), level);
	IQ4_EACH(STEP)
#undef STEP
	return level;
}

INLINE vf iq4_code(vf v)
{
	vf at = splat(0);

#define STEP(below, here, code) at = pick(above(v, splat((below + here) / 2.0f)), splat(code), at);
	IQ4_EACH(STEP)
#undef STEP
	return at;
}

#endif

#include "orchestrator/tokens/unicode.h"

#include <stddef.h>

#include "core/mem.h"

/* Names of the table's rows. EVEN, ODD: capitals at even or odd numbers, each with its small letter
 * behind it. */
enum {
	LU = UC_LU,
	LL = UC_LL,
	LT = UC_LT,
	LM = UC_LM,
	LO = UC_LO,
	M = UC_MARK,
	ND = UC_DIGIT,
	NO = UC_NUMBER,
	P = UC_PUNCTUATION,
	S = UC_SYMBOL,
	X = UC_OTHER,
	EVEN = 2 * UC_OTHER,
	ODD = 4 * UC_OTHER
};

static const struct {
	uint32_t first;
	uint16_t what;
} runs[] = {
/* clang-format off */
#include "orchestrator/tokens/unicode_runs.inc"
	/* clang-format on */
};

unsigned unicode_class(uint32_t cp)
{
	size_t low = 0, high = ARRAY_LEN(runs);

	if (cp > 0x10FFFF)
		return UC_OTHER;
	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (cp >= runs[mid].first)
			low = mid;
		else
			high = mid;
	}
	if (runs[low].what == EVEN)
		return cp % 2 ? UC_LL : UC_LU;
	if (runs[low].what == ODD)
		return cp % 2 ? UC_LU : UC_LL;
	return runs[low].what;
}

bool unicode_is_space(uint32_t cp)
{
	return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
	       (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
	       cp == 0x205F || cp == 0x3000;
}

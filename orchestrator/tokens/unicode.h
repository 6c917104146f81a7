/* orchestrator/tokens/unicode.h -- the general category of a character, as far as rules that split
 * text ask for it. Pure. */
#ifndef QUERN_ORCHESTRATOR_TOKENS_UNICODE_H
#define QUERN_ORCHESTRATOR_TOKENS_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum unicode_class { /* bits, so that \p{L} is several of them */
		     UC_LU = 1,
		     UC_LL = 2,
		     UC_LT = 4,
		     UC_LM = 8,
		     UC_LO = 16,
		     UC_MARK = 32,
		     UC_DIGIT = 64, /* Nd */
		     UC_NUMBER = 128 /* Nl, No */,
		     UC_PUNCTUATION = 256,
		     UC_SYMBOL = 512,
		     UC_OTHER = 1024, /* separators, controls, unassigned */
		     UC_LETTER = UC_LU | UC_LL | UC_LT | UC_LM | UC_LO,
		     UC_NUMERIC = UC_DIGIT | UC_NUMBER,
};

/* One bit; UC_OTHER above U+10FFFF. */
unsigned unicode_class(uint32_t cp);
/* The property White_Space. */
bool unicode_is_space(uint32_t cp);

#endif

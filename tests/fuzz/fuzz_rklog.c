/* Any bytes as lines of the runtime's log: what is kept is a plain word or a sane number. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "workers/board/rklog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_word(const char word[RKLOG_WORD])
{
	size_t n = strnlen(word, RKLOG_WORD);

	if (n == RKLOG_WORD)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)word[i]) && !strchr("._-+", word[i]))
			abort();
	}
}

static void check_number(double v)
{
	if (!(v == -1 || (v >= 0 && v < 1e12 * 1024 * 1024 * 1024)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data;
	struct rklog l;

	rklog_init(&l);
	while (size) {
		const char *end = memchr(at, '\n', size);
		size_t n = end ? (size_t)(end - at) : size;

		rklog_line(&l, at, n);
		n += end != NULL;
		at += n;
		size -= n;
	}
	check_word(l.runtime);
	check_word(l.driver);
	check_word(l.platform);
	check_word(l.toolkit);
	check_word(l.target);
	check_word(l.dtype);
	check_number(l.init_ms);
	check_number(l.prefill_ms);
	check_number(l.generate_ms);
	check_number(l.memory_bytes);
	if (l.max_context < -1 || l.max_context > INT32_MAX || l.cores < -1 ||
	    l.prefill_tokens < -1 || l.generate_tokens < -1 ||
	    strnlen(l.error, sizeof(l.error)) == sizeof(l.error))
		abort();
	return 0;
}

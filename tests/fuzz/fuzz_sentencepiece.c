/* tokenizer.model over any bytes: no crash, and what it accepts keeps its own rules. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/utf8.h"
#include "workers/gguf/sentencepiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct spm_model m;

	if (spm_parse(a, data, size, &m, &e) == 0) {
		assert(m.n > 0 && m.n <= size);
		for (size_t i = 0; i < m.n; i++) {
			assert(utf8_valid(m.pieces[i].text, m.pieces[i].len));
			assert(m.pieces[i].text[m.pieces[i].len] == '\0');
			assert(isfinite(m.pieces[i].score));
			assert(m.pieces[i].type >= SPM_NORMAL && m.pieces[i].type <= SPM_BYTE);
		}
	} else {
		assert(e.code < 0 && e.msg[0]);
	}
	arena_free(a);
	return 0;
}

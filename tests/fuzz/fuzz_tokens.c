/* Tokenizers of strangers, by the first byte: a pattern and behind a NUL a text, a GGUF file, or a
 * tokenizer.json, which is opened. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/mem.h"
#include "orchestrator/tokens/vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pattern(const char *text, size_t len)
{
	uint32_t chars[64];
	struct pattern *p;
	struct err e = ERR_INIT;
	size_t head = strlen(text), n = 0, start, end;

	for (size_t i = head + 1; i < len && n < ARRAY_LEN(chars); i++)
		chars[n++] = (unsigned char)text[i];
	if (pattern_compile(text, &p, &e) < 0)
		return;
	if (pattern_find(p, chars, n, 0, &start, &end, &e) > 0 && (start > end || end > n))
		abort();
	pattern_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vocabulary v = { .a = arena_new() };
	struct err e = ERR_INIT;
	char path[64], *text;
	int fd;

	if (size > 1 && data[0] == 0) {
		text = mem_zalloc(size);
		memcpy(text, data + 1, size - 1);
		pattern(text, size - 1);
		free(text);
	} else if (size > 1 && (fd = memfd_create("fuzz", MFD_CLOEXEC)) >= 0) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (write(fd, data + 1, size - 1) == (ssize_t)size - 1)
			(void)(data[0] == 1 ? vocabulary_from_gguf(&v, path, &e)
					    : vocabulary_from_json(&v, path, &e));
		close(fd);
	}
	split_free(&v.split);
	arena_free(v.a);
	return 0;
}

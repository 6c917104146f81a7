/* tests/unit/count_tokens.c -- count_tokens PATH: lines "N" and N bytes of text in, a line with the
 * number of their tokens out; with -c instead of PATH, a line with the class of every character. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "orchestrator/tokens/token_count.h"
#include "orchestrator/tokens/unicode.h"

static int classes(void)
{
	for (uint32_t cp = 0; cp <= 0x10FFFF; cp++)
		printf("%u %d\n", unicode_class(cp), unicode_is_space(cp));
	return 0;
}

int main(int argc, char **argv)
{
	struct token_counter *c = NULL;
	struct err e = ERR_INIT;
	char line[32];

	if (argc == 2 && strcmp(argv[1], "-c") == 0)
		return classes();
	if (argc != 2 || token_counter_open(argv[1], &c, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		size_t n = strtoul(line, NULL, 10);
		char *text = mem_alloc(n + 1);
		int64_t tokens;

		if (fread(text, 1, n, stdin) != n)
			return 1;
		tokens = token_count(c, text, n, &e);
		printf("%lld %s\n", (long long)tokens, tokens < 0 ? e.msg : "");
		fflush(stdout);
		free(text);
	}
	token_counter_close(c);
	return 0;
}

/* tests/unit/count_tokens.c -- count_tokens PATH: lines "N" and N bytes of text in, a line with the
 * number of their tokens out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "orchestrator/tokens/token_count.h"

int main(int argc, char **argv)
{
	struct token_counter *c = NULL;
	struct err e = ERR_INIT;
	char line[32];

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

#include "upload/companion.h"

#include <string.h>

#include "core/mem.h"

/* LICENSE, LICENSE.txt, NOTICE-2.0 ... */
static bool is_licence(const char *name)
{
	static const char *const heads[] = { "LICENSE", "LICENCE", "NOTICE", "COPYING" };

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		size_t n = strlen(heads[i]);

		if (strncmp(name, heads[i], n) == 0 && (!name[n] || strchr(".-", name[n])))
			return true;
	}
	return false;
}

bool companion_name(const char *name)
{
	static const char *const names[] = {
		"added_tokens.json",
		"chat_template.jinja",
		"chat_template.json",
		"config.json",
		"generation_config.json",
		"merges.txt",
		"preprocessor_config.json",
		"special_tokens_map.json",
		"spiece.model",
		"tokenizer.json",
		"tokenizer.model",
		"tokenizer_config.json",
		"vocab.json",
		"vocab.txt",
	};
	static const char tail[] = ".tiktoken";
	size_t n = strlen(name), m = sizeof(tail) - 1;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return is_licence(name) || (n > m && strcmp(name + n - m, tail) == 0);
}

bool companion_path(const char *path)
{
	const char *slash = strrchr(path, '/');

	return companion_name(slash ? slash + 1 : path);
}

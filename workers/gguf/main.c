/* workers/gguf/main.c -- quern-gguf: safetensors to GGUF in one pass. */
#include <stdio.h>
#include <string.h>

#include "workers/common/protocol.h"
#include "workers/gguf/convert.h"
#include "workers/gguf/examine.h"

/* There is no inference in this program; llama.cpp loads what it makes. */
static int can_infer(const char *job_path)
{
	(void)job_path;
	puts("{\"can_infer\": false, \"reason\": \"quern-gguf only converts; load the file with "
	     "llama.cpp\"}");
	return WORKER_OK;
}

static const struct {
	const char *name;
	int (*run)(const char *file);
} verbs[] = {
	{ "convert", convert_main }, { "validate", validate_main }, { "can_infer", can_infer },
	{ "inspect", inspect_main }, { "verify", verify_main },
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("quern-gguf " QUERN_VERSION);
		return WORKER_OK;
	}
	if (argc == 4 && strcmp(argv[1], "dequantize") == 0)
		return dequantize_main(argv[2], argv[3]);
	for (size_t i = 0; argc == 3 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argv[2]);
	}
	fputs("usage: quern-gguf convert|validate|can_infer JOB.json\n"
	      "       quern-gguf inspect|verify FILE\n"
	      "       quern-gguf dequantize FILE TENSOR    raw floats on standard output\n",
	      stderr);
	return WORKER_USAGE;
}

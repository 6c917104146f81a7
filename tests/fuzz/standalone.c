/* Runs a fuzz target over every file of the folders named as arguments: the saved corpus is a
 * regression test for compilers without libFuzzer. Exit code 1 if a folder is empty or unreadable.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/path.h"

#define INPUT_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, struct err *e)
{
	struct buf b;
	uint8_t *copy;
	int rc;

	buf_init(&b, INPUT_MAX);
	rc = path_read(path, INPUT_MAX, &b, e);
	if (rc == 0) {
		/* Exactly as large as the input, so that AddressSanitizer sees a read behind it. */
		copy = malloc(b.len ? b.len : 1);
		if (!copy)
			abort();
		for (size_t i = 0; i < b.len; i++)
			copy[i] = (uint8_t)b.data[i];
		(void)LLVMFuzzerTestOneInput(copy, b.len);
		free(copy);
	}
	buf_release(&b);
	return rc;
}

/* Returns the number of files run, or an error. */
static int replay_folder(const char *folder, struct err *e)
{
	DIR *d = opendir(folder);
	struct dirent *entry;
	int n = 0, rc = 0;

	if (!d)
		return err_errno(e, "%s", folder);
	while (rc == 0 && (entry = readdir(d))) {
		char *path = path_join(folder, entry->d_name);
		struct stat st;

		if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			rc = replay_file(path, e);
			n++;
		}
		free(path);
	}
	closedir(d);
	if (rc == 0 && n == 0)
		rc = err_set(e, ERR_NOTFOUND, "%s: no input here", folder);
	return rc < 0 ? rc : n;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct err e = ERR_INIT;
		int n = replay_folder(argv[i], &e);

		if (n < 0) {
			(void)fprintf(stderr, "%s\n", e.msg);
			return 1;
		}
		printf("%s: %d inputs\n", argv[i], n);
	}
	return argc > 1 ? 0 : 1;
}

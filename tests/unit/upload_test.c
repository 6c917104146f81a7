#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload_test.h"

const struct fixture_job fixture_q8 = { "Q8_0",	     "1", "kjv-Q8_0", { "kjv-Q8_0.gguf" },
					{ "eight" }, NULL };
const struct fixture_job fixture_q4 = { "Q4_0",	     "1", "kjv-Q4_0", { "kjv-Q4_0.gguf" },
					{ "four!" }, NULL };
const struct fixture_job fixture_folder = {
	"w8a8", "1", "kjv-w8a8", { "config.json", "model.safetensors" }, { "{}", "tensors" }, NULL
};

int upload_setup(void **state)
{
	struct upload_test *s = mem_zalloc(sizeof(*s));

	strcpy(s->work, "/tmp/quern-uploader-XXXXXX");
	assert_non_null(mkdtemp(s->work));
	fixture_open(&s->f, s->work);
	*state = s;
	return 0;
}

int upload_teardown(void **state)
{
	struct upload_test *s = *state;
	struct err e = ERR_INIT;

	fixture_close(&s->f);
	assert_int_equal(path_remove_tree(s->work, &e), 0);
	free(s);
	return 0;
}

size_t fixture_list(struct upload_fixture *f, struct hub_file **files)
{
	const char *head;
	size_t n = 0;

	assert_int_equal(f->hub->ops->list(f->hub, FIXTURE_REPO, f->a, files, &n, &head, &f->e), 0);
	return n;
}

const struct hub_file *fixture_find(struct upload_fixture *f, const char *path)
{
	struct hub_file *files;
	size_t n = fixture_list(f, &files);

	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

void fixture_published(struct upload_fixture *f, const char *path, const char *content)
{
	const struct hub_file *file = fixture_find(f, path);
	uint8_t sha256[SHA256_LEN];

	sha256_bytes(content, strlen(content), sha256);
	assert_non_null(file);
	assert_memory_equal(file->sha256, sha256, SHA256_LEN);
}

const char *fixture_text(struct upload_fixture *f, const char *path)
{
	const char *data = NULL;
	size_t len;

	assert_int_equal(
		f->hub->ops->read(f->hub, FIXTURE_REPO, path, 1 << 20, f->a, &data, &len, &f->e),
		0);
	return data;
}

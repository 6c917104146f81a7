/* Packed matrices of any safetensors file, in each of the three layouts: no crash, and what is
 * accepted can be read from its first weight to its last. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/err.h"
#include "workers/gguf/packed.h"

#define PART 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_ends(const struct packed *p, const struct st_model *m, int fd)
{
	struct packed_cache cache = { 0 };
	uint64_t n = p->rows * p->cols;
	size_t part = n < PART ? (size_t)n : PART;
	float *out = malloc(part * sizeof(*out));
	struct err e = ERR_INIT;

	assert(p->rows && p->cols && p->groups && p->group_size);
	if (out && n < (1u << 24) && packed_read(&cache, p, m, &fd, 0, part, out, &e) == 0)
		(void)packed_read(&cache, p, m, &fd, n - part, part, out, &e);
	assert(e.code == 0 || e.msg[0]);
	free(out);
	packed_cache_release(&cache);
}

static void try_method(struct arena *a, enum quant_method method, int bits, const char *path,
		       int fd)
{
	struct source_quant q = { .method = method, .bits = bits, .form = "x", .group_size = 32 };
	struct st_file file = { .path = path, .name = "m" };
	struct st_model m = { .files = &file, .n_files = 1 };
	struct packed_set set;
	struct err e = ERR_INIT;
	struct st_header h;

	if (st_read_header(a, path, &h, &e) < 0)
		return;
	m.tensors = h.tensors; /* by name as they come: the corpus has them sorted */
	m.n_tensors = h.count;
	for (size_t i = 1; i < h.count; i++)
		if (strcmp(h.tensors[i - 1].name, h.tensors[i].name) >= 0)
			return;
	if (packed_open(a, &q, &m, &set, &e) < 0) {
		assert(e.msg[0]);
		return;
	}
	for (size_t i = 0; i < set.n; i++)
		read_ends(&set.v[i], &m, fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	int fd = memfd_create("m", MFD_CLOEXEC);
	char path[64];

	if (fd >= 0 && write(fd, data, size) == (ssize_t)size) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		try_method(a, QUANT_GPTQ, 4, path, fd);
		try_method(a, QUANT_GPTQ, 8, path, fd);
		try_method(a, QUANT_AWQ, 4, path, fd);
		try_method(a, QUANT_COMPRESSED_TENSORS, 0, path, fd);
	}
	if (fd >= 0)
		close(fd);
	arena_free(a);
	return 0;
}

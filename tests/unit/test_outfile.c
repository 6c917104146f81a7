/* A file written in pieces by several threads: every byte is in its place, of whatever length and
 * order the pieces are, and of a failure nothing is left. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/threads.h"
#include "workers/common/outfile.h"

static char path[] = "outfile-XXXXXX";

struct pieces {
	struct out_file *f;
	const unsigned char *data;
	size_t n, piece;
	atomic_size_t next;
	atomic_int failed;
};

static void work(void *ctx, int i)
{
	struct pieces *p = ctx;
	struct err e = ERR_INIT;

	(void)i;
	for (;;) {
		size_t at = atomic_fetch_add(&p->next, 1) * p->piece, n;

		if (at >= p->n)
			return;
		n = p->n - at < p->piece ? p->n - at : p->piece;
		if (out_write(p->f, p->data + at, n, at, &e) < 0)
			atomic_store(&p->failed, 1);
	}
}

static void check_content(const unsigned char *data, size_t n)
{
	FILE *f = fopen(path, "rb");
	unsigned char *back = mem_alloc(n + 1);

	assert_non_null(f);
	assert_int_equal(fread(back, 1, n + 1, f), n);
	assert_memory_equal(back, data, n);
	(void)fclose(f);
	free(back);
}

static void test_pieces(void **state)
{
	static const size_t sizes[] = { 1, 4095, 4096, 4097, 1u << 20, (1u << 20) + 1, 5000000 };
	static const size_t pieces[] = { 4097, 100003, 1u << 20, 3000000 };
	unsigned char *data = mem_alloc(5000000);
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < 5000000; i++)
		data[i] = (unsigned char)(i * 2654435761u >> 13);
	for (size_t i = 0; i < ARRAY_LEN(sizes) * ARRAY_LEN(pieces) * 2; i++) {
		struct pieces p = { .data = data,
				    .n = sizes[i / 2 % ARRAY_LEN(sizes)],
				    .piece = pieces[i / 2 / ARRAY_LEN(sizes)] };

		assert_int_equal(out_open(path, p.n, i % 2, &p.f, &e), 0);
		threads_run(5, work, &p);
		assert_int_equal(atomic_load(&p.failed), 0);
		assert_int_equal(out_close(p.f, 0, &e), 0);
		check_content(data, p.n);
	}
	assert_int_equal(unlink(path), 0);
	free(data);
}

/* The later half first: chunks stay open until they are full. */
static void test_any_order(void **state)
{
	unsigned char *data = mem_alloc(3000000);
	struct err e = ERR_INIT;
	struct out_file *f;

	(void)state;
	for (size_t i = 0; i < 3000000; i++)
		data[i] = (unsigned char)(i % 251);
	assert_int_equal(out_open(path, 3000000, 0, &f, &e), 0);
	assert_int_equal(out_write(f, data + 1500001, 1499999, 1500001, &e), 0);
	assert_int_equal(out_write(f, data + 7, 1499994, 7, &e), 0);
	assert_int_equal(out_write(f, data, 7, 0, &e), 0);
	assert_int_equal(out_close(f, 0, &e), 0);
	check_content(data, 3000000);
	assert_int_equal(unlink(path), 0);
	free(data);
}

static void test_failures(void **state)
{
	struct rlimit limit, before;
	struct err e = ERR_INIT;
	struct out_file *f;

	(void)state;
	assert_int_equal(out_open(path, 100, 0, &f, &e), 0);
	assert_int_equal(out_write(f, "abc", 3, 0, &e), 0);
	assert_int_equal(out_close(f, ERR_INVALID, &e), ERR_INVALID);
	assert_int_equal(access(path, F_OK), -1);

	assert_int_equal(out_open("no-such-folder/x", 100, 0, &f, &e), ERR_NOTFOUND);

	/* No room: known before anything is written. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1 << 20;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_true(out_open(path, 2 << 20, 0, &f, &e) < 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(out_close(NULL, 0, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_failures),
	};
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	(void)close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

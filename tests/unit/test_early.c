/* Hashes that are taken early count only for bytes that nobody can have changed since. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/run/early.h"
#include "read_bytes.h"

#define BYTES (3u << 20)

struct place {
	char dir[64];
	uv_loop_t loop;
	unsigned char *bytes;
	uint8_t sha256[SHA256_LEN]; /* of bytes */
	int running, endings;
	struct early *early;
};

static char *path_of(const struct place *p, const char *name)
{
	return path_join(p->dir, name);
}

static void put(const struct place *p, const char *name, size_t n)
{
	struct err e = ERR_INIT;
	char *path = path_of(p, name);

	assert_int_equal(path_write(path, p->bytes, n, 0644, &e), 0);
	free(path);
}

static int open_file(const struct place *p, const char *name, int flags)
{
	char *path = path_of(p, name);
	int fd = open(path, flags | O_CLOEXEC);

	free(path);
	return fd;
}

static int setup(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));

	strcpy(p->dir, "/tmp/quern-early-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	p->bytes = mem_alloc(BYTES);
	for (size_t i = 0; i < BYTES; i++)
		p->bytes[i] = (unsigned char)(i * 2654435761u >> 24);
	sha256_bytes(p->bytes, BYTES, p->sha256);
	put(p, "b.bin", BYTES);
	put(p, "a.bin", BYTES / 2);
	put(p, "small", 10);
	assert_int_equal(uv_loop_init(&p->loop), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	early_drop(p->early);
	assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&p->loop), 0);
	assert_int_equal(p->running, 0);
	assert_int_equal(path_remove_tree(p->dir, &e), 0);
	free(p->bytes);
	free(p);
	return 0;
}

/* Some file systems have no leases; then there is nothing to test. */
static void need_leases(const struct place *p)
{
	int fd = open_file(p, "small", O_RDONLY), rc = fcntl(fd, F_SETLEASE, F_RDLCK);

	close(fd);
	if (rc != 0)
		skip();
}

static void on_done(void *data)
{
	struct place *p = data;

	p->endings++;
}

static void hash_all(struct place *p)
{
	need_leases(p);
	p->early = early_start(&p->loop, p->dir, &p->running);
	assert_int_equal(p->running, 1);
	assert_int_equal(early_wait(p->early, on_done, p), 1);
	assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(p->endings, 1);
	assert_int_equal(p->running, 0);
	assert_int_equal(early_wait(p->early, on_done, p), 0);
}

/* 1: the hash of name is known, and right. */
static int knows(const struct place *p, const char *name, const char *real)
{
	int fd = open_file(p, real, O_RDONLY), known;
	uint8_t sha256[SHA256_LEN];

	assert_true(fd >= 0);
	known = early_hash(p->early, name, fd, sha256);
	if (known && strcmp(name, "b.bin") == 0)
		assert_memory_equal(sha256, p->sha256, SHA256_LEN);
	close(fd);
	return known;
}

static void what_nobody_touched_is_known(void **state)
{
	struct place *p = *state;
	long long before;

	hash_all(p);
	before = read_bytes();
	assert_int_equal(knows(p, "b.bin", "b.bin"), 1);
	assert_int_equal(knows(p, "a.bin", "a.bin"), 1);
	assert_true(read_bytes() - before < BYTES / 4);
	assert_int_equal(knows(p, "small", "small"), 0);
	assert_int_equal(knows(p, "c.bin", "a.bin"), 0);
	assert_int_equal(knows(p, "b.bin", "a.bin"), 0);
	early_tick(p->early); /* what is held stays so */
	assert_int_equal(knows(p, "b.bin", "b.bin"), 1);
}

static void what_is_opened_for_writing_is_not(void **state)
{
	struct place *p = *state;
	int fd;

	hash_all(p);
	assert_int_equal(open_file(p, "b.bin", O_WRONLY | O_NONBLOCK), -1);
	assert_int_equal(errno, EWOULDBLOCK); /* it waits until we let go */
	assert_int_equal(knows(p, "b.bin", "b.bin"), 0);
	assert_int_equal(knows(p, "a.bin", "a.bin"), 1);
	early_tick(p->early);
	fd = open_file(p, "b.bin", O_WRONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(knows(p, "b.bin", "b.bin"), 0);
}

static void what_takes_its_name_is_not(void **state)
{
	struct place *p = *state;
	char *from = path_of(p, "other"), *to = path_of(p, "b.bin");

	hash_all(p);
	put(p, "other", BYTES);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(knows(p, "b.bin", "b.bin"), 0);
	free(from);
	free(to);
}

static void what_is_still_being_written_is_not(void **state)
{
	struct place *p = *state;
	int fd = open_file(p, "b.bin", O_WRONLY);

	hash_all(p);
	assert_int_equal(knows(p, "b.bin", "b.bin"), 0);
	assert_int_equal(knows(p, "a.bin", "a.bin"), 1);
	close(fd);
	assert_int_equal(knows(p, "b.bin", "b.bin"), 0);
}

static void giving_up_waits_for_nobody(void **state)
{
	struct place *p = *state;

	p->early = early_start(&p->loop, p->dir, &p->running);
	assert_int_equal(early_wait(p->early, on_done, p), 1);
	early_drop(p->early);
	p->early = NULL;
	assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(p->endings, 0);
	early_drop(NULL);
	early_tick(NULL);
	assert_int_equal(early_wait(NULL, on_done, p), 0);
	assert_int_equal(early_hash(NULL, "b.bin", -1, p->sha256), 0);
}

static void a_folder_that_is_gone_has_nothing(void **state)
{
	struct place *p = *state;

	p->early = early_start(&p->loop, "/nonexistent/out", &p->running);
	assert_int_equal(uv_run(&p->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(knows(p, "b.bin", "b.bin"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(what_nobody_touched_is_known), T(what_is_opened_for_writing_is_not),
		T(what_takes_its_name_is_not),	 T(what_is_still_being_written_is_not),
		T(giving_up_waits_for_nobody),	 T(a_folder_that_is_gone_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* tests/unit/store_helper.h -- a store in the current folder, and jobs in it. */
#ifndef QUERN_TESTS_STORE_HELPER_H
#define QUERN_TESTS_STORE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/arena.h"
#include "db/store.h"

#define NOW 1700000000000

/* For calls that must go well: on failure the text is shown. */
#define OK(call)                                                                                   \
	do {                                                                                       \
		int ok_rc_ = (call);                                                               \
		if (ok_rc_ < 0)                                                                    \
			fail_msg("%s: %d: %s", #call, ok_rc_, e.msg);                              \
	} while (0)

static inline void remove_database(const char *path)
{
	char side[512];

	(void)unlink(path);
	(void)snprintf(side, sizeof(side), "%s-wal", path);
	(void)unlink(side);
	(void)snprintf(side, sizeof(side), "%s-shm", path);
	(void)unlink(side);
}

static inline struct store *open_store(const char *path)
{
	struct err e = ERR_INIT;
	struct store *s = NULL;

	OK(store_open(path, 0, &s, &e));
	return s;
}

static inline struct store *new_store(const char *path)
{
	remove_database(path);
	return open_store(path);
}

/* The Nth of many different jobs; its key begins with n, so that tests can name it. */
static inline struct job_new numbered_job(int n, uint8_t key[SHA256_LEN], char label[64])
{
	memset(key, 0xab, SHA256_LEN);
	key[0] = (uint8_t)(n >> 24);
	key[1] = (uint8_t)(n >> 16);
	key[2] = (uint8_t)(n >> 8);
	key[3] = (uint8_t)n;
	(void)snprintf(label, 64, "model/gguf/Q%d", n);
	return (struct job_new){ .spec = { .model = "model",
					   .engine = "gguf",
					   .engine_version = "1.0.0",
					   .source_kind = "path",
					   .source = "/models/model",
					   .source_version = "00ff",
					   .platform = "",
					   .quant = "Q8_0",
					   .opt = n,
					   .with = "{}" },
				 .key = key,
				 .label = label,
				 .repo = "org/model",
				 .file = "model-Q8_0",
				 .memory_bytes = 100,
				 .output_bytes = 200,
				 .scratch_bytes = 300 };
}

static inline int64_t add_job(struct store *s, int n, int64_t run_id)
{
	struct err e = ERR_INIT;
	uint8_t key[SHA256_LEN];
	enum job_added how;
	char label[64];
	int64_t id = 0;
	struct job_new j = numbered_job(n, key, label);

	OK(store_job_add(s, &j, run_id, NOW, &how, &id, NULL, &e));
	return id;
}

static inline int64_t begin_run(struct store *s)
{
	struct err e = ERR_INIT;
	int64_t id = 0;

	OK(store_run_begin(s, "nightly", "/srv/jobs.yaml", NOW, &id, &e));
	return id;
}

static inline int try_move(struct store *s, int64_t id, enum job_state from, enum job_event ev,
			   struct err *e)
{
	struct job_move m = { .id = id, .from = from, .ev = ev, .now_ms = NOW };

	return store_job_move(s, &m, NULL, e);
}

static inline void move(struct store *s, int64_t id, enum job_state from, enum job_event ev)
{
	struct err e = ERR_INIT;

	OK(try_move(s, id, from, ev, &e));
}

static inline enum job_state state_of(struct store *s, int64_t id)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;
	struct job_row row;

	OK(store_job_get(s, id, a, &row, &e));
	arena_free(a);
	return row.state;
}

/* Made new, with so many jobs, and closed. */
static inline void make_database(const char *path, int jobs)
{
	struct store *s = new_store(path);
	struct err e = ERR_INIT;
	int64_t run = begin_run(s);

	OK(store_begin(s, &e));
	for (int i = 0; i < jobs; i++)
		(void)add_job(s, i * 7919, run);
	OK(store_commit(s, &e));
	store_close(s);
}

/* Runs fn in a child; its exit status. */
static inline int in_child(void (*fn)(int), int arg)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif

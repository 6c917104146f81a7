/* tests/sim/world.c -- chance, fates, and what workers leave behind. */
#include "sim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/path.h"

struct sim_world *world;

/* SplitMix64: https://prng.di.unimi.it/splitmix64.c has the constants. */
uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n ? (uint32_t)((rng_next(r) >> 32) * n >> 32) : 0;
}

bool rng_once_in(struct rng *r, uint32_t n)
{
	return rng_below(r, n) == 0;
}

uint64_t mix64(uint64_t a, uint64_t b)
{
	struct rng r = { a * 0x9e3779b97f4a7c15u ^ b };

	return rng_next(&r);
}

static struct rng rng_of_key(uint64_t seed, const char *hex)
{
	char head[17];

	snprintf(head, sizeof(head), "%.16s", hex);
	return (struct rng){ mix64(seed, strtoull(head, NULL, 16)) };
}

enum fate sim_fate(uint64_t seed, const char *key_hex)
{
	struct rng r = rng_of_key(seed, key_hex);

	/* half of them are good */
	return rng_once_in(&r, 2) ? FATE_GOOD : (enum fate)rng_below(&r, FATE_COUNT);
}

int sim_bad_ends(uint64_t seed, const char *key_hex)
{
	struct rng r = rng_of_key(seed + 1, key_hex);

	return 1 + (int)rng_below(&r, SIM_ATTEMPTS - 1);
}

void sim_wrong(const char *fmt, ...)
{
	va_list ap;

	if (world->wrong[0])
		return;
	va_start(ap, fmt);
	vsnprintf(world->wrong, sizeof(world->wrong), fmt, ap);
	va_end(ap);
}

struct sim_key *sim_key(const char *hex)
{
	struct sim_key *k = world->keys;

	for (int i = 0; i < world->n_keys; i++, k++) {
		if (strcmp(k->hex, hex) == 0)
			return k;
	}
	if (world->n_keys == SIM_JOBS_MAX) {
		sim_wrong("more than %d keys", SIM_JOBS_MAX);
		_exit(1);
	}
	world->n_keys++;
	memset(k, 0, sizeof(*k));
	snprintf(k->hex, sizeof(k->hex), "%s", hex);
	return k;
}

/* ---- a worker's last act; its file system has no faults, those are its quern's */

static void put(const char *dir, const char *name, const char *text)
{
	char *path = path_join(dir, name), *temp = path_join(dir, "put.tmp");
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
		(void)rename(temp, path);
	if (fd >= 0)
		close(fd);
	free(temp);
	free(path);
}

static const char *output_name(struct arena *a, const char *dir, const struct json **job)
{
	char *path = path_join(dir, "job.json");
	struct err e = ERR_INIT;
	struct json *v = NULL;
	struct buf b;

	buf_init(&b, 1 << 16);
	if (path_read(path, 1 << 16, &b, &e) < 0 || json_parse(a, buf_str(&b), b.len, &v, &e) < 0)
		sim_wrong("%s: %s", path, e.msg);
	buf_release(&b);
	free(path);
	*job = v;
	return arena_printf(a, "%s.sim", json_str(v, "file", "?"));
}

static void leave_output(const struct sim_worker *w, const char *content, bool lie)
{
	struct arena *a = arena_new();
	const struct json *job;
	const char *name = output_name(a, w->dir, &job);
	char number[32], sha[SHA256_HEX];
	uint8_t digest[SHA256_LEN];

	sha256_bytes(content, strlen(content), digest);
	digest[0] ^= lie;
	hex_encode(digest, SHA256_LEN, sha);
	json_format_number(json_num(job, "hybrid", 0), number);
	put(w->dir, arena_printf(a, "out/%s", name), content);
	put(w->dir, "result.json",
	    arena_printf(
		    a,
		    "{\"protocol\":1,\"status\":\"ok\",\"files\":[{\"path\":\"%s\",\"size\":%zu,"
		    "\"sha256\":\"%s\"}],\"facts\":{\"quant\":\"%s\",\"hybrid\":%s,\"opt\":%lld}}",
		    name, strlen(content), sha, json_str(job, "quant", ""), number,
		    (long long)json_int(job, "opt", 0)));
	arena_free(a);
}

static bool ends_badly(const struct sim_key *k, enum fate fate)
{
	return fate == FATE_CRASHES ||
	       (fate == FATE_FLAKY && k->bad_ends < sim_bad_ends(world->seed, k->hex));
}

void sim_worker_ends(struct sim_worker *w)
{
	struct sim_key *k = &world->keys[w->key];
	enum fate fate = sim_fate(world->seed, k->hex);
	char content[SIM_KEY + 32];

	w->live = false;
	if (w->signal)
		return; /* by somebody's hand, before its last act */
	if (w->validates) {
		w->exit_code = fate == FATE_INVALID ? 3 : 0;
		return;
	}
	if (fate == FATE_REFUSES) {
		put(w->dir, "result.json",
		    "{\"protocol\":1,\"status\":\"error\",\"code\":\"invalid\","
		    "\"message\":\"no such thing\"}");
		w->exit_code = 3;
		return;
	}
	if (ends_badly(k, fate)) {
		k->bad_ends++;
		w->signal = SIGSEGV;
		return;
	}
	snprintf(content, sizeof(content), "simulated output of %s\n", k->hex);
	leave_output(w, content, fate == FATE_LIES);
	k->finished += fate == FATE_GOOD || fate == FATE_FLAKY;
}

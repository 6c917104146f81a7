/* artifact-maker WORK VARIANT/FILE=SIZE[:SEED]... -- a work folder with verified artifacts that
 * wait to be published to my-org/kjv, without any conversion: what tests and benchmarks of the
 * upload start from. Arguments with one VARIANT are one job; SIZE is in bytes, and equal seeds make
 * equal bytes. "@FILE": more arguments, one a line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload_fixture.h"

#define PIECE ((size_t)1 << 20)

static void must(int rc, const struct err *e)
{
	if (rc >= 0)
		return;
	(void)fprintf(stderr, "artifact-maker: %s\n", e->msg);
	exit(1);
}

struct words {
	char **v;
	size_t n, cap;
};

static void add_word(struct words *w, const char *text)
{
	MEM_GROW(w->v, w->n, w->cap);
	w->v[w->n++] = mem_strdup(text);
}

static void read_words(struct words *w, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f) {
		perror(path);
		exit(1);
	}
	while ((n = getline(&line, &cap, f)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		add_word(w, line);
	}
	free(line);
	(void)fclose(f);
}

/* Bytes that no two seeds share: xorshift64. */
static void fill(uint64_t *p, size_t n, uint64_t *state)
{
	uint64_t x = *state;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
	*state = x;
}

static void write_content(const char *path, uint64_t size, uint64_t seed,
			  uint8_t sha256[SHA256_LEN])
{
	uint64_t state = seed * 0x9e3779b97f4a7c15u + 1, *piece = mem_alloc(PIECE);
	struct sha256 *sha = sha256_new();
	FILE *f = fopen(path, "wb");

	while (f && size > 0) {
		size_t n = size < PIECE ? (size_t)size : PIECE;

		fill(piece, (n + sizeof(*piece) - 1) / sizeof(*piece), &state);
		sha256_update(sha, piece, n);
		if (fwrite(piece, 1, n, f) != n)
			break;
		size -= n;
	}
	if (!f || size > 0 || fclose(f) != 0 || chmod(path, 0444) < 0) {
		perror(path);
		exit(1);
	}
	sha256_final(sha, sha256);
	sha256_free(sha);
	free(piece);
}

/* "VARIANT/FILE=SIZE:SEED" of this variant becomes a file of its job. */
static void add_file(struct upload_fixture *f, int64_t job, const char *word, size_t variant_len)
{
	const char *name = word + variant_len + 1, *equals = strrchr(word, '=');
	struct artifact_row row = { .job_id = job,
				    /* a worker that confirms the quantization, here the variant */
				    .facts = arena_printf(f->a, "{\"worker\":{\"quant\":\"%.*s\"}}",
							  (int)variant_len, word) };
	char *end, *dir;
	const char *path;
	uint64_t seed = 1;

	row.name = arena_strndup(f->a, name, (size_t)(equals - name));
	row.size_bytes = strtoll(equals + 1, &end, 10);
	if (*end == ':')
		seed = strtoull(end + 1, NULL, 10);
	path = fixture_artifact(f, job, row.name);
	dir = path_dirname(path);
	must(path_mkdirs(dir, 0755, &f->e), &f->e);
	free(dir);
	write_content(path, (uint64_t)row.size_bytes, seed, row.sha256);
	must(store_artifact_put(f->store, &row, &f->e), &f->e);
}

static size_t variant_length(const char *word)
{
	size_t n = strcspn(word, "/");

	if (word[n] != '/' || !strchr(word, '=')) {
		(void)fprintf(stderr, "artifact-maker: %s is no VARIANT/FILE=SIZE[:SEED]\n", word);
		exit(2);
	}
	return n;
}

static bool same_variant(const char *a, const char *b, size_t n)
{
	return strncmp(a, b, n) == 0 && b[n] == '/';
}

int main(int argc, char **argv)
{
	struct upload_fixture f;
	struct words w = { 0 };

	if (argc < 3)
		return 2;
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] == '@')
			read_words(&w, argv[i] + 1);
		else
			add_word(&w, argv[i]);
	}
	fixture_open(&f, argv[1]);
	must(store_begin(f.store, &f.e), &f.e);
	for (size_t i = 0, n; i < w.n; i = n) {
		size_t len = variant_length(w.v[i]);
		char *variant = arena_strndup(f.a, w.v[i], len);
		struct fixture_job job = { .quant = variant, .version = "1", .file = variant };
		int64_t id = fixture_job(&f, &job);

		for (n = i; n < w.n && same_variant(variant, w.v[n], len); n++)
			add_file(&f, id, w.v[n], len);
	}
	must(store_commit(f.store, &f.e), &f.e);
	fixture_close(&f);
	for (size_t i = 0; i < w.n; i++)
		free(w.v[i]);
	free(w.v);
	return 0;
}

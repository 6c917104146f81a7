/* The folders of fake models: complete or absent, as described, with a tokenizer that holds
 * together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/safetensors.h"
#include "core/source.h"
#include "workers/fake/model.h"
#include "workers/fake/shape.h"
#include "workers/fake/texts.h"
#include "workers/fake/tokenizer.h"

static struct fake_spec parse(const char *text)
{
	struct err e = ERR_INIT;
	struct fake_spec s;

	if (fake_spec_parse(text, &s, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return s;
}

struct place {
	struct arena *a;
	char *dir;
};

static int set_up(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	char dir[] = "fake-XXXXXX";
	struct err e = ERR_INIT;

	p->a = arena_new();
	p->dir = path_real(mkdtemp(dir), &e);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct err e = ERR_INIT;

	assert_int_equal(path_remove_tree(p->dir, &e), 0);
	arena_free(p->a);
	free(p->dir);
	free(p);
	return 0;
}

static const char *below(struct place *p, const char *name)
{
	return arena_printf(p->a, "%s/%s", p->dir, name);
}

static const char *make(struct place *p, const char *name, const char *text)
{
	struct fake_spec s = parse(text);
	struct err e = ERR_INIT;
	const char *dir = below(p, name);

	if (fake_model_make(&s, dir, 0, NULL, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return dir;
}

/* SHA-256 over all tensors by name, however they are spread over files. */
static void hash_tensors(struct place *p, const char *dir, uint8_t out[SHA256_LEN])
{
	struct sha256 *sha = sha256_new();
	struct err e = ERR_INIT;
	struct st_model m;

	assert_int_equal(st_open_model(p->a, dir, &m, &e), 0);
	for (size_t i = 0; i < m.n_tensors; i++) {
		const struct st_tensor *t = &m.tensors[i];
		FILE *f = fopen(m.files[t->file].path, "rb");
		char *data = mem_alloc(t->size_bytes);

		assert_non_null(f);
		assert_int_equal(fseeko(f, (off_t)t->offset, SEEK_SET), 0);
		assert_int_equal(fread(data, 1, t->size_bytes, f), t->size_bytes);
		sha256_update(sha, t->name, strlen(t->name));
		sha256_update(sha, data, t->size_bytes);
		fclose(f);
		free(data);
	}
	sha256_final(sha, out);
	sha256_free(sha);
}

static void describe_tells_what_is_made(void **state)
{
	static const char *const specs[] = { "llama-tiny:fill=random", "qwen2-tiny:shard=300kB",
					     "qwen2:dtype=F32,tie=false,vocab=5000,ctx=77" };
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct fake_spec s = parse(specs[i]);
		const char *dir = make(p, arena_printf(p->a, "m%zu", i), specs[i]);
		struct err e = ERR_INIT;
		struct source_facts f, told = { 0 };
		struct json *v;
		struct buf b;

		assert_int_equal(source_read_facts(p->a, dir, &f, &e), 0);
		buf_init(&b, 65536);
		fake_describe(&s, &b);
		assert_int_equal(json_parse(p->a, b.data, b.len, &v, &e), 0);
		buf_release(&b);
		assert_string_equal(json_str(v, "architecture", ""), f.architecture);
		assert_string_equal(json_str(v, "model_type", ""), f.model_type);
		assert_string_equal(json_str(v, "dtype", ""), f.dtype);
		assert_string_equal(json_str(v, "license", ""), f.license);
		assert_int_equal(json_int(v, "params", 0), f.params);
		assert_int_equal(json_int(v, "matrix_params", 0), f.matrix_params);
		assert_int_equal(json_int(v, "vector_params", 0), f.vector_params);
		assert_int_equal(json_int(v, "size_bytes", 0), f.size_bytes);
		assert_int_equal(json_int(v, "largest_tensor_bytes", 0), f.largest_tensor_bytes);
		assert_int_equal(json_int(v, "n_tensors", 0), f.n_tensors);
		assert_int_equal(json_int(v, "max_row", 0), f.max_row);
		assert_int_equal(json_int(v, "tokenizer_bytes", 0), f.tokenizer_bytes);
		source_matrices_read(p->a, v, &told);
		assert_true(f.n_matrices >= 3);
		assert_int_equal(told.n_matrices, f.n_matrices);
		for (size_t k = 0; k < f.n_matrices; k++) {
			assert_string_equal(told.matrices[k].name, f.matrices[k].name);
			assert_int_equal(told.matrices[k].out, f.matrices[k].out);
			assert_int_equal(told.matrices[k].in, f.matrices[k].in);
			assert_int_equal(told.matrices[k].count, f.matrices[k].count);
		}
	}
}

static void shards_change_no_weight(void **state)
{
	struct place *p = *state;
	uint8_t one[SHA256_LEN], many[SHA256_LEN], other[SHA256_LEN];

	hash_tensors(p, make(p, "one", "llama-tiny:fill=random"), one);
	hash_tensors(p, make(p, "many", "llama-tiny:fill=random,shard=1"), many);
	hash_tensors(p, make(p, "other", "llama-tiny:fill=random,seed=1"), other);
	assert_memory_equal(one, many, sizeof(one));
	assert_memory_not_equal(one, other, sizeof(one));
	assert_int_equal(access(below(p, "many/model-00021-of-00021.safetensors"), R_OK), 0);
}

static void only_a_model_is_replaced(void **state)
{
	struct place *p = *state;
	struct fake_spec s = parse("llama-tiny");
	struct err e = ERR_INIT;
	const char *dir = make(p, "m", "llama-tiny:fill=random");

	assert_int_equal(fake_model_make(&s, dir, 0, NULL, &e), ERR_INVALID);
	assert_int_equal(fake_model_make(&s, dir, 1, NULL, &e), 0);
	assert_int_equal(path_write(below(p, "m/thesis.tex"), "x", 1, 0644, &e), 0);
	assert_int_equal(fake_model_make(&s, dir, 1, NULL, &e), ERR_INVALID);
	assert_int_equal(access(below(p, "m/thesis.tex"), R_OK), 0);
	assert_int_equal(mkdir(below(p, "empty"), 0755), 0);
	assert_int_equal(fake_model_make(&s, below(p, "empty/"), 0, NULL, &e), 0);
	assert_int_equal(symlink("m", below(p, "link")), 0);
	assert_int_equal(fake_model_make(&s, below(p, "link"), 1, NULL, &e), ERR_INVALID);
}

static int stop_at_once(uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	return 1;
}

static void an_interrupted_model_is_absent(void **state)
{
	struct place *p = *state;
	struct fake_spec s = parse("llama-tiny:fill=random");
	struct err e = ERR_INIT;

	assert_int_equal(fake_model_make(&s, below(p, "m"), 0, stop_at_once, &e), ERR_CANCELLED);
	assert_int_equal(rmdir(p->dir), 0); /* nothing is left in it */
	assert_int_equal(mkdir(p->dir, 0755), 0);
}

/* Ids without holes, one token an id, room in the embedding, merges of known parts. */
static void tokenizers_are_consistent(void **state)
{
	static const char *const specs[] = { "llama-tiny",	     "qwen2-tiny",
					     "llama-tiny:vocab=272", "qwen2-tiny:vocab=259",
					     "qwen2-0.5b",	     "llama-8b",
					     "tinyllama-1.1b" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct fake_spec s = parse(specs[i]);
		struct arena *a = arena_new();
		const struct json *vocab, *merges, *added;
		struct err e = ERR_INIT;
		struct json *root;
		struct buf b;
		unsigned char *seen = mem_zalloc(s.vocab);

		buf_init(&b, FAKE_TOKENIZER_MAX);
		fake_tokenizer_json(&s, &b);
		/* The parser refuses duplicate keys, so tokens are distinct when it does not. */
		assert_int_equal(json_parse(a, b.data, b.len, &root, &e), 0);
		vocab = json_get(json_get(root, "model"), "vocab");
		merges = json_get(json_get(root, "model"), "merges");
		added = json_get(root, "added_tokens");
		assert_true(vocab->count + added->count <= s.vocab);
		for (size_t k = 0; k < vocab->count; k++)
			seen[vocab->members[k].value->integer]++;
		for (size_t k = 0; k < added->count; k++)
			seen[json_int(added->members[k].value, "id", 0)]++;
		for (size_t k = 0; k < vocab->count + added->count; k++)
			assert_int_equal(seen[k], 1);
		for (size_t k = 0; k < merges->count; k++) {
			char *pair = arena_strdup(a, merges->members[k].value->str), *right = pair;
			const char *left = strsep(&right, " ");

			assert_non_null(json_get(vocab, left));
			assert_non_null(json_get(vocab, right));
			assert_non_null(json_get(vocab, arena_printf(a, "%s%s", left, right)));
		}
		free(seen);
		buf_release(&b);
		arena_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokenizers_are_consistent),
		cmocka_unit_test_setup_teardown(describe_tells_what_is_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shards_change_no_weight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_a_model_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_interrupted_model_is_absent, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

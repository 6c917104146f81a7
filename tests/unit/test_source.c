/* A model's folder: which files count, links that may and may not be followed, and the facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/source.h"

static int setup(void **state)
{
	struct err e = ERR_INIT;

	*state = arena_new();
	return path_remove_tree("m", &e) < 0 || path_mkdirs("m", 0755, &e) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static void put_bytes(const char *path, const void *data, size_t len)
{
	struct err e = ERR_INIT;

	if (path_write(path, data, len, 0644, &e) < 0)
		fail_msg("%s", e.msg);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static void put_weights(const char *path)
{
	static const char header[] =
		"{\"w\":{\"dtype\":\"BF16\",\"shape\":[3,5],\"data_offsets\":[0,30]},"
		"\"e\":{\"dtype\":\"BF16\",\"shape\":[2,9],\"data_offsets\":[30,66]},"
		"\"n\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[66,82]}}";
	char file[8 + sizeof(header) - 1 + 82] = { (char)(sizeof(header) - 1) };

	assert_true(sizeof(header) - 1 < 256);
	memcpy(file + 8, header, sizeof(header) - 1);
	put_bytes(path, file, sizeof(file));
}

static void test_wanted(void **state)
{
	static const char *const yes[] = {
		"config.json",	     "LICENSE",
		"tokenizer.json",    "README.md",
		"model.safetensors", "x.gguf",
		"merges.txt",	     "model.safetensors.index.json",
		"tokenizer.model",   "additional_chat_templates/rag.jinja"
	};
	static const char *const no[] = { "pytorch_model.bin",
					  "x.pt",
					  "x.pkl",
					  "x.ckpt",
					  "consolidated.safetensors",
					  ".gitattributes",
					  "",
					  ".safetensors",
					  "config.json.bak",
					  "train.py",
					  "additional_chat_templates",
					  "additional_chat_templates/a/b.jinja",
					  "additional_chat_templates/.jinja",
					  "additional_chat_templates/x.gguf" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(source_wanted(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(source_wanted(no[i]));
	/* a finished file is a model alone, and only when it is asked for */
	assert_true(source_wanted("old.rkllm") && source_is_finished("old.rkllm"));
	assert_false(source_is_finished("old.rkllm.txt") || source_is_finished(".rkllm"));
	assert_false(source_belongs("old.rkllm", NULL));
	assert_false(source_belongs("old.rkllm", "m.gguf"));
	assert_true(source_belongs("old.rkllm", "old.rkllm"));
	assert_false(source_belongs("config.json", "old.rkllm"));
	assert_true(source_belongs("config.json", NULL));
}

static void test_list(void **state)
{
	struct source_files files = { 0 };
	struct err e = ERR_INIT;
	struct stat st;

	put("m/tokenizer.json", "{}");
	put("m/config.json", "{ }");
	put("m/pytorch_model.bin", "no");
	put("m/real.txt", "linked");
	assert_int_equal(path_mkdirs("m/additional_chat_templates/deeper", 0755, &e), 0);
	put("m/additional_chat_templates/rag.jinja", "{{ x }}");
	put("m/additional_chat_templates/notes.txt", "no");
	assert_int_equal(symlink("real.txt", "m/merges.txt"), 0);
	assert_int_equal(symlink("/etc/passwd", "m/unwanted"), 0);
	if (source_list(*state, "m", &files, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(files.n, 4);
	assert_string_equal(files.v[0].name, "additional_chat_templates/rag.jinja");
	assert_int_equal(files.v[0].size_bytes, 7);
	files.v++;
	assert_string_equal(files.v[0].name, "config.json");
	assert_string_equal(files.v[1].name, "merges.txt");
	assert_string_equal(path_basename(files.v[1].path), "real.txt");
	assert_int_equal(files.v[1].path[0], '/');
	assert_string_equal(files.v[2].name, "tokenizer.json");
	assert_int_equal(stat("m/config.json", &st), 0);
	assert_int_equal(files.v[0].size_bytes, 3);
	assert_int_equal(files.v[0].inode, st.st_ino);
	assert_true(files.v[0].mtime_ns ==
		    (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
	/* its code only where it is trusted */
	put("m/modeling.py", "x");
	assert_int_equal(source_list(*state, "m", &files, &e), 0);
	assert_int_equal(files.n, 4);
	assert_int_equal(source_list_code(*state, "m", &files, &e), 0);
	assert_int_equal(files.n, 5);
	assert_string_equal(files.v[3].name, "modeling.py");
	assert_int_equal(source_list(*state, "none", &files, &e), ERR_NOTFOUND);
	assert_int_equal(source_list(*state, "m/config.json", &files, &e), ERR_INVALID);
}

/* The Hub's cache keeps the bytes two folders up, in blobs; nothing else outside is followed. */
static void test_links(void **state)
{
	static const char *const outside[] = { "/etc/passwd", "../../secret", "../../blobs-2/x",
					       "../other/config.json" };
	struct source_files files;
	struct err e = ERR_INIT;

	assert_int_equal(path_mkdirs("m/snapshots/rev", 0755, &e), 0);
	assert_int_equal(path_mkdirs("m/snapshots/other", 0755, &e), 0);
	assert_int_equal(path_mkdirs("m/blobs", 0755, &e), 0);
	assert_int_equal(path_mkdirs("m/blobs-2", 0755, &e), 0);
	put("m/blobs/abc", "{}");
	put("m/blobs-2/x", "{}");
	put("m/secret", "{}");
	put("m/snapshots/other/config.json", "{}");
	assert_int_equal(symlink("../../blobs/abc", "m/snapshots/rev/config.json"), 0);
	assert_int_equal(source_list(*state, "m/snapshots/rev", &files, &e), 0);
	assert_int_equal(files.n, 1);
	for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
		assert_int_equal(unlink("m/snapshots/rev/config.json"), 0);
		assert_int_equal(symlink(outside[i], "m/snapshots/rev/config.json"), 0);
		assert_int_equal(source_list(*state, "m/snapshots/rev", &files, &e), ERR_INVALID);
		assert_non_null(strstr(e.msg, "outside the model's folder"));
	}
	assert_int_equal(unlink("m/snapshots/rev/config.json"), 0);
	assert_int_equal(symlink("nowhere", "m/snapshots/rev/config.json"), 0);
	assert_int_equal(source_list(*state, "m/snapshots/rev", &files, &e), ERR_NOTFOUND);
	assert_int_equal(unlink("m/snapshots/rev/config.json"), 0);
	assert_int_equal(mkfifo("m/snapshots/rev/config.json", 0600), 0);
	assert_int_equal(source_list(*state, "m/snapshots/rev", &files, &e), ERR_INVALID);
	assert_int_equal(unlink("m/snapshots/rev/config.json"), 0);
	put("m/snapshots/rev/a\x1b.gguf", "");
	assert_int_equal(source_list(*state, "m/snapshots/rev", &files, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "a\\x1b.gguf"));
}

static void test_facts(void **state)
{
	struct source_facts f;
	struct err e = ERR_INIT;

	put_weights("m/model.safetensors");
	put("m/config.json", "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"}");
	put("m/tokenizer.json", "{\"a\":1}");
	put("m/README.md", "---\r\nlanguage: en\r\nlicense: \"apache-2.0\" \r\n---\r\n# x\n");
	if (source_read_facts(*state, "m", &f, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(f.architecture, "LlamaForCausalLM");
	assert_string_equal(f.model_type, "llama");
	assert_string_equal(f.dtype, "BF16");
	assert_string_equal(f.format, "safetensors");
	assert_string_equal(f.license, "apache-2.0");
	assert_int_equal(f.matrix_params, 33);
	assert_int_equal(f.vector_params, 4);
	assert_int_equal(f.params, 37);
	assert_int_equal(f.size_bytes, 82);
	assert_int_equal(f.largest_tensor_bytes, 36);
	assert_int_equal(f.n_tensors, 3);
	assert_int_equal(f.max_row, 9);
	assert_int_equal(f.tokenizer_bytes, 7);
}

static void test_licenses(void **state)
{
	static const struct {
		const char *readme, *license;
	} cases[] = {
		{ "---\nlicense: mit\n---\n", "mit" },
		{ "---\nlicense:mit", "mit" },
		{ "---\nlicense: 'mit'\n", "mit" },
		{ "---\ntags: x\n---\nlicense: mit\n", NULL },
		{ "# title\n---\nlicense: mit\n---\n", NULL },
		{ "license: mit\n", NULL },
		{ "---\nlicense: mit\x1b[2J\n---\n", NULL },
		{ "---\nlicense: a b\n---\n", NULL },
		{ "---\nlicense:\n---\n", NULL },
		{ "---\nlicense: "
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
		  NULL },
		{ "", NULL },
	};

	put_weights("m/model.safetensors");
	put("m/config.json", "{\"architectures\":[\"X\"]}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct source_facts f;
		struct err e = ERR_INIT;

		put("m/README.md", cases[i].readme);
		assert_int_equal(source_read_facts(*state, "m", &f, &e), 0);
		if (cases[i].license)
			assert_string_equal(f.license, cases[i].license);
		else
			assert_null(f.license);
		assert_null(f.model_type);
	}
}

static void test_bad_config(void **state)
{
	static const struct {
		const char *config, *error;
	} cases[] = {
		{ "", "m/config.json: 1:1: the text ends" },
		{ "{}", "\"architectures\" is missing" },
		{ "[]", "\"architectures\" is missing" },
		{ "{\"architectures\":[]}", "\"architectures\" is missing" },
		{ "{\"architectures\":[1]}", "not the name of a class" },
		{ "{\"architectures\":[\"../x\"]}", "not the name of a class" },
		{ "{\"architectures\":[\"X\\u0000\"]}", "not the name of a class" },
		{ "{\"architectures\":[\"X\"],\"model_type\":\"a b\"}", "\"model_type\"" },
	};
	struct source_facts f;
	struct err e = ERR_INIT;

	put_weights("m/model.safetensors");
	assert_int_equal(source_read_facts(*state, "m", &f, &e), ERR_NOTFOUND);
	assert_non_null(strstr(e.msg, "no config.json"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		put("m/config.json", cases[i].config);
		assert_int_equal(source_read_facts(*state, "m", &f, &e), ERR_INVALID);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("\"%s\" gives \"%s\"", cases[i].config, e.msg);
	}
}

static void test_no_weights(void **state)
{
	struct source_facts f;
	struct err e = ERR_INIT;

	put("m/config.json", "{\"architectures\":[\"X\"]}");
	assert_int_equal(source_read_facts(*state, "m", &f, &e), ERR_NOTFOUND);
	put("m/x.gguf", "GGUF");
	assert_int_equal(source_read_facts(*state, "m", &f, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "x.gguf: "));
	put_bytes("m/model.safetensors", "\x02\0\0\0\0\0\0\0{}", 10);
	assert_int_equal(source_read_facts(*state, "m", &f, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "hold no tensor"));
}

/* The weights that codes stand for are counted, and linear layers by their shapes. */
static void test_quantized(void **state)
{
	static const char header[] =
		"{\"l.q.qweight\":{\"dtype\":\"I32\",\"shape\":[4,8],\"data_offsets\":[0,128]},"
		"\"l.q.qzeros\":{\"dtype\":\"I32\",\"shape\":[1,1],\"data_offsets\":[128,132]},"
		"\"l.q.scales\":{\"dtype\":\"F16\",\"shape\":[1,8],\"data_offsets\":[132,148]},"
		"\"l.k.weight\":{\"dtype\":\"F16\",\"shape\":[8,32],\"data_offsets\":[148,660]},"
		"\"embed_tokens.weight\":{\"dtype\":\"F16\",\"shape\":[4,32],"
		"\"data_offsets\":[660,916]}}    ";
	const size_t n = sizeof(header) - 1;
	char file[8 + sizeof(header) - 1 + 916] = { (char)(n & 255), (char)(n >> 8) };
	struct source_facts f;
	struct err e = ERR_INIT;

	memcpy(file + 8, header, n);
	put_bytes("m/model.safetensors", file, sizeof(file));
	put("m/config.json", "{\"architectures\":[\"X\"],\"quantization_config\":{"
			     "\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}}");
	if (source_read_facts(*state, "m", &f, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(f.quant_form, "gptq-4bit");
	assert_string_equal(f.quant_text, "GPTQ, 4 bits, groups of 32");
	assert_int_equal(f.matrix_params, 2 * 8 * 32 + 4 * 32);
	assert_int_equal(f.vector_params, 0);
	assert_int_equal(f.size_bytes, 916);
	assert_int_equal(f.n_matrices, 1);
	assert_string_equal(f.matrices[0].name, "l.k.weight");
	assert_true(f.matrices[0].out == 8 && f.matrices[0].in == 32 && f.matrices[0].count == 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_wanted),	  T(test_list),	      T(test_links),	  T(test_facts),
		T(test_licenses), T(test_bad_config), T(test_no_weights), T(test_quantized),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

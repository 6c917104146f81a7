/* SHA-256 against the vectors of FIPS 180-4 (and NIST CAVP), whole and in pieces. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/hash.h"
#include "core/path.h"

static const struct {
	const char *text, *digest;
} vectors[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static void assert_digest(const uint8_t digest[SHA256_LEN], const char *expected)
{
	char hex[SHA256_HEX];

	hex_encode(digest, SHA256_LEN, hex);
	assert_string_equal(hex, expected);
}

static void test_vectors(void **state)
{
	struct sha256 *s = sha256_new();
	uint8_t digest[SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		size_t n = strlen(vectors[i].text);

		sha256_bytes(vectors[i].text, n, digest);
		assert_digest(digest, vectors[i].digest);
		for (size_t k = 0; k < n; k++)
			sha256_update(s, vectors[i].text + k, 1);
		sha256_final(s, digest); /* also makes s ready for the next vector */
		assert_digest(digest, vectors[i].digest);
	}
	sha256_free(s);
	sha256_free(NULL);
}

/* The one-million-a vector of FIPS 180-4, through a file. */
static void test_file(void **state)
{
	static char text[1000000];
	struct err e = ERR_INIT;
	uint8_t digest[SHA256_LEN];
	uint64_t size = 0;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(path_write("million", text, sizeof(text), 0644, &e), 0);
	assert_int_equal(sha256_file("million", digest, &size, &e), 0);
	assert_int_equal(size, sizeof(text));
	assert_digest(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	assert_int_equal(sha256_file("million", digest, NULL, &e), 0);
	assert_int_equal(sha256_file("absent", digest, NULL, &e), ERR_NOTFOUND);
	assert_int_equal(sha256_file(".", digest, NULL, &e), ERR_INVALID);
	(void)unlink("pipe");
	assert_int_equal(mkfifo("pipe", 0600), 0);
	assert_int_equal(sha256_file("pipe", digest, NULL, &e), ERR_INVALID);
}

static void test_hex(void **state)
{
	uint8_t out[2] = { 1, 2 };

	(void)state;
	assert_int_equal(hex_decode("aF09", out, 2), 0);
	assert_int_equal(out[0], 0xaf);
	assert_int_equal(out[1], 0x09);
	assert_int_equal(hex_decode("aF0", out, 2), ERR_INVALID);
	assert_int_equal(hex_decode("aF090", out, 2), ERR_INVALID);
	assert_int_equal(hex_decode("11g1", out, 2), ERR_INVALID);
	assert_int_equal(hex_decode("", out, 2), ERR_INVALID);
	assert_int_equal(out[0], 0xaf); /* untouched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

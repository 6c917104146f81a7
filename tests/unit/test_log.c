/* One event, one line: whatever a foreign text holds, it forges neither a line nor a key nor an
 * escape sequence. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/mem.h"

static char line[70000];
static int saved;

/* stderr goes into a file between begin() and end(), which leaves what came in line. */
static void begin(void)
{
	int fd = open("stderr", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	saved = dup(STDERR_FILENO);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
}

static void end(void)
{
	ssize_t n = pread(STDERR_FILENO, line, sizeof(line) - 1, 0);

	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	assert_true(n >= 0);
	line[n] = '\0';
}

/* The line without its time. */
static const char *after_time(void)
{
	const char *space = strchr(line, ' ');

	assert_memory_equal(line, "time=2", 6);
	assert_non_null(space);
	return space + 1;
}

static void test_values(void **state)
{
	const char *volatile none = NULL; /* volatile: the compiler would warn of what is tested */

	(void)state;
	begin();
	log_line(LOG_WARN, "retry",
		 "job=%lld cause=%s plain=%s none=%s n=%d u=%zu x=%x f=%.2f part=%.*s pct=%d%% end",
		 -5000000000LL, "disk \"full\" a=b c\\d", "word", none, -1, SIZE_MAX, 255u, 0.125,
		 3, "abcdef", 50);
	end();
	assert_string_equal(after_time(),
			    "level=warn event=retry job=-5000000000 "
			    "cause=\"disk \\\"full\\\" a=b c\\\\d\" plain=word none=- n=-1 "
			    "u=18446744073709551615 x=ff f=0.12 part=abc pct=50% end\n");
}

static void test_forgery(void **state)
{
	(void)state;
	begin();
	log_line(LOG_ERROR, "exit", "msg=%s id=%d",
		 "x\nlevel=info event=ok\x1b[2J\x7f\xc2\x9b\xe2\x80\xae\xff", 7);
	end();
	assert_string_equal(after_time(),
			    "level=error event=exit "
			    "msg=\"x\\x0alevel=info event=ok\\x1b[2J\\x7f\\u009b\\u202e\\xff\" "
			    "id=7\n");
	begin();
	log_line(LOG_INFO, "e", "empty=%s", "");
	end();
	assert_string_equal(after_time(), "level=info event=e empty=\"\"\n");
}

static void test_level_and_length(void **state)
{
	char *huge = mem_alloc(1000001);

	(void)state;
	memset(huge, '\n', 1000000);
	huge[1000000] = '\0';
	begin();
	log_line(LOG_DEBUG, "quiet", "a=%d", 1);
	log_set_level(LOG_ERROR);
	log_line(LOG_WARN, "quiet", "a=%d", 1);
	log_set_level(LOG_INFO);
	end();
	assert_string_equal(line, "");
	begin();
	log_line(LOG_INFO, "huge", "a=%s", huge);
	end();
	assert_int_equal(strcspn(line, "\n"), strlen(line) - 1); /* still one line, bounded */
	free(huge);
}

static void test_visible(void **state)
{
	static const struct {
		const char *text, *visible;
	} cases[] = {
		{ "plain \xc3\xa9 \xf0\x9f\x98\x80", "plain \xc3\xa9 \xf0\x9f\x98\x80" },
		{ "\x1b]0;title\x07", "\\x1b]0;title\\x07" },
		{ "a\tb\r\n", "a\\x09b\\x0d\\x0a" },
		{ "\xc2\x80\xc2\x9f", "\\u0080\\u009f" },
		{ "\xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9", "\\u202a\\u2066\\u2069" },
		{ "\xc3", "\\xc3" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		text_visible(cases[i].text, out, sizeof(out));
		assert_string_equal(out, cases[i].visible);
	}
	/* Never half a character or half an escape. */
	text_visible("ab\x1b", out, 6);
	assert_string_equal(out, "ab");
	text_visible("ab\xe2\x82\xac", out, 5);
	assert_string_equal(out, "ab");
	text_visible("ab\xe2\x82\xac", out, 6);
	assert_string_equal(out, "ab\xe2\x82\xac");
	memcpy(out, "kept", 5);
	text_visible("x", out, 0);
	assert_string_equal(out, "kept");
	text_visible("x", out, 1);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_forgery),
		cmocka_unit_test(test_level_and_length),
		cmocka_unit_test(test_visible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The table of the environment, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/hub_env.h"

static const char *const all[] = {
	"HF_ENDPOINT",
	"HF_TOKEN",
	"HUGGING_FACE_HUB_TOKEN",
	"HF_TOKEN_PATH",
	"HF_HOME",
	"XDG_CACHE_HOME",
	"HF_HUB_CACHE",
	"HUGGINGFACE_HUB_CACHE",
	"HF_HUB_OFFLINE",
	"TRANSFORMERS_OFFLINE",
	"HF_HUB_DOWNLOAD_TIMEOUT",
};

static int clean(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		unsetenv(all[i]);
	setenv("HOME", "/home/somebody", 1);
	return 0;
}

static void read_env(struct hub_env *env)
{
	struct err e = ERR_INIT;

	if (hub_env_read(env, &e) < 0)
		fail_msg("%s", e.msg);
}

static void without_variables_it_is_the_hub_and_the_home_folder(void **state)
{
	struct hub_env env;

	(void)state;
	read_env(&env);
	assert_string_equal(env.endpoint, "https://huggingface.co");
	assert_null(env.token);
	assert_string_equal(env.home, "/home/somebody/.cache/huggingface");
	assert_string_equal(env.cache, "/home/somebody/.cache/huggingface/hub");
	assert_string_equal(env.token_path, "/home/somebody/.cache/huggingface/token");
	assert_false(env.offline);
	hub_env_release(&env);
}

static void folders_follow_their_variables(void **state)
{
	struct hub_env env;

	(void)state;
	setenv("XDG_CACHE_HOME", "/xdg", 1);
	read_env(&env);
	assert_string_equal(env.cache, "/xdg/huggingface/hub");
	hub_env_release(&env);
	setenv("HF_HOME", "~/hf", 1);
	read_env(&env);
	assert_string_equal(env.cache, "/home/somebody/hf/hub");
	assert_string_equal(env.token_path, "/home/somebody/hf/token");
	hub_env_release(&env);
	setenv("HUGGINGFACE_HUB_CACHE", "/older", 1);
	read_env(&env);
	assert_string_equal(env.cache, "/older");
	hub_env_release(&env);
	setenv("HF_HUB_CACHE", "/cache", 1);
	setenv("HF_TOKEN_PATH", "/secret/token", 1);
	read_env(&env);
	assert_string_equal(env.cache, "/cache");
	assert_string_equal(env.token_path, "/secret/token");
	hub_env_release(&env);
	setenv("HF_HUB_CACHE", "here", 1);
	read_env(&env);
	assert_true(env.cache[0] == '/');
	assert_string_equal(path_basename(env.cache), "here");
	hub_env_release(&env);
}

static void tokens_have_an_order(void **state)
{
	struct err e = ERR_INIT;
	struct hub_env env;
	char cwd[1024];
	char *file;

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	file = path_join(cwd, "token");
	assert_int_equal(path_write(file, " hf_file\r\n", 10, 0600, &e), 0);
	setenv("HF_TOKEN_PATH", file, 1);
	read_env(&env);
	assert_string_equal(env.token, "hf_file");
	hub_env_release(&env);
	setenv("HUGGING_FACE_HUB_TOKEN", "hf_older", 1);
	read_env(&env);
	assert_string_equal(env.token, "hf_older");
	hub_env_release(&env);
	setenv("HF_TOKEN", "hf_\r\nnew \n", 1);
	read_env(&env);
	assert_string_equal(env.token, "hf_new");
	hub_env_release(&env);
	setenv("HF_TOKEN", "\n", 1); /* nothing is left of it */
	read_env(&env);
	assert_string_equal(env.token, "hf_file");
	hub_env_release(&env);
	assert_int_equal(unlink(file), 0);
	free(file);
}

static void a_token_file_that_cannot_be_read_is_said(void **state)
{
	struct err e = ERR_INIT;
	struct hub_env env;

	(void)state;
	setenv("HF_TOKEN_PATH", "/", 1);
	assert_true(hub_env_read(&env, &e) < 0);
	hub_env_release(&env);
}

static void endpoints_lose_their_slash_and_must_be_addresses(void **state)
{
	struct err e = ERR_INIT;
	struct hub_env env;

	(void)state;
	setenv("HF_ENDPOINT", "http://localhost:8080/hub//", 1);
	read_env(&env);
	assert_string_equal(env.endpoint, "http://localhost:8080/hub");
	hub_env_release(&env);
	setenv("HF_ENDPOINT", "huggingface.co", 1);
	assert_int_equal(hub_env_read(&env, &e), ERR_INVALID);
	assert_non_null(strstr(e.msg, "HF_ENDPOINT"));
	hub_env_release(&env);
}

static void offline_is_said_in_two_ways(void **state)
{
	static const char *const yes[] = { "1", "ON", "yes", "True" };
	static const char *const no[] = { "0", "", "no", "2" };
	struct hub_env env;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		setenv(i % 2 ? "HF_HUB_OFFLINE" : "TRANSFORMERS_OFFLINE", yes[i], 1);
		read_env(&env);
		assert_true(env.offline);
		hub_env_release(&env);
		clean(NULL);
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		setenv("HF_HUB_OFFLINE", no[i], 1);
		read_env(&env);
		assert_false(env.offline);
		hub_env_release(&env);
	}
}

static void timeouts_are_seconds(void **state)
{
	static const char *const bad[] = {
		"0", "-1", "soon", "1.5", "3601", "99999999999999999999"
	};
	struct err e = ERR_INIT;
	struct hub_env env;

	(void)state;
	read_env(&env);
	assert_int_equal(env.stall_s, 0);
	hub_env_release(&env);
	setenv("HF_HUB_DOWNLOAD_TIMEOUT", "20", 1);
	read_env(&env);
	assert_int_equal(env.stall_s, 20);
	hub_env_release(&env);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		setenv("HF_HUB_DOWNLOAD_TIMEOUT", bad[i], 1);
		assert_int_equal(hub_env_read(&env, &e), ERR_INVALID);
		hub_env_release(&env);
	}
}

static void what_was_read_is_not_in_the_environment_any_more(void **state)
{
	const char *where;
	struct hub_env env;

	(void)state;
	setenv("HF_TOKEN", "hf_secret", 1);
	where = getenv("HF_TOKEN");
	assert_true(hub_env_has_secret());
	read_env(&env);
	hub_env_forget();
	assert_string_equal(env.token, "hf_secret");
	assert_null(getenv("HF_TOKEN"));
	assert_string_equal(where, "");
	assert_false(hub_env_has_secret());
	hub_env_release(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_variables_it_is_the_hub_and_the_home_folder, clean),
		cmocka_unit_test_setup(folders_follow_their_variables, clean),
		cmocka_unit_test_setup(tokens_have_an_order, clean),
		cmocka_unit_test_setup(a_token_file_that_cannot_be_read_is_said, clean),
		cmocka_unit_test_setup(endpoints_lose_their_slash_and_must_be_addresses, clean),
		cmocka_unit_test_setup(offline_is_said_in_two_ways, clean),
		cmocka_unit_test_setup(timeouts_are_seconds, clean),
		cmocka_unit_test_setup(what_was_read_is_not_in_the_environment_any_more, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

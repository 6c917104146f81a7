#include "upload/hub_env.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "upload/http.h"

#define ENDPOINT_DEFAULT "https://huggingface.co"
#define STALL_MAX_S 3600
#define TOKEN_MAX 4096 /* bytes of a token file; tokens are below 100 */

bool hub_env_is_true(const char *value)
{
	static const char *const yes[] = { "1", "on", "yes", "true" };

	for (size_t i = 0; value && i < ARRAY_LEN(yes); i++) {
		if (strcasecmp(value, yes[i]) == 0)
			return true;
	}
	return false;
}

/* The value of the first variable that is set and not empty, or NULL. */
static const char *first_of(const char *name, const char *older)
{
	const char *v = getenv(name);

	if ((!v || !*v) && older)
		v = getenv(older);
	return v && *v ? v : NULL;
}

static const char *home_dir(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw;

	if (home && *home)
		return home;
	pw = getpwuid(getuid());
	return pw ? pw->pw_dir : NULL;
}

/* "~" and "~/x" as Python's expanduser(); a relative path is taken from the current folder. */
static char *absolute(const char *path)
{
	char cwd[4096];

	if (path[0] == '~' && (path[1] == '/' || !path[1]) && home_dir())
		return path_join(home_dir(), path[1] ? path + 2 : "");
	if (path[0] != '/' && getcwd(cwd, sizeof(cwd)))
		return path_join(cwd, path);
	return mem_strdup(path);
}

static int read_folders(struct hub_env *env, struct err *e)
{
	const char *home = first_of("HF_HOME", NULL), *xdg = first_of("XDG_CACHE_HOME", NULL);
	const char *cache = first_of("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE");
	const char *token = first_of("HF_TOKEN_PATH", NULL);
	char *base = NULL;

	if (!home && !xdg && !home_dir())
		return err_set(e, ERR_ENV, "no home folder is known; set HF_HOME to a folder");
	if (home) {
		env->home = absolute(home);
	} else {
		base = xdg ? absolute(xdg) : path_join(home_dir(), ".cache");
		env->home = path_join(base, "huggingface");
	}
	free(base);
	env->cache = cache ? absolute(cache) : path_join(env->home, "hub");
	env->token_path = token ? absolute(token) : path_join(env->home, "token");
	return 0;
}

char *hub_env_cache(void)
{
	struct hub_env env = { 0 };
	struct err ignored = ERR_INIT;
	char *cache;

	(void)read_folders(&env, &ignored);
	cache = env.cache;
	env.cache = NULL;
	hub_env_release(&env);
	return cache;
}

/* huggingface_hub _clean_token(): no CR or LF anywhere, no blanks around, empty is none. */
static char *clean_token(const char *text)
{
	char *out = mem_alloc(strlen(text) + 1), *w = out;

	text += strspn(text, " \t\r\n");
	for (; *text; text++) {
		if (*text != '\r' && *text != '\n')
			*w++ = *text;
	}
	while (w > out && (w[-1] == ' ' || w[-1] == '\t'))
		w--;
	*w = '\0';
	if (!*out) {
		free(out);
		out = NULL;
	}
	return out;
}

static int read_token(struct hub_env *env, struct err *e)
{
	const char *given = first_of("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN");
	struct buf b;
	int rc;

	if (given)
		env->token = clean_token(given);
	if (env->token)
		return 0;
	buf_init(&b, TOKEN_MAX);
	rc = path_read(env->token_path, TOKEN_MAX, &b, e);
	if (rc >= 0)
		env->token = clean_token(buf_str(&b));
	if (b.data)
		explicit_bzero(b.data, b.cap);
	buf_release(&b);
	return rc == ERR_NOTFOUND ? 0 : rc;
}

static int read_endpoint(struct hub_env *env, struct err *e)
{
	const char *given = first_of("HF_ENDPOINT", NULL);
	char *shown;
	size_t n;

	env->endpoint = mem_strdup(given ? given : ENDPOINT_DEFAULT);
	n = strlen(env->endpoint);
	while (n && env->endpoint[n - 1] == '/')
		env->endpoint[--n] = '\0';
	shown = http_url_public(env->endpoint);
	if (!shown)
		return err_set(e, ERR_INVALID,
			       "HF_ENDPOINT is no address like https://huggingface.co; correct it "
			       "or unset it");
	free(shown);
	return 0;
}

static int read_timeout(struct hub_env *env, struct err *e)
{
	const char *given = first_of("HF_HUB_DOWNLOAD_TIMEOUT", NULL);
	char *end = NULL;
	unsigned long s;

	if (!given)
		return 0;
	s = strtoul(given, &end, 10);
	if (*end || given[0] < '0' || given[0] > '9' || s == 0 || s > STALL_MAX_S)
		return err_set(e, ERR_INVALID,
			       "HF_HUB_DOWNLOAD_TIMEOUT is no number of seconds from 1 to %d; "
			       "correct it or unset it",
			       STALL_MAX_S);
	env->stall_s = (unsigned)s;
	return 0;
}

int hub_env_read(struct hub_env *out, struct err *e)
{
	int rc;

	memset(out, 0, sizeof(*out));
	out->offline = hub_env_is_true(getenv("HF_HUB_OFFLINE")) ||
		       hub_env_is_true(getenv("TRANSFORMERS_OFFLINE"));
	rc = read_endpoint(out, e);
	if (rc >= 0)
		rc = read_timeout(out, e);
	if (rc >= 0)
		rc = read_folders(out, e);
	if (rc >= 0)
		rc = read_token(out, e);
	return rc;
}

void hub_env_release(struct hub_env *env)
{
	if (env->token)
		explicit_bzero(env->token, strlen(env->token));
	free(env->token);
	free(env->endpoint);
	free(env->token_path);
	free(env->home);
	free(env->cache);
	memset(env, 0, sizeof(*env));
}

static const char *const secrets[] = { "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "QUERN_GIT_TOKEN" };

void hub_env_forget(void)
{
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		char *value = getenv(secrets[i]);

		if (value) /* in place: unsetenv() alone only forgets where it is */
			explicit_bzero(value, strlen(value));
		(void)unsetenv(secrets[i]);
	}
}

bool hub_env_has_secret(void)
{
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		if (first_of(secrets[i], NULL))
			return true;
	}
	return false;
}

void hub_env_protect(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its leak check reads this process by ptrace */
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

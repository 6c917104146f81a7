/* upload/hub.c -- which hub a name means, and the names every hub accepts. */
#include "upload/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/path.h"
#include "upload/http.h"
#include "upload/hub_env.h"
#include "upload/hub_git.h"
#include "upload/hub_http.h"

#define REPO_MAX 96 /* of the Hub's own rule */

static int starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

#define HUB_HOME "https://huggingface.co"
#define GIT_USER "quern"

static bool is_http(const char *name)
{
	return starts_with(name, "https://") || starts_with(name, "http://");
}

static bool is_git(const char *name)
{
	return starts_with(name, "git+") && is_http(name + strlen("git+"));
}

/* huggingface.co is wherever its official client would look for it. */
static const char *endpoint_of(const char *name, const struct hub_env *env)
{
	size_t n = strlen(HUB_HOME);

	return starts_with(name, HUB_HOME) && name[n + strspn(name + n, "/")] == '\0'
		       ? env->endpoint
		       : name;
}

/* The Hub's own git server takes the Hub's token. */
static const char *git_token(const char *url, const struct hub_env *env)
{
	const char *own = getenv("QUERN_GIT_TOKEN");

	if (own && *own)
		return own;
	return http_same_origin(url, HUB_HOME) || http_same_origin(url, env->endpoint) ? env->token
										       : NULL;
}

static int open_remote(const char *name, const struct hub_options *o, struct hub **out,
		       struct err *e)
{
	struct hub_env env;
	const char *url = name + strlen("git+");
	int rc = hub_env_read(&env, e);

	if (rc >= 0 && is_git(name))
		rc = hub_git_open(url, o->user ? o->user : GIT_USER, git_token(url, &env), o, out,
				  e);
	else if (rc >= 0)
		rc = hub_http_open(endpoint_of(name, &env), env.token, env.offline, o, out, e);
	hub_env_release(&env);
	return rc;
}

int hub_open(const char *hub_name, const struct hub_options *o, struct hub **out, struct err *e)
{
	char *folder;
	int rc;

	if (strcmp(hub_name, "local") == 0) {
		folder = path_join(o->work, "hub");
		rc = hub_local_open(folder, out, e);
		free(folder);
		return rc;
	}
	if (is_http(hub_name) || is_git(hub_name))
		return open_remote(hub_name, o, out, e);
	return err_set(e, ERR_INVALID,
		       "\"%s\" is no hub; write local, " HUB_HOME ", or git+https://HOST/PATH",
		       hub_name);
}

int hub_check_token(const char *hub_name, struct err *e)
{
	struct hub_env env;
	int rc;

	if (!is_http(hub_name) && !is_git(hub_name))
		return 0;
	rc = hub_env_read(&env, e);
	if (rc >= 0 && is_git(hub_name) && !git_token(hub_name + strlen("git+"), &env))
		rc = err_set(e, ERR_ENV,
			     "%s wants a token; set QUERN_GIT_TOKEN to one that may write there",
			     hub_name);
	else if (rc >= 0 && !is_git(hub_name) && env.offline)
		rc = err_set(
			e, ERR_ENV,
			"HF_HUB_OFFLINE is set, so nothing can be published to %s; unset it, or "
			"set upload.hold: true",
			hub_name);
	else if (rc >= 0 && !is_git(hub_name) && !env.token)
		rc = err_set(
			e, ERR_ENV,
			"no token for %s; run `hf auth login`, or set HF_TOKEN to one with the "
			"right to write",
			hub_name);
	hub_env_release(&env);
	return rc;
}

enum hub_verdict hub_verdict(const struct hub *h, int code)
{
	if (code == ERR_BUSY)
		return h->slow_down ? HUB_SLOW_DOWN : HUB_LATER;
	return code == ERR_CONFLICT || code == ERR_IO ? HUB_LATER : HUB_STOP;
}

const char *hub_verdict_name(enum hub_verdict v)
{
	static const char *const names[] = {
		[HUB_STOP] = "stop", [HUB_LATER] = "later", [HUB_SLOW_DOWN] = "slow_down"
	};

	return names[v];
}

void hub_close(struct hub *h)
{
	if (h)
		h->ops->close(h);
}

static int ends_with(const char *s, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len >= n && strncasecmp(s + len - n, suffix, n) == 0;
}

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

/* NULL when p[0..len) is fine. */
static const char *part_fault(const char *p, size_t len)
{
	if (len == 0)
		return "a part is empty";
	if (strspn(p, letters) < len)
		return "only letters, digits, '_', '.' and '-' are allowed";
	if (*p == '.' || *p == '-')
		return "a part may not start with '.' or '-'";
	if (p[len - 1] == '.')
		return "a part may not end in '.'";
	if (memmem(p, len, "..", 2))
		return "\"..\" is not allowed";
	if (ends_with(p, len, ".git") || ends_with(p, len, ".lock"))
		return "a part may not end in .git or .lock";
	return NULL;
}

int hub_repo_check(const char *repo, struct err *e)
{
	const char *slash = strchr(repo, '/'), *fault;

	if (!slash || strchr(slash + 1, '/'))
		fault = "it must be NAMESPACE/NAME";
	else if (strlen(repo) > REPO_MAX)
		fault = "it is longer than 96 characters";
	else
		fault = part_fault(repo, (size_t)(slash - repo));
	if (!fault)
		fault = part_fault(slash + 1, strlen(slash + 1));
	if (fault)
		return err_set(e, ERR_INVALID, "repository \"%.100s\": %s", repo, fault);
	return 0;
}

void hub_blob_id(const void *data, size_t len, char blob[HUB_BLOB_ID])
{
	struct sha1 *sha = sha1_new();
	uint8_t digest[SHA1_LEN];
	char head[32];
	int n = snprintf(head, sizeof(head), "blob %zu", len);

	sha1_update(sha, head, (size_t)n + 1);
	sha1_update(sha, data, len);
	sha1_final(sha, digest);
	sha1_free(sha);
	hex_encode(digest, SHA1_LEN, blob);
}

/* File systems that fold case, drop trailing dots and blanks, or know short names see ".git" in
 * more spellings than one; clones land on them. */
static int component_is_reserved(const char *p, size_t len)
{
	while (len > 0 && (p[len - 1] == '.' || p[len - 1] == ' '))
		len--;
	return (len == 4 && strncasecmp(p, ".git", 4) == 0) ||
	       (len == 5 && strncasecmp(p, "git~1", 5) == 0) ||
	       (len == 6 && strncasecmp(p, ".cache", 6) == 0) ||
	       (len == 11 && strncasecmp(p, ".gitmodules", 11) == 0);
}

int hub_path_ok(const char *path)
{
	if (!path_relative_ok(path) || strchr(path, '\\'))
		return 0;
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (component_is_reserved(p, len))
			return 0;
		p += len + (p[len] == '/');
	}
	return 1;
}

/* upload/hub.c -- which hub a name means, and the names every hub accepts. */
#include "upload/hub.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/path.h"

#define REPO_MAX 96 /* of the Hub's own rule */

static int starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
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
	if (starts_with(hub_name, "https://") || starts_with(hub_name, "http://") ||
	    starts_with(hub_name, "git+"))
		return err_set(
			e, ERR_ENV,
			"%s: this version publishes to the local hub only; set upload.hub: local",
			hub_name);
	return err_set(e, ERR_INVALID, "\"%s\" is no hub; set upload.hub: local", hub_name);
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

#include "orchestrator/host/container.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/engine/environment.h"
#include "orchestrator/host/launch.h"
#include "workers/launch/place.h"

#define LABEL "io.quern." /* of containers */

#define PIDS_MAX "4096" /* processes and threads; a toolkit starts some for each processor */
#define PROCESSES_MAX                                                                              \
	32768		/* of this user, in all containers and outside; kernel.pid_max as it is */
#define FILES_MAX 65536 /* open files; what people's containers of toolkits have */

#define ID_BYTES 4	  /* of the hash of a work folder in a container's name */
#define KEY_DIGITS 16	  /* of a job's key there */
#define OPTIONS_MAX 80	  /* all below, without those of folders */
#define OPTIONS_OF_READ 2 /* --mount and its value */

extern char **environ;

/* ---- what the runtime's program may know */

const char *const *container_environment(struct arena *a)
{
	static const char *const known[] = { "PATH",
					     "HOME",
					     "USER",
					     "LOGNAME",
					     "LANG",
					     "TMPDIR",
					     "XDG_RUNTIME_DIR",
					     "XDG_CONFIG_HOME",
					     "XDG_DATA_HOME",
					     "DBUS_SESSION_BUS_ADDRESS",
					     "DOCKER_HOST",
					     "DOCKER_CONTEXT",
					     "DOCKER_CONFIG",
					     "DOCKER_CERT_PATH",
					     "DOCKER_TLS_VERIFY",
					     "CONTAINER_HOST",
					     "CONTAINER_CONNECTION",
					     "CONTAINERS_CONF",
					     "CONTAINERS_STORAGE_CONF" };
	const char **v = arena_array(a, ARRAY_LEN(known) + 1, sizeof(*v));
	size_t n = 0;

	_Static_assert(ARRAY_LEN(known) <= PLACE_ENV_MAX, "a place takes no more");
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const char *value = getenv(known[i]);

		if (value)
			v[n++] = arena_printf(a, "%s=%s", known[i], value);
	}
	return v;
}

/* ---- the arguments of `create` */

struct words {
	struct arena *a;
	const char **v;
	size_t n;
};

static void add(struct words *w, const char *word)
{
	w->v[w->n++] = word;
}

static void add_two(struct words *w, const char *option, const char *value)
{
	add(w, option);
	add(w, value);
}

/* One field of --mount, which both runtimes read as a line of CSV. */
static const char *field(struct arena *a, const char *name, const char *path)
{
	char *out, *to;

	if (!strpbrk(path, ",\"\n"))
		return arena_printf(a, "%s=%s", name, path);
	out = to = arena_alloc(a, strlen(name) + 2 * strlen(path) + 4);
	*to++ = '"';
	to = stpcpy(to, name);
	*to++ = '=';
	for (; *path; path++) {
		if (*path == '"')
			*to++ = '"';
		*to++ = *path;
	}
	*to++ = '"';
	return out;
}

static void add_mount(struct words *w, const char *path, bool writable)
{
	add_two(w, "--mount",
		arena_printf(w->a, "type=bind,%s,%s%s", field(w->a, "src", path),
			     field(w->a, "dst", path), writable ? "" : ",readonly"));
}

/* The same place twice is an error of the runtime's; one that is not there as well. */
static void add_reads(struct words *w, const struct container_place *p)
{
	for (size_t i = 0; p->read && p->read[i]; i++) {
		bool again = strcmp(p->read[i], p->dir) == 0;

		for (size_t k = 0; k < i; k++)
			again |= strcmp(p->read[i], p->read[k]) == 0;
		if (!again && access(p->read[i], F_OK) == 0)
			add_mount(w, p->read[i], false);
	}
}

/* So that files in the job folder belong to this user, whatever the runtime does with users. */
static void add_user(struct words *w, const struct container_runtime *rt)
{
	if (rt->rootless && !rt->podman) {
		add_two(w, "--user", "0:0"); /* of its user namespace: that is us */
		return;
	}
	if (rt->rootless)
		add_two(w, "--userns", "keep-id");
	else if (rt->remapped)
		add_two(w, "--userns", "host");
	add_two(w, "--user",
		arena_printf(w->a, "%lu:%lu", (unsigned long)geteuid(), (unsigned long)getegid()));
}

/* No more than this user has: a runtime that may not give more refuses to start. */
static void add_ulimit(struct words *w, int what, const char *name, rlim_t most)
{
	struct rlimit own;
	unsigned long n;

	if (getrlimit(what, &own) != 0)
		return;
	n = (unsigned long)(own.rlim_max < most ? own.rlim_max : most);
	add_two(w, "--ulimit", arena_printf(w->a, "%s=%lu:%lu", name, n, n));
}

static void add_limits(struct words *w, const struct container_place *p)
{
	add_two(w, "--pids-limit", PIDS_MAX);
	add_two(w, "--ulimit", "core=0:0");
	add_ulimit(w, RLIMIT_NOFILE, "nofile", p->files ? p->files : FILES_MAX);
	if (p->file_bytes)
		add_ulimit(w, RLIMIT_FSIZE, "fsize", p->file_bytes);
	add_ulimit(w, RLIMIT_NPROC, "nproc", PROCESSES_MAX);
	if (p->memory_bytes)
		add_two(w, "--memory",
			arena_printf(w->a, "%llu", (unsigned long long)p->memory_bytes));
}

static void add_walls(struct words *w, const struct container_runtime *rt,
		      const struct container_place *p)
{
	if (!p->network)
		add_two(w, "--network", "none");
	add(w, "--read-only");
	if (rt->podman) {
		add(w, "--read-only-tmpfs=false");
		add_two(w, "--image-volume", "ignore");
		add(w, "--http-proxy=false");
	}
	add_two(w, "--cap-drop", "ALL");
	add_two(w, "--security-opt", "no-new-privileges");
	/* Else SELinux refuses the folders, unless their labels are changed: they are the user's.
	 */
	if (access("/sys/fs/selinux/enforce", F_OK) == 0)
		add_two(w, "--security-opt", "label=disable");
	if (p->gpu && rt->podman)
		add_two(w, "--device", "nvidia.com/gpu=all");
	else if (p->gpu)
		add_two(w, "--gpus", "all");
}

/* What workers have everywhere; and nothing of the proxies that docker's settings hand on. */
static void add_environment(struct words *w, const struct container_place *p)
{
	static const char *const proxies[] = { "HTTP_PROXY",  "HTTPS_PROXY", "FTP_PROXY",
					       "NO_PROXY",    "ALL_PROXY",   "http_proxy",
					       "https_proxy", "ftp_proxy",   "no_proxy",
					       "all_proxy" };

	add_two(w, "--env", arena_printf(w->a, "HOME=%s", p->dir));
	add_two(w, "--env", arena_printf(w->a, "TMPDIR=%s", p->dir));
	add_two(w, "--env", "LANG=C.UTF-8");
	add_two(w, "--env", "TZ=UTC");
	for (size_t i = 0; i < ARRAY_LEN(proxies); i++)
		add_two(w, "--env", arena_printf(w->a, "%s=", proxies[i]));
}

static size_t count(const char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

const char **container_argv(struct arena *a, const struct environment *env,
			    const struct container_place *p, struct err *e)
{
	const struct container_runtime *rt = env->image->runtime;
	size_t n = OPTIONS_MAX + OPTIONS_OF_READ * count(p->read) + count(p->arguments);
	struct words w = { .a = a, .v = arena_array(a, n, sizeof(*w.v)) };

	add(&w, launch_program(a, "quern-contain"));
	if (!w.v[0]) {
		err_set(e, ERR_ENV,
			"quern-contain is missing beside quern and in libexec/quern; install quern "
			"completely");
		return NULL;
	}
	add(&w, "run");
	add_two(&w, p->note, p->lock);
	add_two(&w, rt->program, "--");
	add_two(&w, "--label", arena_printf(a, LABEL "work=%s", p->work));
	add_two(&w, "--label", arena_printf(a, LABEL "job=%s", p->dir));
	add_two(&w, "--pull", "never");
	add(&w, "--rm");
	add(&w, "--no-healthcheck");
	add_two(&w, "--log-driver", "none");
	add_two(&w, "--hostname", "quern");
	add_user(&w, rt);
	add_limits(&w, p);
	add_walls(&w, rt, p);
	add_mount(&w, p->dir, true);
	add_reads(&w, p);
	add_two(&w, "--workdir", p->dir);
	add_environment(&w, p);
	add_two(&w, "--entrypoint", env->python);
	add(&w, env->image->id);
	for (size_t i = 0; p->arguments && p->arguments[i]; i++)
		add(&w, p->arguments[i]);
	return w.v;
}

/* ---- notes */

const char *container_note(struct arena *a, const char *work, const char *key_hex, int number,
			   bool validate)
{
	const char *place = arena_printf(a, "%lu %s", (unsigned long)geteuid(), work);
	uint8_t sha[SHA256_LEN];
	char hex[2 * ID_BYTES + 1];

	sha256_bytes(place, strlen(place), sha);
	hex_encode(sha, ID_BYTES, hex);
	return arena_printf(a, "%s/containers/quern-%s-%.*s-%d%s", work, hex, KEY_DIGITS, key_hex,
			    number, validate ? "-validate" : "");
}

static const char *const *about_note(struct arena *a, const char *verb, const char *note)
{
	const char **v = arena_array(a, 4, sizeof(*v));

	v[0] = launch_program(a, "quern-contain");
	v[1] = verb;
	v[2] = note;
	return v[0] ? v : NULL;
}

const char *const *container_end_argv(struct arena *a, const char *note)
{
	return about_note(a, "end", note);
}

const char *const *container_attach_argv(struct arena *a, const char *note)
{
	return about_note(a, "attach", note);
}

/* workers/launch/launch.c -- quern-launch: make the place a worker runs in, then
 * become the worker. The options and the questions about the kernel; place.c
 * does the work, here and in quern itself. */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "workers/launch/place.h"
#include "workers/launch/sandbox.h"

struct options {
	struct place place;
	const char *read[PLACE_READ_MAX + 1];
	size_t n_read;
	const char *setenv[PLACE_ENV_MAX + 1];
	size_t n_setenv;
};

static void usage(void)
{
	fputs("usage: quern-launch --job DIR --lock-fd N [--read PATH]... [--setenv "
	      "NAME=VALUE]...\n"
	      "           [--network] [--memory BYTES] [--file-size BYTES] [--files N] "
	      "[--processes N]\n"
	      "           [--cpu SECONDS] -- PROGRAM ARGS...\n"
	      "       quern-launch --features | --probe-socket\n",
	      stderr);
	_exit(PLACE_CANNOT_SET_UP);
}

/* ---- options: names and values alternate; order does not matter */

static unsigned long long number(const char *s)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = s ? strtoull(s, &end, 10) : 0;
	if (!s || errno || end == s || *end)
		usage();
	return v;
}

static int take_limit(struct place *p, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *at;
	} limits[] = { { "--memory", &p->memory_bytes },
		       { "--file-size", &p->file_bytes },
		       { "--files", &p->files },
		       { "--processes", &p->processes },
		       { "--cpu", &p->cpu_seconds } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (strcmp(name, limits[i].name) == 0) {
			*limits[i].at = number(value);
			return 1;
		}
	}
	return 0;
}

static void parse(int argc, char **argv, struct options *o)
{
	int i;

	memset(o, 0, sizeof(*o));
	o->place.lock_fd = -1;
	o->place.read = o->read;
	o->place.setenv = o->setenv;
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *name = argv[i];

		if (strcmp(name, "--network") == 0) {
			o->place.network = 1;
			continue;
		}
		if (++i >= argc)
			usage();
		if (strcmp(name, "--job") == 0)
			o->place.job = argv[i];
		else if (strcmp(name, "--lock-fd") == 0)
			o->place.lock_fd = (int)number(argv[i]);
		else if (strcmp(name, "--read") == 0 && o->n_read < PLACE_READ_MAX)
			o->read[o->n_read++] = argv[i];
		else if (strcmp(name, "--setenv") == 0 && o->n_setenv < PLACE_ENV_MAX &&
			 strchr(argv[i], '='))
			o->setenv[o->n_setenv++] = argv[i];
		else if (!take_limit(&o->place, name, argv[i]))
			usage();
	}
	if (i + 1 >= argc || !o->place.job || o->place.job[0] != '/' ||
	    strlen(o->place.job) >= PATH_MAX || o->place.lock_fd < 3)
		usage();
	o->place.program = (const char *const *)argv + i + 1;
}

/* ---- --features */

static void feature(const char *name, int has, const char *detail)
{
	printf("%s\t%s\t%s\n", name, has ? "yes" : "no", detail);
}

static int features(void)
{
	struct utsname u;
	char text[128];
	int abi = sandbox_landlock_abi();

	uname(&u);
	snprintf(text, sizeof(text), "ABI %d", abi);
	feature("landlock", abi > 0,
		abi > 0 ? text
			: "workers can write wherever this user can; needs Linux 5.13 with "
			  "CONFIG_SECURITY_LANDLOCK and lsm=landlock");
	feature("landlock-tcp", abi >= 4, abi >= 4 ? "TCP is closed" : "needs Linux 6.7");
	feature("landlock-scope", abi >= 6, abi >= 6 ? "signals stay inside" : "needs Linux 6.12");
	if (sandbox_empty_network() == 0)
		feature("network-namespace", 1, geteuid() == 0 ? "as root" : "by a user namespace");
	else
		feature("network-namespace", 0, "used where there is no seccomp");
	snprintf(text, sizeof(text), "workers can make no sockets; %d system calls are refused",
		 sandbox_calls_refused());
	feature("seccomp", sandbox_refuse_calls(0) == 0, text);
	feature("no-new-privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "");
	feature("kernel", 1, u.release);
	return 0;
}

/* For quern doctor, inside the sandbox: can a socket be made? */
static int probe_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct options o;

	if (argc == 2 && strcmp(argv[1], "--probe-socket") == 0)
		return probe_socket();

	if (argc == 2 && strcmp(argv[1], "--features") == 0)
		return features();
	parse(argc, argv, &o);
	place_enter(&o.place);
}

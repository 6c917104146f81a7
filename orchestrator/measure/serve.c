/* orchestrator/measure/serve.c -- a server of this machine as a target: its command is started for
 * the file, on a free port of the loopback, asked as any endpoint, and ended. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/measure/endpoint.h"
#include "orchestrator/measure/keeper.h"

#define ARG_MAX_BYTES ((size_t)64 << 10)
#define LAST_WORDS 4096 /* bytes at the end of the server's log that are looked at */

struct serve {
	struct measure_target base;
	struct arena *a;
	struct keeper keeper;
	struct measure_target *endpoint; /* NULL: not started */
	const char *log;
};

/* ---- the machine */

static int free_port(struct err *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;
	socklen_t len = sizeof(at);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		(void)err_errno(e, "no free port on this machine");
	else
		port = ntohs(at.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

/* "AMD EPYC 7B13, 2 processors" */
static const char *machine_name(struct arena *a)
{
	char line[256], model[128] = "";
	FILE *f = fopen("/proc/cpuinfo", "re");
	struct utsname u;

	while (f && !model[0] && fgets(line, sizeof(line), f))
		(void)sscanf(line, "model name : %127[^\n]", model);
	if (f)
		(void)fclose(f);
	if (!model[0] && uname(&u) == 0)
		(void)snprintf(model, sizeof(model), "%.100s", u.machine);
	return arena_printf(a, "%s, %ld processors", model, sysconf(_SC_NPROCESSORS_ONLN));
}

static const char *host_name(struct arena *a)
{
	struct utsname u;

	return uname(&u) == 0 ? arena_printf(a, "local %s", u.nodename) : "local";
}

/* ---- the server */

/* The last line of its log that says something. */
static void last_words(const struct serve *s, char out[200])
{
	struct err ignored = ERR_INIT;
	char *line, *last = NULL, *save = NULL;
	struct buf b;

	out[0] = '\0';
	buf_init(&b, (size_t)64 << 20);
	if (path_read(s->log, (size_t)64 << 20, &b, &ignored) >= 0) {
		if (b.len > LAST_WORDS)
			buf_drop(&b, b.len - LAST_WORDS);
		for (line = b.len ? strtok_r(b.data, "\r\n", &save) : NULL; line;
		     line = strtok_r(NULL, "\r\n", &save))
			if (line[strspn(line, " \t")])
				last = line;
		if (last)
			text_visible(last, out, 200);
	}
	buf_release(&b);
}

static int still_there(void *ctx, struct err *e)
{
	struct serve *s = ctx;
	char said[200];
	int rc = keeper_alive(&s->keeper, e);

	if (rc == 0)
		return 0;
	last_words(s, said);
	return err_set(e, ERR_ENV, "%s: %s%s%s; its log is %s", s->base.o->where->serve.command[0],
		       e->msg, said[0] ? "; it said: " : "", said, s->log);
}

static const char **fill_command(struct serve *s, int port)
{
	const struct measure_serve *w = &s->base.o->where->serve;
	const char **argv = arena_array(s->a, w->n_command + 1, sizeof(*argv));
	const char *number = arena_printf(s->a, "%d", port);
	const struct measure_var vars[] = { { "file", s->base.o->file },
					    { "folder", s->base.o->artifact },
					    { "name", s->base.o->name },
					    { "port", number } };

	for (size_t i = 0; i < w->n_command; i++) {
		struct buf b;

		buf_init(&b, ARG_MAX_BYTES);
		measure_fill(&b, w->command[i], vars, ARRAY_LEN(vars), MEASURE_IN_TEXT);
		argv[i] = arena_strdup(s->a, buf_str(&b));
		buf_release(&b);
	}
	return argv;
}

static int prepare(struct measure_target *t, struct measure_result *r, struct err *e)
{
	struct serve *s = (struct serve *)t;
	struct endpoint_settings set = {
		.at = &t->o->where->serve.at, .direct = true, .alive = still_there, .ctx = s
	};
	int port = free_port(e), rc;

	if (port < 0)
		return e->code;
	set.url = arena_printf(s->a, "http://127.0.0.1:%d", port);
	rc = endpoint_open(t->o, &set, &s->endpoint, e);
	if (rc >= 0)
		rc = keeper_start(&s->keeper, fill_command(s, port), s->log, e);
	if (rc >= 0)
		rc = s->endpoint->ops->prepare(s->endpoint, r, e);
	r->machine = machine_name(r->a);
	r->host = host_name(r->a);
	return rc;
}

static int ask(struct measure_target *t, const struct measure_prompt *p, struct measure_answer *out,
	       struct err *e)
{
	struct serve *s = (struct serve *)t;
	struct err gone = ERR_INIT;
	int rc = s->endpoint->ops->ask(s->endpoint, p, out, e);

	if (rc >= 0 || rc == ERR_CANCELLED || still_there(s, &gone) == 0)
		return rc;
	return err_set(e, ERR_IO, "%s", gone.msg); /* why it broke off */
}

static void release(struct measure_target *t, struct measure_result *r)
{
	struct serve *s = (struct serve *)t;
	uint64_t peak = keeper_peak_bytes(&s->keeper);

	if (s->endpoint)
		s->endpoint->ops->release(s->endpoint, r);
	if ((int64_t)peak > r->memory_bytes && peak)
		r->memory_bytes = (int64_t)peak;
	keeper_end(&s->keeper);
}

static void serve_free(struct measure_target *t)
{
	struct serve *s = (struct serve *)t;

	keeper_end(&s->keeper);
	measure_target_free(s->endpoint);
	arena_free(s->a);
	free(s);
}

int measure_serve_new(const struct measure_options *o, struct measure_target **out, struct err *e)
{
	static const struct measure_target_ops ops = { prepare, ask, release, serve_free };
	struct serve *s;

	if (o->where->serve.n_command == 0)
		return err_set(e, ERR_INVALID, "serve without a command");
	s = mem_zalloc(sizeof(*s));
	s->base = (struct measure_target){ &ops, o };
	s->a = arena_new();
	s->keeper = (struct keeper){ .life_fd = -1, .told_fd = -1, .status = -1 };
	s->log = arena_printf(s->a, "%s/server.log", o->dir);
	*out = &s->base;
	return 0;
}

/* orchestrator/config/config_run.c -- when a run may start what, and who is told of its end:
 * `run`, `notify`, `priority` of jobs.yaml. */
#include <string.h>

#include "core/mem.h"
#include "orchestrator/config/config_private.h"
#include "orchestrator/config/window.h"

void config_read_priority(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, -PRIORITY_MAX, PRIORITY_MAX, target);
}

/* ---- run */

static int is_window(const char *text)
{
	struct window ignored;

	return window_parse(text, &ignored);
}

static void read_window(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "two times of the day like \"22:00-07:00\"";

	(void)read_checked(r, v, want, is_window, target);
}

void config_read_run(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = target;
	const struct key keys[] = {
		{ "window", read_window, &c->window },
	};

	read_map(r, v, "the run section", keys, ARRAY_LEN(keys));
}

/* ---- notify */

static void read_command(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] =
		"a list of a program and its arguments, like [mail-me, --to, ops]";
	struct string_list *l = target;

	if (v->type != YNODE_LIST || v->n == 0) {
		read_wrong(r, v, want);
		return;
	}
	l->v = arena_array(r->a, v->n + 1, sizeof(*l->v));
	for (size_t i = 0; i < v->n; i++) {
		if (v->items[i]->type != YNODE_SCALAR || (i == 0 && !v->items[i]->text[0])) {
			read_wrong(r, v->items[i], "text");
			l->n = 0;
			return;
		}
		l->v[l->n++] = v->items[i]->text;
	}
}

/* What stands in it may be a secret (webhooks are): it is not shown. */
static void read_url(struct reader *r, const struct ynode *v, void *target)
{
	const char *host = v->type == YNODE_SCALAR ? strstr(v->text, "://") : NULL;

	if (!host ||
	    (strncmp(v->text, "https://", 8) != 0 && strncmp(v->text, "http://", 7) != 0) ||
	    !host[3] || host[3] == '/' || strpbrk(v->text, " \t\r\n\"<>\\"))
		faults_add(r->f, v->at,
			   "url is none of http or https; write one like "
			   "https://HOST/PATH, or ${NAME} of the environment");
	else if (memchr(host + 3, '@', strcspn(host + 3, "/")))
		faults_add(r->f, v->at,
			   "url has a user or a password in it; write it without, or run a "
			   "`command` that knows them");
	else
		*(const char **)target = v->text;
}

static void read_on(struct reader *r, const struct ynode *v, void *target)
{
	static const char *const names[] = { [NOTIFY_END] = "end", [NOTIFY_FAILURE] = "failure" };

	for (size_t i = 0; v->type == YNODE_SCALAR && i < ARRAY_LEN(names); i++) {
		if (strcmp(v->text, names[i]) == 0) {
			*(enum notify_on *)target = (enum notify_on)i;
			return;
		}
	}
	read_wrong(r, v, "end or failure");
}

static void read_attempts(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 20, target);
}

static void read_one(struct reader *r, const struct ynode *v, struct notify *n)
{
	const struct key keys[] = {
		{ "command", read_command, &n->command },
		{ "url", read_url, &n->url },
		{ "on", read_on, &n->on },
		{ "attempts", read_attempts, &n->attempts },
		{ "backoff", read_duration, &n->backoff_ms },
		{ "timeout", read_limit, &n->timeout_ms },
	};

	*n = (struct notify){ .attempts = 4, .backoff_ms = 2000, .timeout_ms = 30000, .at = v->at };
	read_map(r, v, "an entry of notify", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP && read_has(v, "command") + read_has(v, "url") != 1)
		faults_add(r->f, v->at,
			   "an entry of notify has `command` or `url`; write one of them");
}

void config_read_notify(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = target;

	if (v->type != YNODE_LIST) {
		read_wrong(r, v, "a list like \"- {command: [mail-me], on: failure}\"");
		return;
	}
	c->notify = arena_array(r->a, v->n + 1, sizeof(*c->notify));
	c->n_notify = 0;
	for (size_t i = 0; i < v->n; i++)
		read_one(r, v->items[i], &c->notify[c->n_notify++]);
}

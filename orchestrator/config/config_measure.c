/* orchestrator/config/config_measure.c -- the measure section of jobs.yaml: where converted files
 * are tried, with what, and what publication waits for. docs/measuring.md has every key. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/config/config_private.h"
#include "upload/http.h"

#define STAGES_MAX 64
#define WORDS_MAX 256

/* ---- words of a command line */

/* Blanks divide; quotes of both kinds and backslashes as a shell reads them, nothing else of it. */
const char *const *config_split_words(struct arena *a, const char *text, size_t *n)
{
	const char **words = arena_array(a, WORDS_MAX + 1, sizeof(*words));
	char *copy = arena_strdup(a, text), *to = copy;
	const char *p = text;

	*n = 0;
	while (*p && *n < WORDS_MAX) {
		char quote = '\0';

		while (isspace((unsigned char)*p))
			p++;
		if (!*p)
			break;
		words[(*n)++] = to;
		for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
			if (quote ? *p == quote : *p == '\'' || *p == '"')
				quote = quote ? '\0' : *p;
			else if (*p == '\\' && p[1] && quote != '\'')
				*to++ = *++p;
			else
				*to++ = *p;
		}
		if (quote)
			return NULL;
		p += *p != '\0';
		*to++ = '\0';
	}
	return words;
}

static void check_template(struct reader *r, const struct ynode *v, const char *text,
			   const char *const *names, size_t n)
{
	struct err e = ERR_INIT;

	if (measure_template_check(text, names, n, &e) < 0)
		faults_add(r->f, v->at, "%s: %s", r->key, e.msg);
}

static const char *const call_names[] = { "file", "model", "name" };
static const char *const model_names[] = { "file", "name" };
static const char *const command_names[] = { "file", "folder", "name", "port" };

static void read_command(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "a command like [llama-server, -m, \"{file}\", --port, "
				   "\"{port}\"]";
	struct measure_serve *to = target;
	struct ynode *const *items = v->items;
	const char **words;
	bool port = false;

	if (v->type == YNODE_SCALAR) {
		to->command = config_split_words(r->a, v->text, &to->n_command);
		if (!to->command)
			to->n_command = 0;
	} else if (v->type == YNODE_LIST && v->n <= WORDS_MAX) {
		words = arena_array(r->a, v->n + 1, sizeof(*words));
		for (size_t i = 0; i < v->n; i++) {
			if (!read_is_text(r, items[i], "a word of the command"))
				return;
			words[i] = items[i]->text;
		}
		to->command = words;
		to->n_command = v->n;
	}
	if (to->n_command == 0) {
		read_wrong(r, v, want);
		return;
	}
	for (size_t i = 0; i < to->n_command; i++) {
		check_template(r, v, to->command[i], command_names, ARRAY_LEN(command_names));
		port |= strstr(to->command[i], "{port}") != NULL;
	}
	if (!port)
		faults_add(r->f, v->at,
			   "the command has no {port}; quern chooses a free one and asks there");
}

/* ---- endpoint */

static void read_url(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "the address of a server like http://host:8080, without /v1";
	char *shown;
	size_t n;

	if (!read_is_text(r, v, want))
		return;
	shown = http_url_public(v->text);
	n = strlen(v->text);
	while (n && v->text[n - 1] == '/')
		n--;
	if (strchr(v->text, '@'))
		faults_add(r->f, v->at,
			   "%s is an address with a user or a password in it; write it without, "
			   "and name the variable that holds a key with `key_env`",
			   r->key);
	else if (!shown || strpbrk(v->text, "?# ") ||
		 (n > 3 && strncmp(v->text + n - 3, "/v1", 3) == 0))
		read_wrong(r, v, want);
	else
		*(const char **)target = v->text;
	free(shown);
}

static int is_path(const char *text)
{
	return text[0] == '/' && !strpbrk(text, " \r\n");
}

static void read_path(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "a path like /health";

	(void)read_checked(r, v, want, is_path, target);
}

static void read_call_path(struct reader *r, const struct ynode *v, void *target)
{
	read_path(r, v, target);
	if (v->type == YNODE_SCALAR)
		check_template(r, v, v->text, call_names, ARRAY_LEN(call_names));
}

static void read_model_name(struct reader *r, const struct ynode *v, void *target)
{
	if (!read_is_text(r, v, "the name of a model, which may have {name} and {file}"))
		return;
	check_template(r, v, v->text, model_names, ARRAY_LEN(model_names));
	*(const char **)target = v->text;
}

static void read_variable(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "the NAME of an environment variable";
	size_t n;

	if (!read_is_text(r, v, want))
		return;
	n = strspn(v->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	if (v->text[n] || isdigit((unsigned char)v->text[0]))
		faults_add(r->f, v->at,
			   "%s is no name of a variable; write the NAME of one that "
			   "holds the key (LLM_KEY), never the key itself",
			   r->key); /* not shown: it may be the key */
	else
		*(const char **)target = v->text;
}

static void read_method(struct reader *r, const struct ynode *v, void *target)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE" };

	for (size_t i = 0; v->type == YNODE_SCALAR && i < ARRAY_LEN(methods); i++) {
		if (strcmp(v->text, methods[i]) == 0) {
			*(const char **)target = methods[i];
			return;
		}
	}
	read_wrong(r, v, "GET, POST, PUT or DELETE");
}

/* A map is written as JSON; text is taken as it is. */
static void read_body(struct reader *r, const struct ynode *v, void *target)
{
	const char *text = v->type == YNODE_SCALAR ? v->text : ynode_canonical(r->a, v);

	if (!text) {
		faults_add(r->f, v->at, "%s is larger than 1 MiB; write less", r->key);
		return;
	}
	check_template(r, v, text, call_names, ARRAY_LEN(call_names));
	*(const char **)target = text;
}

/* "POST /api/load/{model}", "/api/load/{model}", or a map. */
static void read_call(struct reader *r, const struct ynode *v, void *target)
{
	struct measure_call *to = target;
	const struct key keys[] = {
		{ "method", read_method, &to->method },
		{ "path", read_call_path, &to->path },
		{ "body", read_body, &to->body },
	};
	const struct ynode word = { .type = YNODE_SCALAR, .at = v->at };
	struct ynode part = word;
	const char *blank;

	to->method = "POST";
	if (v->type == YNODE_SCALAR) {
		blank = strchr(v->text, ' ');
		if (blank) {
			part.text = arena_strndup(r->a, v->text, (size_t)(blank - v->text));
			read_method(r, &part, &to->method);
		}
		part.text = blank ? blank + 1 : v->text;
		read_call_path(r, &part, &to->path);
	} else {
		read_map(r, v, arena_printf(r->a, "the call `%s`", r->key), keys, ARRAY_LEN(keys));
		if (v->type == YNODE_MAP && !read_has(v, "path"))
			faults_add(r->f, v->at,
				   "a call without `path`; write for instance {path: "
				   "\"/api/load/{model}\"}");
	}
	if (!to->path)
		*to = (struct measure_call){ NULL, NULL, NULL }; /* a fault was said */
}

#define ENDPOINT_KEYS(at)                                                                          \
	{ "model", read_model_name, &(at)->model }, { "health", read_path, &(at)->health },        \
		{ "key_env", read_variable, &(at)->api_key },                                      \
		{ "start", read_limit, &(at)->start_ms }, { "load", read_call, &(at)->load },      \
	{                                                                                          \
		"unload", read_call, &(at)->unload                                                 \
	}

static void read_endpoint(struct reader *r, const struct ynode *v, void *target)
{
	struct measure_endpoint *to = &((struct measure_where *)target)->endpoint;
	const struct key keys[] = { { "url", read_url, &to->url }, ENDPOINT_KEYS(to) };

	((struct measure_where *)target)->kind = MEASURE_ENDPOINT;
	if (v->type == YNODE_SCALAR) {
		read_url(r, v, &to->url);
		return;
	}
	read_map(r, v, "endpoint", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP && !read_has(v, "url"))
		faults_add(r->f, v->at,
			   "an endpoint without `url`; write for instance "
			   "{url: \"http://host:8080\"}");
}

static void read_serve(struct reader *r, const struct ynode *v, void *target)
{
	struct measure_serve *to = &((struct measure_where *)target)->serve;
	const struct key keys[] = { { "command", read_command, to }, ENDPOINT_KEYS(&to->at) };

	((struct measure_where *)target)->kind = MEASURE_SERVE;
	if (v->type != YNODE_MAP) {
		read_command(r, v, to);
		return;
	}
	read_map(r, v, "serve", keys, ARRAY_LEN(keys));
	if (!read_has(v, "command"))
		faults_add(r->f, v->at,
			   "serve without `command`; write for instance {command: "
			   "[llama-server, -m, \"{file}\", --port, \"{port}\"]}");
}

/* ---- board */

static void read_port(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 65535, target);
}

/* What becomes a word of a command on the other machine, or of ssh here. */
static int is_plain(const char *text)
{
	return text[0] != '-' && !strpbrk(text, " \t\r\n'\"\\`$;&|<>()*?@");
}

static void read_plain(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] =
		"a name or address without blanks, which does not begin with '-'";

	(void)read_checked(r, v, want, is_plain, target);
}

static void read_board(struct reader *r, const struct ynode *v, void *target)
{
	struct measure_board *to = &((struct measure_where *)target)->board;
	const struct key keys[] = {
		{ "name", read_text, &to->name },
		{ "host", read_plain, &to->host },
		{ "user", read_plain, &to->user },
		{ "port", read_port, &to->port },
		{ "identity", read_text, &to->identity },
		{ "known_hosts", read_text, &to->known_hosts },
		{ "dir", read_text, &to->dir },
		{ "platform", read_text, &to->platform },
		{ "runtime", read_text, &to->runtime },
		{ "harness", read_text, &to->harness },
		{ "clocks", read_flag, &to->clocks },
	};

	((struct measure_where *)target)->kind = MEASURE_BOARD;
	to->clocks = 1;
	if (v->type == YNODE_SCALAR) {
		read_plain(r, v, &to->host);
	} else {
		read_map(r, v, "board", keys, ARRAY_LEN(keys));
		if (v->type == YNODE_MAP && !read_has(v, "host"))
			faults_add(r->f, v->at,
				   "a board without `host`; name the machine that ssh "
				   "reaches");
	}
	if (!to->name)
		to->name = to->host;
}

/* ---- a stage */

static void read_runs(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 1000, target);
}

static void read_warmup(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 0, 100, target);
}

static void read_hold(struct reader *r, const struct ynode *v, void *target)
{
	static const char *const names[] = { "garbage", "mismatch", "regression", "failed" };
	const char *outer = r->key;
	struct ynode *const *items;
	size_t n;

	if (v->type == YNODE_LIST && v->n == 0)
		return; /* nothing holds */
	n = read_items(r, &v, &items);
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(names) &&
		       (items[i]->type != YNODE_SCALAR || strcmp(items[i]->text, names[k]) != 0))
			k++;
		if (k < ARRAY_LEN(names))
			*(unsigned *)target |= 1u << k;
		else
			read_wrong(r, items[i], "garbage, mismatch, regression or failed");
	}
	r->key = outer;
}

/* "10%", 0.1, or off. */
static void read_share(struct reader *r, const struct ynode *v, void *target)
{
	static const char want[] = "a share like 10%, or off";
	char *end;
	double d;
	int on;

	if (ynode_bool(v, &on) && !on) {
		*(double *)target = 0;
		return;
	}
	if (v->type != YNODE_SCALAR || !v->text[0]) {
		read_wrong(r, v, want);
		return;
	}
	d = strtod(v->text, &end);
	if (strcmp(end, "%") == 0)
		d /= 100;
	else if (*end || end == v->text)
		d = -1;
	if (d > 0 && d < 1)
		*(double *)target = d;
	else
		read_wrong(r, v, want);
}

static void read_prompts(struct reader *r, const struct ynode *v, void *target)
{
	struct measure_stage *s = target;

	s->prompts_at = v->at;
	read_text(r, v, &s->prompts);
}

static void read_when(struct reader *r, const struct ynode *v, void *target)
{
	config_read_pattern(r, v, "when", target);
}

static void check_where(struct reader *r, const struct ynode *v)
{
	static const char *const kinds[] = { "endpoint", "serve", "board" };
	int written = 0, meant = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		written += ynode_get(v, kinds[i]) != NULL;
		meant |= read_has(v, kinds[i]);
	}
	if (!meant)
		faults_add(r->f, v->at,
			   "a measurement without a place; write `endpoint` (a server "
			   "that runs), `serve` (one that quern starts) or `board`");
	if (written > 1)
		faults_add(r->f, v->at,
			   "a measurement in several places; keep one of `endpoint`, "
			   "`serve` and `board`, and make an entry of each other");
}

static void read_stage(struct reader *r, const struct ynode *v, struct measure_stage *s)
{
	const struct key keys[] = {
		{ "name", read_word, &s->name },
		{ "when", read_when, &s->when },
		{ "endpoint", read_endpoint, &s->where },
		{ "serve", read_serve, &s->where },
		{ "board", read_board, &s->where },
		{ "prompts", read_prompts, s },
		{ "machine", read_text, &s->machine },
		{ "runs", read_runs, &s->runs },
		{ "warmup", read_warmup, &s->warmup },
		{ "hold", read_hold, &s->hold },
		{ "regression", read_share, &s->regression },
		{ "alone", read_flag, &s->alone },
		{ "timeout", read_limit, &s->timeout_ms },
		{ "answer", read_limit, &s->answer_ms },
		{ "wait", read_duration, &s->wait_ms },
		{ "again", read_duration, &s->again_ms },
	};

	config_measure_defaults(s);
	s->at = s->prompts_at = v->at;
	s->alone = -1;
	read_map(r, v, "a measurement", keys, ARRAY_LEN(keys));
	if (v->type == YNODE_MAP)
		check_where(r, v);
	if (s->alone < 0)
		s->alone = s->where.kind == MEASURE_SERVE;
}

void config_measure_defaults(struct measure_stage *s)
{
	const int64_t start_ms = 2 * 60 * 1000;

	s->runs = 3;
	s->warmup = 1;
	s->regression = 0.1;
	s->timeout_ms = 30 * 60 * 1000;
	s->answer_ms = 5 * 60 * 1000;
	s->wait_ms = 60 * 60 * 1000;
	s->where.endpoint.start_ms = s->where.serve.at.start_ms = start_ms;
}

/* The kind, and "serve-2" for the second that has no name of its own. */
static void name_stages(struct reader *r, struct config *c)
{
	for (size_t i = 0; i < c->n_measure; i++) {
		struct measure_stage *s = &c->measure[i];
		const char *kind = measure_kind_name(s->where.kind);
		int number = 1;

		if (s->name)
			continue;
		for (size_t k = 0; k < i; k++)
			number += c->measure[k].where.kind == s->where.kind;
		s->name = number == 1 ? kind : arena_printf(r->a, "%s-%d", kind, number);
	}
	for (size_t i = 1; i < c->n_measure; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(c->measure[i].name, c->measure[k].name) == 0) {
				faults_add(r->f, c->measure[i].at,
					   "the name \"%s\" is taken by the measurement on line "
					   "%d; add `name:` to one of them",
					   c->measure[i].name, c->measure[k].at.line);
				break;
			}
}

void config_read_measure(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = ((struct draft *)target)->c;

	if (v->type != YNODE_LIST || v->n > STAGES_MAX) {
		read_wrong(r, v,
			   "a list like \"- {endpoint: \"http://host:8080\"}\", of 64 at most,");
		return;
	}
	c->measure = arena_array(r->a, v->n + 1, sizeof(*c->measure));
	c->n_measure = v->n;
	for (size_t i = 0; i < v->n; i++)
		read_stage(r, v->items[i], &c->measure[i]);
	name_stages(r, c);
}

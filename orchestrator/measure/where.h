/* orchestrator/measure/where.h -- the place where a converted file is tried, as a person described
 * it in `measure` of jobs.yaml: a server that runs, one that quern starts, or a board. Plain data;
 * texts belong to whoever read them. docs/measuring.md has every key. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_WHERE_H
#define QUERN_ORCHESTRATOR_MEASURE_WHERE_H

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

enum measure_kind {
	MEASURE_ENDPOINT, /* an OpenAI-compatible server that runs already */
	MEASURE_SERVE,	  /* a server of this machine that is started for the file, and ended */
	MEASURE_BOARD,	  /* another machine, by ssh, with quern-board */
	MEASURE_KIND_COUNT
};

/* A call that a server has beside OpenAI's, to take a model in or to let it go. In path and body,
 * {model} is the model's name for this server, {file} the artifact's file name and {name} the same
 * without its extension; in a path they are percent-encoded, in a body escaped as JSON wants it. */
struct measure_call {
	const char *method; /* "POST"; NULL: there is no such call */
	const char *path;   /* "/api/load/{model}" */
	const char *body;   /* JSON; NULL: none */
};

struct measure_endpoint {
	const char *url;     /* "http://HOST:PORT", with a prefix if there is one, without /v1;
				of a server that quern starts: NULL */
	const char *model;   /* name to ask for, with {file} and {name}; NULL: the only one that
				/v1/models lists, or the one that is named like the file */
	const char *health;  /* a path that answers 2xx when it is ready; default /v1/models */
	const char *api_key; /* NAME of an environment variable that holds the key; NULL: none */
	int64_t start_ms;    /* how long it may take to become healthy, with the model loaded */
	struct measure_call load, unload;
};

struct measure_serve {
	const char *const *command; /* argv; {file} is the artifact's path, {port} a free one */
	size_t n_command;
	struct measure_endpoint at; /* without url */
};

/* A board with an NPU. ssh authenticates by key or agent only; nothing is asked. */
struct measure_board {
	const char *name;	 /* how it is called in tables; default: host */
	const char *host;	 /* name or address */
	const char *user;	 /* NULL: as ssh decides */
	const char *identity;	 /* absolute path of a private key; NULL: as ssh decides */
	const char *known_hosts; /* absolute; NULL: as ssh decides */
	const char *dir;	 /* folder on the board, made if it is not there; default
				    ~/.cache/quern-board */
	const char *platform;	 /* "rk3588": jobs of another one are not tried here; NULL: any */
	const char *runtime;	 /* path of librkllmrt.so on the board; NULL: the loader finds it */
	const char *harness;	 /* local path of quern-board for the board; NULL: quern's own */
	int port;		 /* 0: as ssh decides */
	int clocks;		 /* fix clocks while measuring, restore them afterwards */
};

struct measure_where {
	enum measure_kind kind;
	struct measure_endpoint endpoint;
	struct measure_serve serve;
	struct measure_board board;
};

const char *measure_kind_name(enum measure_kind k); /* "endpoint" ... */
/* The machine that is kept busy: measurements with the same word take turns. "local",
 * "http://host:port", "ssh://host:port". Heap. */
char *measure_where_machine(const struct measure_where *w);

/* ---- templates: "{name}" in a text; other braces, as JSON has them, stay */

struct measure_var {
	const char *name, *value;
};
enum measure_escape {
	MEASURE_IN_TEXT,
	MEASURE_IN_PATH, /* percent-encoded */
	MEASURE_IN_JSON, /* inside a string */
};
/* Append text with the variables replaced; a name that is none of them stays as it is. */
void measure_fill(struct buf *out, const char *text, const struct measure_var *vars, size_t n,
		  enum measure_escape how);
/* ERR_INVALID with a did-you-mean when text has a variable that is none of names. */
int measure_template_check(const char *text, const char *const *names, size_t n, struct err *e);

#endif

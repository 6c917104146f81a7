/* core/yaml.h -- YAML as a row of events with places, by libyaml: the only module
 * that includes its header. Two readers stand on it: jobs.yaml and manifests
 * (orchestrator/config/yaml_tree.c) and front matter (upload/card_yaml.c). It is a
 * library of its own, quern_yaml, so that no worker has libyaml in it. Open,
 * take events until YAML_DONE or an error, close. */
#ifndef QUERN_CORE_YAML_H
#define QUERN_CORE_YAML_H

#include <stddef.h>

struct yaml_place {
	int line, column; /* both from 1; columns count characters */
};

enum yaml_kind {
	YAML_DONE,     /* the end of the text */
	YAML_DOCUMENT, /* one begins */
	YAML_SCALAR,
	YAML_ALIAS,
	YAML_LIST,
	YAML_LIST_END,
	YAML_MAP,
	YAML_MAP_END,
};

/* Strings are valid until the next event is taken. */
struct yaml_event {
	enum yaml_kind kind;
	struct yaml_place at;
	const char *text; /* SCALAR, terminated; it may hold NUL: use len */
	size_t len;
	int plain;	    /* SCALAR without quotes, no block */
	const char *anchor; /* of a value, or the name that an ALIAS repeats; NULL: none */
	const char *tag;    /* NULL: none */
};

/* Why libyaml cannot read on. */
struct yaml_problem {
	struct yaml_place at;
	const char *text;    /* valid until close; NULL: no words for it */
	const char *context; /* "while parsing a flow mapping"; NULL: none */
	struct yaml_place context_at;
};

struct yaml;

/* text: UTF-8 without a byte order mark; it must stay until close. */
struct yaml *yaml_open(const char *text, size_t len);
void yaml_close(struct yaml *y); /* NULL is fine */

/* 0, or ERR_INVALID: yaml_problem() says why, and nothing more can be read. */
int yaml_next(struct yaml *y, struct yaml_event *out);
struct yaml_problem yaml_problem(const struct yaml *y);

#endif

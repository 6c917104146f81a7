#include "core/yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "core/err.h"
#include "core/mem.h"

struct yaml {
	yaml_parser_t parser;
	yaml_event_t event; /* the last one; its strings are what was given out */
};

struct yaml *yaml_open(const char *text, size_t len)
{
	struct yaml *y = mem_zalloc(sizeof(*y));

	if (!yaml_parser_initialize(&y->parser))
		abort(); /* no memory: core/mem.h says why that ends us */
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)text, len);
	return y;
}

void yaml_close(struct yaml *y)
{
	if (!y)
		return;
	yaml_event_delete(&y->event);
	yaml_parser_delete(&y->parser);
	free(y);
}

static struct yaml_place place_of(yaml_mark_t m)
{
	return (struct yaml_place){ (int)m.line + 1, (int)m.column + 1 };
}

struct yaml_problem yaml_problem(const struct yaml *y)
{
	return (struct yaml_problem){ .at = place_of(y->parser.problem_mark),
				      .text = y->parser.problem,
				      .context = y->parser.context,
				      .context_at = place_of(y->parser.context_mark) };
}

static void fill_scalar(const yaml_event_t *ev, struct yaml_event *out)
{
	out->kind = YAML_SCALAR;
	out->text = (const char *)ev->data.scalar.value;
	out->len = ev->data.scalar.length;
	out->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	out->anchor = (const char *)ev->data.scalar.anchor;
	out->tag = (const char *)ev->data.scalar.tag;
}

/* 0 for events that say nothing to a reader of values. */
static int fill(const yaml_event_t *ev, struct yaml_event *out)
{
	*out = (struct yaml_event){ .at = place_of(ev->start_mark) };
	switch (ev->type) {
	case YAML_STREAM_END_EVENT:
		out->kind = YAML_DONE;
		return 1;
	case YAML_DOCUMENT_START_EVENT:
		out->kind = YAML_DOCUMENT;
		return 1;
	case YAML_SCALAR_EVENT:
		fill_scalar(ev, out);
		return 1;
	case YAML_ALIAS_EVENT:
		out->kind = YAML_ALIAS;
		out->anchor = (const char *)ev->data.alias.anchor;
		return 1;
	case YAML_SEQUENCE_START_EVENT:
		out->kind = YAML_LIST;
		out->anchor = (const char *)ev->data.sequence_start.anchor;
		out->tag = (const char *)ev->data.sequence_start.tag;
		return 1;
	case YAML_SEQUENCE_END_EVENT:
		out->kind = YAML_LIST_END;
		return 1;
	case YAML_MAPPING_START_EVENT:
		out->kind = YAML_MAP;
		out->anchor = (const char *)ev->data.mapping_start.anchor;
		out->tag = (const char *)ev->data.mapping_start.tag;
		return 1;
	case YAML_MAPPING_END_EVENT:
		out->kind = YAML_MAP_END;
		return 1;
	default:
		return 0; /* the stream's start, a document's end */
	}
}

int yaml_next(struct yaml *y, struct yaml_event *out)
{
	do {
		yaml_event_delete(&y->event);
		if (!yaml_parser_parse(&y->parser, &y->event))
			return ERR_INVALID;
	} while (!fill(&y->event, out));
	return 0;
}

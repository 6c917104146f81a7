/* core/json.h -- JSON (RFC 8259), strict, for foreign bytes: duplicate keys,
 * bad UTF-8, lone surrogates, trailing text and depth above 64 are errors with
 * line and column. A document lives in its arena. And a writer whose canonical
 * form (sorted keys, no spaces, shortest numbers: RFC 8785 where it matters)
 * is what job keys are hashed over. */
#ifndef QUERN_CORE_JSON_H
#define QUERN_CORE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	int is_integer; /* NUMBER written without '.', 'e', and inside int64 */
	union {
		int boolean;
		struct {
			double number;	 /* every NUMBER, rounded if large */
			int64_t integer; /* when is_integer */
		};
		struct {
			const char *str; /* UTF-8, terminated; may contain NUL: use len */
			size_t len;
		};
		struct {			     /* ARRAY and OBJECT */
			struct json_member *members; /* key NULL in arrays */
			size_t count;
			const uint32_t *index; /* the parser's hash table, or NULL */
		};
	};
};

struct json_member {
	const char *key; /* terminated; keys with an embedded NUL are refused */
	struct json *value;
};

/* Parse text[0..len). Everything is allocated in a. ERR_INVALID with "line:column: what". */
int json_parse(struct arena *a, const char *text, size_t len, struct json **out, struct err *e);

/* Member by key (hashed for objects above 16 members); NULL if absent or v is no object. */
const struct json *json_get(const struct json *v, const char *key);
/* Typed look-ups with a default; a value of another type gives the default as well. */
const char *json_str(const struct json *v, const char *key, const char *dflt);
int64_t json_int(const struct json *v, const char *key, int64_t dflt);
double json_num(const struct json *v, const char *key, double dflt);
int json_bool(const struct json *v, const char *key, int dflt);

/* Write v into b, canonical: members sorted by key bytes. */
int json_write_canonical(struct buf *b, const struct json *v);

/* A streaming writer: it puts the commas. indent 0: one line; else pretty. */
struct json_out {
	struct buf *b;
	int indent, depth;
	unsigned char first[64]; /* nothing written at this depth yet */
	int after_key;
};

void jw_init(struct json_out *w, struct buf *b, int indent);
void jw_object(struct json_out *w); /* { */
void jw_array(struct json_out *w);  /* [ */
void jw_end_object(struct json_out *w);
void jw_end_array(struct json_out *w);
void jw_key(struct json_out *w, const char *key);
void jw_str(struct json_out *w, const char *s); /* NULL writes null; bad UTF-8 becomes U+FFFD */
void jw_strn(struct json_out *w, const char *s, size_t n);
void jw_int(struct json_out *w, int64_t v);
void jw_uint(struct json_out *w, uint64_t v);
void jw_num(struct json_out *w, double v); /* shortest text that reads back; NaN, Inf: null */
void jw_bool(struct json_out *w, int v);
void jw_null(struct json_out *w);
void jw_value(struct json_out *w, const struct json *v); /* canonical inside */
/* key and value in one call */
void jw_karray(struct json_out *w, const char *key); /* jw_end_array() ends it */
void jw_kobject(struct json_out *w, const char *key);
void jw_kstr(struct json_out *w, const char *key, const char *s);
void jw_kint(struct json_out *w, const char *key, int64_t v);
void jw_knum(struct json_out *w, const char *key, double v);
void jw_kbool(struct json_out *w, const char *key, int v);

/* Shortest decimal text that reads back as v ("0.5", "1", "1e+30"); canonical. buf >= 32 bytes. */
void json_format_number(double v, char out[32]);

#endif

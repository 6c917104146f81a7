#include "orchestrator/measure/where.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/units.h"
#include "upload/http.h"

const char *measure_kind_name(enum measure_kind k)
{
	static const char *const names[MEASURE_KIND_COUNT] = { "endpoint", "serve", "board" };

	return names[k];
}

char *measure_where_machine(const struct measure_where *w)
{
	if (w->kind == MEASURE_ENDPOINT)
		return http_url_public(w->endpoint.url);
	if (w->kind == MEASURE_BOARD)
		return mem_printf("ssh://%s:%d", w->board.host, w->board.port ? w->board.port : 22);
	return mem_strdup("local");
}

/* ---- templates */

/* Length of "{name}" at p, or 0: other braces, as JSON has them, are text. */
static size_t variable_at(const char *p)
{
	size_t n;

	if (*p != '{')
		return 0;
	n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_");
	return n && p[n + 1] == '}' ? n + 2 : 0;
}

static void add_value(struct buf *out, const char *value, enum measure_escape how)
{
	struct json_out w;
	struct buf quoted;

	if (how == MEASURE_IN_TEXT) {
		buf_adds(out, value);
	} else if (how == MEASURE_IN_PATH) {
		http_quote(out, value, false);
	} else {
		buf_init(&quoted, (size_t)1 << 20);
		jw_init(&w, &quoted, 0);
		jw_str(&w, value);
		buf_add(out, buf_str(&quoted) + 1, quoted.len - 2);
		buf_release(&quoted);
	}
}

void measure_fill(struct buf *out, const char *text, const struct measure_var *vars, size_t n,
		  enum measure_escape how)
{
	for (const char *p = text; *p;) {
		size_t len = variable_at(p), i = 0;

		while (len && i < n &&
		       (strlen(vars[i].name) != len - 2 ||
			strncmp(vars[i].name, p + 1, len - 2) != 0))
			i++;
		if (len && i < n) {
			add_value(out, vars[i].value, how);
			p += len;
		} else {
			buf_addc(out, *p++);
		}
	}
}

int measure_template_check(const char *text, const char *const *names, size_t n, struct err *e)
{
	for (const char *p = text; *p; p++) {
		size_t len = variable_at(p), i = 0;
		const char *near;
		char *name;
		int rc;

		if (!len)
			continue;
		name = mem_strndup(p + 1, len - 2);
		while (i < n && strcmp(names[i], name) != 0)
			i++;
		near = i < n ? NULL : nearest_name(name, names, n);
		rc = i < n  ? 0
		     : near ? err_set(e, ERR_INVALID,
				      "unknown variable {%.40s}; did you mean {%s}?", name, near)
			    : err_set(e, ERR_INVALID, "unknown variable {%.40s}; remove it", name);
		free(name);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* db/control.c -- see control.h. */
#include "db/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* Names in the table meta. */
#define META_PAUSE "pause"
#define META_DRAIN "drain"

static const char *const kinds[] = {
	[PAUSE_NOT] = "",
	[PAUSE_STARTS] = "starts",
	[PAUSE_NOW] = "now",
};

int control_read(struct store *s, struct control_word *out, struct err *e)
{
	struct arena *a = arena_new();
	struct control_word w = { 0 };
	const char *text = "";
	char kind[16] = "";
	int rc = store_meta_get(s, META_PAUSE, a, &text, e);

	if (rc > 0 && sscanf(text, "%15s %" SCNd64, kind, &w.since_ms) == 2) {
		for (size_t i = 1; i < ARRAY_LEN(kinds); i++) {
			if (strcmp(kinds[i], kind) == 0)
				w.pause = (enum pause_kind)i;
		}
	}
	if (rc >= 0)
		rc = store_meta_get(s, META_DRAIN, a, &text, e);
	if (rc > 0)
		w.drain = strtoll(text, NULL, 10);
	if (rc >= 0)
		*out = w;
	arena_free(a);
	return rc < 0 ? rc : 0;
}

int control_write_pause(struct store *s, enum pause_kind pause, int64_t now_ms, struct err *e)
{
	char text[64] = "";

	if (pause != PAUSE_NOT)
		snprintf(text, sizeof(text), "%s %" PRId64, kinds[pause], now_ms);
	return store_meta_set(s, META_PAUSE, text, e);
}

int control_write_drain(struct store *s, int64_t run_id, struct err *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, run_id);
	return store_meta_set(s, META_DRAIN, text, e);
}

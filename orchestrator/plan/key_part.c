#include "orchestrator/plan/key_part.h"

#include <string.h>

#include "core/json.h"

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

void key_parts(struct arena *a, const struct job_spec *s, struct key_part out[KEY_PARTS])
{
	size_t own = strcspn(s->engine_version, "+");
	const char *toolkit = s->engine_version[own] ? s->engine_version + own + 1 : "";
	bool folder = strcmp(s->source_kind, "path") == 0;
	char *hybrid = arena_alloc(a, 32);
	size_t n = 0;

	json_format_number(s->hybrid, hybrid);
	out[n++] = (struct key_part){ "engine", s->engine, true };
	out[n++] = (struct key_part){ "engine version", arena_strndup(a, s->engine_version, own),
				      true };
	out[n++] = (struct key_part){ "toolkit version", toolkit, true };
	out[n++] = (struct key_part){ "source kind", s->source_kind, true };
	out[n++] = (struct key_part){ "source", or_empty(s->source), !folder };
	out[n++] = (struct key_part){ "source version", or_empty(s->source_version), true };
	out[n++] = (struct key_part){ "adapter", or_empty(s->lora), !s->lora || s->lora[0] != '/' };
	out[n++] = (struct key_part){ "adapter version", or_empty(s->lora_version), true };
	out[n++] = (struct key_part){ "model", s->model, true };
	out[n++] = (struct key_part){ "platform", s->platform, true };
	out[n++] = (struct key_part){ "quant", s->quant, true };
	out[n++] = (struct key_part){ "hybrid", hybrid, true };
	out[n++] = (struct key_part){ "opt", arena_printf(a, "%d", s->opt), true };
	out[n++] = (struct key_part){ "with", s->with, true };
}

size_t key_parts_differ(const struct key_part *x, const struct key_part *y, size_t out[KEY_PARTS])
{
	size_t n = 0;

	for (size_t i = 0; i < KEY_PARTS; i++) {
		if (x[i].in_key && y[i].in_key && strcmp(x[i].value, y[i].value) != 0)
			out[n++] = i;
	}
	return n;
}

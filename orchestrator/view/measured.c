#include "orchestrator/view/measured.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/units.h"
#include "orchestrator/cli.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/table.h"

const char *measured_counter_text(enum measure_counter c)
{
	switch (c) {
	case COUNTED_USAGE:
		return "tokens counted by the server (usage), times by quern";
	case COUNTED_TIMINGS:
		return "counted and timed by the server (timings)";
	case COUNTED_TOKENIZER:
		return "tokens counted with the model's tokenizer, times by quern";
	case COUNTED_CHUNKS:
		return "tokens not told: pieces of the stream counted in their place, times by "
		       "quern";
	case COUNTED_RUNTIME:
		return "counted and timed by the board's runtime";
	default:
		return "tokens not told and the answer not streamed: only the total time is known";
	}
}

/* "12.4 (12.1 to 13.0)"; one run has no spread. */
static const char *spread(struct arena *a, const struct measure_stat *s)
{
	if (s->n == 0)
		return "?";
	if (s->n == 1)
		return arena_printf(a, "%.4g", s->median);
	return arena_printf(a, "%.4g (%.4g to %.4g)", s->median, s->min, s->max);
}

static const char *count(struct arena *a, int64_t n)
{
	return n < 0 ? "?" : arena_printf(a, "%lld", (long long)n);
}

static void print_rows(FILE *f, struct arena *a, const struct measure_result *r)
{
	static const struct column columns[] = {
		{ "prompt", ALIGN_LEFT, 0 },	       { "seqlen", ALIGN_RIGHT, 0 },
		{ "new tokens", ALIGN_RIGHT, 0 },      { "TTFT ms", ALIGN_RIGHT, 0 },
		{ "prompt tokens/s", ALIGN_RIGHT, 0 }, { "tokens/s", ALIGN_RIGHT, 0 },
		{ "total ms", ALIGN_RIGHT, 0 },
	};
	struct table *t = table_new(columns, ARRAY_LEN(columns));

	for (size_t i = 0; i < r->n_rows; i++) {
		const struct measure_row *row = &r->rows[i];
		const char *cells[] = { row->prompt,
					count(a, row->seqlen),
					count(a, row->new_tokens),
					spread(a, &row->ttft_ms),
					spread(a, &row->prompt_per_s),
					spread(a, &row->generate_per_s),
					spread(a, &row->total_ms) };

		table_add(t, cells);
	}
	if (r->n_rows)
		table_print(t, f, f == stdout ? table_width_limit() : 0);
	table_free(t);
}

void measured_print(FILE *f, struct arena *a, const char *title, const struct measure_result *r)
{
	char size[32];

	fprintf(f, "%s%s%s", title, *title ? ": " : "", measure_kind_name(r->kind));
	if (r->machine[0]) {
		fputs(", ", f);
		cli_print_text(f, r->machine);
	}
	if (r->host[0]) {
		fputs(" (", f);
		cli_print_text(f, r->host);
		fputc(')', f);
	}
	for (size_t i = 0; i < r->n_versions; i++) {
		fputs(", ", f);
		cli_print_text(f, r->versions[i].name);
		fputc(' ', f);
		cli_print_text(f, r->versions[i].value);
	}
	fprintf(f, "; %s\n", show_time(a, r->at_ms));
	print_rows(f, a, r);
	if (r->n_rows)
		fprintf(f, "median of %d run%s after %d to warm up%s; %s\n", r->runs,
			r->runs == 1 ? "" : "s", r->warmup,
			r->runs > 1 ? ", lowest and highest in brackets" : "",
			measured_counter_text(r->counted_by));
	if (r->memory_bytes >= 0) {
		units_format_size((uint64_t)r->memory_bytes, size, sizeof(size));
		fprintf(f, "memory: %s at most\n", size);
	} else {
		fputs("memory: not told\n", f);
	}
	if (r->quality_asked)
		fprintf(f, "answers: %d of %d are language\n", r->quality_asked - r->quality_bad,
			r->quality_asked);
	for (size_t i = 0; i < r->n_warnings; i++) {
		fprintf(f, "%swarning%s (%s): ", f == stdout ? cli_style(f, STYLE_YELLOW) : "",
			f == stdout ? cli_style(f, STYLE_PLAIN) : "", r->warnings[i].kind);
		cli_print_text(f, r->warnings[i].text);
		fputc('\n', f);
	}
	if (r->more_warnings)
		fprintf(f, "and %zu warnings more\n", r->more_warnings);
}

int measured_read(struct arena *a, const struct measurement_row *row, struct measure_result *out)
{
	struct err ignored = ERR_INIT;
	struct json *v;

	return row->result && json_parse(a, row->result, strlen(row->result), &v, &ignored) >= 0 &&
	       measure_result_read(a, v, out, &ignored) >= 0;
}

void measured_json(struct json_out *w, struct arena *a, const struct measurement_row *row)
{
	struct measure_result r;

	jw_object(w);
	jw_kint(w, "measurement", row->id);
	jw_kint(w, "job", row->job_id);
	jw_kint(w, "run", row->run_id);
	jw_kstr(w, "stage", row->stage);
	jw_kstr(w, "kind", row->kind);
	jw_kstr(w, "settings", row->settings);
	jw_kstr(w, "state", row->state);
	jw_time(w, "started", row->started_ms);
	jw_time(w, "ended", row->ended_ms);
	jw_kstr(w, "message", row->message);
	jw_key(w, "result");
	if (measured_read(a, row, &r))
		measure_result_write(w, &r);
	else
		jw_null(w);
	jw_end_object(w);
}

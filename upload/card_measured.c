/* upload/card_measured.c -- what was measured of the files where they ran, in the
 * layout of the NPU vendor's benchmark table (rknn-llm, benchmark.md): one table for
 * each machine and way of measuring. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "upload/card_private.h"

#define TEXT_MAX ((size_t)4 << 20)
#define GROUPS_MAX 64
#define ROWS_MAX 256 /* of one measurement: as many prompts as a set may have */

/* What a card tells of a result: not which host it was, nor what was remarkable that night. */
static bool is_public(const char *member)
{
	static const char *const told[] = { "at_ms",	    "counted_by", "kind",	  "machine",
					    "memory_bytes", "prompts",	  "prompts_hash", "rows",
					    "runs",	    "versions",	  "warmup" };

	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		if (strcmp(told[i], member) == 0)
			return true;
	return false;
}

const char *card_measured_public(struct arena *a, const char *result)
{
	struct err ignored = ERR_INIT;
	struct json_out w;
	const char *text;
	struct json *v;
	struct buf b;

	if (json_parse(a, result, strlen(result), &v, &ignored) < 0 || v->type != JSON_OBJECT)
		return NULL;
	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b, 0);
	jw_object(&w);
	for (size_t i = 0; i < v->count; i++) {
		if (!is_public(v->members[i].key))
			continue;
		jw_key(&w, v->members[i].key);
		jw_value(&w, v->members[i].value);
	}
	jw_end_object(&w);
	text = b.overflow ? NULL : arena_strdup(a, buf_str(&b));
	buf_release(&b);
	return text;
}

/* ---- sentences */

static const char *counted_words(const char *by)
{
	static const struct {
		const char *name, *words;
	} known[] = {
		{ "usage",
		  "tokens as the server counted them (`usage`), times on the client's clock" },
		{ "timings", "tokens and times as the server counted them (`timings`)" },
		{ "tokenizer",
		  "tokens counted with the model's tokenizer (of prompts without their template), "
		  "times on the client's clock" },
		{ "chunks", "the server tells no number of tokens: pieces of its stream stand in "
			    "their place, which may hold more than one" },
		{ "runtime", "tokens and times as the board's runtime counted them" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i].name, by) == 0)
			return known[i].words;
	return "tokens were not told";
}

static void add_date(struct buf *b, int64_t ms)
{
	time_t t = (time_t)(ms / 1000);
	char day[16];
	struct tm tm;

	if (ms > 0 && gmtime_r(&t, &tm) && strftime(day, sizeof(day), "%Y-%m-%d", &tm))
		buf_adds(b, day);
	else
		buf_adds(b, "an unknown day");
}

/* What all rows of one table have in common; also what tells tables apart. */
static const char *group_sentence(const struct card *c, const struct json *v)
{
	const struct json *versions = json_get(v, "versions");
	const char *machine = json_str(v, "machine", ""), *text;
	int64_t runs = json_int(v, "runs", 0);
	bool any = false;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	buf_adds(&b, "On ");
	md_text(&b, machine[0] ? machine : "a machine that does not say what it is");
	for (size_t i = 0; versions && versions->type == JSON_OBJECT && i < versions->count; i++) {
		const char *value = json_str(versions, versions->members[i].key, "");

		/* Its name on the server is that of each file. */
		if (strcmp(versions->members[i].key, "model") == 0)
			continue;
		buf_adds(&b, any ? ", " : " with ");
		md_text(&b, versions->members[i].key);
		buf_addc(&b, ' ');
		md_text(&b, value);
		any = true;
	}
	buf_adds(&b, ", ");
	add_date(&b, json_int(v, "at_ms", 0));
	buf_addf(&b, ": median of %lld run%s after %lld to warm up; %s.", (long long)runs,
		 runs == 1 ? "" : "s", (long long)json_int(v, "warmup", 0),
		 counted_words(json_str(v, "counted_by", "")));
	text = arena_strdup(c->a, buf_str(&b));
	buf_release(&b);
	return text;
}

/* ---- rows */

static void add_count(struct buf *b, const struct json *row, const char *key)
{
	int64_t n = json_int(row, key, -1);

	if (n >= 0)
		buf_addf(b, " %lld |", (long long)n);
	else
		buf_adds(b, " ? |");
}

static void add_median(struct buf *b, const struct json *row, const char *key)
{
	double v = json_num(json_get(row, key), "median", -1);

	if (isfinite(v) && v >= 0 && v < 1e12)
		buf_addf(b, " %.2f |", v);
	else
		buf_adds(b, " ? |");
}

/* "Q8_0", "w8a8 opt-1": only what is confirmed. */
static void add_dtype(struct buf *b, const struct card *c, size_t i)
{
	const struct job_spec *s = &c->v[i]->job->spec;
	unsigned sure = c->confirmed[i];
	char number[32];

	buf_addc(b, ' ');
	md_text(b, sure & JOB_PARAM_QUANT ? s->quant : "not confirmed");
	if (s->opt && (sure & JOB_PARAM_OPT))
		buf_addf(b, " opt-%d", s->opt);
	json_format_number(s->hybrid, number);
	if (s->hybrid != 0 && (sure & JOB_PARAM_HYBRID))
		buf_addf(b, " hybrid-%s", number);
	buf_adds(b, " |");
}

static void add_rows(struct buf *b, const struct card *c, size_t i, const struct json *v)
{
	const struct json *rows = json_get(v, "rows");
	int64_t memory = json_int(v, "memory_bytes", -1);

	for (size_t k = 0; rows && rows->type == JSON_ARRAY && k < rows->count && k < ROWS_MAX;
	     k++) {
		const struct json *row = rows->members[k].value;

		buf_adds(b, "| ");
		md_text(b, c->v[i]->job->spec.model);
		buf_adds(b, " |");
		add_dtype(b, c, i);
		add_count(b, row, "seqlen");
		add_count(b, row, "new_tokens");
		add_median(b, row, "ttft_ms");
		add_median(b, row, "generate_per_s");
		if (memory >= 0)
			buf_addf(b, " %lld |\n", (long long)((memory + 500000) / 1000000));
		else
			buf_adds(b, " ? |\n");
	}
}

/* ---- the whole */

static bool has_rows(const struct json *v)
{
	const struct json *rows = json_get(v, "rows");

	return rows && rows->type == JSON_ARRAY && rows->count > 0;
}

struct measured { /* of one variant */
	size_t variant;
	const struct json *v;
	const char *group;
};

static size_t collect(const struct card *c, struct measured **out)
{
	struct err ignored = ERR_INIT;
	size_t n = 0, room = 0;

	for (size_t i = 0; i < c->n; i++)
		room += c->v[i]->n_measured;
	*out = arena_array(c->a, room + 1, sizeof(**out));
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->v[i]->n_measured; k++) {
			const char *text = c->v[i]->measured[k];
			struct json *v;

			if (json_parse(c->a, text, strlen(text), &v, &ignored) < 0 || !has_rows(v))
				continue;
			(*out)[n++] = (struct measured){ i, v, group_sentence(c, v) };
		}
	return n;
}

void card_measured_write(struct buf *b, const struct card *c)
{
	const char *groups[GROUPS_MAX];
	struct measured *m;
	size_t n = collect(c, &m), n_groups = 0;

	for (size_t i = 0; i < n; i++) {
		size_t g = 0;

		while (g < n_groups && strcmp(groups[g], m[i].group) != 0)
			g++;
		if (g == n_groups && n_groups < GROUPS_MAX)
			groups[n_groups++] = m[i].group;
	}
	if (n_groups)
		buf_adds(b, "## Measured\n");
	for (size_t g = 0; g < n_groups; g++) {
		buf_addf(b, "\n%s\n\n", groups[g]);
		buf_adds(b, "| Model | Dtype | Seqlen | New_tokens | TTFT(ms) | Tokens/s | "
			    "Memory(MB) |\n| --- | --- | --- | --- | --- | --- | --- |\n");
		for (size_t i = 0; i < n; i++)
			if (strcmp(m[i].group, groups[g]) == 0)
				add_rows(b, c, m[i].variant, m[i].v);
	}
	if (n_groups)
		buf_addc(b, '\n');
}

#include "orchestrator/measure/counting.h"

#include <string.h>

#include "core/mem.h"
#include "orchestrator/tokens/token_count.h"

static void warn(struct measure_result *r, const char *why)
{
	measure_warn(r, MEASURE_WARN_TARGET, "",
		     "tokens are not counted with the model's tokenizer: %s", why);
}

/* Where a tokenizer may be, the nearest first: that of a GGUF file is in it. */
static struct token_counter *look(const struct measure_options *o, struct measure_result *r)
{
	const char *const places[] = { o->file, o->artifact, o->source };
	struct token_counter *c = NULL;
	struct err why = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct err e = ERR_INIT;
		int rc = places[i] && *places[i] ? token_counter_open(places[i], &c, &e)
						 : ERR_NOTFOUND;

		if (rc >= 0)
			return c;
		if (rc != ERR_NOTFOUND && !why.msg[0])
			why = e;
	}
	if (why.msg[0])
		warn(r, why.msg);
	return NULL;
}

static int count(const struct counting *c, const char *text, size_t len, int64_t *out,
		 struct err *e)
{
	int64_t n = token_count(c->counter, text, len, e);

	if (n < 0)
		return (int)n;
	*out += n;
	return 0;
}

void counting_fill(struct counting *c, const struct measure_options *o,
		   const struct measure_prompt *p, struct measure_answer *x,
		   struct measure_result *r)
{
	int64_t prompt = 0, answer = 0;
	struct err e = ERR_INIT;
	int rc;

	if (x->counted_by != COUNTED_NOT && x->counted_by != COUNTED_CHUNKS)
		return;
	if (!c->looked)
		c->counter = look(o, r);
	c->looked = true;
	if (!c->counter)
		return;
	rc = count(c, buf_str(&x->text), x->text.len, &answer, &e);
	if (rc >= 0 && p->system)
		rc = count(c, p->system, strlen(p->system), &prompt, &e);
	if (rc >= 0)
		rc = count(c, p->text, strlen(p->text), &prompt, &e);
	if (rc < 0) { /* nor any other: numbers of one table are counted alike */
		warn(r, e.msg);
		counting_release(c);
		return;
	}
	x->counted_by = COUNTED_TOKENIZER;
	x->new_tokens = answer;
	if (x->prompt_tokens < 0)
		x->prompt_tokens = prompt;
}

void counting_release(struct counting *c)
{
	token_counter_close(c->counter);
	c->counter = NULL;
}

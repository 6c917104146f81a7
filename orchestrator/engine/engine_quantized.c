/* orchestrator/engine/engine_quantized.c -- sources that are quantized already: what of
 * them an engine reads. */
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "db/job.h"
#include "orchestrator/engine/engine.h"

#define TEXT_MAX 4096 /* bytes of a list of names in a message; what goes beyond is left out */

static int is_true(const char *with, const char *name)
{
	struct arena *a = arena_new();
	struct err ignored = ERR_INIT;
	struct json *v = NULL;
	int yes = json_parse(a, with, strlen(with), &v, &ignored) == 0 && json_bool(v, name, 0);

	arena_free(a);
	return yes;
}

static int check_gguf(const struct engine *en, const struct job_spec *spec,
		      const struct source_facts *facts, struct err *e)
{
	if (!en->requantize || is_true(spec->with, en->requantize))
		return 0;
	return err_set(e, ERR_INVALID,
		       "the model is quantized already (%s), and rounding again adds to its error; "
		       "convert from the original, or choose `with: {%s: true}`",
		       facts->quant_text, en->requantize);
}

int engine_check_quantized(const struct engine *en, const struct job_spec *spec,
			   const struct source_facts *facts, struct err *e)
{
	struct buf b;
	int rc;

	if (!facts->quant_form)
		return 0;
	if (strcmp(facts->quant_form, "gguf") == 0)
		return check_gguf(en, spec, facts, e);
	if (!en->n_quantized)
		return 0;
	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < en->n_quantized; i++) {
		if (strcmp(en->quantized[i], facts->quant_form) == 0) {
			buf_release(&b);
			return 0;
		}
		buf_addf(&b, "%s%s", i ? ", " : "", en->quantized[i]);
	}
	rc = err_set(e, ERR_INVALID,
		     "the weights are quantized (%s), which engine %s %s does not read; give the "
		     "model that they were made of. It reads %s",
		     facts->quant_form, en->name, en->version, buf_str(&b));
	buf_release(&b);
	return rc;
}

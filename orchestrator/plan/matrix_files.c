/* orchestrator/plan/matrix_files.c -- files that parameters of targets name: found,
 * hashed for the job key, and looked into where a manifest says what they are. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/path.h"
#include "orchestrator/engine/engine_private.h"
#include "orchestrator/plan/matrix.h"

#define CALIBRATION_MAX (256u << 20) /* bytes; 64 long prompts are less than one MiB */

/* A list of objects that each have "input" (or, for models that read more than text, what stands
 * for it). Source: the vendor's examples of data_quant.json. NULL, or what is wrong. */
static const char *calibration_fault(struct arena *a, const struct json *v)
{
	static const char *const inputs[] = { "input", "input_embed", "sample" };

	if (v->type != JSON_ARRAY)
		return "it is not a list of {\"input\": ..., \"target\": ...}";
	if (v->count == 0)
		return "the list is empty; 20 to 64 entries are usual";
	for (size_t i = 0; i < v->count; i++) {
		const struct json *item = v->members[i].value;
		int found = 0;

		for (size_t k = 0; k < sizeof(inputs) / sizeof(inputs[0]); k++)
			found |= json_get(item, inputs[k]) != NULL;
		if (!found)
			return arena_printf(a, "entry %zu has no \"input\"", i + 1);
	}
	return NULL;
}

static void look_into(struct arena *a, const struct engine *en, const struct param *p,
		      struct faults *f)
{
	const struct engine_rule *rule = engine_rule_of(en, "calibration", p->name);
	struct err why = ERR_INIT;
	char note[RULE_NOTE_MAX];
	const char *fault;
	struct json *v;
	struct buf b;

	if (!rule || !rule->parameter)
		return; /* no line of the manifest says that this one is a calibration set */
	engine_rule_note(en, "calibration", p->name, note);
	buf_init(&b, CALIBRATION_MAX);
	if (path_read(p->path, CALIBRATION_MAX, &b, &why) < 0)
		faults_add(f, p->at, "%s: %s%s", p->name, why.msg, note);
	else if (json_parse(a, buf_str(&b), b.len, &v, &why) < 0)
		faults_add(f, p->at, "%s: %s:%s; `quern calib` makes one%s", p->name, p->path,
			   why.msg, note);
	else if ((fault = calibration_fault(a, v)) != NULL)
		faults_add(f, p->at, "%s: %s: %s; `quern calib` makes one%s", p->name, p->path,
			   fault, note);
	buf_release(&b);
}

static void look(struct arena *a, const struct config *c, const struct engine *en, struct param *p,
		 struct faults *f)
{
	const struct engine_param *known = engine_find_param(en, p->name);
	struct err why = ERR_INIT;
	uint8_t sha[SHA256_LEN];
	char hex[SHA256_HEX], note[RULE_NOTE_MAX];
	struct json *v;
	struct stat st;

	if (!known || strcmp(known->type, "file") != 0 ||
	    json_parse(a, p->value, strlen(p->value), &v, &why) < 0 || v->type != JSON_STRING ||
	    !v->str[0])
		return; /* a fault was said */
	if (known->in_model && !strchr(v->str, '/'))
		return;
	p->path = v->str[0] == '/' ? v->str : arena_printf(a, "%s/%s", c->dir, v->str);
	engine_rule_note(en, "calibration", p->name, note);
	if (stat(p->path, &st) != 0 || !S_ISREG(st.st_mode)) {
		faults_add(f, p->at, "%s: there is no file %s; correct the path%s", p->name,
			   p->path, note);
	} else if (sha256_file(p->path, sha, NULL, &why) < 0) {
		faults_add(f, p->at, "%s: %s", p->name, why.msg);
	} else {
		hex_encode(sha, sizeof(sha), hex);
		p->hash = arena_printf(a, "sha256:%s", hex);
		look_into(a, en, p, f);
	}
}

static void look_all(struct arena *a, const struct config *c, const struct engines *es,
		     struct target *t, struct faults *f)
{
	const struct engine *en = t->engine ? engine_find(es, t->engine) : NULL;

	for (size_t i = 0; en && i < t->n_with; i++)
		look(a, c, en, &t->with[i], f);
}

void files_look(struct arena *a, struct config *c, const struct engines *es, struct faults *f)
{
	for (size_t i = 0; i < c->n_targets; i++)
		look_all(a, c, es, &c->targets[i], f);
	for (size_t i = 0; i < c->n_include; i++)
		look_all(a, c, es, &c->include[i], f);
}

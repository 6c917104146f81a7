#include "workers/board/job.h"

#include <string.h>

#include "workers/board/runner.h"

#define LIMIT_MS 600000 /* a model of 8 GB from an SD card takes minutes to load */
#define LIMIT_MAX_MS ((int64_t)24 * 3600 * 1000)

/* A whole number of o, absent: dflt. */
static int number(const struct json *o, const char *key, int64_t least, int64_t most, int64_t dflt,
		  int64_t *out, struct err *e)
{
	const struct json *v = json_get(o, key);

	*out = dflt;
	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_NUMBER || !v->is_integer || v->integer < least || v->integer > most)
		return err_set(e, ERR_INVALID, "%s has to be a whole number from %lld to %lld", key,
			       (long long)least, (long long)most);
	*out = v->integer;
	return 0;
}

static int small(const struct json *o, const char *key, int least, int most, int dflt, int *out,
		 struct err *e)
{
	int64_t v;
	int rc = number(o, key, least, most, dflt, &v, e);

	if (rc == 0)
		*out = (int)v;
	return rc;
}

/* A text without NUL; absent or null gives dflt. */
static int text_of(const struct json *o, const char *key, size_t most, const char *dflt,
		   const char **out, struct err *e)
{
	const struct json *v = json_get(o, key);

	*out = dflt;
	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_STRING || v->len == 0 || v->len > most || strlen(v->str) != v->len)
		return err_set(e, ERR_INVALID, "%s has to be a text of 1 to %zu bytes", key, most);
	*out = v->str;
	return 0;
}

static int prompt(const struct json *v, const struct job *j, struct job_prompt *out, struct err *e)
{
	int rc;

	if (v->type != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "a prompt has to be an object with a text");
	rc = text_of(v, "name", 256, "", &out->name, e);
	if (rc == 0)
		rc = text_of(v, "text", RUNNER_ASK_MAX, NULL, &out->text, e);
	if (rc == 0)
		rc = small(v, "max_new_tokens", 1, JOB_TOKENS_MAX, j->max_new_tokens,
			   &out->max_new_tokens, e);
	if (rc == 0 && !out->text)
		rc = err_set(e, ERR_INVALID, "a prompt has no text");
	return rc;
}

static int prompts(struct arena *a, const struct json *root, struct job *j, struct err *e)
{
	const struct json *v = json_get(root, "prompts");

	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_ARRAY || v->count > JOB_PROMPTS_MAX)
		return err_set(e, ERR_INVALID, "prompts has to be a list of at most %d",
			       JOB_PROMPTS_MAX);
	j->prompts = arena_array(a, v->count + 1, sizeof(*j->prompts));
	j->n_prompts = v->count;
	for (size_t i = 0; i < v->count; i++) {
		int rc = prompt(v->members[i].value, j, &j->prompts[i], e);

		if (rc < 0)
			return err_wrap(e, "prompt %zu", i + 1);
	}
	return 0;
}

static int members(struct arena *a, const struct json *root, struct job *j, struct err *e)
{
	int rc = text_of(root, "model", 4095, NULL, &j->model, e);

	if (rc == 0)
		rc = text_of(root, "library", 4095, "librkllmrt.so", &j->library, e);
	if (rc == 0)
		rc = text_of(root, "abi", 31, NULL, &j->abi, e);
	if (rc == 0)
		rc = small(root, "max_context", 0, 1 << 20, 0, &j->max_context, e);
	if (rc == 0)
		rc = small(root, "max_new_tokens", 1, JOB_TOKENS_MAX, 128, &j->max_new_tokens, e);
	if (rc == 0)
		rc = small(root, "runs", 1, JOB_RUNS_MAX, 1, &j->runs, e);
	if (rc == 0)
		rc = number(root, "load_ms", 1, LIMIT_MAX_MS, LIMIT_MS, &j->load_ms, e);
	if (rc == 0)
		rc = number(root, "answer_ms", 1, LIMIT_MAX_MS, LIMIT_MS, &j->answer_ms, e);
	if (rc == 0)
		rc = number(root, "silence_ms", 0, LIMIT_MAX_MS, 0, &j->silence_ms, e);
	if (rc == 0 && (!j->model || j->model[0] != '/'))
		rc = err_set(e, ERR_INVALID, "model has to be the absolute path of a .rkllm file");
	return rc < 0 ? rc : prompts(a, root, j, e);
}

int job_read(struct arena *a, const char *text, size_t len, struct job *out, struct err *e)
{
	struct json *root;
	struct job j = { 0 };
	int rc = json_parse(a, text, len, &root, e);

	if (rc < 0)
		return err_wrap(e, "the job is no JSON");
	if (root->type != JSON_OBJECT || json_int(root, "protocol", 0) != 1)
		return err_set(e, ERR_INVALID, "the job has to be an object with \"protocol\": 1");
	rc = members(a, root, &j, e);
	if (rc == 0)
		*out = j;
	return rc;
}

int job_read_ask(struct arena *a, const struct job *j, const char *text, size_t len,
		 struct job_prompt *out, struct err *e)
{
	const struct json *v;
	struct json *root;
	int rc = json_parse(a, text, len, &root, e);

	if (rc < 0)
		return err_wrap(e, "a line is no JSON");
	v = json_get(root, "ask");
	if (!v)
		return err_set(e, ERR_INVALID, "a line has to be {\"ask\": {\"text\": ...}}");
	return prompt(v, j, out, e);
}

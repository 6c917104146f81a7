#include "orchestrator/view/json_rows.h"

#include "core/hash.h"

void json_job_name(struct json_out *w, int64_t id, const uint8_t key[SHA256_LEN], const char *label)
{
	char hex[SHA256_HEX];

	hex_encode(key, SHA256_LEN, hex);
	jw_kint(w, "job", id);
	jw_kstr(w, "key", hex);
	jw_kstr(w, "label", label);
}

void json_failure(struct json_out *w, const char *cause, const char *message,
		  const char *evidence_from, const char *evidence, const char *rungs)
{
	jw_kstr(w, "cause", cause);
	jw_kstr(w, "message", message);
	jw_kstr(w, "evidence_from", evidence_from);
	jw_kstr(w, "evidence", evidence);
	jw_kstr(w, "rungs", rungs);
}

void json_counts(struct json_out *w, const int64_t counts[JOB_STATE_COUNT], int64_t total)
{
	jw_kobject(w, "counts");
	for (int i = 0; i < JOB_STATE_COUNT; i++)
		jw_kint(w, job_state_name((enum job_state)i), counts[i]);
	jw_kint(w, "total", total);
	jw_end_object(w);
}

void json_renews(struct json_out *w, const struct engine *en)
{
	jw_kobject(w, "renews");
	jw_kstr(w, "format", en->renew_format);
	jw_kstr(w, "quant", en->renew_quant);
	jw_kstr(w, "since", en->renew_since);
	jw_end_object(w);
}

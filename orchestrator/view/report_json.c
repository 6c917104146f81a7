/* orchestrator/view/report_json.c -- the report for programs. docs/quern.1 documents the members.
 */
#include "core/json.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/json_rows.h"
#include "orchestrator/view/report.h"

static void json_run(struct json_out *w, const struct report *r)
{
	jw_kobject(w, "run");
	jw_kint(w, "id", r->run.id);
	jw_kstr(w, "name", r->run.name);
	jw_kstr(w, "state", run_life_name(r->life));
	jw_time(w, "started", r->run.started_ms);
	jw_time(w, "ended", r->run.ended_ms);
	jw_kint(w, "not_begun", r->run.illegal);
	jw_end_object(w);
	json_counts(w, r->counts, r->total);
}

static void json_causes(struct json_out *w, const struct report *r)
{
	jw_karray(w, "causes");
	for (size_t i = 0; i < r->n_causes; i++) {
		const struct report_cause *c = &r->causes[i];

		jw_object(w);
		jw_kstr(w, "cause", c->cause);
		jw_kint(w, "count", c->n);
		jw_kstr(w, "message", c->message);
		jw_kstr(w, "evidence_from", c->evidence_from);
		jw_kstr(w, "evidence", c->evidence);
		jw_kstr(w, "advice", c->advice);
		jw_kstr(w, "command", c->command);
		jw_kstr(w, "then", c->then);
		jw_karray(w, "jobs");
		for (int64_t k = 0; k < c->n && k < REPORT_NAMED; k++)
			jw_int(w, c->jobs[k]);
		jw_end_array(w);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_refusals(struct json_out *w, const struct report *r)
{
	jw_karray(w, "not_begun");
	for (size_t i = 0; i < r->n_refusals; i++) {
		const struct report_refusal *f = &r->refusals[i];

		jw_object(w);
		jw_kstr(w, "cause", f->cause);
		jw_kint(w, "count", f->n);
		jw_kstr(w, "message", f->message);
		jw_kstr(w, "label", f->label);
		jw_kstr(w, "advice", f->advice);
		jw_kstr(w, "command", f->command);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_repos(struct json_out *w, const struct report *r)
{
	jw_karray(w, "published");
	for (size_t i = 0; i < r->n_repos; i++) {
		jw_object(w);
		jw_kstr(w, "hub", r->repos[i].hub);
		jw_kstr(w, "repo", r->repos[i].name);
		jw_kint(w, "files", r->repos[i].files);
		jw_kint(w, "bytes", r->repos[i].bytes);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_quality(struct json_out *w, const struct quality_facts *q)
{
	jw_key(w, "quality");
	if (!q) {
		jw_null(w);
		return;
	}
	jw_object(w);
	quality_row_json(w, &q->all);
	jw_kint(w, "tensors", (int64_t)q->n_tensors);
	jw_karray(w, "worst");
	for (size_t i = 0; i < q->n_worst; i++) {
		jw_object(w);
		jw_kstr(w, "tensor", q->worst[i].tensor);
		jw_kstr(w, "type", q->worst[i].type);
		quality_row_json(w, &q->worst[i]);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
}

static void json_jobs(struct json_out *w, const struct report *r)
{
	jw_karray(w, "jobs");
	for (size_t i = 0; i < r->n_jobs; i++) {
		const struct report_job *j = &r->jobs[i];

		jw_object(w);
		jw_kint(w, "job", j->id);
		jw_kstr(w, "label", j->label);
		jw_kstr(w, "model", r->models.v[j->model]);
		jw_kstr(w, "variant", r->variants.v[j->variant]);
		jw_kstr(w, "state", job_state_name(j->state));
		jw_kint(w, "tries", j->tries);
		jw_kint(w, "artifact_bytes", j->artifact_bytes);
		jw_kint(w, "duration_ms", j->took_ms);
		jw_kint(w, "peak_bytes", j->peak_bytes);
		json_quality(w, j->quality);
		jw_kstr(w, "repo", j->repo);
		json_failure(w, j->cause, j->message, j->evidence_from, j->evidence, j->rungs);
		jw_end_object(w);
	}
	jw_end_array(w);
}

static void json_nights(struct json_out *w, const struct report *r)
{
	jw_karray(w, "nights");
	for (int i = 0; i < r->n_nights; i++) {
		const struct night_row *n = &r->nights[i];

		jw_object(w);
		jw_kint(w, "run", n->run_id);
		jw_time(w, "started", n->started_ms);
		jw_time(w, "ended", n->ended_ms);
		jw_kint(w, "points", n->points);
		jw_kint(w, "converted", n->converted);
		jw_kint(w, "uploaded", n->uploaded);
		jw_kint(w, "retried", n->retried);
		jw_kint(w, "failed", n->failed);
		jw_end_object(w);
	}
	jw_end_array(w);
}

void report_json(const struct report *r, struct buf *b)
{
	struct json_out w;

	jw_init(&w, b, 1);
	jw_object(&w);
	json_run(&w, r);
	json_causes(&w, r);
	json_refusals(&w, r);
	json_repos(&w, r);
	json_jobs(&w, r);
	json_nights(&w, r);
	report_measured_json(r, &w);
	jw_end_object(&w);
	buf_addc(b, '\n');
}

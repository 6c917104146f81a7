/* orchestrator/config/config_retry.c -- retry.causes of jobs.yaml: what follows which
 * cause. Whether an engine has a rung is for matrix_check() to say. */
#include <string.h>

#include "core/mem.h"
#include "db/cause.h"
#include "orchestrator/config/config_private.h"

static const char a_policy[] = "later, changed, stop, a list of rungs, or a map of policy, ladder, "
			       "attempts and backoff";

static void read_policy(struct reader *r, const struct ynode *v, void *target)
{
	int policy = v->type == YNODE_SCALAR ? cause_policy_parse(v->text) : -1;

	if (policy >= 0)
		*(int *)target = policy;
	else
		read_wrong(r, v, "later, changed or stop");
}

static void read_attempts(struct reader *r, const struct ynode *v, void *target)
{
	(void)read_whole(r, v, 1, 100, target);
}

static void read_rule(struct reader *r, const struct ynode *v, struct retry_rule *rule)
{
	const struct key keys[] = {
		{ "policy", read_policy, &rule->policy },
		{ "ladder", read_strings, &rule->ladder },
		{ "attempts", read_attempts, &rule->attempts },
		{ "backoff", read_duration, &rule->backoff_ms },
	};

	if (v->type == YNODE_MAP)
		read_map(r, v, "what follows a cause", keys, ARRAY_LEN(keys));
	else if (v->type == YNODE_LIST)
		read_strings(r, v, &rule->ladder);
	else if ((rule->policy = cause_policy_parse(v->text)) < 0)
		read_wrong(r, v, a_policy);
	if (rule->ladder.n && rule->policy < 0)
		rule->policy = CAUSE_CHANGED;
	if (rule->ladder.n && rule->policy != CAUSE_CHANGED)
		faults_add(r->f, v->at,
			   "a ladder with the policy %s, which climbs none; write changed, or "
			   "remove the ladder",
			   cause_policy_name((enum cause_policy)rule->policy));
}

void config_read_retry_causes(struct reader *r, const struct ynode *v, void *target)
{
	struct config *c = target;

	if (v->type != YNODE_MAP) {
		read_wrong(r, v, "a map of causes, like {timeout: stop, network: later},");
		return;
	}
	c->retry.rules = arena_array(r->a, v->n + 1, sizeof(*c->retry.rules));
	c->retry.n_rules = 0;
	for (size_t i = 0; i < v->n; i++) {
		struct retry_rule *rule = &c->retry.rules[c->retry.n_rules];
		const char *key = v->entries[i].key, *near;

		*rule = (struct retry_rule){ .cause = cause_find(key),
					     .policy = -1,
					     .backoff_ms = -1,
					     .at = v->entries[i].at };
		near = rule->cause ? NULL : cause_nearest(key);
		if (rule->cause) {
			c->retry.n_rules++;
			r->key = rule->cause->name;
			read_rule(r, v->entries[i].value, rule);
		} else if (near) {
			faults_add(r->f, v->entries[i].at,
				   "there is no cause \"%.60s\"; did you mean \"%s\"?", key, near);
		} else {
			faults_add(r->f, v->entries[i].at,
				   "there is no cause \"%.60s\"; docs/causes.md lists them", key);
		}
	}
}

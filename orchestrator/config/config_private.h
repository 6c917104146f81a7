/* orchestrator/config/config_private.h -- between config.c (the file as a whole),
 * config_sections.c (what each key means), config_models.c (models and names),
 * config_engines.c (environments) and config_measure.c (where results are tried). */
#ifndef QUERN_ORCHESTRATOR_CONFIG_PRIVATE_H
#define QUERN_ORCHESTRATOR_CONFIG_PRIVATE_H

#include "orchestrator/config/config.h"
#include "orchestrator/config/yaml_read.h"

/* What is known while the file is being read. */
struct draft {
	struct config *c;
	struct number_list hybrid; /* of `defaults` */
	struct int_list opt;
	struct string_list platform, quant;
	const struct ynode *targets, *include; /* kept: `defaults` and --set may come later */
	int version_seen, models_seen, targets_seen, backoff_max_seen;
};

/* The file's top level. */
void config_read_top(struct reader *r, const struct ynode *root, struct draft *d);
/* Set one dotted key ("retry.attempts") to v. */
void config_read_dotted(struct reader *r, const char *path, const struct ynode *v, struct draft *d);

/* When everything has been read: what targets must have, and what they take from `defaults`. */
void config_finish_targets(struct reader *r, const struct draft *d);

/* The models section into a struct draft. */
void config_read_models(struct reader *r, const struct ynode *v, void *target);

/* The engines section into a struct draft (config_engines.c). */
void config_read_engines(struct reader *r, const struct ynode *v, void *target);

/* The measure section into a struct draft (config_measure.c). */
void config_read_measure(struct reader *r, const struct ynode *v, void *target);

/* The fields of a pattern, with `what` for messages (config_sections.c). */
void config_read_pattern(struct reader *r, const struct ynode *v, const char *what,
			 struct pattern *p);

/* The sections run and notify into the configuration, and a number of PRIORITY_MAX (config_run.c).
 */
void config_read_run(struct reader *r, const struct ynode *v, void *target);
void config_read_notify(struct reader *r, const struct ynode *v, void *target);
void config_read_priority(struct reader *r, const struct ynode *v, void *target); /* int * */

/* retry.causes into the configuration (config_retry.c). */
void config_read_retry_causes(struct reader *r, const struct ynode *v, void *target);

/* One part of a repository's name on a hub: letters, digits, '.', '_' and '-', at most 96, none of
 * "..", "--" and ".git" at the end, neither '-' nor '.' at both ends. */
int config_hub_name_ok(const char *s);

#endif

/* orchestrator/plan/sources.h -- each model of the matrix as something a worker can
 * read: its folder, its version for the job key, and what it looks like. A
 * model is resolved once, at its first point. */
#ifndef QUERN_ORCHESTRATOR_SOURCES_H
#define QUERN_ORCHESTRATOR_SOURCES_H

#include <stdbool.h>

#include "core/err.h"
#include "core/source.h"
#include "db/store.h"
#include "orchestrator/config/config.h"
#include "orchestrator/plan/hub_source.h"

struct resolved {
	const struct model *model;
	bool tried;
	const char *fault;	 /* NULL, or why no point of this model can be done */
	int fault_code;		 /* its err_code */
	const char *fault_cause; /* of db/cause.h */
	const char *kind;	 /* "path", "fake" or "hub": job_spec.source_kind */
	const char *origin;	 /* job_spec.source */
	const char
		*version; /* job_spec.source_version; 64 hex digits, or the generator's version */
	const char *dir;  /* what the worker reads, absolute */
	const char *fake; /* NULL, or the spec that dir is made from before the first job */
	const struct hub_source *hub; /* NULL, or where dir is fetched from before the first job */
	struct source_facts facts;
	const char *card_facts; /* see sources_card() */

	/* of the adapter, after sources_lora() */
	bool lora_tried;
	const char *lora_fault, *lora_cause;
	const struct hub_source *lora; /* NULL without one of a hub */
	const char *lora_dir;	       /* where it is, or will be fetched to */
	const char *lora_version;      /* its commit, or a hash of its files; NULL: not known */
};

struct sources;

/* store may be NULL: then hashes are not remembered. */
struct sources *sources_new(const struct config *cfg, struct store *store);
void sources_free(struct sources *s); /* NULL is fine */
/* Before the first is looked up: know local folders by sizes, times and inodes instead of reading
 * them. For a work folder that is thrown away, where no run looks for a key of another. */
void sources_by_look(struct sources *s);

/* The model at index. need_version false leaves out what is dear (hashing a folder): version is
 * then "". Never fails as a call: what is wrong is in ->fault. */
const struct resolved *sources_get(struct sources *s, size_t index, bool need_version);

/* The same with its adapter looked up: for engines that merge one. */
const struct resolved *sources_lora(struct sources *s, size_t index, bool need_version);

/* Ask about the models of hubs at these places of the configuration, and about their adapters where
 * lora[i], many at once: sources_get() and sources_lora() then know the answers. Those that are
 * known already are not asked about. ERR_CANCELLED: a signal came. */
int sources_ask(struct sources *s, const bool *model, const bool *lora, struct err *e);

/* The same without asking anybody: NULL when it was not looked up yet. */
const struct resolved *sources_seen(const struct sources *s, size_t index);

/* What a card says of the source, as a JSON object, in a. What a hub has is read from its snapshot,
 * which has to be there: call it when the source is ready, from any thread. */
const char *sources_card(const struct resolved *r, struct arena *a);

/* True when dir (and the adapter's, when it was looked up) is there, complete, or needs no making.
 */
bool source_is_ready(const struct resolved *r);

#endif

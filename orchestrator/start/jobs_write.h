/* orchestrator/start/jobs_write.h -- a jobs.yaml for a person to go on with: what quern init and
 * quern import write. What config_parse() makes of the text is what the sketch says. */
#ifndef QUERN_ORCHESTRATOR_JOBS_WRITE_H
#define QUERN_ORCHESTRATOR_JOBS_WRITE_H

#include "core/buf.h"
#include "orchestrator/config/config.h"

/* Members that are NULL or empty are not written. Notes and helps become comments; a note may
 * have several lines. */
struct jobs_sketch {
	const char *note; /* at the top */
	struct model *models;
	const char **model_notes; /* one for each model, or NULL */
	size_t n_models;
	struct target *targets;
	const char **target_notes;
	size_t n_targets;
	const char *environment_of, *environment; /* engine, folder */
	const char *container;			  /* an image, in place of the folder */
	const char *work;
	const char *hub, *namespace_, *repo, *file, *hub_note;
	int is_private;
};

/* Append the file's text to b. */
void jobs_write(struct buf *b, const struct jobs_sketch *s);

/* Text as it has to stand in jobs.yaml to mean itself: plain where that is enough, else in quotes,
 * with "${" as "$${". */
void jobs_write_text(struct buf *b, const char *text);

#endif

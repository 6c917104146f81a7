/* upload/hub_api.h -- the JSON of the Hub's API: what is asked, and the answers
 * of a stranger. Pure. Sources: huggingface_hub hf_api.py, _commit_api.py. */
#ifndef QUERN_UPLOAD_HUB_API_H
#define QUERN_UPLOAD_HUB_API_H

#include <stdbool.h>
#include <stddef.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "upload/hub.h"

#define HUB_PREUPLOAD_MAX 256 /* files a call; huggingface_hub UPLOAD_BATCH_MAX_NUM_FILES */
#define HUB_SAMPLE_BYTES 512  /* of a file's beginning that preupload is shown */

/* Answers: 0, or ERR_IO when they are none. */

/* Of GET /api/models/ID/revision/REV: the commit ("" when there is none) and who may see it. */
int hub_api_head(const char *text, size_t len, char head[HUB_BLOB_ID], bool *is_private,
		 struct err *e);

struct hub_api_files {
	struct hub_file *v; /* free() */
	size_t n, cap;
};
/* A page of GET .../tree: files are added to out, their strings in a. Names that no repository of
 * ours has (hub_path_ok()) are left out: they stay as they are. */
int hub_api_tree(struct arena *a, const char *text, size_t len, struct hub_api_files *out,
		 struct err *e);

/* samples[i]: the first bytes of files[i]. */
struct hub_api_sample {
	unsigned char bytes[HUB_SAMPLE_BYTES];
	size_t n;
};
void hub_api_preupload_write(struct buf *b, const struct hub_file *files,
			     const struct hub_api_sample *samples, size_t n);
/* Sets lfs of files[i], and ignored[i] where the repository's .gitignore names it. */
int hub_api_preupload(struct arena *a, const char *text, size_t len, struct hub_file *files,
		      size_t n, bool *ignored, struct err *e);

void hub_api_card_write(struct buf *b, const char *text, size_t len);
/* ERR_INVALID with the hub's words when it would refuse the card. */
int hub_api_card(const char *text, size_t len, struct err *e);

void hub_api_create_write(struct buf *b, const char *repo, bool is_private);

/* Of POST .../commit: its id, and the pull request's address (in a) or NULL. */
int hub_api_commit(struct arena *a, const char *text, size_t len, char id[HUB_BLOB_ID],
		   const char **pull_request, struct err *e);

#endif

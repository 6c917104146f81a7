/* upload/audit.h -- does a published repository hold what it says? The hub's listing,
 * the bytes behind it, what the files say of themselves, quern.json, the card and
 * the store's rows are held against each other. Blocking; changes nothing. */
#ifndef QUERN_UPLOAD_AUDIT_H
#define QUERN_UPLOAD_AUDIT_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/err.h"
#include "core/json.h"
#include "upload/card.h"
#include "upload/hub.h"

struct audit_options {
	struct card_settings settings; /* of the card, as it was published with */
	const char *manifest;	   /* quern.json by the store's rows; NULL: the store has none */
	bool quick;		   /* believe the listing's hashes: contents are not read in full */
	const char *const *ignore; /* globs of paths that somebody else keeps there */
	size_t n_ignore;
	/* What a file says of itself: 1 with *facts in a, 0 when nobody here can look into it,
	 * ERR_INVALID or ERR_CORRUPT when it is damaged, other errors end the audit. */
	int (*look)(void *ctx, struct hub *h, const char *repo, const struct hub_file *f,
		    struct arena *a, const struct json **facts, struct err *e);
	void *ctx;
};

/* One file that is there or should be. */
struct audit_row {
	const char *path;
	uint64_t size_bytes;
	bool there;
	bool read;	     /* its content was hashed */
	bool looked;	     /* it was asked what it is */
	const char **faults; /* one sentence each */
	size_t n_faults;
};

struct audit_result {
	struct audit_row *rows; /* sorted by path */
	size_t n, n_faults;
};

/* Everything in a. ERR_NOTFOUND: there is no such repository. */
int audit_run(struct hub *h, const char *repo, const struct audit_options *o, struct arena *a,
	      struct audit_result *out, struct err *e);

#endif

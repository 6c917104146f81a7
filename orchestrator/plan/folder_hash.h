/* orchestrator/plan/folder_hash.h -- the version of a local folder, for the job key. */
#ifndef QUERN_ORCHESTRATOR_FOLDER_HASH_H
#define QUERN_ORCHESTRATOR_FOLDER_HASH_H

#include "core/err.h"
#include "core/source.h"
#include "db/store.h"

enum folder_hash {
	FOLDER_BY_CONTENT, /* all of it is read, unless the store remembers */
	/* By sizes, times and inodes of the files: nothing is read. Another version wherever a file
	 * was copied to, so only for keys that no other run looks for. */
	FOLDER_BY_LOOK,
};

/* SHA-256 over "NAME\0SIZE\0SHA256\n" of each file that counts, by name, as 64 digits in a. Of
 * several large files a few are read at a time. file: the GGUF file that is the model, or NULL;
 * store: where hashes of files are remembered, or NULL. */
int folder_hash(struct arena *a, enum folder_hash how, struct store *store,
		const struct source_files *files, const char *file, const char **version,
		struct err *e);

#endif

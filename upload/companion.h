/* upload/companion.h -- files that belong beside a converted model and say nothing of
 * how it was converted: configuration, tokenizer, chat template, licence. */
#ifndef QUERN_UPLOAD_COMPANION_H
#define QUERN_UPLOAD_COMPANION_H

#include <stdbool.h>

/* By its name alone, without folders. */
bool companion_name(const char *name);
/* By the last part of a path in a repository. */
bool companion_path(const char *path);

#endif

/* orchestrator/command/upload_options.h -- the upload section of jobs.yaml as the
 * uploader and its hubs take it. */
#ifndef QUERN_ORCHESTRATOR_UPLOAD_OPTIONS_H
#define QUERN_ORCHESTRATOR_UPLOAD_OPTIONS_H

#include "orchestrator/config/config.h"
#include "upload/hub.h"
#include "upload/uploader.h"

/* Both borrow from c. */
struct hub_options upload_hub_options(const struct config *c);
struct uploader_options upload_options(const struct config *c);

/* Will publishing find a token? ERR_ENV with the command that fixes it; 0 without upload. */
int upload_check_token(const struct config *c, struct err *e);

#endif

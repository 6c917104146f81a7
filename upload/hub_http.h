/* upload/hub_http.h -- open a hub that speaks the Hub's API. */
#ifndef QUERN_UPLOAD_HUB_HTTP_H
#define QUERN_UPLOAD_HUB_HTTP_H

#include "upload/hub.h"

#define HUB_JOBS_DEFAULT 8 /* files and parts in flight */

/* Below WORK: until when the hub has asked all to wait, those that fetch as well. */
#define HUB_WAIT_FOLDER "cache/hub"
#define HUB_WAIT_FILE HUB_WAIT_FOLDER "/.slow-down"

/* endpoint: "https://host". token (copied) may be NULL: then nothing can be published. */
int hub_http_open(const char *endpoint, const char *token, bool offline,
		  const struct hub_options *o, struct hub **out, struct err *e);

#endif

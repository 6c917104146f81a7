/* upload/hub_git.h -- open a git server with LFS, over smart HTTP. */
#ifndef QUERN_UPLOAD_HUB_GIT_H
#define QUERN_UPLOAD_HUB_GIT_H

#include "upload/hub.h"

/* url: "https://host/path"; repositories are url/NS/NAME.git. token (copied): the password of user;
 * NULL: anonymous. */
int hub_git_open(const char *url, const char *user, const char *token, const struct hub_options *o,
		 struct hub **out, struct err *e);

#endif

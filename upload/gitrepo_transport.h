/* upload/gitrepo_transport.h -- libgit2's smart protocol over http.h. */
#ifndef QUERN_UPLOAD_GITREPO_TRANSPORT_H
#define QUERN_UPLOAD_GITREPO_TRANSPORT_H

#include "upload/gitrepo_remote.h"

struct gitrepo_talk {
	const struct gitrepo_remote *remote;
	struct err err;		 /* of the request that failed, else code 0 */
	struct http_fault fault; /* of that request */
	bool pushing;		 /* the pack was on its way when it failed */
};

/* A git_transport_cb: payload is a struct gitrepo_talk. */
struct git_transport;
struct git_remote;
int gitrepo_transport(struct git_transport **out, struct git_remote *owner, void *payload);

#endif

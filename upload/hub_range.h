/* upload/hub_range.h -- a range of a file on a server. One that does not answer
 * ranges is asked for the whole file once, which is then read from a copy without a
 * name. */
#ifndef QUERN_UPLOAD_HUB_RANGE_H
#define QUERN_UPLOAD_HUB_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "upload/http.h"

/* The copy of the file that was read last; release it. */
struct hub_range {
	const char *folder; /* for copies; made when it is needed, borrowed */
	char *name;	    /* whose copy it is; NULL: there is none */
	int fd;
};

void hub_range_init(struct hub_range *r, const char *folder);
void hub_range_release(struct hub_range *r);

struct hub_range_ask {
	struct http *http;
	const struct http_request *rq; /* a download of the whole */
	const char *name;	       /* of this content and no other */
	uint64_t size_bytes;	       /* that it should have */
};

/*
 * Up to len bytes from offset on; *got is less only at the end. fault: what the server said, when
 * it was asked. ERR_CORRUPT: it has another size; else as http_call().
 */
int hub_range_read(struct hub_range *r, const struct hub_range_ask *q, uint64_t offset, void *data,
		   size_t len, size_t *got, struct http_fault *fault, struct err *e);

#endif

/* upload/lfs_read.h -- read objects of an LFS server in place: the batch API gives
 * an address, which is used until another object is read or it runs out. */
#ifndef QUERN_UPLOAD_LFS_READ_H
#define QUERN_UPLOAD_LFS_READ_H

#include "upload/hub_range.h"
#include "upload/lfs_send.h"

struct lfs_reader {
	struct arena *a; /* of the address */
	struct lfs_action download;
	uint8_t sha256[SHA256_LEN]; /* whose it is, when download.href is set */
	struct hub_range range;
};

/* folder: borrowed; for objects of a server that does not answer ranges. */
void lfs_reader_init(struct lfs_reader *l, const char *folder);
void lfs_reader_release(struct lfs_reader *l);

/* As read_at() of struct hub_ops; f is an LFS file. */
int lfs_read_at(struct lfs_reader *l, const struct lfs_remote *r, const struct hub_file *f,
		uint64_t offset, void *data, size_t len, size_t *got, struct err *e);

#endif

/* upload/fetch_wanted.h -- a fetch that is going on: fetch.c decides about files,
 * fetch_range.c asks for their bytes. */
#ifndef QUERN_UPLOAD_FETCH_WANTED_H
#define QUERN_UPLOAD_FETCH_WANTED_H

#include "upload/fetch_settle.h"

struct fetching;
struct piece;

enum file_state {
	FILE_TODO,
	FILE_LOCKED_AWAY, /* another process fetches it: looked at again at the end */
	FILE_LOCATING,	  /* its signed address is being asked for */
	FILE_OPEN,	  /* ranges are asked for */
	FILE_SETTLING,	  /* all is there, and gets its name */
	FILE_DONE,
};

struct wanted {
	struct fetching *f;
	const struct fetch_file *file;
	enum file_state state;
	struct fetch_part part;
	struct fetch_settling settling;
	char *resolve; /* path below the endpoint */
	char *url;     /* where its ranges are asked for: signed, or resolve */
	int in_flight, relocations, bad_hashes;
	bool whole; /* the server answers no ranges: all in one */
};

struct fetching {
	const struct fetch_options *o;
	const struct fetch_model *m;
	struct fetch_cache cache;
	struct http_pool *pool;
	struct fetch_settler *settler;
	struct wanted *v;
	size_t first;	      /* all before it are done */
	struct piece *pieces; /* in flight */
	int in_flight, settling;
	uint64_t done_bytes;
	struct fetch_result *r;
	struct err err;
};

/* ---- fetch.c */

/* The first failure stays, and ends the fetch. */
void fetch_give_up(struct fetching *f, const struct err *e);
/* There is room in flight: ask for more. */
void fetch_fill(struct fetching *f);
/* So many more bytes are there, for whoever watches. */
void fetch_tell(struct fetching *f, uint64_t more_bytes);
/* What has arrived of it is hashed; when all has, it gets its name. */
void fetch_arrived(struct wanted *w);

/* ---- fetch_range.c */

/* One more request for this file; false: there is none to make now. */
bool fetch_go_on(struct wanted *w);
/* Those in flight, when the pool is gone. */
void fetch_pieces_free(struct fetching *f);

#endif

/* Any bytes as an answer of a hub: each parser takes it or ends with a sentence, and what it takes
 * keeps its promises. The first byte chooses the parser. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "upload/http.h"
#include "upload/hub_api.h"
#include "upload/lfs_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two objects whose ids a fuzzer can write: all 'a' and all 'b'. */
static void make_files(struct hub_file files[2])
{
	memset(files, 0, 2 * sizeof(*files));
	for (int i = 0; i < 2; i++) {
		files[i].path = i ? "b.bin" : "a.txt";
		files[i].size_bytes = i ? 50 : 7;
		memset(files[i].sha256, i ? 0xbb : 0xaa, SHA256_LEN);
	}
}

static void check_action(const struct lfs_action *action)
{
	for (size_t i = 0; i < action->n_headers; i++)
		if (strpbrk(action->headers[i].name, " :\r\n") ||
		    strpbrk(action->headers[i].value, "\r\n"))
			abort();
}

static void check_answer(const struct lfs_answer *x, const struct hub_file *f)
{
	check_action(&x->upload);
	check_action(&x->verify);
	if (x->way == LFS_BASIC && !x->upload.href)
		abort();
	if (x->way != LFS_MULTIPART)
		return;
	if (!x->upload.href || x->chunk_bytes == 0 || x->chunk_bytes * x->n_parts < f->size_bytes)
		abort();
	for (size_t i = 0; i < x->n_parts; i++)
		if (!x->parts[i])
			abort();
}

static int batch(struct arena *a, const char *text, size_t n, struct err *e)
{
	struct hub_file files[2];
	struct lfs_answer out[2];
	int rc;

	make_files(files);
	rc = lfs_batch_parse(a, LFS_UPLOAD, text, n, files, 2, out, e);
	for (int i = 0; rc >= 0 && i < 2; i++)
		check_answer(&out[i], &files[i]);
	if (lfs_batch_parse(a, LFS_DOWNLOAD, text, n, files, 2, out, e) >= 0)
		for (int i = 0; i < 2; i++)
			check_action(&out[i].download);
	return rc;
}

static int tree(struct arena *a, const char *text, size_t n, struct err *e)
{
	struct hub_api_files files = { 0 };
	int rc = hub_api_tree(a, text, n, &files, e);

	for (size_t i = 0; i < files.n; i++)
		if (!hub_path_ok(files.v[i].path) || (!files.v[i].lfs && !files.v[i].blob))
			abort();
	free(files.v);
	return rc;
}

static int preupload(struct arena *a, const char *text, size_t n, struct err *e)
{
	bool ignored[2] = { false };
	struct hub_file files[2];

	make_files(files);
	return hub_api_preupload(a, text, n, files, 2, ignored, e);
}

static int parse(int which, struct arena *a, const char *text, size_t n, struct err *e)
{
	char id[HUB_BLOB_ID];
	const char *pull;
	bool is_private;

	switch (which) {
	case 0:
		return batch(a, text, n, e);
	case 1:
		return tree(a, text, n, e);
	case 2:
		return preupload(a, text, n, e);
	case 3:
		return hub_api_head(text, n, id, &is_private, e);
	case 4:
		return hub_api_card(text, n, e);
	default:
		return hub_api_commit(a, text, n, id, &pull, e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct err e = ERR_INIT;

	if (size > 0 && parse(data[0] % 6, a, (const char *)data + 1, size - 1, &e) < 0 &&
	    !e.msg[0])
		abort();
	arena_free(a);
	return 0;
}

#include "orchestrator/measure/board_copy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/mem.h"
#include "orchestrator/measure/measure.h"

#define LOOK_MS 600000 /* 8 GB at 20 MB/s: the hash of a file on an SD card */
#define OUTPUT_MAX ((size_t)64 << 10)
#define SPARE_BYTES ((uint64_t)64 << 20) /* a board whose disk is full to the brim is no good */

int board_file_look(struct board_file *f, struct err *e)
{
	uint8_t digest[SHA256_LEN];
	int rc = sha256_file(f->local, digest, &f->size_bytes, e);

	if (rc == 0)
		hex_encode(digest, sizeof(digest), f->sha256);
	return rc;
}

/* Of the first n bytes. */
static int prefix_hash(int fd, uint64_t n, char out[65], const char *path, struct err *e)
{
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_LEN];
	char *chunk = mem_alloc((size_t)1 << 20);
	uint64_t at = 0;
	int rc = 0;

	while (at < n && rc == 0) {
		size_t want = n - at < ((uint64_t)1 << 20) ? (size_t)(n - at) : (size_t)1 << 20;
		ssize_t k = pread(fd, chunk, want, (off_t)at);

		if (k <= 0)
			rc = err_set(e, ERR_IO, "%s changed while it was read", path);
		else
			sha256_update(h, chunk, (size_t)k);
		at += k > 0 ? (uint64_t)k : 0;
		if (measure_stopped())
			rc = err_set(e, ERR_CANCELLED, "stopped");
	}
	sha256_final(h, digest);
	hex_encode(digest, sizeof(digest), out);
	sha256_free(h);
	free(chunk);
	return rc;
}

/* The value of a line "quern:KEY=VALUE"; "" when there is none. Shells there may print more. */
static void said(const char *text, const char *key, char *out, size_t size)
{
	char mark[32];
	const char *at = text;
	size_t n = (size_t)snprintf(mark, sizeof(mark), "quern:%s=", key);

	out[0] = '\0';
	while ((at = strstr(at, mark)) != NULL) {
		if (at == text || at[-1] == '\n') {
			snprintf(out, size, "%.*s", (int)strcspn(at + n, "\r\n"), at + n);
			return;
		}
		at += n;
	}
}

struct there {
	char whole[65], part[65]; /* hashes; "": no such file */
	uint64_t part_bytes, free_bytes;
};

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);

	return end != text && v <= (uint64_t)1 << 53 ? v : 0;
}

static int look(struct ssh *s, const struct board_file *f, struct there *out, struct err *e)
{
	const char *script = arena_printf(
		s->a,
		"cd %s || exit 3\n"
		"n=%s\n"
		"hash() { h=$(sha256sum <\"$1\") || exit 4; echo \"quern:$2=${h%%%% *}\"; }\n"
		"[ ! -f $n ] || [ -L $n ] || hash $n whole\n"
		"[ ! -f $n.part ] || [ -L $n.part ] || { hash $n.part part; "
		"echo \"quern:bytes=$(wc -c <$n.part | tr -d ' ')\"; }\n"
		"set -- $(df -Pk . | tail -n 1); echo \"quern:free=$4\"\n",
		ssh_quoted(s->a, f->dir), f->name);
	char bytes[32], room[32];
	struct buf b;
	int rc;

	buf_init(&b, OUTPUT_MAX);
	rc = ssh_run(s, script, -1, &b, LOOK_MS, NULL, NULL, e);
	if (rc > 0)
		rc = err_set(e, rc == 4 ? ERR_ENV : ERR_IO,
			     rc == 4 ? "%s has no sha256sum" : "%s: the folder is gone",
			     s->board->host);
	said(buf_str(&b), "whole", out->whole, sizeof(out->whole));
	said(buf_str(&b), "part", out->part, sizeof(out->part));
	said(buf_str(&b), "bytes", bytes, sizeof(bytes));
	said(buf_str(&b), "free", room, sizeof(room));
	out->part_bytes = number(bytes);
	out->free_bytes = number(room) * 1024;
	buf_release(&b);
	return rc;
}

struct watch {
	void (*progress)(void *ctx, const char *stage, int done, int total);
	void *ctx;
	const struct board_file *f;
	int last;
};

/* In thousandths: bytes of a model do not fit an int. */
static void at_position(void *ctx, int64_t position)
{
	struct watch *w = ctx;
	int now =
		w->f->size_bytes ? (int)((double)position * 1000 / (double)w->f->size_bytes) : 1000;

	if (w->progress && now != w->last)
		w->progress(w->ctx, w->f->label, now, 1000);
	w->last = now;
}

static int room_for(const struct ssh *s, const struct board_file *f, const struct there *t,
		    struct err *e)
{
	uint64_t need = f->size_bytes - t->part_bytes + SPARE_BYTES;

	if (t->free_bytes >= need)
		return 0;
	return err_set(
		e, ERR_NOSPACE,
		"%s has %llu MiB free in %s, and the %s needs %llu MiB; set `dir` to another disk",
		s->board->host, (unsigned long long)(t->free_bytes >> 20), f->dir, f->label,
		(unsigned long long)(need >> 20));
}

/* Send from offset on, and look at what has arrived. 1: it is whole. 0: it is not what was sent. */
static int send(struct ssh *s, struct board_file *f, int fd, uint64_t offset, struct watch *w,
		struct err *e)
{
	const char *script = arena_printf(s->a,
					  "cd %s || exit 3\n"
					  "umask 077\n"
					  "n=%s\n"
					  "cat %s $n.part || exit 5\n"
					  "h=$(sha256sum <$n.part) || exit 4\n"
					  "[ \"${h%%%% *}\" = %s ] || exit 6\n"
					  "chmod %s $n.part && mv -f $n.part $n || exit 3\n",
					  ssh_quoted(s->a, f->dir), f->name, offset ? ">>" : ">",
					  f->sha256, f->mode);
	int rc;

	if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return err_errno(e, "%s", f->local);
	f->sent_bytes = f->size_bytes - offset;
	rc = ssh_run(s, script, fd, NULL, -1, at_position, w, e);
	switch (rc) {
	case 0:
		return 1;
	case 5:
		return err_set(e, ERR_NOSPACE, "%s: the %s could not be written to %s",
			       s->board->host, f->label, f->dir);
	case 6:
		return 0;
	default:
		return rc < 0 ? rc
			      : err_set(e, ERR_IO, "%s: the %s could not be put into %s",
					s->board->host, f->label, f->dir);
	}
}

static int copy(struct ssh *s, struct board_file *f, int fd, struct watch *w, struct err *e)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		char ours[65] = "";
		struct there t;
		int rc = look(s, f, &t, e);

		if (rc < 0 || strcmp(t.whole, f->sha256) == 0)
			return rc;
		if (t.part_bytes && t.part_bytes <= f->size_bytes)
			rc = prefix_hash(fd, t.part_bytes, ours, f->local, e);
		if (rc < 0)
			return rc;
		if (strcmp(ours, t.part) != 0 || !t.part[0])
			t.part_bytes = 0; /* another file's, or damaged: from the start */
		rc = room_for(s, f, &t, e);
		if (rc == 0)
			rc = send(s, f, fd, t.part_bytes, w, e);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	return err_set(e, ERR_IO, "the %s arrives damaged on %s, twice", f->label, s->board->host);
}

int board_copy(struct ssh *s, struct board_file *f,
	       void (*progress)(void *ctx, const char *stage, int done, int total), void *ctx,
	       struct err *e)
{
	struct watch w = { .progress = progress, .ctx = ctx, .f = f, .last = -1 };
	int fd = open(f->local, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_errno(e, "%s", f->local);
	rc = f->sha256[0] ? 0 : board_file_look(f, e);
	f->sent_bytes = 0;
	if (rc == 0)
		rc = copy(s, f, fd, &w, e);
	close(fd);
	return rc;
}

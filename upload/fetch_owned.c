/* upload/fetch_owned.c -- what quern itself put into the cache: the file ".quern" of a repository's
 * folder, to which a line is added before a blob or a link gets its name:
 *
 *   blob ETAG INODE MTIME_NS
 *   link COMMIT INODE MTIME_NS NAME
 *
 * Inode and time tell our file from one that somebody put there under the same name later. A line
 * that is lost, or half written, leaves something in the cache that could have gone: no harm. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/path.h"
#include "upload/fetch_private.h"

#define OWNED_MAX ((size_t)64 << 20) /* of the file: a hundred bytes a link, for years */

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* One write in append mode: lines of several processes never mix. Each begins a line of its own:
 * the one before it may be a half. */
static void add_line(const struct fetch_cache *c, const struct buf *line)
{
	char *path = path_join(c->root, FETCH_OWNED_FILE);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd >= 0 && !line->overflow)
		(void)!write(fd, line->data, line->len);
	if (fd >= 0)
		close(fd);
	free(path);
}

void fetch_owned_add_blob(const struct fetch_cache *c, const char *etag, const struct stat *st)
{
	struct buf b;

	buf_init(&b, 256);
	buf_addf(&b, "\nblob %s %" PRIu64 " %" PRId64 "\n", etag, (uint64_t)st->st_ino,
		 mtime_ns(st));
	add_line(c, &b);
	buf_release(&b);
}

void fetch_owned_add_link(const struct fetch_cache *c, const char *name, const struct stat *st)
{
	struct buf b;

	buf_init(&b, 512);
	buf_addf(&b, "\nlink %s %" PRIu64 " %" PRId64 " %s\n", path_basename(c->snapshot),
		 (uint64_t)st->st_ino, mtime_ns(st), name);
	add_line(c, &b);
	buf_release(&b);
}

/* ---- reading */

static const char *number(const char *s, const char *end, int64_t *out)
{
	uint64_t v = 0;
	bool minus = s && s < end && *s == '-';

	if (!s || (s += minus) >= end || *s < '0' || *s > '9')
		return NULL;
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (uint64_t)(*s - '0'); /* wraps: such a number equals no file's */
	*out = (int64_t)(minus ? 0 - v : v);
	return s < end && *s == ' ' ? s + 1 : s;
}

/* "blob " or "link ", a word, two numbers, and what is left. */
static bool read_line(struct arena *a, const char *s, const char *end, struct fetch_owned_line *l)
{
	const char *word = s + 5, *blank;

	if (end - s < 6 || (strncmp(s, "blob ", 5) != 0 && strncmp(s, "link ", 5) != 0))
		return false;
	blank = memchr(word, ' ', (size_t)(end - word));
	if (!blank)
		return false;
	l->is_link = *s == 'l';
	l->word = arena_strndup(a, word, (size_t)(blank - word));
	s = number(number(blank + 1, end, &l->inode), end, &l->mtime_ns);
	l->name = s ? arena_strndup(a, s, (size_t)(end - s)) : NULL;
	return s != NULL;
}

void fetch_owned_read(struct arena *a, const char *root, struct fetch_owned *out)
{
	struct err ignored = ERR_INIT; /* no such file: nothing is ours */
	char *path = path_join(root, FETCH_OWNED_FILE);
	size_t lines = 0;
	const char *s, *end;
	struct buf b;

	*out = (struct fetch_owned){ .n = 0 };
	buf_init(&b, OWNED_MAX);
	(void)path_read(path, OWNED_MAX, &b, &ignored);
	for (size_t i = 0; i < b.len; i++)
		lines += b.data[i] == '\n';
	out->v = arena_array(a, lines + 1, sizeof(*out->v));
	s = b.len ? b.data : NULL;
	while (s && (end = memchr(s, '\n', b.len - (size_t)(s - b.data))) != NULL) {
		out->n += read_line(a, s, end, &out->v[out->n]);
		s = end + 1;
	}
	buf_release(&b);
	free(path);
}

static bool has(const struct fetch_owned *o, bool is_link, const char *word, const char *name,
		const struct stat *st)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct fetch_owned_line *l = &o->v[i];

		if (l->is_link == is_link && l->inode == (int64_t)st->st_ino &&
		    l->mtime_ns == mtime_ns(st) && strcmp(l->word, word) == 0 &&
		    strcmp(l->name, name) == 0)
			return true;
	}
	return false;
}

bool fetch_owned_blob(const struct fetch_owned *o, const char *etag, const struct stat *st)
{
	return has(o, false, etag, "", st);
}

bool fetch_owned_link(const struct fetch_owned *o, const char *commit, const char *name,
		      const struct stat *st)
{
	return has(o, true, commit, name, st);
}

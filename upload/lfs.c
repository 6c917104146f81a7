#include "upload/lfs.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/path.h"

#define VERSION_LINE "version https://git-lfs.github.com/spec/v1\n"
#define ATTRIBUTES " filter=lfs diff=lfs merge=lfs -text"

/* What the Hub marks in a new model repository, and the formats that quern makes and the Hub does
 * not know. Only endings: a pattern with a folder in it would need a second matcher. */
static const char *const endings[] = {
	".7z",	 ".arrow",	 ".bin",       ".bz2",	   ".ckpt",    ".ftz",	   ".gguf",
	".gz",	 ".h5",		 ".joblib",    ".mlmodel", ".model",   ".msgpack", ".npy",
	".npz",	 ".onnx",	 ".onnx_data", ".ot",	   ".parquet", ".pb",	   ".pickle",
	".pkl",	 ".pt",		 ".pte",       ".pth",	   ".qkv",     ".rar",	   ".rkllm",
	".rknn", ".safetensors", ".tar",       ".tflite",  ".tgz",     ".wasm",	   ".xz",
	".zip",	 ".zst",
};

/* Pattern "*.x" without a slash: gitattributes compares it with the last component. */
static int has_marked_ending(const char *path)
{
	const char *name = path_basename(path);
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		size_t n = strlen(endings[i]);

		if (len >= n && memcmp(name + len - n, endings[i], n) == 0)
			return 1;
	}
	return 0;
}

int lfs_wanted(const char *path, uint64_t size_bytes)
{
	if (size_bytes == 0)
		return 0;
	return size_bytes >= LFS_MIN_BYTES || has_marked_ending(path);
}

void lfs_pointer_write(struct buf *b, const uint8_t sha256[SHA256_LEN], uint64_t size_bytes)
{
	char hex[SHA256_HEX];

	hex_encode(sha256, SHA256_LEN, hex);
	buf_addf(b, VERSION_LINE "oid sha256:%s\nsize %llu\n", hex, (unsigned long long)size_bytes);
}

/* The rest of the line at *p when it starts with key and a space: then *p is after it. */
static const char *take_line(const char **p, const char *end, const char *key, size_t *len)
{
	size_t n = strlen(key);
	const char *nl;

	if ((size_t)(end - *p) <= n || memcmp(*p, key, n) != 0 || (*p)[n] != ' ')
		return NULL;
	nl = memchr(*p, '\n', (size_t)(end - *p));
	if (!nl)
		return NULL;
	const char *value = *p + n + 1;

	*len = (size_t)(nl - value);
	*p = nl + 1;
	return value;
}

static int parse_size(const char *s, size_t len, uint64_t *out)
{
	uint64_t v = 0;

	if (len == 0 || (len > 1 && s[0] == '0'))
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || v > (UINT64_MAX - 9) / 10)
			return 0;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*out = v;
	return 1;
}

static int parse_oid(const char *s, size_t len, uint8_t out[SHA256_LEN])
{
	static const char method[] = "sha256:";
	const size_t skip = sizeof(method) - 1;
	char hex[SHA256_HEX];

	if (len != skip + SHA256_HEX - 1 || memcmp(s, method, skip) != 0)
		return 0;
	memcpy(hex, s + skip, SHA256_HEX - 1);
	hex[SHA256_HEX - 1] = '\0';
	if (strspn(hex, "0123456789abcdef") != SHA256_HEX - 1)
		return 0;
	return hex_decode(hex, out, SHA256_LEN) == 0;
}

int lfs_pointer_parse(const char *text, size_t len, uint8_t sha256[SHA256_LEN],
		      uint64_t *size_bytes)
{
	const size_t first = sizeof(VERSION_LINE) - 1;
	const char *p = text, *end = text + len, *value;
	uint8_t hash[SHA256_LEN];
	uint64_t size;
	size_t n;

	if (len <= first || len > LFS_POINTER_MAX || memcmp(text, VERSION_LINE, first) != 0)
		return 0;
	p += first;
	while (end - p > 4 && memcmp(p, "ext-", 4) == 0) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			return 0;
		p++;
	}
	value = take_line(&p, end, "oid", &n);
	if (!value || !parse_oid(value, n, hash))
		return 0;
	value = take_line(&p, end, "size", &n);
	if (!value || !parse_size(value, n, &size) || p != end)
		return 0;
	memcpy(sha256, hash, SHA256_LEN);
	*size_bytes = size;
	return 1;
}

const char *lfs_object_path(struct arena *a, const uint8_t sha256[SHA256_LEN])
{
	char hex[SHA256_HEX];

	hex_encode(sha256, SHA256_LEN, hex);
	return arena_printf(a, "%.2s/%.2s/%s", hex, hex + 2, hex);
}

/* A path as a pattern for itself. A leading slash ties it to the root; blanks, quotes and
 * backslashes put it into a C string; what a glob means something by is escaped. */
static void add_pattern(struct buf *b, const char *path)
{
	int quoted = strpbrk(path, " \"\\*?[") != NULL;

	if (quoted)
		buf_addc(b, '"');
	buf_addc(b, '/');
	for (const char *p = path; *p; p++) {
		if (*p == '\\')
			buf_adds(b, "\\\\\\"); /* one for the glob, both doubled by the C string */
		else if (strchr("*?[", *p))
			buf_adds(b, "\\\\");
		else if (*p == '"')
			buf_addc(b, '\\');
		buf_addc(b, *p);
	}
	if (quoted)
		buf_addc(b, '"');
}

struct line {
	const char *p;
	size_t n;
};

static int line_compare(const void *x, const void *y)
{
	const struct line *a = x, *b = y;
	int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);

	return c ? c : (a->n > b->n) - (a->n < b->n);
}

/* The lines of text, sorted; *out is the caller's to free. */
static size_t split_lines(const char *text, struct line **out)
{
	struct line *v = NULL;
	size_t n = 0, cap = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");
		size_t shown = len > 0 && text[len - 1] == '\r' ? len - 1 : len;

		MEM_GROW(v, n, cap);
		v[n++] = (struct line){ text, shown };
		text += len + (text[len] == '\n');
	}
	if (n)
		qsort(v, n, sizeof(*v), line_compare);
	*out = v;
	return n;
}

/* Add the finished line unless the old text has it. */
static void add_missing(struct buf *b, const struct buf *line, const struct line *old, size_t n_old)
{
	struct line key = { buf_str(line), line->len };

	if (n_old && bsearch(&key, old, n_old, sizeof(*old), line_compare))
		return;
	buf_add(b, line->data, line->len);
	buf_addc(b, '\n');
}

void lfs_attributes(struct buf *b, const char *old, const char *const *paths, size_t n)
{
	struct line *lines;
	size_t n_lines;
	struct buf line;

	old = old ? old : "";
	n_lines = split_lines(old, &lines);
	buf_adds(b, old);
	if (*old && old[strlen(old) - 1] != '\n')
		buf_addc(b, '\n');
	buf_init(&line, (size_t)4 * 4096 + 128);
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		buf_clear(&line);
		buf_addf(&line, "*%s" ATTRIBUTES, endings[i]);
		add_missing(b, &line, lines, n_lines);
	}
	for (size_t i = 0; i < n; i++) {
		if (has_marked_ending(paths[i]))
			continue;
		buf_clear(&line);
		add_pattern(&line, paths[i]);
		buf_adds(&line, ATTRIBUTES);
		add_missing(b, &line, lines, n_lines);
	}
	buf_release(&line);
	free(lines);
}

#include "orchestrator/start/rkllm_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/path.h"
#include "core/units.h"
#include "orchestrator/start/file_name.h"
#include "upload/card.h"

#define HEAD_BYTES ((size_t)1 << 20)
#define WORD_LEAST 4  /* printable bytes in a row that may be text */
#define WORD_MOST 200 /* of which so many are shown */
#define WORDS_MAX 32
#define SIDECAR "quern.json"
#define SIDECAR_MAX (64u << 20)

struct head_word {
	size_t offset;
	const char *text;
};

struct rkllm_file {
	const char *path;
	uint64_t size_bytes;
	uint8_t sha256[SHA256_LEN];
	struct head_word words[WORDS_MAX];
	size_t n_words;
	struct name_claims claims;
	bool has_claims;
	const char *sidecar;		    /* NULL: none; else what is wrong with it, or "" */
	const struct card_variant *variant; /* that has a file with our hash */
	const struct artifact_row *listed;
};

/* ---- read from the file */

/* "w8a8", "W4A16_G128" somewhere in the text. */
static bool has_dtype(const char *s)
{
	for (; *s; s++) {
		size_t n = strspn(s + 1, "0123456789");

		if (tolower((unsigned char)*s) == 'w' && n >= 1 && n <= 2 &&
		    tolower((unsigned char)s[1 + n]) == 'a' && isdigit((unsigned char)s[2 + n]))
			return true;
	}
	return false;
}

static bool tells_something(const char *s)
{
	return strcasestr(s, "rkllm") || strcasestr(s, "rk35") || strcasestr(s, "rv1126") ||
	       has_dtype(s);
}

static void add_word(struct arena *a, struct rkllm_file *f, const char *head, size_t from, size_t n)
{
	const char *text = arena_strndup(a, head + from, n < WORD_MOST ? n : WORD_MOST);

	if (n >= WORD_LEAST && f->n_words < WORDS_MAX && tells_something(text))
		f->words[f->n_words++] = (struct head_word){ from, text };
}

static void find_words(struct arena *a, struct rkllm_file *f, const char *head, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && head[i] >= ' ' && head[i] <= '~')
			continue;
		if (i > from)
			add_word(a, f, head, from, i - from);
		from = i + 1;
	}
}

static int read_head(struct arena *a, int fd, struct rkllm_file *f, struct err *e)
{
	char *head = mem_alloc(HEAD_BYTES);
	size_t n = 0;
	ssize_t got = 1;

	while (got > 0 && n < HEAD_BYTES) {
		got = pread(fd, head + n, HEAD_BYTES - n, (off_t)n);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			n += (size_t)got;
	}
	if (got < 0)
		err_errno(e, "%s", f->path);
	else
		find_words(a, f, head, n);
	free(head);
	return got < 0 ? e->code : 0;
}

static int read_file(struct arena *a, struct rkllm_file *f, struct err *e)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	struct stat st;

	if (fd < 0)
		return err_errno(e, "%s", f->path);
	if (fstat(fd, &st) != 0)
		rc = err_errno(e, "%s", f->path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, ERR_INVALID, "%s is no plain file", f->path);
	else
		rc = read_head(a, fd, f, e);
	if (rc >= 0)
		rc = sha256_fd(fd, f->path, f->sha256, &f->size_bytes, e);
	close(fd);
	return rc;
}

/* ---- said by others */

static void find_listed(struct rkllm_file *f, const struct card_variant *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < v[i].n_files; k++) {
			if (memcmp(v[i].files[k].sha256, f->sha256, SHA256_LEN) == 0) {
				f->variant = &v[i];
				f->listed = &v[i].files[k];
			}
		}
	}
	if (!f->variant)
		f->sidecar = "lists no file of this hash";
}

/* A sidecar that is none, or not of this file, is no reason to say less of the file. */
static void read_sidecar(struct arena *a, struct rkllm_file *f)
{
	char *dir = path_dirname(f->path);
	const char *path = arena_printf(a, "%s/" SIDECAR, dir), *repo;
	struct card_variant *v;
	struct err e = ERR_INIT;
	struct buf b;
	size_t n;

	free(dir);
	if (access(path, F_OK) != 0)
		return;
	buf_init(&b, SIDECAR_MAX);
	if (path_read(path, SIDECAR_MAX, &b, &e) < 0 ||
	    card_manifest_read(a, buf_str(&b), b.len, &repo, &v, &n, &e) < 0) {
		f->sidecar = arena_printf(a, "cannot be read: %s", e.msg);
	} else {
		f->sidecar = "";
		find_listed(f, v, n);
	}
	buf_release(&b);
}

/* ---- as text */

static void line(const char *name, const char *value, const char *from)
{
	printf("  %s%-14s%s ", cli_style(stdout, STYLE_DIM), name, cli_style(stdout, STYLE_PLAIN));
	cli_print_text(stdout, value);
	printf("  %s(%s)%s\n", cli_style(stdout, STYLE_DIM), from, cli_style(stdout, STYLE_PLAIN));
}

static void say_claims(struct arena *a, const struct name_claims *c)
{
	static const char by_name[] = "claimed by name";
	char number[32];

	line("model", c->model, by_name);
	if (c->platform)
		line("platform", c->platform, by_name);
	if (c->quant)
		line("quant", c->quant, by_name);
	json_format_number(c->hybrid, number);
	if (c->has_hybrid)
		line("hybrid", number, by_name);
	if (c->has_opt)
		line("opt", arena_printf(a, "%d", c->opt), by_name);
	if (c->max_context)
		line("max_context", arena_printf(a, "%d", c->max_context), by_name);
	if (c->cores)
		line("num_npu_core", arena_printf(a, "%d", c->cores), by_name);
}

static void say_sidecar(struct arena *a, const struct rkllm_file *f)
{
	const struct job_spec *s = &f->variant->job->spec;
	static const char from[] = SIDECAR " beside it, same hash";
	char label[256];

	job_label(s, label, sizeof(label));
	line("job", label, from);
	line("engine", arena_printf(a, "%s %s", s->engine, s->engine_version), from);
	line("source", arena_printf(a, "%s at %s", s->source, s->source_version), from);
	line("facts", f->listed->facts, from);
}

static void print_text(struct arena *a, const struct rkllm_file *f)
{
	char size[24], hex[SHA256_HEX];

	units_format_size(f->size_bytes, size, sizeof(size));
	hex_encode(f->sha256, SHA256_LEN, hex);
	cli_print_text(stdout, f->path);
	printf(": a file named .rkllm, %s; the format is not published\n", size);
	line("sha256", hex, "read from the file");
	for (size_t i = 0; i < f->n_words; i++)
		line(arena_printf(a, "text at %zu", f->words[i].offset), f->words[i].text,
		     "read from the file");
	if (!f->n_words)
		puts("  no toolkit, chip or data type is named in its first MiB");
	if (f->has_claims)
		say_claims(a, &f->claims);
	else
		puts("  its name claims no settings");
	if (f->variant)
		say_sidecar(a, f);
	else if (f->sidecar)
		line(SIDECAR, f->sidecar, "beside it");
}

/* ---- as JSON */

static int json_sidecar(struct arena *a, struct json_out *w, const struct rkllm_file *f,
			struct err *e)
{
	const struct job_spec *s;
	struct json *facts;
	int rc;

	jw_key(w, "sidecar");
	if (!f->variant) {
		jw_str(w, f->sidecar);
		return 0;
	}
	s = &f->variant->job->spec;
	rc = json_parse(a, f->listed->facts, strlen(f->listed->facts), &facts, e);
	if (rc < 0)
		return rc;
	jw_object(w);
	jw_kstr(w, "model", s->model);
	jw_kstr(w, "engine", s->engine);
	jw_kstr(w, "engine_version", s->engine_version);
	jw_kstr(w, "source", s->source);
	jw_kstr(w, "source_version", s->source_version);
	jw_kstr(w, "platform", s->platform);
	jw_kstr(w, "quant", s->quant);
	jw_knum(w, "hybrid", s->hybrid);
	jw_kint(w, "opt", s->opt);
	jw_key(w, "facts");
	jw_value(w, facts);
	jw_end_object(w);
	return 0;
}

static int print_json(struct arena *a, const struct rkllm_file *f, struct err *e)
{
	char hex[SHA256_HEX];
	struct json_out w;
	struct buf b;
	int rc;

	hex_encode(f->sha256, SHA256_LEN, hex);
	buf_init(&b, SIDECAR_MAX);
	jw_init(&w, &b, 1);
	jw_object(&w);
	jw_kstr(&w, "format", "rkllm");
	jw_kstr(&w, "path", f->path);
	jw_kobject(&w, "read_from_file");
	jw_kint(&w, "size_bytes", (int64_t)f->size_bytes);
	jw_kstr(&w, "sha256", hex);
	jw_karray(&w, "text");
	for (size_t i = 0; i < f->n_words; i++) {
		jw_object(&w);
		jw_kint(&w, "offset", (int64_t)f->words[i].offset);
		jw_kstr(&w, "text", f->words[i].text);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	jw_kobject(&w, "claimed_by_name");
	if (f->has_claims)
		file_name_json(&w, &f->claims);
	jw_end_object(&w);
	rc = json_sidecar(a, &w, f, e);
	jw_end_object(&w);
	if (rc >= 0)
		puts(buf_str(&b));
	buf_release(&b);
	return rc < 0 ? rc : 0;
}

int rkllm_file_inspect(struct arena *a, const char *path, bool json, struct err *e)
{
	struct rkllm_file f = { .path = path };
	int rc = read_file(a, &f, e);

	if (rc < 0)
		return rc;
	f.has_claims = file_name_claims(a, path, &f.claims) == 1;
	read_sidecar(a, &f);
	if (json)
		return print_json(a, &f, e);
	print_text(a, &f);
	return 0;
}

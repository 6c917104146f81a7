#include "core/source_card.h"

#include <ctype.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"
#include "core/path.h"

#define HEAD_MAX ((size_t)64 << 10) /* bytes in which front matter has to end */
#define LICENSE_HEAD 1024	    /* bytes of a licence file that are looked at */
#define VALUE_MAX 200
#define WORDS_MAX 200 /* of a list; ISO 639-1 has 183 languages */

/* ---- front matter: only lines that YAML reads in one way and that we read in the same */

static int is_word(const char *s, size_t n)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._+-";

	return n > 0 && n <= 64 && s[0] != '-' && strspn(s, allowed) >= n;
}

/* Text that means itself in YAML: printable, without quotes, comments, nested keys. */
static int is_plain(const char *s, size_t n)
{
	if (n == 0 || n > VALUE_MAX || strchr("[]{}&*!|>%@`\"'#,-?:", s[0]))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\'' || s[i] == '\\')
			return 0;
		if (i + 1 < n &&
		    ((s[i] == ':' && s[i + 1] == ' ') || (s[i] == ' ' && s[i + 1] == '#')))
			return 0;
	}
	return s[n - 1] != ':';
}

struct piece {
	const char *s;
	size_t n;
};

static struct piece trimmed(const char *s, size_t n)
{
	while (n && strchr(" \t\r", s[n - 1]))
		n--;
	while (n && (*s == ' ' || *s == '\t')) {
		s++;
		n--;
	}
	if (n >= 2 && (*s == '"' || *s == '\'') && s[n - 1] == *s)
		return (struct piece){ s + 1, n - 2 };
	return (struct piece){ s, n };
}

static const char *word(struct arena *a, struct piece p)
{
	return is_word(p.s, p.n) ? arena_strndup(a, p.s, p.n) : NULL;
}

static const char *plain(struct arena *a, struct piece p)
{
	return is_plain(p.s, p.n) ? arena_strndup(a, p.s, p.n) : NULL;
}

/* A key whose value is a list, or one word. */
struct list_key {
	const char *key;
	const char *(*take)(struct arena *a, struct piece p); /* NULL: nothing that is sure */
	size_t at;					      /* in struct source_card */
};

static const struct list_key list_keys[] = {
	{ "language", word, offsetof(struct source_card, languages) },
	{ "tags", plain, offsetof(struct source_card, tags) },
	{ "base_model", plain, offsetof(struct source_card, base_models) },
	{ "datasets", plain, offsetof(struct source_card, datasets) },
};

static struct source_words *words_of(struct source_card *c, const struct list_key *k)
{
	return (struct source_words *)((char *)c + k->at);
}

static void add_word(struct arena *a, const struct list_key *k, struct source_words *w,
		     struct piece p)
{
	const char *s = w->n < WORDS_MAX ? k->take(a, p) : NULL;

	if (!w->v)
		w->v = arena_array(a, WORDS_MAX, sizeof(*w->v));
	if (s)
		w->v[w->n++] = s;
}

/* "[en, de]" or "en". */
static void add_words(struct arena *a, const struct list_key *k, struct source_words *w,
		      struct piece p)
{
	const char *end = p.s + p.n;

	if (p.n < 2 || p.s[0] != '[' || end[-1] != ']') {
		add_word(a, k, w, p);
		return;
	}
	for (const char *s = p.s + 1; s < end;) {
		size_t n = strcspn(s, ",]");

		add_word(a, k, w, trimmed(s, n));
		s += n + 1;
	}
}

/* "- en" of a block list, at any indentation; 0 when the line is none. */
static int list_item(const char *line, size_t n, struct piece *out)
{
	struct piece p = trimmed(line, n);

	if (p.n < 2 || p.s[0] != '-' || p.s[1] != ' ')
		return 0;
	*out = trimmed(p.s + 2, p.n - 2);
	return 1;
}

static int key_of(const char *line, size_t n, const char *key, struct piece *value)
{
	size_t k = strlen(key);

	if (n <= k || memcmp(line, key, k) != 0 || line[k] != ':' ||
	    (n > k + 1 && !strchr(" \t\r", line[k + 1])))
		return 0;
	*value = trimmed(line + k + 1, n - k - 1);
	return 1;
}

/* One line of front matter. list: the key whose block list goes on, or NULL. */
static void read_line(struct arena *a, struct source_card *c, const char *line, size_t n,
		      const struct list_key **list)
{
	struct piece v;

	if (*list && list_item(line, n, &v)) {
		add_word(a, *list, words_of(c, *list), v);
		return;
	}
	*list = NULL;
	if (key_of(line, n, "license", &v)) {
		c->license = word(a, v);
	} else if (key_of(line, n, "license_name", &v)) {
		c->license_name = plain(a, v);
	} else if (key_of(line, n, "license_link", &v)) {
		c->license_link = plain(a, v);
	} else if (key_of(line, n, "pipeline_tag", &v)) {
		c->pipeline_tag = word(a, v);
	}
	for (size_t i = 0; i < ARRAY_LEN(list_keys); i++) {
		const struct list_key *k = &list_keys[i];

		if (!key_of(line, n, k->key, &v))
			continue;
		words_of(c, k)->n = 0;
		if (v.n == 0)
			*list = k;
		add_words(a, k, words_of(c, k), v);
	}
}

static int is_absolute_link(const char *s)
{
	return strncmp(s, "https://", 8) == 0 || strncmp(s, "http://", 7) == 0;
}

void source_card_parse(struct arena *a, const char *readme, struct source_card *out)
{
	struct source_card c = { 0 };
	const struct list_key *list = NULL;
	int inside = 0;

	while (*readme) {
		size_t n = strcspn(readme, "\n");
		size_t bare = n && readme[n - 1] == '\r' ? n - 1 : n;
		int fence = bare == 3 && memcmp(readme, "---", 3) == 0;

		if (fence == inside)
			break; /* the front matter ended, or never began */
		if (!fence)
			read_line(a, &c, readme, n, &list);
		inside = 1;
		readme += n + (readme[n] == '\n');
	}
	if (!c.license || strcmp(c.license, "other") != 0)
		c.license_name = c.license_link = NULL;
	if (c.license_link && !is_absolute_link(c.license_link))
		c.license_link = NULL;
	c.license_from = c.license ? "README.md" : NULL;
	*out = c;
}

/* ---- licence files */

/* First words of the text, in lower case with single blanks, and words that follow in the first
 * lines; the Hub's ids are those of its page "Licenses". */
static const struct {
	const char *title, *follows, *id;
} titles[] = {
	{ "apache license", "version 2.0", "apache-2.0" },
	{ "mit license", NULL, "mit" },
	{ "the mit license", NULL, "mit" },
	{ "bsd 3-clause license", NULL, "bsd-3-clause" },
	{ "bsd 2-clause license", NULL, "bsd-2-clause" },
	{ "gnu general public license", "version 3", "gpl-3.0" },
	{ "gnu general public license", "version 2", "gpl-2.0" },
	{ "gnu lesser general public license", "version 3", "lgpl-3.0" },
	{ "gnu lesser general public license", "version 2.1", "lgpl-2.1" },
	{ "gnu affero general public license", "version 3", "agpl-3.0" },
	{ "mozilla public license", "version 2.0", "mpl-2.0" },
	{ "this is free and unencumbered software released into the public domain", NULL,
	  "unlicense" },
	{ "llama 2 community license agreement", NULL, "llama2" },
	{ "meta llama 3 community license agreement", NULL, "llama3" },
	{ "llama 3.1 community license agreement", NULL, "llama3.1" },
	{ "llama 3.2 community license agreement", NULL, "llama3.2" },
	{ "llama 3.3 community license agreement", NULL, "llama3.3" },
	{ "gemma terms of use", NULL, "gemma" },
};

#define FOLLOWS_WITHIN 120 /* bytes behind the title in which its version stands */

/* The head of a text in lower case, each run of blanks and markup as one blank. */
static char *normal(const char *text)
{
	char *out = mem_alloc(LICENSE_HEAD + 2), *w = out;

	for (size_t i = 0; i < LICENSE_HEAD && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!isspace(c) && !strchr("#*_=\"", c))
			*w++ = (char)tolower(c);
		else if (w > out && w[-1] != ' ')
			*w++ = ' ';
	}
	*w = '\0';
	return out;
}

static const char *spdx_id(struct arena *a, const char *head)
{
	static const char line[] = "spdx-license-identifier: ";
	const char *s = strstr(head, line);
	size_t n;

	if (!s)
		return NULL;
	s += strlen(line);
	n = strcspn(s, " ");
	/* An expression ("mit or apache-2.0") is no id of the Hub. */
	if (strncmp(s + n, " or ", 4) == 0 || strncmp(s + n, " and ", 5) == 0 ||
	    strncmp(s + n, " with ", 6) == 0)
		return NULL;
	if (n > 5 && memcmp(s + n - 5, "-only", 5) == 0)
		n -= 5;
	for (size_t i = 0; i < ARRAY_LEN(titles); i++)
		if (strlen(titles[i].id) == n && memcmp(titles[i].id, s, n) == 0)
			return arena_strndup(a, s, n);
	return NULL;
}

static int has_title(const char *head, size_t i)
{
	size_t n = strlen(titles[i].title);
	const char *found;

	if (strncmp(head, titles[i].title, n) != 0 || isalnum((unsigned char)head[n]))
		return 0;
	if (!titles[i].follows)
		return 1;
	found = strstr(head + n, titles[i].follows);
	return found && found - (head + n) < FOLLOWS_WITHIN;
}

const char *source_license_of(struct arena *a, const char *text)
{
	char *head = normal(text);
	const char *id = spdx_id(a, head);

	for (size_t i = 0; !id && i < ARRAY_LEN(titles); i++)
		if (has_title(head, i))
			id = titles[i].id;
	free(head);
	return id;
}

/* ---- files */

/* The first max bytes, on the heap; NULL with e->code 0 when there is no such file. */
static char *read_head(const char *dir, const char *name, size_t max, struct err *e)
{
	char *path = path_join(dir, name), *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;

	if (fd < 0)
		(void)err_errno(e, "%s", path);
	if (fd < 0 && e->code == ERR_NOTFOUND)
		*e = (struct err)ERR_INIT;
	if (fd >= 0) {
		text = mem_alloc(max + 1);
		n = read(fd, text, max);
		if (n < 0) {
			(void)err_errno(e, "%s", path);
			free(text);
			text = NULL;
		} else {
			text[n] = '\0';
		}
		close(fd);
	}
	free(path);
	return text;
}

static int read_license_files(struct arena *a, const char *dir, struct source_card *c,
			      struct err *e)
{
	static const char *const names[] = { "LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE",
					     "COPYING" };

	for (size_t i = 0; !c->license && i < ARRAY_LEN(names); i++) {
		char *text = read_head(dir, names[i], LICENSE_HEAD, e);

		if (!text && e->code < 0)
			return e->code;
		c->license = text ? source_license_of(a, text) : NULL;
		if (c->license)
			c->license_from = names[i];
		free(text);
	}
	return 0;
}

int source_read_readme(struct arena *a, const char *dir, struct source_card *out, struct err *e)
{
	char *readme = read_head(dir, "README.md", HEAD_MAX, e);

	if (!readme && e->code < 0)
		return e->code;
	source_card_parse(a, readme ? readme : "", out);
	free(readme);
	return 0;
}

int source_read_card(struct arena *a, const char *dir, struct source_card *out, struct err *e)
{
	struct source_card c = { 0 };

	if (source_read_readme(a, dir, &c, e) < 0 ||
	    (!c.license && read_license_files(a, dir, &c, e) < 0))
		return e->code;
	*out = c;
	return 0;
}

static void put(struct json_out *w, const char *key, const char *value)
{
	if (value)
		jw_kstr(w, key, value);
}

void source_card_json(const struct source_card *c, const char *architecture, struct buf *b)
{
	static const char causal[] = "ForCausalLM";
	const char *end = architecture ? strstr(architecture, causal) : NULL;
	struct json_out w;

	jw_init(&w, b, 0);
	jw_object(&w);
	put(&w, "architecture", architecture);
	if (c->languages.n) {
		jw_karray(&w, "language");
		for (size_t i = 0; i < c->languages.n; i++)
			jw_str(&w, c->languages.v[i]);
		jw_end_array(&w);
	}
	put(&w, "license", c->license);
	put(&w, "license_from", c->license_from);
	put(&w, "license_link", c->license_link);
	put(&w, "license_name", c->license_name);
	if (c->pipeline_tag)
		put(&w, "pipeline_tag", c->pipeline_tag);
	else if (end && strcmp(end, causal) == 0)
		put(&w, "pipeline_tag", "text-generation");
	jw_end_object(&w);
}

/* Any bytes as quern.json, README.md, template and source: read or refused; what was read writes a
 * quern.json that reads back to itself; a card made from itself is the same card, and a person's
 * words are never looked at twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/source_card.h"
#include "upload/card.h"

#define OUT_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct card_settings settings = { .repo = "ns/m" };

static void ignore_fault(void *ctx, int line, int column, const char *what)
{
	(void)ctx;
	if (line < 1 || column < 1 || !*what)
		abort();
}

static void try_manifest(struct arena *a, const char *text, size_t size)
{
	struct card_variant *v, *again;
	struct err e = ERR_INIT;
	struct buf once, twice;
	const char *repo;
	size_t n;

	if (card_manifest_read(a, text, size, &repo, &v, &n, &e) < 0) {
		if (!e.msg[0])
			abort();
		return;
	}
	buf_init(&once, OUT_MAX);
	buf_init(&twice, OUT_MAX);
	if (card_manifest(&once, repo, v, n, &e) < 0 ||
	    card_manifest_read(a, buf_str(&once), once.len, &repo, &again, &n, &e) < 0 ||
	    card_manifest(&twice, repo, again, n, &e) < 0 ||
	    strcmp(buf_str(&once), buf_str(&twice)) != 0)
		abort();
	buf_clear(&twice);
	if (card_write(&twice, &settings, v, n, NULL, &e) < 0 ||
	    card_check_front(buf_str(&twice), &e) < 0)
		abort();
	buf_release(&once);
	buf_release(&twice);
}

static void try_card(const char *old)
{
	struct err e = ERR_INIT;
	struct buf once, twice;

	buf_init(&once, OUT_MAX);
	buf_init(&twice, OUT_MAX);
	if (card_write(&once, &settings, NULL, 0, old, &e) < 0 ||
	    card_write(&twice, &settings, NULL, 0, buf_str(&once), &e) < 0 ||
	    strcmp(buf_str(&once), buf_str(&twice)) != 0)
		abort();
	(void)card_check_front(buf_str(&once), &e);
	buf_release(&once);
	buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const char *text = arena_strndup(a, (const char *)data, size);
	struct source_card source;

	try_manifest(a, (const char *)data, size);
	try_card(text);
	(void)card_template_check(text, ignore_fault, NULL);
	source_card_parse(a, text, &source);
	(void)source_license_of(a, text);
	arena_free(a);
	return 0;
}

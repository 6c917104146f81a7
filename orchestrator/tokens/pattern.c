#include "orchestrator/tokens/pattern.h"

#include <oniguruma.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"

#define PATTERN_MAX 65536 /* bytes; the longest published one has 5 KB */
#define DEPTH_MAX 200
#define RETRIES_MAX 1000000 /* of one search; published patterns go back by a run of spaces */
#define STACK_MAX 1000000   /* entries of some 40 bytes */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CHARACTERS ONIG_ENCODING_UTF32_LE
#else
#define CHARACTERS ONIG_ENCODING_UTF32_BE
#endif

struct pattern {
	regex_t *regex;
	OnigMatchParam *limits;
	OnigRegion *found;
};

static const OnigUChar *at(const uint32_t *text, size_t i)
{
	return (const OnigUChar *)(text + i);
}

static int compile(struct pattern *p, const char *text, struct err *e)
{
	OnigEncoding encoding = CHARACTERS;
	OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
	OnigErrorInfo info;
	size_t len = strlen(text), n = 0;
	uint32_t *chars;
	int rc;

	if (len > PATTERN_MAX)
		return err_set(e, ERR_INVALID, "the pattern that splits text is longer than %d KiB",
			       PATTERN_MAX >> 10);
	chars = mem_array(len + 1, sizeof(*chars));
	for (size_t i = 0; i < len; n++) {
		int bytes = utf8_next(text + i, len - i, &chars[n]);

		if (bytes == 0)
			chars[n] = 0xFFFD;
		i += bytes ? (size_t)bytes : 1;
	}
	onig_initialize(&encoding, 1);
	onig_set_parse_depth_limit(DEPTH_MAX);
	rc = onig_new(&p->regex, at(chars, 0), at(chars, n), ONIG_OPTION_NONE, encoding,
		      ONIG_SYNTAX_DEFAULT, &info);
	free(chars);
	if (rc == ONIG_NORMAL)
		return 0;
	onig_error_code_to_str(why, rc, &info);
	return err_set(e, ERR_INVALID, "the pattern that splits text: %s", (const char *)why);
}

int pattern_compile(const char *text, struct pattern **out, struct err *e)
{
	struct pattern *p = mem_zalloc(sizeof(*p));
	int rc = compile(p, text, e);

	p->limits = onig_new_match_param();
	p->found = onig_region_new();
	if (rc == 0 && (!p->limits || !p->found))
		rc = err_set(e, ERR_ENV, "out of memory");
	if (rc < 0) {
		pattern_free(p);
		return rc;
	}
	onig_initialize_match_param(p->limits);
	onig_set_retry_limit_in_search_of_match_param(p->limits, RETRIES_MAX);
	onig_set_match_stack_limit_size_of_match_param(p->limits, STACK_MAX);
	*out = p;
	return 0;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	if (p->found)
		onig_region_free(p->found, 1);
	if (p->limits)
		onig_free_match_param(p->limits);
	if (p->regex)
		onig_free(p->regex);
	free(p);
}

int pattern_find(struct pattern *p, const uint32_t *text, size_t n, size_t from, size_t *start,
		 size_t *end, struct err *e)
{
	int rc = onig_search_with_param(p->regex, at(text, 0), at(text, n), at(text, from),
					at(text, n), p->found, ONIG_OPTION_NONE, p->limits);

	if (rc == ONIG_MISMATCH)
		return 0;
	if (rc < 0)
		return err_set(e, ERR_INVALID, "the pattern that splits text takes too long");
	*start = (size_t)p->found->beg[0] / sizeof(*text);
	*end = (size_t)p->found->end[0] / sizeof(*text);
	return 1;
}

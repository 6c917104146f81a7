#include "orchestrator/engine/version.h"

#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 8
#define DIGITS_MAX 9 /* of one number: fits a long */

#define DIGITS "0123456789"

/* A version as numbers that compare in order. */
struct parsed {
	long release[NUMBERS_MAX];
	long stage; /* -4 dev, -3 a, -2 b, -1 rc, 0 the release, 1 post */
	long number;
};

static size_t read_number(const char *s, long *out)
{
	size_t n = strspn(s, DIGITS);

	if (n == 0 || n > DIGITS_MAX)
		return 0;
	*out = strtol(s, NULL, 10);
	return n;
}

/* "b1", ".post2", ".dev3", "rc1"; its length, or 0. */
static size_t read_stage(const char *s, struct parsed *out)
{
	static const struct {
		const char *text;
		long stage;
	} stages[] = { { ".dev", -4 }, { "a", -3 }, { "b", -2 }, { "rc", -1 }, { ".post", 1 } };

	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
		size_t n = strlen(stages[i].text), digits;

		if (strncmp(s, stages[i].text, n) != 0)
			continue;
		out->stage = stages[i].stage;
		digits = read_number(s + n, &out->number);
		return digits ? n + digits : 0;
	}
	return 0;
}

static int parse(const char *s, struct parsed *out)
{
	size_t n = 0, step;

	memset(out, 0, sizeof(*out));
	if (strlen(s) > VERSION_TEXT_MAX)
		return 0;
	for (;;) {
		if (n == NUMBERS_MAX)
			return 0;
		step = read_number(s, &out->release[n++]);
		if (!step)
			return 0;
		s += step;
		if (s[0] != '.' || !s[1] || !strchr(DIGITS, s[1]))
			break;
		s++;
	}
	if (*s && *s != '+') {
		step = read_stage(s, out);
		if (!step)
			return 0;
		s += step;
	}
	return !*s || (*s == '+' && s[1]);
}

int version_ok(const char *s)
{
	struct parsed p;

	return parse(s, &p);
}

int version_compare(const char *a, const char *b)
{
	struct parsed x, y;

	(void)parse(a, &x);
	(void)parse(b, &y);
	for (size_t i = 0; i < NUMBERS_MAX; i++) {
		if (x.release[i] != y.release[i])
			return x.release[i] < y.release[i] ? -1 : 1;
	}
	if (x.stage != y.stage)
		return x.stage < y.stage ? -1 : 1;
	return (x.number > y.number) - (x.number < y.number);
}

size_t version_public_len(const char *s)
{
	return strcspn(s, "+");
}

/* One comparison of n bytes. */
static int holds(const char *s, size_t n, const char *have, int is_version)
{
	size_t op = strspn(s, "<>=");
	char text[VERSION_TEXT_MAX + 1], *end;
	int order;

	if (op > 2 || n <= op || n - op > VERSION_TEXT_MAX || (op == 2 && s[1] != '='))
		return -1;
	memcpy(text, s + op, n - op);
	text[n - op] = '\0';
	if (is_version) {
		if (!version_ok(text))
			return -1;
		order = version_compare(have, text);
	} else {
		double a = strtod(have, NULL), b = strtod(text, &end);

		if (*end)
			return -1;
		order = (a > b) - (a < b);
	}
	if (op == 0 || s[0] == '=')
		return order == 0;
	return (s[0] == '<' ? order < 0 : order > 0) || (op == 2 && order == 0);
}

int comparison_holds(const char *want, const char *have, int is_version)
{
	int all = 1;

	want += strspn(want, " ");
	if (!*want)
		return -1;
	while (*want) {
		size_t n = strcspn(want, " ");
		int one = holds(want, n, have, is_version);

		if (one < 0)
			return -1;
		all &= one;
		want += n;
		want += strspn(want, " ");
	}
	return all;
}

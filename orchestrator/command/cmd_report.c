/* orchestrator/command/cmd_report.c -- quern report: text for a mail, JSON, or one HTML page. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/path.h"
#include "orchestrator/command/commands.h"
#include "orchestrator/command/store_command.h"
#include "orchestrator/view/report.h"

#define REPORT_BYTES_MAX (256u << 20) /* 20,000 jobs with long messages are a tenth of it */

enum form { FORM_TEXT, FORM_JSON, FORM_HTML };

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && strcmp(s + n - k, suffix) == 0;
}

static enum form form_of(const char *out, bool json)
{
	if (json || (out && ends_with(out, ".json")))
		return FORM_JSON;
	return out && (ends_with(out, ".html") || ends_with(out, ".htm")) ? FORM_HTML : FORM_TEXT;
}

static int write_out(const char *out, const struct buf *b, struct err *e)
{
	if (b->overflow)
		return err_set(e, ERR_NOSPACE,
			       "the report is larger than %u MiB; report with --json",
			       REPORT_BYTES_MAX >> 20);
	if (out)
		return path_write(out, b->data, b->len, 0644, e);
	fwrite(b->data, 1, b->len, stdout);
	return ferror(stdout) ? err_errno(e, "standard output") : 0;
}

static int make(const struct store_command *sc, const char *out, enum form form, struct err *e)
{
	struct report r;
	struct buf b;
	int rc = report_load(sc->store, sc->work, sc->a, &r, e);

	if (rc < 0)
		return rc;
	buf_init(&b, REPORT_BYTES_MAX);
	if (form == FORM_HTML)
		report_html(&r, sc->a, &b);
	else if (form == FORM_JSON)
		report_json(&r, &b);
	else
		report_text(&r, sc->a, &b);
	rc = write_out(out, &b, e);
	buf_release(&b);
	return rc;
}

int cmd_report(int argc, char **argv)
{
	struct store_command sc = { 0 };
	const char *out = NULL;
	bool json = false, help;
	const struct option_def opts[] = {
		STORE_COMMAND_OPTIONS(&sc),
		{ "output", 'o', OPT_STRING, "FILE",
		  "write it there: HTML, JSON or text, by the name's end", &out },
		{ "json", 0, OPT_FLAG, NULL, "print JSON", &json },
	};
	struct err e = ERR_INIT;
	int rc = cli_parse("report", opts, ARRAY_LEN(opts), argc, argv, &help, &e);

	if (help)
		return EXIT_GOOD;
	if (rc >= 0 && rc < argc)
		rc = err_set(&e, ERR_INVALID, "report takes no operand; -o names the file");
	if (rc < 0)
		return cli_fail(&e);
	rc = store_command_open(&sc, 1);
	if (rc == 0 && make(&sc, out, form_of(out, json), &e) < 0)
		rc = cli_fail(&e);
	store_command_close(&sc);
	return rc;
}

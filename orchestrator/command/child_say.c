#include "orchestrator/command/child_say.h"

#include <stdio.h>

#include "core/json.h"
#include "orchestrator/cli.h"

#define ERROR_MAX_BYTES (1u << 16)

void child_say(struct buf *b)
{
	puts(buf_str(b));
	fflush(stdout);
	buf_release(b);
}

int child_say_error(const struct err *e, const char *key, const char *value)
{
	struct json_out w;
	struct buf b;

	buf_init(&b, ERROR_MAX_BYTES);
	jw_init(&w, &b, 0);
	jw_object(&w);
	jw_kstr(&w, "event", "error");
	jw_kstr(&w, "code", err_name(e->code));
	jw_kstr(&w, key, value);
	jw_kstr(&w, "message", e->msg);
	jw_end_object(&w);
	child_say(&b);
	return EXIT_JOBS_FAILED;
}

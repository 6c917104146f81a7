#include "orchestrator/command/store_command.h"

#include <stdio.h>
#include <time.h>

#include "core/clock.h"
#include "core/units.h"
#include "orchestrator/host/workdir.h"

int store_command_open(struct store_command *sc, int read_only)
{
	struct err e = ERR_INIT;
	const char *work;
	int rc;

	sc->a = arena_new();
	sc->store = NULL;
	rc = workdir_find(sc->a, sc->work_option, sc->file, &work, &e);
	if (rc < 0)
		return cli_fail(&e);
	rc = workdir_open_store(sc->a, work, NULL, read_only, &sc->work, &sc->store, &e);
	if (rc == ERR_NOTFOUND) {
		cli_fail(&e);
		return EXIT_ENVIRONMENT;
	}
	return rc < 0 ? cli_fail(&e) : 0;
}

void store_command_close(struct store_command *sc)
{
	store_close(sc->store);
	arena_free(sc->a);
	sc->store = NULL;
	sc->a = NULL;
}

const char *show_time(struct arena *a, int64_t wall_ms)
{
	time_t s = (time_t)(wall_ms / 1000);
	char text[32];
	struct tm tm;

	if (wall_ms <= 0 || !localtime_r(&s, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		return "";
	return arena_strdup(a, text);
}

const char *show_ago(struct arena *a, int64_t wall_ms, int64_t now_ms)
{
	char text[32];

	if (wall_ms <= 0)
		return "";
	if (now_ms - wall_ms < 1000)
		return "just now";
	units_format_duration(now_ms - wall_ms, text, sizeof(text));
	return arena_printf(a, "%s ago", text);
}

enum style state_style(enum job_state s)
{
	switch (s) {
	case JOB_RUNNING:
	case JOB_VALIDATING:
	case JOB_UPLOADING:
		return STYLE_BLUE;
	case JOB_READY:
	case JOB_DONE:
		return STYLE_GREEN;
	case JOB_FAILED:
		return STYLE_RED;
	case JOB_CANCELLED:
		return STYLE_YELLOW;
	default:
		return STYLE_PLAIN;
	}
}

void jw_time(struct json_out *w, const char *key, int64_t wall_ms)
{
	char name[64], text[32];

	snprintf(name, sizeof(name), "%s_ms", key);
	if (wall_ms <= 0) {
		jw_kstr(w, key, NULL);
		jw_key(w, name);
		jw_null(w);
		return;
	}
	clock_format_utc(wall_ms, text, sizeof(text));
	jw_kstr(w, key, text);
	jw_kint(w, name, wall_ms);
}

void jw_flush(struct json_out *w)
{
	fwrite(buf_str(w->b), 1, w->b->len, stdout);
	buf_clear(w->b);
}

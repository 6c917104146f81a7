/* db/job.c -- see job.h. */
#include "db/job.h"

#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"

/* The whole life of a job. docs/states.md shows the same table and a test compares them.
 * Recovery after a crash is made of ordinary edges: LOST, FOUND and ARTIFACT_GONE. */
/* clang-format off */
static const struct {
	enum job_state from;
	enum job_event on;
	enum job_state to;
} edges[] = {
	{ JOB_PENDING,    EV_CLAIM,         JOB_RUNNING    },
	{ JOB_PENDING,    EV_FOUND,         JOB_READY      }, /* sealed, but we died before saying so */
	{ JOB_PENDING,    EV_CANCEL,        JOB_CANCELLED  },

	{ JOB_RUNNING,    EV_EXIT_OK,       JOB_VALIDATING },
	{ JOB_RUNNING,    EV_EXIT_RETRY,    JOB_PENDING    },
	{ JOB_RUNNING,    EV_EXIT_FAIL,     JOB_FAILED     },
	{ JOB_RUNNING,    EV_LOST,          JOB_PENDING    }, /* we died, not the worker */
	{ JOB_RUNNING,    EV_FOUND,         JOB_READY      },
	{ JOB_RUNNING,    EV_CANCEL,        JOB_CANCELLED  },

	{ JOB_VALIDATING, EV_VALID,         JOB_READY      },
	{ JOB_VALIDATING, EV_INVALID_RETRY, JOB_PENDING    },
	{ JOB_VALIDATING, EV_INVALID_FAIL,  JOB_FAILED     },
	{ JOB_VALIDATING, EV_LOST,          JOB_PENDING    },
	{ JOB_VALIDATING, EV_FOUND,         JOB_READY      },
	{ JOB_VALIDATING, EV_CANCEL,        JOB_CANCELLED  },

	{ JOB_READY,      EV_UPLOAD,        JOB_UPLOADING  },
	{ JOB_READY,      EV_ARTIFACT_GONE, JOB_PENDING    },
	{ JOB_READY,      EV_CANCEL,        JOB_CANCELLED  },
	{ JOB_READY,      EV_REPLACED,      JOB_DONE       },

	{ JOB_UPLOADING,  EV_UPLOADED,      JOB_DONE       },
	{ JOB_UPLOADING,  EV_UPLOAD_FAIL,   JOB_READY      },
	{ JOB_UPLOADING,  EV_LOST,          JOB_READY      }, /* files on the hub are skipped */
	{ JOB_UPLOADING,  EV_ARTIFACT_GONE, JOB_PENDING    },

	{ JOB_DONE,       EV_ARTIFACT_GONE, JOB_PENDING    },
	{ JOB_DONE,       EV_REPLACED,      JOB_DONE       }, /* says so: it was published once */
	{ JOB_DONE,       EV_WANTED,        JOB_READY      },
	{ JOB_FAILED,     EV_RETRY,         JOB_PENDING    },
	{ JOB_CANCELLED,  EV_RETRY,         JOB_PENDING    },
};

static const char *const state_names[JOB_STATE_COUNT] = {
	[JOB_PENDING] = "pending",       [JOB_RUNNING] = "running",
	[JOB_VALIDATING] = "validating", [JOB_READY] = "ready",
	[JOB_UPLOADING] = "uploading",   [JOB_DONE] = "done",
	[JOB_FAILED] = "failed",         [JOB_CANCELLED] = "cancelled",
};

static const char *const event_names[JOB_EVENT_COUNT] = {
	[EV_CLAIM] = "claim",
	[EV_EXIT_OK] = "exit_ok",
	[EV_EXIT_RETRY] = "exit_retry",
	[EV_EXIT_FAIL] = "exit_fail",
	[EV_VALID] = "valid",
	[EV_INVALID_RETRY] = "invalid_retry",
	[EV_INVALID_FAIL] = "invalid_fail",
	[EV_LOST] = "lost",
	[EV_FOUND] = "found",
	[EV_UPLOAD] = "upload",
	[EV_UPLOADED] = "uploaded",
	[EV_UPLOAD_FAIL] = "upload_fail",
	[EV_ARTIFACT_GONE] = "artifact_gone",
	[EV_RETRY] = "retry",
	[EV_CANCEL] = "cancel",
	[EV_REPLACED] = "replaced",
	[EV_WANTED] = "wanted",
};
/* clang-format on */

int job_next(enum job_state from, enum job_event ev)
{
	for (size_t i = 0; i < ARRAY_LEN(edges); i++)
		if (edges[i].from == from && edges[i].on == ev)
			return (int)edges[i].to;
	return -1;
}

const char *job_state_name(enum job_state s)
{
	return (unsigned)s < JOB_STATE_COUNT ? state_names[s] : "?";
}

const char *job_event_name(enum job_event e)
{
	return (unsigned)e < JOB_EVENT_COUNT ? event_names[e] : "?";
}

int job_state_parse(const char *name)
{
	for (int i = 0; name && i < JOB_STATE_COUNT; i++)
		if (strcmp(state_names[i], name) == 0)
			return i;
	return -1;
}

int job_state_is_end(enum job_state s)
{
	return s == JOB_DONE || s == JOB_FAILED || s == JOB_CANCELLED;
}

static int is_plain(const char *s, size_t *len)
{
	const unsigned char *p = (const unsigned char *)s;

	for (; *p; p++)
		if (*p < 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
			return 0;
	*len = (size_t)(p - (const unsigned char *)s);
	return 1;
}

/* Nearly every string of a spec is plain ASCII; the rest takes the road of core/json. */
static void put_string(struct buf *b, const char *s)
{
	struct json_out w;
	size_t len;

	if (!s) {
		buf_add(b, "null", 4);
	} else if (is_plain(s, &len)) {
		buf_addc(b, '"');
		buf_add(b, s, len);
		buf_addc(b, '"');
	} else {
		jw_init(&w, b, 0);
		jw_str(&w, s);
	}
}

static void put_number(struct buf *b, double v)
{
	char text[32];

	json_format_number(v, text);
	buf_adds(b, text);
}

static void put_int(struct buf *b, int v)
{
	char text[16];

	if (v >= 0 && v < 10) {
		buf_addc(b, (char)('0' + v));
		return;
	}
	(void)snprintf(text, sizeof(text), "%d", v);
	buf_adds(b, text);
}

#define LITERAL(b, s) buf_add((b), (s), sizeof(s) - 1)

/* The folder of a "path" source is not part of the key: its content is, wherever it lies. */
static const char *source_repo(const struct job_spec *s)
{
	return strcmp(s->source_kind, "path") == 0 ? NULL : s->source;
}

int job_canonical(const struct job_spec *s, struct buf *b)
{
	LITERAL(b, "{\"engine\":{\"name\":");
	put_string(b, s->engine);
	LITERAL(b, ",\"version\":");
	put_string(b, s->engine_version);
	LITERAL(b, "},\"hybrid\":");
	put_number(b, s->hybrid);
	if (s->lora) {
		LITERAL(b, ",\"lora\":{\"repo\":");
		put_string(b, s->lora[0] == '/' ? NULL : s->lora); /* a folder, as of a source */
		LITERAL(b, ",\"version\":");
		put_string(b, s->lora_version);
		LITERAL(b, "},\"model\":");
	} else {
		LITERAL(b, ",\"lora\":null,\"model\":");
	}
	put_string(b, s->model); /* it stands inside the file: general.name of a GGUF */
	LITERAL(b, ",\"opt\":");
	put_int(b, s->opt);
	LITERAL(b, ",\"platform\":");
	put_string(b, s->platform);
	LITERAL(b, ",\"quant\":");
	put_string(b, s->quant);
	LITERAL(b, ",\"source\":{");
	if (s->source_file) {
		LITERAL(b, "\"file\":");
		put_string(b, s->source_file);
		buf_addc(b, ',');
	}
	LITERAL(b, "\"kind\":");
	put_string(b, s->source_kind);
	LITERAL(b, ",\"repo\":");
	put_string(b, source_repo(s));
	if (s->runs_code)
		LITERAL(b, ",\"runs_code\":true");
	LITERAL(b, ",\"version\":");
	put_string(b, s->source_version);
	LITERAL(b, "},\"with\":");
	buf_adds(b, s->with);
	buf_addc(b, '}');
	return b->overflow ? ERR_NOSPACE : 0;
}

void job_key(const struct job_spec *s, struct buf *scratch, uint8_t key[SHA256_LEN])
{
	struct buf own;

	buf_clear(scratch);
	if (job_canonical(s, scratch) == 0) {
		sha256_bytes(buf_str(scratch), scratch->len, key);
		return;
	}
	/* the caller's ceiling is below this spec; half a text must not become a key */
	buf_init(&own, SIZE_MAX / 2);
	(void)job_canonical(s, &own);
	sha256_bytes(buf_str(&own), own.len, key);
	buf_release(&own);
}

void job_label(const struct job_spec *s, char *out, size_t size)
{
	char opt[24] = "", hybrid[48] = "", number[32];

	if (s->opt != 0)
		(void)snprintf(opt, sizeof(opt), "/opt-%d", s->opt);
	if (s->hybrid != 0) {
		json_format_number(s->hybrid, number);
		(void)snprintf(hybrid, sizeof(hybrid), "/hybrid-%s", number);
	}
	(void)snprintf(out, size, "%s/%s%s%s/%s%s%s", s->model, s->engine,
		       s->platform[0] ? "/" : "", s->platform, s->quant, opt, hybrid);
}

/* orchestrator/measure/measure.h -- one artifact, tried where it will run: what is asked
 * (prompts), where (a target: endpoint, serve or board), and what came of it (a result).
 *
 * All of this blocks. It runs in `quern bench`, and for `quern run` in a child of quern, `quern
 * measure-job`, never in the loop. Order: measure_prompts_read(), a target's ..._new(),
 * measure_run(), which calls prepare, ask for each prompt, release; then measure_target_free().
 *
 * A target is foreign: what it says is bounded, checked, and told with who counted it. */
#ifndef QUERN_ORCHESTRATOR_MEASURE_H
#define QUERN_ORCHESTRATOR_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/json.h"
#include "orchestrator/measure/where.h"

/* ---- what is asked: docs/measuring.md, "Prompts" */

#define MEASURE_PROMPTS_MAX 256	   /* of a set */
#define MEASURE_PROMPT_BYTES 65536 /* of one prompt */
#define MEASURE_TOKENS_MAX 32768   /* new_tokens of one prompt */

struct measure_prompt {
	const char *name;   /* unique in its set; letters, digits, '.', '_', '-' */
	const char *system; /* NULL: none */
	const char *text;
	int new_tokens; /* at most so many are asked for */
	/* of a quality prompt */
	const char *language; /* "en" ...: what the answer should be in; NULL: any */
	const char *const
		*topic; /* words of which an answer should have some; n 0: those of text */
	size_t n_topic;
};

struct measure_prompt_set {
	const char *name;
	const char *hash; /* "sha256:" and hex digits of the file's content */
	struct measure_prompt *performance, *quality;
	size_t n_performance, n_quality;
};

/* One JSON file, everything in a. ERR_INVALID with line and column where it is known. */
int measure_prompts_load(struct arena *a, const char *path, struct measure_prompt_set *out,
			 struct err *e);
int measure_prompts_read(struct arena *a, const char *text, size_t len,
			 struct measure_prompt_set *out, struct err *e);

/* ---- what is tried, and how */

struct measure_options {
	const struct measure_where *where;
	const struct measure_prompt_set *prompts;
	int runs, warmup;   /* of each performance prompt; quality prompts are asked once */
	int64_t timeout_ms; /* of the whole */
	int64_t answer_ms;  /* of one answer */
	const char *dir;    /* ours, absolute, there: server.log, and what a target wants to keep */
	/* the artifact */
	const char *artifact; /* absolute folder or file */
	const char *file;     /* absolute: its main file */
	const char
		*source;   /* absolute folder or GGUF file that it was made from; NULL: not known */
	const char *label; /* "kjv-llama/gguf/Q8_0"; for messages */
	const char *name;  /* file name without extension: what {name} is */
	const char *model, *engine, *platform, *quant; /* "" when not known */
	const char *toolkit; /* version of the vendor's toolkit that made it; NULL: not known */
	int64_t max_context; /* compiled into the file; 0: not known */
	int npu_cores;	     /* likewise */
	/* may be NULL; from the calling thread */
	void (*progress)(void *ctx, const char *stage, int done, int total);
	void *ctx;
};

/* Stop asked for by a signal (measure_stop_on_signals()): a target that waits looks at it and
 * returns ERR_CANCELLED. */
void measure_stop_on_signals(void);
bool measure_stopped(void);
/* ms of timeout_ms that are left, at least 0; counted from measure_run(). */
int64_t measure_left_ms(const struct measure_options *o);

/* ---- what came of it */

enum measure_counter {		      /* who counted tokens and times */
		       COUNTED_NOT,   /* nobody */
		       COUNTED_USAGE, /* tokens: `usage` of the server's answer; times: our clock */
		       COUNTED_TIMINGS,	  /* tokens and times: `timings` of the server's answer */
		       COUNTED_TOKENIZER, /* tokens: the model's tokenizer, here (counting.h);
					     times: our clock */
		       COUNTED_CHUNKS, /* tokens: pieces of the stream, which may hold more than one
					*/
		       COUNTED_RUNTIME, /* tokens and times: the board's runtime (RKLLMPerfStat) */
		       COUNTED_COUNT
};
const char *measure_counter_name(enum measure_counter c); /* "usage" ... */

#define MEASURE_ANSWER_MAX ((size_t)1 << 20) /* bytes of an answer that are kept */

/* One answer to one prompt. Unknown: -1. */
struct measure_answer {
	struct buf text; /* bytes as they came; init and release are the caller's */
	int64_t prompt_tokens, new_tokens;
	double ttft_ms;	    /* from asking to the first piece of the answer */
	double prompt_ms;   /* prefill; unknown: prompt tokens/s are counted over ttft_ms */
	double generate_ms; /* after the first token */
	double total_ms;
	int64_t memory_bytes; /* peak of what runs the model, as it says */
	enum measure_counter counted_by;
	int64_t cached_tokens; /* of prompt_tokens, taken from an earlier prompt: those were not
				  read now, and prompt tokens/s is not to be believed */
	bool cut;	       /* it was ended because it reached new_tokens */
};

struct measure_stat {
	int n; /* runs counted; 0: not known, and the rest is meaningless */
	double mean, median, min, max;
};

struct measure_row { /* one performance prompt over all runs */
	const char *prompt;
	int64_t seqlen, new_tokens; /* of the prompt, and generated (median); -1 unknown */
	struct measure_stat ttft_ms, prompt_per_s, generate_per_s, total_ms;
};

struct measure_fact { /* "server", "llama.cpp b4567"; "driver", "0.9.8" ... */
	const char *name, *value;
};

/* Kinds of warnings; these words stand in jobs.yaml (hold), in the store and in --json. */
#define MEASURE_WARN_GARBAGE "garbage"	     /* an answer is no language */
#define MEASURE_WARN_MISMATCH "mismatch"     /* the target says the file is not what the job is */
#define MEASURE_WARN_REGRESSION "regression" /* slower than before */
#define MEASURE_WARN_TARGET "target"	     /* clocks not fixed, memory not told ... */

struct measure_warning {
	const char *kind;   /* one of the above */
	const char *prompt; /* "" when it is about no single one */
	const char *text;   /* one sentence */
};

#define MEASURE_FACTS_MAX 32
#define MEASURE_WARNINGS_MAX 64

struct measure_result {
	struct arena *a; /* of all texts; the caller's */
	enum measure_kind kind;
	const char *machine; /* what it is, for people; cards publish it: "RK3588, 8 cores" */
	const char *host;    /* which one it is; stays in the store: "ssh://10.0.0.7:22" */
	struct measure_fact versions[MEASURE_FACTS_MAX];
	size_t n_versions;
	const char *prompts, *prompts_hash;
	int64_t at_ms; /* wall clock at the start */
	int runs, warmup;
	struct measure_row *rows; /* as many as performance prompts */
	size_t n_rows;
	int64_t memory_bytes; /* peak; -1: not told */
	enum measure_counter counted_by;
	int quality_asked, quality_bad;
	struct measure_warning warnings[MEASURE_WARNINGS_MAX];
	size_t n_warnings, more_warnings; /* more: that were only counted */
};

/* Texts are copied into r->a, made visible and cut to 512 bytes; what is too many is counted. */
void measure_say_version(struct measure_result *r, const char *name, const char *value);
void measure_warn(struct measure_result *r, const char *kind, const char *prompt, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));

/* One line of canonical JSON, and back. Foreign bytes on the way back. */
void measure_result_write(struct json_out *w, const struct measure_result *r);
int measure_result_read(struct arena *a, const struct json *v, struct measure_result *out,
			struct err *e);
/* Warn in `now` about what is slower, or takes more memory, than in `before` by more than
 * `threshold` (0.1: a tenth); medians, prompt by prompt. Nothing when the two cannot be compared:
 * other prompts, another machine; tokens/s only when
 * tokens were counted alike. when: of `before`, for the sentences. Returns how many. */
int measure_compare(struct measure_result *now, const struct measure_result *before,
		    double threshold, const char *when);
/* The row that stands for the whole in a table of one line: the first; NULL without rows. */
const struct measure_row *measure_main_row(const struct measure_result *r);

/* ---- a target: what endpoint, serve and board implement */

struct measure_target;
struct measure_target_ops {
	/* Everything up to the point where the model can be asked: wait for health, load, copy,
	 * fix clocks, start. Says machine and versions into r. ERR_BUSY: not there (later it may
	 * be); ERR_ENV: something is missing, with the fix; ERR_INVALID: it refuses this file. On
	 * failure release is called as well. */
	int (*prepare)(struct measure_target *t, struct measure_result *r, struct err *e);
	/* One prompt, greedy (temperature 0, top_k 1), with no history. out is clean; what is not
	 * known stays -1. ERR_BUSY: broken off; ERR_IO: an answer that is none. */
	int (*ask)(struct measure_target *t, const struct measure_prompt *p,
		   struct measure_answer *out, struct err *e);
	/* Undo prepare: unload, end what was started, restore clocks, remove what was copied.
	 * Called once after every prepare, also after failures and signals, and must end within
	 * seconds. What could not be undone is a warning in r. */
	void (*release)(struct measure_target *t, struct measure_result *r);
	void (*free)(struct measure_target *t);
};
struct measure_target { /* the first member of each implementation's struct */
	const struct measure_target_ops *ops;
	const struct measure_options *o;
};

/* o->where->kind says which; o must stay. ERR_INVALID: what the settings lack. */
int measure_endpoint_new(const struct measure_options *o, struct measure_target **out,
			 struct err *e);
int measure_serve_new(const struct measure_options *o, struct measure_target **out, struct err *e);
int measure_board_new(const struct measure_options *o, struct measure_target **out, struct err *e);
int measure_target_new(const struct measure_options *o, struct measure_target **out,
		       struct err *e);		    /* one of these */
void measure_target_free(struct measure_target *t); /* NULL is fine */

/* The whole: prepare, warm up, ask, judge, release. out->a is the caller's; out is complete on
 * success only. */
int measure_run(struct measure_target *t, struct measure_result *out, struct err *e);

#endif

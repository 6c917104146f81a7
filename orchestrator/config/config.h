/* orchestrator/config/config.h -- jobs.yaml as a struct. Every fault of the file is collected as
 * "file:line:column: what is wrong; what would be right" before anything starts. docs/jobs-yaml.md
 * has the whole grammar. */
#ifndef QUERN_ORCHESTRATOR_CONFIG_H
#define QUERN_ORCHESTRATOR_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/err.h"
#include "orchestrator/config/faults.h"
#include "orchestrator/measure/where.h"

struct model {
	const char *name;	   /* given, or the last part of id/path/fake spec */
	const char *id, *revision; /* a Hub repository; revision defaults to "main" */
	const char *path;	   /* absolute (relative ones are relative to the file) */
	const char *fake;	   /* spec for quern-fake; exactly one of id, path, fake is set */
	const char *lora, *lora_revision;
	int trust_remote_code; /* code that the checkpoint brings may run */
	const char *lora_path; /* absolute; a local adapter, in place of lora */
	const char *file;      /* the GGUF file of id or path that is meant; NULL: the only one */
	int priority;	       /* higher goes first */
	struct mark at;
};

struct string_list {
	const char **v;
	size_t n;
	struct mark *at; /* of each; NULL for lists that are not from a file */
};

/* A folder of the user's with a toolkit that an engine drives: a Python virtual environment. */
struct environment {
	const char *path;    /* absolute */
	const char *version; /* of the toolkit, without a local part; given, or found there by
				environments_look(); NULL: neither */
	const char *name; /* tells it from others of its version, and enters the key; NULL: none */
	int gpu;	  /* -1: as the machine has it */
	struct string_list architectures; /* globs of the only ones that it is for; n 0: all */
	struct mark at, version_at;
	/* of environments_look() */
	const char *python; /* its interpreter; NULL: see fault */
	const char *prefix; /* what else its Python is made of; NULL: nothing outside /usr */
	const char *fault;  /* NULL, or why it cannot be used, and the fix */
};

struct engine_settings { /* one entry of `engines` */
	const char *engine;
	struct mark at;
	struct environment *environments; /* in the order in which they are tried */
	size_t n_environments;
};

struct number_list {
	double *v;
	size_t n;
};
struct int_list {
	int *v;
	size_t n;
};
struct param { /* one member of `with`, in file order */
	const char *name;
	const char *value; /* canonical JSON of the value */
	struct mark at, name_at;
	/* of a file, after files_look() */
	const char *path; /* absolute; NULL: no file, or one in the model's folder */
	const char *hash; /* of its content, "sha256:" and hex digits */
};

struct target { /* one entry of targets: a product of its lists */
	const char *engine;
	struct string_list platform; /* n 0: the engine decides (none, or an error) */
	int platform_is_default;     /* from `defaults`: not for engines without platforms */
	struct string_list quant;
	struct number_list hybrid; /* from defaults when absent; never empty */
	struct int_list opt;
	struct string_list models; /* `model:` globs over names; n 0: all */
	struct param *with;
	size_t n_with;
	struct int_list allow;	   /* rules of the engine that only warn here */
	int priority;		   /* added to the model's */
	struct mark at, engine_at; /* of the entry; of the engine's name */
};

struct pattern { /* one entry of exclude: every field given must match (a list: any of it) */
	struct string_list model, engine, platform, quant; /* globs; n 0: anything */
	struct number_list hybrid;
	struct int_list opt;
	struct mark at;
};

/* What a measurement may find that holds publication: bits. */
enum measure_hold {
	MEASURE_HOLD_GARBAGE = 1,
	MEASURE_HOLD_MISMATCH = 2,
	MEASURE_HOLD_REGRESSION = 4,
	MEASURE_HOLD_FAILED = 8, /* it could not be measured */
};

struct measure_stage {	     /* one entry of measure */
	const char *name;    /* default: the kind, with a number behind it when it is taken */
	struct pattern when; /* jobs it is for; empty: all */
	struct measure_where where;
	const char *prompts; /* absolute; NULL: quern's own */
	const char *machine; /* what cards call it; NULL: as the target says */
	int runs, warmup;    /* default 3 and 1 */
	unsigned hold;	     /* bits of enum measure_hold; 0: publication does not wait */
	double regression;   /* share; 0: not compared. Default 0.1 */
	int alone;	     /* while nothing else is in work; default: of serve */
	int64_t timeout_ms;  /* of one measurement; default 30 min */
	int64_t answer_ms;   /* of one answer; default 5 min */
	int64_t wait_ms;     /* publication waits so long at most; default 1 h */
	int64_t again_ms;    /* measure again when the last one is so old; 0: never */
	struct mark at, prompts_at;
};

enum keep {
	KEEP_ALL,
	KEEP_NONE, /* artifacts leave the disk after a confirmed upload */
};

struct cause;
struct retry_rule { /* one entry of retry.causes */
	const struct cause *cause;
	int policy;		   /* enum cause_policy; -1: that of the cause */
	struct string_list ladder; /* n 0: the engine's, or the cause's own */
	int attempts;		   /* 0: retry.attempts */
	int64_t backoff_ms;	   /* -1: retry.backoff */
	struct mark at;
};

enum notify_on {
	NOTIFY_END,	/* each run that did something */
	NOTIFY_FAILURE, /* those that end with another code than 0 */
};

struct notify {			    /* one entry of notify: exactly one of command, url */
	struct string_list command; /* program and arguments; gets JSON on standard input */
	const char *url;	    /* JSON is posted there */
	enum notify_on on;
	int attempts;	    /* default 4 */
	int64_t backoff_ms; /* default 2 s, doubled each time */
	int64_t timeout_ms; /* of one attempt; default 30 s */
	struct mark at;
};

enum upload_hub_kind { HUB_NONE, HUB_LOCAL, HUB_GIT, HUB_HTTP };
enum upload_when { UPLOAD_END, UPLOAD_MODEL, UPLOAD_JOB };

struct config {
	const char *file;	/* as given, for messages */
	struct string_list set; /* what --set changed, as it was given */
	const char *dir;	/* absolute folder of the file */
	const char *name;	/* default: the file's base name without .yaml */
	const char *work;	/* absolute; default DIR/.quern */
	struct model *models;
	size_t n_models;
	struct target *targets;
	size_t n_targets;
	struct pattern *exclude;
	size_t n_exclude;
	struct target
		*include; /* single points or lists, added after exclusion; `model:` allowed */
	size_t n_include;
	struct engine_settings *engines;
	size_t n_engines;
	struct measure_stage *measure;
	size_t n_measure;
	const char *window;  /* run.window, checked; NULL: any time */
	const char *metrics; /* absolute; NULL: none are written */
	struct notify *notify;
	size_t n_notify;
	struct {
		int jobs;		     /* default: processors / 2, at least 1 */
		int threads;		     /* per job; default: processors / jobs, at least 1 */
		uint64_t memory_bytes;	     /* default: 80 % of MemTotal */
		uint64_t disk_reserve_bytes; /* default 1 GiB */
		enum keep keep;		     /* default all */
		int64_t timeout_ms;	     /* wall clock of one attempt; default 6 h */
		int64_t stall_ms;	     /* no progress for so long ends it; default 30 min */
		int64_t grace_ms;	     /* after SIGTERM before SIGKILL; default 10 s */
	} resources;
	struct {
		int attempts;		/* default 3 */
		int64_t backoff_ms;	/* first wait, doubled each time; default 30 s */
		int64_t backoff_max_ms; /* default 1 h */
		struct retry_rule *rules;
		size_t n_rules;
	} retry;
	struct {
		enum upload_hub_kind kind; /* HUB_NONE when the section is absent */
		const char *hub;	   /* "local" or the URL */
		const char *namespace_;	   /* default "local" for hub: local, else required */
		const char *repo;	   /* template; NULL: the engine's, else "{model}" */
		const char *file; /* template; NULL: the engine's, else names with what varies */
		int is_private;
		int hold;
		int jobs;		    /* files and parts in flight; default 8 */
		int pull_request;	    /* propose commits instead of making them */
		const char *user;	    /* beside the token of a git server; "": any */
		enum upload_when when;	    /* default end */
		struct string_list exclude; /* globs over file names that are never published */
		const char *quantized_by;   /* for cards; default: namespace, when it is given */
		const char *card;	    /* the user's template, absolute; NULL: quern's own */
		struct mark card_at;
		const char *card_text; /* of card_load() */
	} upload;
};

/* Artifacts leave after their upload. Without an upload they never do. */
int config_drops_artifacts(const struct config *c);

/* Numbers that `priority` may be. */
#define PRIORITY_MAX 1000

struct config_set { /* --set key=value: "resources.jobs=4"; value is YAML */
	const char **v;
	size_t n;
};

/* Read and check. Returns 0 with *out in arena a; ERR_INVALID with f filled (e holds a summary),
 * and then *out is what could be read, for matrix_check() to find more faults in, and for nothing
 * else; ERR_NOTFOUND, ERR_IO when the file cannot be read. */
int config_load(struct arena *a, const char *path, const struct config_set *set, struct faults *f,
		struct config **out, struct err *e);
/* The same from memory; path only names it. For tests and fuzzing. */
int config_parse(struct arena *a, const char *path, const char *dir, const char *text, size_t len,
		 const struct config_set *set, struct faults *f, struct config **out,
		 struct err *e);
/* What an entry of measure has when nothing is said; also for quern bench. */
void config_measure_defaults(struct measure_stage *s);
/* Words of a command line as a shell would divide them, without its other meanings. NULL: a quote
 * has no end. NULL-ended. */
const char *const *config_split_words(struct arena *a, const char *text, size_t *n);

#endif

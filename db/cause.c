/* db/cause.c -- see cause.h. */
#include "db/cause.h"

#include <string.h>

#include "core/mem.h"
#include "core/units.h"

/* clang-format off */
const struct cause causes[] = {
	{ "out of memory", "oom", CAUSE_CHANGED, "alone, memory x2", true,
	  "it, or a process of it, got no more memory",
	  "lower resources.jobs, or run it where there is more memory", true },
	{ "killed", "sigkill", CAUSE_CHANGED, "alone", false,
	  "somebody sent SIGKILL: a person, or the kernel for want of memory",
	  "somebody ended it, or the kernel for want of memory: lower resources.jobs", true },
	{ "disk full", "enospc", CAUSE_LATER, "", true,
	  "there was no room to write",
	  "make room below the work folder; quern gc frees what no job needs", true },
	{ "timeout", "", CAUSE_CHANGED, "time x2", true,
	  "it took longer than resources.timeout",
	  "raise resources.timeout in the jobs file", true },
	{ "stall", "hang", CAUSE_LATER, "", false,
	  "no progress for resources.stall",
	  "see in the log where it stood still; raise resources.stall if it was at work", true },
	{ "log too large", "log", CAUSE_STOP, "", false,
	  "its log grew beyond 64 MiB",
	  "its log says what it complained of", false },
	{ "folder too large", "folder", CAUSE_STOP, "", false,
	  "it filled its job folder: more than 20,000 files, or four times what was expected and 4 GiB",
	  "its log says what it wrote; an engine that needs so much says it in its manifest", false },
	{ "crash", "signal", CAUSE_LATER, "", true,
	  "a signal, or an exit code that the protocol does not have",
	  "a fault of the worker: its log has what it said last", false },
	{ "missing dependency", "dependency", CAUSE_STOP, "", true,
	  "a package or library that it needs is not there, or too old",
	  "quern doctor says what is missing", true },
	{ "unsupported architecture", "architecture", CAUSE_STOP, "", true,
	  "the engine, or this version of its toolkit, does not know the model",
	  "another version of the toolkit may know the model; else exclude it", false },
	{ "illegal parameters", "parameters", CAUSE_STOP, "", true,
	  "these parameters cannot work for this model",
	  "change the parameters in the jobs file, or exclude the point", false },
	{ "refused", "", CAUSE_STOP, "", false,
	  "the worker refuses this input or these parameters, and says no more",
	  "these settings cannot work for this model: exclude them", false },
	{ "bad source", "bad source file", CAUSE_STOP, "", true,
	  "a file of the model is damaged, or of a form that cannot be converted",
	  "correct the model's files, or name another source", true },
	{ "source", "", CAUSE_STOP, "", false,
	  "the model could not be made, found or fetched",
	  "correct the model in the jobs file", true },
	{ "gated", "", CAUSE_STOP, "", true,
	  "the hub shows the model only to those who may see it",
	  "accept the model's terms on its page, and give quern that account's token", true },
	{ "network", "", CAUSE_LATER, "", true,
	  "a hub could not be reached, or a connection broke",
	  "look at the connection", true },
	{ "hub limit", "rate limit", CAUSE_LATER, "", true,
	  "a hub asked to be left alone for a while",
	  "wait until the hub takes requests again", true },
	{ "bad output", "output", CAUSE_LATER, "", true,
	  "what it made is not what it says, or not what was asked for",
	  "the worker's file is not what it says", false },
	{ "environment", "env", CAUSE_STOP, "", false,
	  "this machine lacks something, or the engine's environment is gone",
	  "quern doctor says what is missing", true },
	{ "launch", "", CAUSE_LATER, "", false,
	  "its process or its sandbox could not be started",
	  "quern doctor says what is missing", true },
	{ "protocol", "", CAUSE_STOP, "", false,
	  "the worker does not speak the protocol",
	  "the engine does not follow docs/worker-protocol.md", false },
	{ "io", "", CAUSE_LATER, "", false,
	  "quern itself could not read or write something below the work folder",
	  "look at the disk that the work folder is on", true },
	{ "failed", "unknown", CAUSE_LATER, "", false,
	  "none of these: only the worker's words tell",
	  "", false },
	{ "interrupted", "", CAUSE_LATER, "", false,
	  "the run was ended; the attempt does not count",
	  "", true },
};

/* In the words of the C library, the kernel, Python and CUDA. */
static const struct {
	const char *glob, *cause;
} signs[] = {
	{ "*No space left on device*", "disk full" },
	{ "*Disk quota exceeded*", "disk full" },
	{ "*Cannot allocate memory*", "out of memory" },
	{ "*std::bad_alloc*", "out of memory" },
	{ "*MemoryError*", "out of memory" },
	{ "*CUDA out of memory*", "out of memory" },
	{ "*[Oo]ut of memory*", "out of memory" },
	{ "*ModuleNotFoundError:*", "missing dependency" },
	{ "*ImportError:*", "missing dependency" },
	{ "*cannot open shared object file*", "missing dependency" },
	{ "*429 *Too Many Requests*", "hub limit" },
	{ "*Temporary failure in name resolution*", "network" },
	{ "*Connection refused*", "network" },
	{ "*Connection reset by peer*", "network" },
	{ "*Network is unreachable*", "network" },
};
/* clang-format on */

const size_t n_causes = ARRAY_LEN(causes);

static const char *const policies[] = {
	[CAUSE_STOP] = "stop",
	[CAUSE_LATER] = "later",
	[CAUSE_CHANGED] = "changed",
};

const struct cause *cause_find(const char *name)
{
	for (size_t i = 0; name && name[0] && i < n_causes; i++) {
		if (strcmp(causes[i].name, name) == 0 || strcmp(causes[i].also, name) == 0)
			return &causes[i];
	}
	return NULL;
}

const char *cause_nearest(const char *word)
{
	const char *names[2 * ARRAY_LEN(causes)];
	size_t n = 0;

	for (size_t i = 0; i < n_causes; i++) {
		names[n++] = causes[i].name;
		if (causes[i].also[0])
			names[n++] = causes[i].also;
	}
	return nearest_name(word, names, n);
}

const char *cause_policy_name(enum cause_policy p)
{
	return (size_t)p < ARRAY_LEN(policies) ? policies[p] : "?";
}

int cause_policy_parse(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(policies); i++) {
		if (strcmp(policies[i], name) == 0)
			return (int)i;
	}
	return -1;
}

const char *cause_of_words(const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (glob_match(signs[i].glob, line))
			return signs[i].cause;
	}
	return NULL;
}

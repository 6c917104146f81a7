#include "orchestrator/run/oom.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "core/units.h"

#define EXIT_OF_KILLED 137 /* a shell's 128 + SIGKILL, for the child it waited for */

/* What programs say that got no memory, in any case of letters. Sources: Python's MemoryError,
 * libstdc++ and libc++ (what() of bad_alloc), strerror(ENOMEM) of glibc and musl, core/mem.c,
 * PyTorch's DefaultCPUAllocator, NumPy, Rust's handle_alloc_error, Go's runtime, Java. */
static const char *const words[] = { "memoryerror",
				     "std::bad_alloc",
				     "cannot allocate memory",
				     "out of memory",
				     "can't allocate memory",
				     "unable to allocate",
				     "not enough memory",
				     "memory allocation of",
				     "outofmemoryerror",
				     "enomem" };

/* What parents say of a child that got SIGKILL: subprocess, multiprocessing, shells, loky. */
static const char *const child_words[] = { "died with <signals.sigkill",
					   "exit status -9",
					   "exitcode: -9",
					   "exitcode -9",
					   "exit code -9",
					   "returned -9",
					   "sigkill",
					   "exit code 137",
					   "signal: 9",
					   "signal 9",
					   "\nkilled" };

static const char *find_word(const char *text, const char *const *list, size_t n)
{
	for (const char *p = text; *p; p++) {
		for (size_t i = 0; i < n; i++) {
			if (strncasecmp(p, list[i], strlen(list[i])) == 0)
				return *p == '\n' ? p + 1 : p;
		}
	}
	return NULL;
}

/* The line of text that at lies in. */
static void whole_line(const char *text, const char *at, char *out, size_t size)
{
	const char *begin = at;

	while (begin > text && begin[-1] != '\n')
		begin--;
	snprintf(out, size, "%.*s", (int)strcspn(begin, "\n"), begin);
}

static bool at_limit(uint64_t peak_bytes, uint64_t limit_bytes)
{
	return limit_bytes && peak_bytes > limit_bytes / 10 * 9;
}

bool oom_words_count(const char *cause, uint64_t peak_bytes, uint64_t limit_bytes)
{
	if (strcmp(cause, "failed") == 0 || strcmp(cause, "crash") == 0)
		return at_limit(peak_bytes, limit_bytes);
	return strcmp(cause, "environment") == 0;
}

static bool memory_was_short(const struct oom_facts *f)
{
	/* Nine tenths of its limit, or the machine was down to what the peak is short of. */
	if (at_limit(f->peak_bytes, f->limit_bytes))
		return true;
	return f->available_bytes != UINT64_MAX && f->peak_bytes &&
	       f->available_bytes < f->peak_bytes / 8;
}

static enum oom killed(const struct oom_facts *f, const char *who, char *line)
{
	char had[24], left[24] = "an unknown amount";

	if (!memory_was_short(f))
		return OOM_NO;
	units_format_size(f->peak_bytes, had, sizeof(had));
	if (f->available_bytes != UINT64_MAX)
		units_format_size(f->available_bytes, left, sizeof(left));
	snprintf(line, OOM_LINE_MAX,
		 "%s, which nobody here sent, when it had %s of memory and the machine %s left",
		 who, had, left);
	return OOM_LIKELY;
}

enum oom oom_evidence(const struct oom_facts *f, char line[OOM_LINE_MAX])
{
	const char *const texts[] = { f->said ? f->said : "", f->log ? f->log : "" };
	char limit[24], said[250];
	const char *at;

	line[0] = '\0';
	if (f->watch && f->watch[0]) {
		snprintf(line, OOM_LINE_MAX, "%s", f->watch);
		return OOM_SEEN;
	}
	if (f->cgroup_kills) {
		units_format_size(f->limit_bytes, limit, sizeof(limit));
		snprintf(line, OOM_LINE_MAX,
			 "the kernel ended it at its limit of %s (memory.events of its cgroup: "
			 "oom_kill %llu)",
			 limit, (unsigned long long)f->cgroup_kills);
		return OOM_SEEN;
	}
	if (f->kernel_line) {
		snprintf(line, OOM_LINE_MAX, "the kernel's log: %.300s", f->kernel_line);
		return OOM_SEEN;
	}
	if (f->ended_by_us)
		return OOM_NO;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		at = find_word(texts[i], words, ARRAY_LEN(words));
		if (!at)
			continue;
		whole_line(texts[i], at, said, sizeof(said));
		snprintf(line, OOM_LINE_MAX, "its own words: %s", said);
		return OOM_SAID;
	}
	if (f->signal == SIGKILL)
		return killed(f, "SIGKILL", line);
	if (f->exit_code == EXIT_OF_KILLED)
		return killed(f, "SIGKILL to a process of it", line);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (find_word(texts[i], child_words, ARRAY_LEN(child_words)))
			return killed(f, "SIGKILL to a process of it", line);
	}
	return OOM_NO;
}

/* workers/fake/main.c -- quern-fake: models in real shapes without their weights,
 * from the command line, and as a worker of the engine "fake"
 * (docs/worker-protocol.md). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/units.h"
#include "workers/common/protocol.h"
#include "workers/fake/model.h"
#include "workers/fake/texts.h"
#include "workers/fake/verbs.h"

static volatile sig_atomic_t stopped_by;

static void on_signal(int sig)
{
	stopped_by = sig;
}

static int keep_going(uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	return stopped_by;
}

/* Interrupted, we clean up first and then end as the signal would have ended us. */
static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
}

static int fail(const struct err *e)
{
	fprintf(stderr, "quern-fake: %s\n", e->msg);
	return worker_exit_of(e);
}

static int usage(void)
{
	fputs("usage: quern-fake make [--force] SPEC DIR\n"
	      "       quern-fake describe SPEC\n"
	      "       quern-fake list\n"
	      "       quern-fake convert job.json\n"
	      "       quern-fake validate job.json\n",
	      stderr);
	return WORKER_USAGE;
}

static void say_made(const struct fake_spec *spec, const char *dir)
{
	struct fake_totals t;
	char size[24];

	fake_totals(spec, &t);
	units_format_size(t.size_bytes, size, sizeof(size));
	printf("%s: %s, %.1f million weights, %s\n", dir, fake_architecture(spec),
	       (double)t.params / 1e6, size);
}

static int make(int argc, char **argv)
{
	struct fake_spec spec;
	struct err e = ERR_INIT;
	const char *words[2];
	int force = 0, n = 0, rc;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--force") == 0)
			force = 1;
		else if (n == 2)
			return usage();
		else
			words[n++] = argv[i];
	}
	if (n != 2)
		return usage();
	rc = fake_spec_parse(words[0], &spec, &e);
	if (rc == 0) {
		catch_signals();
		rc = fake_model_make(&spec, words[1], force, keep_going, &e);
	}
	if (rc == ERR_CANCELLED && stopped_by) {
		signal(stopped_by, SIG_DFL);
		raise(stopped_by);
	}
	if (rc < 0)
		return fail(&e);
	say_made(&spec, words[1]);
	return WORKER_OK;
}

static int describe(int argc, char **argv)
{
	struct fake_spec spec;
	struct err e = ERR_INIT;
	struct buf b;

	if (argc != 1)
		return usage();
	if (fake_spec_parse(argv[0], &spec, &e) < 0)
		return fail(&e);
	buf_init(&b, 65536);
	fake_describe(&spec, &b);
	fputs(buf_str(&b), stdout);
	buf_release(&b);
	return fflush(stdout) == 0 ? WORKER_OK : WORKER_FAILED;
}

static int list(int argc, char **argv)
{
	const struct fake_spec *s;

	(void)argv;
	if (argc != 0)
		return usage();
	printf("%-16s %-18s %6s %7s %7s %8s %10s %6s\n", "SPEC", "ARCHITECTURE", "LAYERS", "HIDDEN",
	       "FFN", "VOCAB", "WEIGHTS", "SIZE");
	for (size_t i = 0; (s = fake_preset(i)) != NULL; i++) {
		struct fake_totals t;
		char size[24];

		fake_totals(s, &t);
		units_format_size(t.size_bytes, size, sizeof(size));
		printf("%-16s %-18s %6llu %7llu %7llu %8llu %9.1fM %s\n", s->preset,
		       fake_architecture(s), (unsigned long long)s->layers,
		       (unsigned long long)s->hidden, (unsigned long long)s->ffn,
		       (unsigned long long)s->vocab, (double)t.params / 1e6, size);
	}
	puts("\nSPEC may change any of them: llama-1b:layers=4,fill=random,shard=1GB\n"
	     "keys: layers hidden ffn heads kv_heads head_dim vocab ctx tie=true|false "
	     "dtype=BF16|F16|F32\n      fill=zero|random seed shard");
	return fflush(stdout) == 0 ? WORKER_OK : WORKER_FAILED;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = { { "make", make },
		      { "describe", describe },
		      { "list", list },
		      { "convert", fake_convert },
		      { "validate", fake_validate } };

	signal(SIGPIPE, SIG_IGN); /* whoever listened may go; the work is done all the same */
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0) {
			int rc = verbs[i].run(argc - 2, argv + 2);

			return rc < 0 ? usage() : rc;
		}
	}
	return usage();
}

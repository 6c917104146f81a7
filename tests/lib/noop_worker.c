/* tests/lib/noop_worker.c -- a worker that does next to nothing, or one thing
 * wrong: the parameter "mode" says which. It speaks the protocol by hand and
 * links nothing of quern, as a stranger would. Small and static: benchmarks of
 * the scheduler start it thousands of times. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char content[] = "quern\n";
#define CONTENT_SHA "37e14a107ffd2b34ff7ecb364002a796b9cbf553cfead74bb825e326857c45f0"

static char job[65536];

/* The text behind "name": in job.json, up to the next quote, comma or brace; "" when absent. */
static const char *field(const char *name, char *out, size_t size)
{
	char key[64];
	const char *p;
	size_t n;

	snprintf(key, sizeof(key), "\"%s\":", name);
	p = strstr(job, key);
	out[0] = '\0';
	if (!p)
		return out;
	p += strlen(key);
	p += strspn(p, " \"");
	n = strcspn(p, "\",}\n");
	snprintf(out, size, "%.*s", (int)n, p);
	return out;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		fprintf(stderr, "noop: %s: %s\n", path, strerror(errno));
		_exit(1);
	}
	close(fd);
}

/* What it says it made: what was asked for, unless the mode is to say nothing, or something else.
 */
static const char *facts(const char *mode)
{
	static char text[400];
	char quant[80], hybrid[40], opt[20];

	if (strcmp(mode, "unsure") == 0)
		return "{}";
	if (strcmp(mode, "other") == 0)
		return "{\"quant\":\"other\"}";
	snprintf(text, sizeof(text), "{\"quant\":\"%s\",\"hybrid\":%s,\"opt\":%s}",
		 field("quant", quant, sizeof(quant)), field("hybrid", hybrid, sizeof(hybrid)),
		 field("opt", opt, sizeof(opt)));
	return text;
}

static void result(const char *name, const char *sha)
{
	char text[1024], temp[64], mode[32];

	snprintf(temp, sizeof(temp), "result.json.tmp-%d", (int)getpid());
	snprintf(text, sizeof(text),
		 "{\"protocol\":1,\"status\":\"ok\",\"files\":[{\"path\":\"%s\",\"size\":%zu,"
		 "\"sha256\":\"%s\"}],\"facts\":%s}\n",
		 name, strlen(content), sha, facts(field("mode", mode, sizeof(mode))));
	put(temp, text);
	if (rename(temp, "result.json") != 0)
		_exit(1);
}

static void nap(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static void progress(long done, long total)
{
	printf("{\"event\":\"progress\",\"stage\":\"work\",\"done\":%ld,\"total\":%ld,\"unit\":"
	       "\"bytes\"}\n",
	       done, total);
	fflush(stdout);
}

/* At work all the time, and it says so. */
static void work(long ms)
{
	for (long done = 0; done < ms; done += 100) {
		progress(done, ms);
		nap(100);
	}
}

/* A MiB at a time, slowly enough to be seen growing; then it stays a while. pace: so many at a
 * time. */
static void grow(long mib, int shared)
{
	char text[16];
	long pace = atol(field("pace", text, sizeof(text)));

	for (long i = 0; i < mib; i++) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);

		if (p == MAP_FAILED) {
			fprintf(stderr, "noop: %s\n", strerror(errno));
			_exit(1);
		}
		memset(p, 1, 1 << 20);
		if (pace < 2 || i % pace == 0)
			nap(5);
		if (pace > 1 && i % 64 == 0)
			progress(i, mib);
	}
	nap(2000);
}

/* By a child, as toolkits do; away: in a session of its own. */
static int grow_child(long mib, int shared, int away)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (away)
			setsid();
		grow(mib, shared);
		_exit(0);
	}
	waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	fputs("noop: a child of mine is gone\n", stderr);
	return 1;
}

static int need_memory(const char *mode)
{
	char mib[16];
	long n = atol(field("mib", mib, sizeof(mib)));

	if (strcmp(mode, "grow") == 0)
		grow(n, 0);
	else if (strcmp(mode, "grow_child") == 0)
		return grow_child(n, 0, 0);
	else if (strcmp(mode, "grow_shared") == 0)
		return grow_child(n, 1, 0);
	else if (strcmp(mode, "grow_away") == 0)
		return grow_child(n, 0, 1);
	if (strcmp(mode, "speak_oom") == 0) {
		fputs("Traceback (most recent call last):\nMemoryError\n", stderr);
		return 1;
	}
	return 0;
}

/* So many MiB into a file; a disk that is full is said as it is. */
static int fill(const char *path, long n)
{
	static char block[1 << 20];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	for (long i = 0; i < n; i++) {
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block)) {
			fprintf(stderr, "noop: %s: %s\n", path, strerror(errno));
			return 1;
		}
		nap(5);
	}
	close(fd);
	return 0;
}

/* An output of so many MiB, and not of the few bytes that others make. */
static int fat(const char *name, const char *path)
{
	char text[512], mib[16];
	long n = atol(field("mib", mib, sizeof(mib)));

	if (fill(path, n) != 0)
		return 1;
	snprintf(text, sizeof(text),
		 "{\"protocol\":1,\"status\":\"ok\",\"files\":[{\"path\":\"%s\",\"size\":%ld}],"
		 "\"facts\":%s}\n",
		 name, n << 20, facts("fat"));
	put("result.json.tmp", text);
	return rename("result.json.tmp", "result.json") != 0;
}

static void chatter(void)
{
	for (int i = 0; i < 20000; i++)
		puts("{\"event\":\"progress\",\"stage\":\"\\u001b[2J\",\"done\":1,\"total\":2,"
		     "\"unit\":\"x\"}");
	for (int i = 0; i < 200000; i++)
		putchar('x');
	puts("\xff\xfe\x1b[31m");
}

/* What libraries remember at home, and scratch files of a program that was in a hurry. */
static void litter(void)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/.cache", getenv("HOME"));
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/.cache/models", getenv("HOME"));
	put(path, "x");
	snprintf(path, sizeof(path), "%s/scratch", getenv("TMPDIR"));
	put(path, "x");
}

/* A cause of its own choice, or a line of its own. */
static int names_cause(void)
{
	char text[400], cause[64];

	field("cause", cause, sizeof(cause));
	snprintf(text, sizeof(text),
		 "{\"protocol\":1,\"status\":\"error\",\"code\":\"io\","
		 "\"message\":\"its words\",\"cause\":\"%s\"}",
		 cause[0] ? cause : "missing dependency");
	put("result.json", text);
	return 1;
}

static int says(void)
{
	char words[200];

	unlink("result.json");
	fprintf(stderr, "noop: %s\n", field("words", words, sizeof(words)));
	return 1;
}

static void crash(void)
{
	char number[16];

	unlink("result.json");
	raise(field("signal", number, sizeof(number))[0] ? atoi(number) : SIGSEGV);
}

static int misbehave(const char *mode, const char *name)
{
	if (strcmp(mode, "oom") == 0) { /* as a program that catches its own bad_alloc */
		unlink("result.json");
		fputs("noop: std::bad_alloc\n", stderr);
		return 1;
	}
	if (strcmp(mode, "killed") == 0) {
		unlink("result.json");
		raise(SIGKILL);
	}
	if (strcmp(mode, "told") ==
	    0) { /* a line of the log that the manifest knows, then others */
		unlink("result.json");
		fputs("noop: loading\nnoop: the lake is dry: 3 drops\nnoop: cleaning up\n", stderr);
		return 1;
	}
	if (strcmp(mode, "hostile_log") == 0) {
		unlink("result.json");
		for (int i = 0; i < 300000; i++)
			fputs("noop: the lake is noop: the lake is ", stderr);
		fwrite("\n\0\x1b]0;owned\x07 the lake is dry \xff\xfe\n", 1, 38, stderr);
		return 1;
	}
	if (strcmp(mode, "no_space") == 0) {
		unlink("result.json");
		fputs("noop: out/x: No space left on device\n", stderr);
		return 1;
	}
	if (strcmp(mode, "names_cause") == 0)
		return names_cause();
	if (strcmp(mode, "says") == 0)
		return says();
	if (strcmp(mode, "thirsty") == 0) { /* goes well with little precision only */
		char precision[16];

		if (strcmp(field("precision", precision, sizeof(precision)), "low") == 0)
			return 0;
		unlink("result.json");
		fputs("noop: std::bad_alloc\n", stderr);
		return 1;
	}
	if (strcmp(mode, "slow") == 0) { /* for the limit of one attempt, not of two */
		unlink("result.json");
		nap(900);
		put("out/slow", "");
		unlink("out/slow");
		result(name, CONTENT_SHA);
		return 0;
	}
	if (strcmp(mode, "fail") == 0) {
		fputs("noop: it went wrong\n", stderr);
		return 1;
	}
	if (strcmp(mode, "refuse") == 0) {
		put("result.json", "{\"protocol\":1,\"status\":\"error\",\"code\":\"invalid\","
				   "\"message\":\"no such thing\"}");
		return 3;
	}
	if (strcmp(mode, "crash") == 0)
		crash();
	if (strcmp(mode, "late") == 0)
		raise(SIGKILL); /* after its last act: nothing is lost */
	if (strcmp(mode, "hang") == 0) {
		unlink("result.json");
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
	if (strcmp(mode, "lie") == 0)
		result(name, "0000000000000000000000000000000000000000000000000000000000000000");
	if (strcmp(mode, "rubbish") == 0)
		put("result.json", "{\"protocol\":1,\"status\":");
	if (strcmp(mode, "extra") == 0)
		put("out/extra", "x");
	if (strcmp(mode, "link") == 0 && symlink("/etc/passwd", "out/link") != 0)
		return 1;
	if (strcmp(mode, "litter") == 0)
		litter();
	if (strcmp(mode, "silent") == 0)
		unlink("result.json");
	if (strcmp(mode, "chatter") == 0)
		chatter();
	return 0;
}

/* until: a file in the model's folder. Once it is there nothing is wrong: what a person does who
 * mends a machine, and changes neither the job nor its key. */
static int is_mended(void)
{
	char until[64], dir[4096], path[4200];

	if (!field("until", until, sizeof(until))[0])
		return 0;
	snprintf(path, sizeof(path), "%s/%s", field("dir", dir, sizeof(dir)), until);
	return access(path, F_OK) == 0;
}

static int convert(void)
{
	char mode[32], ms[16], mib[16], file[256], name[300], path[320];

	field("mode", mode, sizeof(mode));
	if (is_mended())
		strcpy(mode, "ok");
	field("sleep_ms", ms, sizeof(ms));
	snprintf(name, sizeof(name), "%s.noop", field("file", file, sizeof(file)));
	snprintf(path, sizeof(path), "out/%s", name);
	if (strcmp(mode, "steady") == 0)
		work(atol(ms));
	else if (ms[0])
		nap(atol(ms));
	if (strcmp(mode, "fat") == 0)
		return fat(name, path);
	if (need_memory(mode) != 0 || (strcmp(mode, "fill") == 0 &&
				       fill("scratch", atol(field("mib", mib, sizeof(mib)))) != 0))
		return 1;
	put(path, content);
	result(name, CONTENT_SHA);
	return misbehave(mode, name);
}

static int validate(void)
{
	char mode[32];

	field("mode", mode, sizeof(mode));
	if (is_mended())
		return 0;
	if (strcmp(mode, "ponder") == 0)
		nap(600000);
	if (strcmp(mode, "misread") == 0)
		puts("{\"event\":\"facts\",\"facts\":{\"opt\":77}}");
	if (strcmp(mode, "invalid") != 0)
		return 0;
	fputs("noop: the output is not what it should be\n", stderr);
	return 3;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		return 2;
	fd = open(argv[2], O_RDONLY);
	if (fd < 0 || read(fd, job, sizeof(job) - 1) <= 0)
		return 2;
	return strcmp(argv[1], "convert") == 0	  ? convert()
	       : strcmp(argv[1], "validate") == 0 ? validate()
						  : 2;
}

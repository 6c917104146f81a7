/* tests/lib/hostile_worker.c -- a worker that is after everybody else: the parameter "mode" says
 * how. What it must not be able to do it tries, and prints "GOT IT: ..." to its log when it could;
 * the tests look for that. Speaks the protocol by hand, as noop_worker.c. Static: it runs where
 * nothing else may be read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char content[] = "quern\n";
#define CONTENT_SHA "37e14a107ffd2b34ff7ecb364002a796b9cbf553cfead74bb825e326857c45f0"
#define BOMB 400   /* processes: enough to see that all are ended, few enough for a test machine */
#define MANY 22000 /* files */

static char job[65536], mode[32], name[300];

/* The text behind "key": in job.json, up to the next quote, comma or brace; "" when absent. */
static const char *field(const char *key, char *out, size_t size)
{
	char wanted[64];
	const char *p;

	snprintf(wanted, sizeof(wanted), "\"%s\":", key);
	p = strstr(job, wanted);
	out[0] = '\0';
	if (!p)
		return out;
	p += strlen(wanted);
	p += strspn(p, " \"");
	snprintf(out, size, "%.*s", (int)strcspn(p, "\",}\n"), p);
	return out;
}

static int is(const char *wanted)
{
	return strcmp(mode, wanted) == 0;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

static void result(const char *listed, long long size)
{
	char text[2048], quant[80], hybrid[40], opt[20];

	snprintf(text, sizeof(text),
		 "{\"protocol\":1,\"status\":\"ok\",\"files\":[{\"path\":\"%s\",\"size\":%lld,"
		 "\"sha256\":\"%s\"}],"
		 "\"facts\":{\"quant\":\"%s\",\"hybrid\":%s,\"opt\":%s}}\n",
		 listed, size, CONTENT_SHA, field("quant", quant, sizeof(quant)),
		 field("hybrid", hybrid, sizeof(hybrid)), field("opt", opt, sizeof(opt)));
	if (!put("result.json.tmp", text) || rename("result.json.tmp", "result.json") != 0)
		_exit(1);
}

static void convert_well(void)
{
	char path[400];

	snprintf(path, sizeof(path), "out/%s", name);
	if (!put(path, content))
		_exit(1);
	result(name, (long long)strlen(content));
}

/* ---- what it looks for */

static void got(const char *what, const char *path)
{
	fprintf(stderr, "GOT IT: %s %s\n", what, path);
}

static void try_read(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_NONBLOCK);

	if (fd >= 0 && read(fd, &c, 1) >= 0)
		got("read", path);
}

static void try_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0644);

	if (fd >= 0 && write(fd, "x", 1) == 1)
		got("wrote", path);
}

static void try_folder(const char *path)
{
	DIR *d = opendir(path);

	if (d && readdir(d))
		got("listed", path);
}

/* target: a file that a test wants kept, handed over as a parameter; around it the work folder. */
static int spy(void)
{
	char target[4096], path[4400];

	field("target", target, sizeof(target));
	try_read(target);
	try_write(target);
	try_folder("..");
	try_folder("../..");
	try_folder("../../../artifacts");
	try_read("../../../state.db");
	try_write("../../../state.db");
	try_write("../../../run.lock");
	try_write("../new");
	try_write("/tmp/hostile-was-here");
	try_write("/var/tmp/hostile-was-here");
	try_folder("/root");
	try_folder("/home");
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)getppid());
	try_read(path);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)getppid());
	try_write(path);
	if (getenv("HF_TOKEN") || getenv("HUGGING_FACE_HUB_TOKEN") || getenv("QUERN_TOKEN"))
		got("token", "in the environment");
	for (int family = 0; family < 48; family++) {
		if (socket(family, SOCK_DGRAM, 0) >= 0 || socket(family, SOCK_STREAM, 0) >= 0)
			got("a socket", "");
	}
	if (kill(getppid(), SIGCONT) == 0 || kill(-1, SIGCONT) == 0)
		got("signalled", "others");
	if (symlink("/etc/passwd", "out/link") == 0 || mkfifo("fifo", 0600) == 0)
		got("made", "a link or a pipe");
	convert_well();
	return 0;
}

/* ---- what it leaves behind */

/* A grandchild in a session of its own, which has everything that the worker had open. */
static void daemonize(void (*then)(void))
{
	pid_t child = fork();

	if (child == 0) {
		if (setsid() < 0 || fork() != 0)
			_exit(0);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		then();
		for (;;)
			pause();
	}
	(void)waitpid(child, NULL, 0);
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static void talk_for_ever(void)
{
	char line[4096];

	memset(line, 'y', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	while (write(STDOUT_FILENO, line, sizeof(line)) > 0)
		;
}

static int bomb(void)
{
	for (int i = 0; i < BOMB; i++) {
		pid_t child = fork();

		if (child < 0)
			break;
		if (child == 0) {
			if (i % 2)
				setsid();
			if (i % 4 == 1 && fork() != 0)
				_exit(0);
			wait_for_ever();
		}
	}
	fputs("hostile: the bomb is there\n", stderr);
	return 1;
}

/* ---- what it fills */

static int fill_log(void)
{
	char line[65536];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	while (write(STDERR_FILENO, line, sizeof(line)) > 0)
		;
	return 1;
}

/* One file beyond all bounds. */
static int large_file(void)
{
	int fd = open("scratch", O_WRONLY | O_CREAT, 0600);

	if (pwrite(fd, "x", 1, 1ll << 38) == 1)
		got("wrote", "at 256 GiB");
	fprintf(stderr, "hostile: %s\n", strerror(errno));
	return 1;
}

/* Room is taken without writing to it: the disk of a test machine is spared, not what is tested. */
static int fill_disk(void)
{
	char path[64];

	for (int i = 0; i < 16; i++) {
		int fd;

		snprintf(path, sizeof(path), "scratch%d", i);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		if (fallocate(fd, 0, 0, 512 << 20) != 0) {
			fprintf(stderr, "hostile: %s\n", strerror(errno));
			return 1;
		}
	}
	wait_for_ever();
	return 1;
}

static int many_files(void)
{
	char path[64];

	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "f%d", i);
		put(path, "");
	}
	wait_for_ever();
	return 1;
}

/* ---- what it says */

static void long_line(void)
{
	for (int i = 0; i < 1 << 20; i++)
		putchar('z');
	putchar('\n');
}

static void bad_words(void)
{
	puts("{\"event\":\"progress\",\"stage\":\"\\u001b[2J\\u001b]0;title\\u0007\",\"done\":1,"
	     "\"total\":2,"
	     "\"unit\":\"\\u001b[31m\"}");
	puts("\xff\xfe\x1b[31m\x9b"
	     "2J");
	puts("{\"event\":\"progress\",\"stage\":\"\xff\xc0\x80\",\"done\":1}");
	puts("{\"event\":\"progress\",\"stage\":7,\"done\":1e400,\"total\":-1}");
}

static void last_words(void)
{
	fputs("\x1b[2J\x1b]0;owned\x07 \xe2\x80\xaelast words<script>alert(1)</script>\n", stderr);
}

/* ---- what it makes */

static int odd_output(void)
{
	char path[400], other[400];

	snprintf(path, sizeof(path), "out/%s", name);
	snprintf(other, sizeof(other), "out/second-%s", name);
	if (is("wrong_size")) {
		put(path, content);
		result(name, 7);
	} else if (is("hard_link")) {
		put(path, content);
		if (link(path, "kept") != 0)
			return 1;
		result(name, 6);
	} else if (is("folder")) {
		mkdir(path, 0755);
		result(name, 4096);
	} else if (is("climb")) {
		put("outside", content);
		result("../outside", 6);
	} else if (is("sparse")) {
		int fd = open(path, O_WRONLY | O_CREAT, 0644);

		signal(SIGXFSZ, SIG_IGN);
		if (ftruncate(fd, 1ll << 42) != 0)
			fprintf(stderr, "hostile: 4 TiB: %s\n", strerror(errno));
		else
			got("made", "a file larger than the disk");
		result(name, 1ll << 42);
	} else if (is("escape_name")) {
		put("out/a\x1b[2J\nb", content);
		result("a\\u001b[2J\\nb", 6);
	} else if (is("deep")) {
		for (int i = 0; i < 500 && mkdir("deeper", 0700) == 0 && chdir("deeper") == 0; i++)
			;
		wait_for_ever();
	} else {
		return 2;
	}
	return 0;
}

/* until: a file in the model's folder with which it is a worker as any other. */
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
	char file[256];

	field("mode", mode, sizeof(mode));
	if (!mode[0] || is_mended())
		strcpy(mode, "ok"); /* a default is not said */
	snprintf(name, sizeof(name), "%s.hostile", field("file", file, sizeof(file)));
	if (is("spy"))
		return spy();
	if (is("fork_bomb"))
		return bomb();
	if (is("fill_log"))
		return fill_log();
	if (is("large_file"))
		return large_file();
	if (is("fill_disk"))
		return fill_disk();
	if (is("many_files"))
		return many_files();
	if (is("deaf")) {
		signal(SIGTERM, SIG_IGN);
		wait_for_ever();
	}
	if (is("ok") || is("grandchild") || is("talking_grandchild") || is("long_line") ||
	    is("bad_words")) {
		convert_well();
		if (is("grandchild"))
			daemonize(wait_for_ever);
		if (is("talking_grandchild"))
			daemonize(talk_for_ever);
		if (is("long_line"))
			long_line();
		if (is("bad_words"))
			bad_words();
		last_words();
		return 0;
	}
	if (is("bad_end")) {
		last_words();
		return 1;
	}
	return odd_output();
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3)
		return 2;
	fd = open(argv[2], O_RDONLY);
	if (fd < 0 || read(fd, job, sizeof(job) - 1) <= 0)
		return 2;
	close(fd);
	return strcmp(argv[1], "convert") == 0	  ? convert()
	       : strcmp(argv[1], "validate") == 0 ? 0
						  : 2;
}

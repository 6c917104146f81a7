#include "workers/board/clocks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"

#define SAVED_MAX ((size_t)64 << 10)

/* ---- small files */

/* The first line, at most CLOCK_VALUE - 1 bytes of it. */
static bool read_value(const char *path, char out[CLOCK_VALUE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	out[0] = '\0';
	if (fd < 0)
		return false;
	n = read(fd, out, CLOCK_VALUE - 1);
	close(fd);
	if (n < 0)
		n = 0;
	out[n] = '\0';
	out[strcspn(out, "\r\n\t")] = '\0';
	return n > 0;
}

static bool write_value(const char *path, const char *value)
{
	/* Truncated, for plain files; files of sysfs do not care. */
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t n = strlen(value);
	int saved;
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, value, n) == (ssize_t)n;
	saved = errno;
	close(fd);
	errno = saved;
	return ok;
}

static int read_all(const char *path, struct buf *b, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return err_errno(e, "%s", path);
	while (rc == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0)
			rc = err_errno(e, "%s", path);
		else
			rc = buf_add(b, chunk, (size_t)n);
	}
	close(fd);
	return rc < 0 ? err_set(e, ERR_IO, "%s cannot be read whole", path) : 0;
}

/* ---- what there is */

static bool has_word(const char *path, const char *word)
{
	char text[1024], *save, *w;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (w = strtok_r(text, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save)) {
		if (strcmp(w, word) == 0)
			return true;
	}
	return false;
}

/* The largest number in a file of numbers; "" when there is none. */
static void highest(const char *path, char out[CLOCK_VALUE])
{
	char text[2048], *at, *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned long long v, most = 0;
	ssize_t n;

	out[0] = '\0';
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (at = text;; at = end) {
		v = strtoull(at, &end, 10);
		if (end == at)
			break;
		if (v > most)
			most = v;
	}
	if (most)
		snprintf(out, CLOCK_VALUE, "%llu", most);
}

static struct clock *add(struct clocks *c, const char *name)
{
	struct clock *k;

	if (c->n == CLOCKS_MAX)
		return NULL;
	k = &c->v[c->n++];
	memset(k, 0, sizeof(*k));
	snprintf(k->name, sizeof(k->name), "%s", name);
	return k;
}

static bool join(char out[CLOCK_PATH], const char *dir, const char *name)
{
	int n = snprintf(out, CLOCK_PATH, "%s/%s", dir, name);

	return n > 0 && n < CLOCK_PATH;
}

/* A clock with a governor: the one named "userspace" takes a frequency by hand. */
static void governed(struct clocks *c, const char *name, const char *dir,
		     const char *const files[5])
{
	char governors[CLOCK_PATH], steps[CLOCK_PATH];
	struct clock *k = add(c, name);

	if (!k)
		return;
	if (!join(k->governor, dir, files[0]) || !join(k->value, dir, files[1]) ||
	    !join(k->now, dir, files[2]) || !join(governors, dir, files[3]) ||
	    !join(steps, dir, files[4]) || !read_value(k->governor, k->was_governor)) {
		c->n--;
		return;
	}
	/* By hand already: the number has to come back as well. */
	if (strcmp(k->was_governor, "userspace") == 0)
		read_value(k->value, k->was_value);
	highest(steps, k->wanted);
	if (!has_word(governors, "userspace"))
		snprintf(k->problem, sizeof(k->problem), "its governors have no \"userspace\"");
	else if (!k->wanted[0])
		snprintf(k->problem, sizeof(k->problem), "the kernel lists no frequencies for it");
}

static const char *const devfreq_files[5] = { "governor", "userspace/set_freq", "cur_freq",
					      "available_governors", "available_frequencies" };
static const char *const cpufreq_files[5] = { "scaling_governor", "scaling_setspeed",
					      "scaling_cur_freq", "scaling_available_governors",
					      "scaling_available_frequencies" };

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Call found() for each plain entry of a folder, sorted. */
static void each(struct clocks *c, const char *dir,
		 void (*found)(struct clocks *c, const char *dir, const char *name))
{
	DIR *d = opendir(dir);
	char **names = NULL;
	size_t n = 0, cap = 0;
	struct dirent *entry;

	if (!d)
		return;
	while (n < 256 && (entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) > 63)
			continue;
		MEM_GROW(names, n, cap);
		names[n++] = mem_strdup(entry->d_name);
	}
	closedir(d);
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		found(c, dir, names[i]);
		free(names[i]);
	}
	free(names);
}

/* "fdab0000.npu", "dmc": the address differs from chip to chip. */
static void found_devfreq(struct clocks *c, const char *dir, const char *name)
{
	size_t n = strlen(name);
	char path[CLOCK_PATH];
	bool npu = n > 4 && strcmp(name + n - 4, ".npu") == 0;

	if ((npu || strcmp(name, "dmc") == 0) && join(path, dir, name))
		governed(c, npu ? "npu" : "ddr", path, devfreq_files);
}

static void found_policy(struct clocks *c, const char *dir, const char *name)
{
	char path[CLOCK_PATH], label[32];

	if (strncmp(name, "policy", 6) != 0 || !join(path, dir, name))
		return;
	snprintf(label, sizeof(label), "cpu %.20s", name);
	governed(c, label, path, cpufreq_files);
}

/* The deeper idle state takes a CPU long to leave. */
static void found_cpu(struct clocks *c, const char *dir, const char *name)
{
	char path[CLOCK_PATH], label[32], was[CLOCK_VALUE];
	struct clock *k;
	int n = snprintf(path, sizeof(path), "%s/%s/cpuidle/state1/disable", dir, name);

	if (strncmp(name, "cpu", 3) != 0 || n < 0 || n >= CLOCK_PATH || !read_value(path, was))
		return;
	snprintf(label, sizeof(label), "idle %.20s", name);
	k = add(c, label);
	if (!k)
		return;
	memcpy(k->value, path, sizeof(path));
	memcpy(k->was_value, was, sizeof(was));
	snprintf(k->wanted, sizeof(k->wanted), "1");
}

void clocks_find(struct clocks *c, const char *sysfs)
{
	char dir[CLOCK_PATH];

	memset(c, 0, sizeof(*c));
	c->sysfs = sysfs;
	if (join(dir, sysfs, "class/devfreq"))
		each(c, dir, found_devfreq);
	if (join(dir, sysfs, "devices/system/cpu/cpufreq"))
		each(c, dir, found_policy);
	if (join(dir, sysfs, "devices/system/cpu"))
		each(c, dir, found_cpu);
}

/* ---- there */

size_t clocks_set(struct clocks *c)
{
	size_t bad = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct clock *k = &c->v[i];

		if (!k->problem[0] && ((k->governor[0] && !write_value(k->governor, "userspace")) ||
				       !write_value(k->value, k->wanted)))
			snprintf(k->problem, sizeof(k->problem), "%s", strerror(errno));
		if (k->now[0])
			read_value(k->now, k->got);
		bad += k->problem[0] != '\0';
	}
	return bad;
}

/* ---- and back */

static void boot_id(char out[CLOCK_VALUE])
{
	if (!read_value("/proc/sys/kernel/random/boot_id", out))
		snprintf(out, CLOCK_VALUE, "unknown");
}

/* A line "PATH<tab>VALUE" for each file, in the order in which they are to be written back: a
 * frequency by hand is taken only under its governor. */
int clocks_save(const struct clocks *c, const char *file, struct err *e)
{
	char boot[CLOCK_VALUE], *temporary = mem_printf("%s.new", file);
	struct buf b;
	int fd, rc = 0;

	buf_init(&b, SAVED_MAX);
	boot_id(boot);
	buf_addf(&b, "quern-board clocks 1 %s\n", boot);
	for (size_t i = 0; i < c->n; i++) {
		const struct clock *k = &c->v[i];

		if (k->governor[0])
			buf_addf(&b, "%s\t%s\n", k->governor, k->was_governor);
		if (k->was_value[0])
			buf_addf(&b, "%s\t%s\n", k->value, k->was_value);
	}
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || write(fd, buf_str(&b), b.len) != (ssize_t)b.len || fsync(fd) != 0)
		rc = err_errno(e, "%s", temporary);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && rename(temporary, file) != 0)
		rc = err_errno(e, "%s", file);
	buf_release(&b);
	free(temporary);
	return rc;
}

/* A line may be somebody else's work, and we may be root: nothing outside of sysfs is written. */
static bool may_write(const char *sysfs, const char *path)
{
	size_t n = strlen(sysfs);
	const char *below = path + n;

	if (strncmp(path, sysfs, n) != 0 || strstr(path, ".."))
		return false;
	return strncmp(below, "/class/devfreq/", 15) == 0 ||
	       strncmp(below, "/devices/system/cpu/", 20) == 0;
}

static int put_back(const char *sysfs, char *text, struct err *e)
{
	char *save, *line = strtok_r(text, "\n", &save);
	char boot[CLOCK_VALUE];
	int n = 0, rc = 0;

	boot_id(boot);
	if (!line || strncmp(line, "quern-board clocks 1 ", 21) != 0 ||
	    strcmp(line + 21, boot) != 0)
		return 0; /* another boot, or nothing that we wrote */
	while ((line = strtok_r(NULL, "\n", &save)) != NULL) {
		char *value = strchr(line, '\t');

		if (!value)
			continue;
		*value++ = '\0';
		if (!may_write(sysfs, line))
			continue;
		if (write_value(line, value))
			n++;
		else if (errno != ENOENT)
			rc = err_errno(e, "%s cannot be put back to %s", line, value);
	}
	return rc < 0 ? rc : n;
}

int clocks_restore(const char *sysfs, const char *file, struct err *e)
{
	struct buf b;
	int rc;

	if (access(file, F_OK) != 0)
		return 0;
	buf_init(&b, SAVED_MAX);
	rc = read_all(file, &b, e);
	if (rc == 0 && b.len)
		rc = put_back(sysfs, b.data, e);
	buf_release(&b);
	if (rc >= 0 && unlink(file) != 0)
		rc = err_errno(e, "%s", file);
	return rc;
}

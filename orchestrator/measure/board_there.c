/* orchestrator/measure/board_there.c -- what a board is, and what has to be there before it is
 * held: our folder, quern-board for its processor, the file. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/log.h"
#include "orchestrator/host/launch.h"
#include "orchestrator/measure/board_private.h"

#define COPY_ATTEMPTS 4 /* connections that may break while a file is sent */
#define PART_DAYS 7	/* what was begun and never finished is dropped after so many */

/* ---- there */

static void fact(const char *text, const char *key, char *out, size_t size)
{
	char mark[32], line[1024];
	const char *at = text;
	size_t n = (size_t)snprintf(mark, sizeof(mark), "quern:%s=", key);

	out[0] = '\0';
	while ((at = strstr(at, mark)) != NULL) {
		if (at == text || at[-1] == '\n') {
			snprintf(line, sizeof(line), "%.*s", (int)strcspn(at + n, "\r\n"), at + n);
			text_visible(line, out, (unsigned)size);
			return;
		}
		at += n;
	}
}

static const char *folder_word(struct board *b)
{
	const char *dir = b->base.o->where->board.dir;

	if (!dir)
		dir = "~/.cache/quern-board";
	if (strncmp(dir, "~/", 2) == 0)
		return arena_printf(b->a, "\"$HOME\"/%s", ssh_quoted(b->a, dir + 2));
	return ssh_quoted(b->a, dir);
}

/* sudo only for clocks that are the kernel's, and only where it asks nothing. */
int board_look_around(struct board *b, struct err *e)
{
	const char *script = arena_printf(
		b->a,
		"umask 077\n"
		"mkdir -p %s && cd %s || exit 3\n"
		"echo \"quern:dir=$(pwd -P)\"\n"
		"echo \"quern:arch=$(uname -m)\"\n"
		"echo \"quern:kernel=$(uname -r)\"\n"
		"echo \"quern:uid=$(id -u)\"\n"
		"echo \"quern:cpus=$(nproc 2>/dev/null)\"\n"
		"echo \"quern:model=$(tr -d '\\000' </proc/device-tree/model 2>/dev/null)\"\n"
		"[ \"$(id -u)\" = 0 ] || [ -n \"$QUERN_BOARD_SYSFS\" ] || ! sudo -n true "
		"2>/dev/null || echo "
		"quern:sudo=yes\n"
		"find . -maxdepth 1 -name '*.part' -mtime +%d -exec rm -f {} +\n"
		"exit 0\n",
		folder_word(b), folder_word(b), PART_DAYS);
	struct board_facts *f = &b->facts;
	struct buf out;
	int rc;

	buf_init(&out, BOARD_OUTPUT_MAX);
	rc = ssh_run(&b->ssh, script, -1, &out, BOARD_CONNECT_MS, NULL, NULL, e);
	fact(buf_str(&out), "dir", f->dir, sizeof(f->dir));
	fact(buf_str(&out), "arch", f->arch, sizeof(f->arch));
	fact(buf_str(&out), "kernel", f->kernel, sizeof(f->kernel));
	fact(buf_str(&out), "uid", f->uid, sizeof(f->uid));
	fact(buf_str(&out), "cpus", f->cpus, sizeof(f->cpus));
	fact(buf_str(&out), "model", f->model, sizeof(f->model));
	fact(buf_str(&out), "sudo", f->sudo, sizeof(f->sudo));
	buf_release(&out);
	if (rc < 0)
		return rc;
	if (rc != 0 || f->dir[0] != '/')
		return err_set(e, ERR_ENV,
			       "%s: the folder %s cannot be made; set `dir` to one that can",
			       b->ssh.board->host,
			       b->base.o->where->board.dir ? b->base.o->where->board.dir
							   : "~/.cache/quern-board");
	return 0;
}

/* ---- quern-board for that processor */

static const char *machine_of(unsigned number)
{
	switch (number) {
	case EM_AARCH64:
		return "aarch64";
	case EM_X86_64:
		return "x86_64";
	case EM_ARM:
		return "armv7l";
	case EM_RISCV:
		return "riscv64";
	default:
		return "another processor";
	}
}

static int check_harness(struct board *b, struct err *e)
{
	const char *set = b->base.o->where->board.harness;
	unsigned char head[20] = { 0 };
	const char *is;
	int fd;

	b->harness.local = set ? set : launch_program(b->a, "quern-board");
	if (!b->harness.local)
		return err_set(
			e, ERR_ENV,
			"quern-board is missing beside quern and in libexec/quern; install quern "
			"completely");
	fd = open(b->harness.local, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, "%s", b->harness.local);
	if (read(fd, head, sizeof(head)) < (ssize_t)sizeof(head))
		head[0] = 0;
	close(fd);
	if (memcmp(head, ELFMAG, SELFMAG) != 0)
		return err_set(e, ERR_ENV, "%s is no program", b->harness.local);
	is = machine_of(head[18] | (unsigned)head[19] << 8);
	if (strcmp(is, b->facts.arch) != 0)
		return err_set(e, ERR_ENV,
			       "%s is for %s, and %s is %s; take quern-board out of quern's "
			       "package for that "
			       "processor and name it as `harness`",
			       b->harness.local, is, b->ssh.board->host, b->facts.arch);
	return 0;
}

/* Two hosts may try the same file on one board: each has its own copy. */
static const char *file_name(struct board *b, const char *stem, const struct board_file *f,
			     const char *end)
{
	uint8_t digest[SHA256_LEN];
	char host[256] = "", hex[2 * SHA256_LEN + 1];

	(void)gethostname(host, sizeof(host) - 1);
	sha256_bytes(host, strlen(host), digest);
	hex_encode(digest, sizeof(digest), hex);
	return arena_printf(b->a, "%s-%.12s-%.6s%s", stem, f->sha256, hex, end);
}

int board_prepare_files(struct board *b, struct err *e)
{
	int rc = check_harness(b, e);

	b->model.local = b->base.o->file;
	b->harness.dir = b->model.dir = b->facts.dir;
	b->harness.label = "harness";
	b->model.label = "copy";
	b->harness.mode = "700";
	b->model.mode = "600";
	if (rc == 0)
		rc = board_file_look(&b->harness, e);
	if (rc == 0)
		rc = board_file_look(&b->model, e);
	if (rc < 0)
		return rc;
	b->harness.name = file_name(b, "quern-board", &b->harness, "");
	b->model.name = file_name(b, "model", &b->model, ".rkllm");
	return 0;
}

/* A connection that breaks costs what was under way, not the gigabytes before it. */
int board_bring(struct board *b, struct board_file *f, struct err *e)
{
	const struct measure_options *o = b->base.o;
	int rc = 0;

	for (int attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
		if (!ssh_is_up(&b->ssh)) {
			ssh_close(&b->ssh);
			rc = ssh_open(&b->ssh, BOARD_CONNECT_MS, e);
		}
		if (rc >= 0)
			rc = board_copy(&b->ssh, f, o->progress, o->ctx, e);
		if (b->talk.log && f->sha256[0])
			(void)fprintf(b->talk.log,
				      "quern: %s: %s, %llu of %llu bytes were to be sent\n",
				      f->label, rc >= 0 ? "there" : e->msg,
				      (unsigned long long)f->sent_bytes,
				      (unsigned long long)f->size_bytes);
		if (rc != ERR_BUSY || measure_left_ms(o) == 0)
			return rc;
		rc = 0;
	}
	return e->code;
}

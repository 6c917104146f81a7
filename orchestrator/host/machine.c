#include "orchestrator/host/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX                                                                                   \
	16384 /* /proc/net/dev has 120 bytes an interface; what comes later is left out            \
	       */

static void read_file(const char *path, char text[TEXT_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	while (fd >= 0 && len < TEXT_MAX - 1 && n > 0) {
		n = read(fd, text + len, TEXT_MAX - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	text[len] = '\0';
}

static int kib_of(const char *text, const char *name, uint64_t *bytes)
{
	const char *p = strstr(text, name);
	unsigned long long kib;

	if (!p || (p > text && p[-1] != '\n') || sscanf(p + strlen(name), " %llu kB", &kib) != 1)
		return 0;
	*bytes = (uint64_t)kib * 1024;
	return 1;
}

void machine_meminfo(const char *text, struct machine *m)
{
	(void)kib_of(text, "MemTotal:", &m->total_bytes);
	(void)kib_of(text, "MemAvailable:", &m->available_bytes);
	(void)kib_of(text, "SwapFree:", &m->swap_free_bytes);
}

void machine_pressure(const char *text, struct machine *m)
{
	unsigned whole, hundredths;

	if (sscanf(text, "some avg10=%u.%2u", &whole, &hundredths) == 2 && whole <= 100)
		m->pressure = (int)(whole * 10 + hundredths / 10);
}

/* "  eth0: RECEIVED 7 more numbers SENT ..." */
void machine_network(const char *text, struct machine *m)
{
	unsigned long long in, out;
	uint64_t received = 0, sent = 0;
	char name[32];
	int any = 0;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, " %31[^:\n]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &in,
			   &out) != 3 ||
		    strcmp(name, "lo") == 0)
			continue;
		received += in;
		sent += out;
		any = 1;
	}
	if (any) {
		m->received_bytes = received;
		m->sent_bytes = sent;
	}
}

void machine_look(struct machine *m)
{
	char text[TEXT_MAX];

	*m = (struct machine){ .available_bytes = UINT64_MAX, .pressure = -1 };
	read_file("/proc/meminfo", text);
	machine_meminfo(text, m);
	read_file("/proc/pressure/memory", text);
	machine_pressure(text, m);
	read_file("/proc/net/dev", text);
	machine_network(text, m);
}

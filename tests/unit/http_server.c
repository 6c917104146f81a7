#include "tests/unit/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"

#define REQUESTS_MAX 256
#define CONNECTIONS_MAX 256

struct connection {
	struct server *s;
	int fd;
	pthread_t thread;
};

struct server {
	const struct server_step *steps;
	size_t n_steps;
	int fd, port, quit; /* quit: readable when the server stops */
	char url[64];
	pthread_t thread;
	pthread_mutex_t lock;
	char *requests[REQUESTS_MAX];
	size_t n_requests;
	struct connection connections[CONNECTIONS_MAX];
	size_t n_connections;
};

/* Until fd is readable: 1; the server stops: 0; nothing for timeout_ms: -1. */
static int wait_for(struct server *s, int fd, int timeout_ms)
{
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { s->quit, POLLIN, 0 } };

	if (poll(p, 2, timeout_ms) == 0)
		return -1;
	return p[1].revents ? 0 : 1;
}

static size_t body_length(const char *head)
{
	const char *p = strcasestr(head, "\r\ncontent-length:");

	return p ? strtoul(p + 17, NULL, 10) : 0;
}

static bool is_complete(const struct buf *b, size_t *total)
{
	const char *end = b->len ? strstr(b->data, "\r\n\r\n") : NULL;

	if (!end)
		return false;
	*total = (size_t)(end - b->data) + 4 + body_length(b->data);
	return b->len >= *total;
}

/* One whole request into b; false: the client is gone, or the server stops. */
static bool read_request(struct connection *c, struct buf *b, size_t *total)
{
	char chunk[65536];
	ssize_t n;

	while (!is_complete(b, total)) {
		if (wait_for(c->s, c->fd, -1) != 1)
			return false;
		n = recv(c->fd, chunk, sizeof(chunk), 0);
		if (n <= 0)
			return false;
		assert(buf_add(b, chunk, (size_t)n) == 0);
	}
	return true;
}

static const struct server_step *remember(struct server *s, const struct buf *b, size_t total)
{
	size_t i;

	pthread_mutex_lock(&s->lock);
	assert(s->n_requests < REQUESTS_MAX);
	i = s->n_requests++;
	s->requests[i] = mem_strndup(b->data, total);
	pthread_mutex_unlock(&s->lock);
	return &s->steps[i < s->n_steps ? i : s->n_steps - 1];
}

static void drip(struct connection *c)
{
	while (wait_for(c->s, c->fd, 100) == -1) {
		if (send(c->fd, "x", 1, MSG_NOSIGNAL) != 1)
			return;
	}
}

/* True: read the next request. */
static bool answer(struct connection *c, const struct server_step *step)
{
	const struct linger at_once = { 1, 0 };

	if (step->reply && send(c->fd, step->reply, strlen(step->reply), MSG_NOSIGNAL) < 0)
		return false;
	if (step->after == SERVER_RESET)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	else if (step->after == SERVER_STALL)
		(void)wait_for(c->s, c->fd, -1);
	else if (step->after == SERVER_DRIP)
		drip(c);
	return step->after == SERVER_KEEP;
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	size_t total = 0;
	struct buf b;

	buf_init(&b, (size_t)64 << 20);
	while (read_request(c, &b, &total)) {
		const struct server_step *step = remember(c->s, &b, total);

		buf_drop(&b, total);
		if (!answer(c, step))
			break;
	}
	buf_release(&b);
	close(c->fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct server *s = arg;

	while (wait_for(s, s->fd, -1) == 1) {
		struct connection *c = &s->connections[s->n_connections];
		int fd = accept(s->fd, NULL, NULL);

		if (fd < 0)
			continue;
		assert(s->n_connections < CONNECTIONS_MAX);
		c->s = s;
		c->fd = fd;
		assert(pthread_create(&c->thread, NULL, serve, c) == 0);
		s->n_connections++;
	}
	return NULL;
}

struct server *server_start(const struct server_step *steps, size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	struct server *s = mem_zalloc(sizeof(*s));

	s->steps = steps;
	s->n_steps = n;
	s->quit = eventfd(0, EFD_CLOEXEC);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert(bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(s->fd, 64) == 0);
	assert(getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
	s->port = ntohs(a.sin_port);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", s->port);
	pthread_mutex_init(&s->lock, NULL);
	assert(pthread_create(&s->thread, NULL, accept_all, s) == 0);
	return s;
}

void server_stop(struct server *s)
{
	assert(eventfd_write(s->quit, 1) == 0);
	pthread_join(s->thread, NULL);
	for (size_t i = 0; i < s->n_connections; i++)
		pthread_join(s->connections[i].thread, NULL);
	close(s->fd);
	close(s->quit);
	for (size_t i = 0; i < s->n_requests; i++)
		free(s->requests[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int server_port(const struct server *s)
{
	return s->port;
}

const char *server_url(const struct server *s)
{
	return s->url;
}

size_t server_count(struct server *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->n_requests;
	pthread_mutex_unlock(&s->lock);
	return n;
}

const char *server_request(struct server *s, size_t i)
{
	const char *text;

	pthread_mutex_lock(&s->lock);
	text = i < s->n_requests ? s->requests[i] : "";
	pthread_mutex_unlock(&s->lock);
	return text;
}

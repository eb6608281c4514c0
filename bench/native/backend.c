/*
 * The server behind every proxy: HTTP/1.1 with keep-alive, one thread, epoll. It
 * listens on SENTRY_DEVSERVER_BIND.
 *
 *   GET /big?BYTES   a body of that size
 *   with a body      reads and discards it
 *   all other        200, 2 bytes
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = 8192, BLOCK = 1 << 16 };

struct client {
	int fd, have;         /* bytes in head */
	long long in, out;    /* body bytes left to read and to write */
	char head[HEAD + 1];
};

static char block[BLOCK];

static void fail(const char *what) {
	perror(what);
	_exit(1);
}

static int say(struct client *c, long long length, const char *body) {
	char head[160];
	int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %lld\r\n\r\n%s", length, body);
	return send(c->fd, head, n, MSG_NOSIGNAL | (length > 2 ? MSG_MORE : 0)) == n ? 0 : -1;
}

/* 0: written, 1: the socket is full, -1: the client disconnected */
static int pour(struct client *c) {
	while (c->out > 0) {
		ssize_t n = send(c->fd, block, c->out < BLOCK ? c->out : BLOCK, MSG_NOSIGNAL);
		if (n < 0) return errno == EAGAIN ? 1 : -1;
		c->out -= n;
	}
	return 0;
}

/* Consumes a request header. 0: it is not complete yet. */
static int take(struct client *c) {
	c->head[c->have] = 0;
	char *end = strstr(c->head, "\r\n\r\n");
	if (!end) return c->have == HEAD ? -1 : 0;
	*end = 0;
	char *length = strcasestr(c->head, "\ncontent-length:"), *big = strstr(c->head, " /big?");
	c->in = length ? atoll(length + 16) : 0;
	c->out = big ? atoll(big + 6) : 0;
	int used = end + 4 - c->head, early = c->have - used;
	if (strcasestr(c->head, "\nexpect: 100") && send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) < 0) return -1;
	memmove(c->head, c->head + used, early);
	c->have = early;
	return 1;
}

static int step(struct client *c) {
	for (;;) {
		if (c->in > 0) { /* the rest of head is body */
			int part = c->have < c->in ? c->have : c->in;
			c->in -= part;
			memmove(c->head, c->head + part, c->have -= part);
			while (c->in > 0) {
				static char sink[BLOCK];
				ssize_t n = recv(c->fd, sink, c->in < BLOCK ? c->in : BLOCK, 0);
				if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
				c->in -= n;
			}
			if (say(c, 2, "ok")) return -1;
		}
		int full = pour(c);
		if (full) return full;
		int whole = c->have ? take(c) : 0;
		if (whole < 0) return -1;
		if (whole && c->in == 0 && (c->out ? say(c, c->out, "") : say(c, 2, "ok"))) return -1;
		if (whole) continue;
		ssize_t n = recv(c->fd, c->head + c->have, HEAD - c->have, 0);
		if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
		c->have += n;
	}
}

static int listen_on(const char *bind_to) {
	struct sockaddr_in at = {.sin_family = AF_INET};
	const char *colon = bind_to ? strrchr(bind_to, ':') : NULL;
	if (!colon) fail("SENTRY_DEVSERVER_BIND");
	at.sin_port = htons(atoi(colon + 1));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 511)) fail("listen");
	return s;
}

int main(void) {
	int listener = listen_on(getenv("SENTRY_DEVSERVER_BIND")), all = epoll_create1(EPOLL_CLOEXEC), on = 1;
	struct epoll_event event = {.events = EPOLLIN}, events[64];
	signal(SIGPIPE, SIG_IGN);
	memset(block, 'x', sizeof block);
	epoll_ctl(all, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(all, events, 64, -1);
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;
			if (!c) {
				int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
				if (fd < 0) continue;
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
				if (!(c = calloc(1, sizeof *c))) fail("memory");
				c->fd = fd;
				event = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
				epoll_ctl(all, EPOLL_CTL_ADD, fd, &event);
			} else if (step(c) < 0) {
				close(c->fd);
				free(c);
			}
		}
	}
}

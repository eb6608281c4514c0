/*
 * The workload of every part: one process per silo, of about 1 MB, so that the
 * figures are the supervisor's. It appends its events with their times to one file.
 *
 *   stub serve            listen on SENTRY_DEVSERVER_BIND, answer /_health/ with 200
 *   stub produce LINES    wait for BENCH_GO, then write LINES lines of 100 bytes
 *
 * Both exit at once on SIGTERM and SIGINT.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, FILL = 85, TABLE = 4096, BLOCK = 1 << 16 };

static int events = -1;
static const char *name = "?";

static long long now(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* One write with O_APPEND, so that lines of several processes do not mix. */
static void event(const char *kind) {
	char line[160];
	long long mono = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME);
	int n = snprintf(line, sizeof line, "%s %s %d %lld %lld\n", kind, name, (int)getpid(), mono, real);
	if (write(events, line, n) != n) _exit(3);
}

static void fail(const char *what) {
	perror(what);
	_exit(1);
}

static void answer(int client) {
	char request[4096];
	struct timeval limit = {1, 0};
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	ssize_t n = read(client, request, sizeof request - 1);
	if (n > 0) {
		request[n] = 0;
		const char *reply = strncmp(request, "GET /_health/", 13) == 0
			? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
			: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
		if (write(client, reply, strlen(reply)) < 0) perror("answer");
	}
	close(client);
}

static int listen_on(const char *bind_to) {
	struct sockaddr_in at = {.sin_family = AF_INET};
	char host[64];
	const char *colon = bind_to ? strrchr(bind_to, ':') : NULL;
	if (!colon || colon - bind_to >= (long)sizeof host) fail("SENTRY_DEVSERVER_BIND");
	memcpy(host, bind_to, colon - bind_to);
	host[colon - bind_to] = 0;
	at.sin_port = htons(atoi(colon + 1));
	if (inet_pton(AF_INET, host, &at.sin_addr) != 1) fail("SENTRY_DEVSERVER_BIND");
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&at, sizeof at) || listen(s, 128)) fail("listen");
	return s;
}

static void serve(int signals) {
	struct pollfd on[2] = {{.fd = signals, .events = POLLIN}, {.fd = listen_on(getenv("SENTRY_DEVSERVER_BIND")), .events = POLLIN}};
	event("listens");
	for (;;) {
		if (poll(on, 2, -1) < 0) continue;
		if (on[0].revents) return;
		if (on[1].revents) {
			int client = accept4(on[1].fd, NULL, NULL, SOCK_CLOEXEC);
			if (client >= 0) answer(client);
		}
	}
}

/* The filler is a window into a table at an offset derived from producer and number, so
 * that parts of two lines never look like a whole one. */
static char table[TABLE + FILL];

static void make_table(void) {
	uint32_t x = 1;
	for (size_t i = 0; i < sizeof table; i++) {
		x = x * 1664525u + 1013904223u;
		table[i] = 'a' + (x >> 16) % 26;
	}
}

static void make_line(char *at, uint32_t producer, uint32_t number) {
	uint32_t h = (number + producer * 0x9E3779B9u) * 2654435761u, rest = number;
	h ^= h >> 15;
	at[0] = 'P';
	at[1] = '0' + producer;
	at[2] = ' ';
	for (int i = 12; i >= 3; i--, rest /= 10) at[i] = '0' + rest % 10;
	at[13] = ' ';
	memcpy(at + 14, table + h % TABLE, FILL);
	at[99] = '\n';
}

static void put(const char *p, size_t n) {
	while (n > 0) {
		ssize_t done = write(1, p, n);
		if (done < 0) fail("write");
		p += done;
		n -= done;
	}
}

/* Blocks of 64 KiB, so that most end within a line. */
static void produce(uint32_t lines) {
	static char block[BLOCK + LINE];
	uint32_t producer = strcmp(name, "control") == 0 ? 0 : atoi(name + 1);
	size_t filled = 0;
	make_table();
	event("waits");
	int go = open(getenv("BENCH_GO"), O_RDONLY | O_CLOEXEC); /* a FIFO: blocks until the harness opens it */
	if (go < 0) fail("BENCH_GO");
	for (uint32_t i = 0; i < lines; i++) {
		make_line(block + filled, producer, i);
		filled += LINE;
		if (filled >= BLOCK) {
			put(block, BLOCK);
			memmove(block, block + BLOCK, filled -= BLOCK);
		}
	}
	put(block, filled);
	event("written");
}

int main(int argc, char **argv) {
	sigset_t set;
	struct signalfd_siginfo info;
	if (argc < 2 || !getenv("BENCH_EVENTS") || !getenv("SILO_NAME")) return 2;
	name = getenv("SILO_NAME");
	events = open(getenv("BENCH_EVENTS"), O_WRONLY | O_APPEND | O_CLOEXEC);
	if (events < 0) fail("BENCH_EVENTS");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT); /* hivemind stops its processes with it */
	if (strcmp(argv[1], "produce") == 0 && argc == 3) produce(strtoul(argv[2], NULL, 10));
	sigprocmask(SIG_BLOCK, &set, NULL);
	int signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (strcmp(argv[1], "serve") == 0) serve(signals);
	else if (read(signals, &info, sizeof info) < 0) fail("signal");
	event("ends");
	return 0;
}

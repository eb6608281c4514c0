/*
 * The floor: what the kernel asks for this work, and nothing on top.
 *
 *   floor COUNT PORT STUB serve            posix_spawn each; on TERM tell all and wait
 *   floor COUNT PORT STUB produce LINES    the same, and join their lines on stdout, each
 *                                          behind its name, with every producer's bytes as
 *                                          they come in BENCH_RAW/NAME.log: one thread, epoll
 *   floor -s …                             each in a session of its own, as silo has them
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 1 << 16, MOST = 1024 };

struct source {
	int pipe, raw;
	char prefix[32];
	size_t prefix_size, held;
	char *line; /* the beginning of one that is unfinished */
};

extern char **environ;
static pid_t children[MOST];
static struct source sources[MOST];
static int sessions;

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static void put(int fd, const char *p, size_t n) {
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno != EINTR) fail("write");
		if (done > 0) p += done, n -= done;
	}
}

static void name_of(int i, char *name) {
	if (i == 0) strcpy(name, "control");
	else sprintf(name, "r%03d", i);
}

static pid_t spawn(int i, int port, char **argv, int joined) {
	char name[16], bind_to[32];
	int ends[2];
	pid_t pid;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	name_of(i, name);
	sprintf(bind_to, "127.0.0.1:%d", port + i);
	setenv("SILO_NAME", name, 1);
	setenv("SENTRY_DEVSERVER_BIND", bind_to, 1);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | (sessions ? POSIX_SPAWN_SETSID : 0));
	if (joined) {
		char path[4096];
		struct source *s = &sources[i];
		if (pipe2(ends, O_CLOEXEC)) fail("pipe");
		posix_spawn_file_actions_adddup2(&files, ends[1], 1);
		snprintf(path, sizeof path, "%s/%s.log", getenv("BENCH_RAW"), name);
		s->pipe = ends[0];
		s->raw = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		s->prefix_size = sprintf(s->prefix, "%-7s | ", name);
		s->line = malloc(2 * BLOCK);
		if (s->raw < 0) fail(path);
	}
	if (posix_spawn(&pid, argv[0], &files, &attr, argv, environ)) fail(argv[0]);
	if (joined) close(ends[1]);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return pid;
}

/* Whole lines of a block, each behind its prefix, into out; what is left is held. */
static size_t join(struct source *s, const char *block, size_t n, char *out) {
	char *at = out;
	const char *end = block + n, *newline;
	while ((newline = memchr(block, '\n', end - block))) {
		memcpy(at, s->prefix, s->prefix_size), at += s->prefix_size;
		memcpy(at, s->line, s->held), at += s->held;
		memcpy(at, block, newline + 1 - block), at += newline + 1 - block;
		s->held = 0;
		block = newline + 1;
	}
	memcpy(s->line + s->held, block, end - block);
	s->held += end - block;
	return at - out;
}

static void fan_in(int count, int signals) {
	static char block[BLOCK], out[40 * BLOCK];
	struct epoll_event on = {.events = EPOLLIN, .data.ptr = NULL}, got[16];
	int poll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(poll, EPOLL_CTL_ADD, signals, &on);
	for (int i = 0; i < count; i++) {
		on.data.ptr = &sources[i];
		epoll_ctl(poll, EPOLL_CTL_ADD, sources[i].pipe, &on);
	}
	for (;;) {
		int ready = epoll_wait(poll, got, 16, -1);
		for (int i = 0; i < ready; i++) {
			struct source *s = got[i].data.ptr;
			if (!s) return; /* TERM */
			ssize_t n = read(s->pipe, block, sizeof block);
			if (n <= 0) {
				epoll_ctl(poll, EPOLL_CTL_DEL, s->pipe, NULL);
				continue;
			}
			put(s->raw, block, n);
			put(1, out, join(s, block, n, out));
		}
	}
}

int main(int argc, char **argv) {
	sigset_t set;
	struct signalfd_siginfo info;
	if (argc > 1 && strcmp(argv[1], "-s") == 0) sessions = 1, argv++, argc--;
	if (argc < 5) return 2;
	int count = atoi(argv[1]), port = atoi(argv[2]), joined = strcmp(argv[4], "produce") == 0;
	if (count < 1 || count > MOST) return 2;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < count; i++) children[i] = spawn(i, port, argv + 3, joined);
	int signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (joined) fan_in(count, signals);
	else if (read(signals, &info, sizeof info) < 0) fail("signal");
	for (int i = 0; i < count; i++) kill(children[i], SIGTERM);
	for (int i = 0; i < count; i++) waitpid(children[i], NULL, 0);
	return 0;
}

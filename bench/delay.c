/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP proxy that delays: each byte arrives DELAY milliseconds later than it would, both ways, and a new connection costs
 * one round trip more, as its handshake does. What is under way is held here, up to HELD_BYTES a direction, so that no window
 * of the two real connections limits what a sender has under way.
 *
 *     bench_delay NAMESPACE PORT DELAY
 *
 * It listens on PORT of 127.0.0.1 in the network namespace that the path NAMESPACE names, and connects to the same port of
 * 127.0.0.1 in its own. Two threads a connection, one for each direction.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HELD_BYTES (16 << 20)
#define HELD_MARKS 4096 /* pieces with a time of their own */
#define PIECE_BYTES (256 << 10)
#define NS_IN_MS 1000000

struct connection {
	int sockets[2]; /* the client's, the server's */
	int64_t born_ns;
	atomic_int users; /* directions that still run: the last one closes */
};

struct mark {
	int64_t due_ns;
	size_t len;
};

/* One way of a connection. Its thread owns it. */
struct direction {
	struct connection *connection;
	int from, to;
	char *ring; /* HELD_BYTES of memory, touched as far as it is needed */
	size_t at;  /* in the ring: the first byte held */
	size_t held;
	struct mark marks[HELD_MARKS];
	size_t first, count; /* of marks */
	bool ended;	     /* nothing more comes */
};

static int64_t delay_ns;

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_delay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Takes what has come. False where the connection is broken. */
static bool take(struct direction *d)
{
	size_t end = (d->at + d->held) % HELD_BYTES;
	size_t room = least(HELD_BYTES - d->held, least(HELD_BYTES - end, PIECE_BYTES));
	ssize_t n = recv(d->from, d->ring + end, room, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		d->ended = true;
		return true;
	}
	int64_t due = now_ns() + delay_ns;
	int64_t handshake =
		d->connection->born_ns + 3 * delay_ns; /* two ways for the handshake, and its own */
	d->marks[(d->first + d->count++) % HELD_MARKS] =
		(struct mark){ due > handshake ? due : handshake, (size_t)n };
	d->held += (size_t)n;
	return true;
}

/* Passes on what is due. False where the connection is broken. */
static bool give(struct direction *d)
{
	struct mark *mark = &d->marks[d->first % HELD_MARKS];
	ssize_t n = send(d->to, d->ring + d->at, least(mark->len, HELD_BYTES - d->at), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	d->at = (d->at + (size_t)n) % HELD_BYTES;
	if (!(d->held -= (size_t)n))
		d->at = 0; /* so that an idle connection touches little memory */
	mark->len -= (size_t)n;
	if (!mark->len) {
		d->first++;
		d->count--;
	}
	return true;
}

/* Waits until something can be done, and does it. False at the end. */
static bool step(struct direction *d)
{
	if (!d->count && d->ended)
		return false;
	int64_t now = now_ns();
	int64_t wait = d->count ? d->marks[d->first % HELD_MARKS].due_ns - now : -1;
	bool due = d->count && wait <= 0;
	bool room = !d->ended && d->held < HELD_BYTES && d->count < HELD_MARKS;
	struct pollfd polled[2] = { { room ? d->from : -1, POLLIN, 0 },
				    { due ? d->to : -1, POLLOUT, 0 } };
	struct timespec until = { wait / 1000000000, wait % 1000000000 };
	if (ppoll(polled, 2, wait > 0 ? &until : NULL, NULL) < 0)
		return errno == EINTR;
	if (polled[0].revents && !take(d))
		return false;
	return !polled[1].revents || give(d);
}

static void *run(void *argument)
{
	struct direction *d = argument;
	while (step(d))
		;
	/* Cleanly at the end, and so that the other direction sees it where this one broke. */
	shutdown(d->to, SHUT_WR);
	if (!d->ended)
		shutdown(d->from, SHUT_RD);
	if (atomic_fetch_sub(&d->connection->users, 1) == 1) {
		close(d->connection->sockets[0]);
		close(d->connection->sockets[1]);
		free(d->connection);
	}
	free(d->ring);
	free(d);
	return NULL;
}

static void start(struct connection *connection, int side)
{
	struct direction *d = calloc(1, sizeof *d);
	pthread_t thread;
	if (!d || !(d->ring = malloc(HELD_BYTES)))
		die("a direction");
	d->connection = connection;
	d->from = connection->sockets[side];
	d->to = connection->sockets[!side];
	if (pthread_create(&thread, NULL, run, d) != 0)
		die("a thread");
	pthread_detach(thread);
}

static struct sockaddr_in loopback(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(port)) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void serve(int client, struct sockaddr_in address)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server < 0)
		die("a socket");
	if (connect(server, (const void *)&address, sizeof address) < 0) {
		close(server);
		close(client);
		return;
	}
	struct connection *connection = calloc(1, sizeof *connection);
	if (!connection)
		die("a connection");
	connection->sockets[0] = client;
	connection->sockets[1] = server;
	connection->born_ns = now_ns();
	connection->users = 2;
	for (int side = 0; side < 2; side++) {
		int flags = fcntl(connection->sockets[side], F_GETFL);
		if (flags < 0 ||
		    fcntl(connection->sockets[side], F_SETFL, flags | O_NONBLOCK) < 0 ||
		    setsockopt(connection->sockets[side], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
			       sizeof(int)) < 0)
			die("a connection's options");
	}
	start(connection, 0);
	start(connection, 1);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: bench_delay NAMESPACE PORT DELAY-MS\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	struct sockaddr_in address = loopback(argv[2]);
	delay_ns = strtoll(argv[3], NULL, 10) * NS_IN_MS;
	int outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int inside = open(argv[1], O_RDONLY | O_CLOEXEC);
	/* A socket stays in the namespace in which it was made. */
	if (outside < 0 || inside < 0 || setns(inside, CLONE_NEWNET) < 0)
		die(argv[1]);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
	    bind(listener, (const void *)&address, sizeof address) < 0 ||
	    listen(listener, 1024) < 0)
		die("listening");
	if (setns(outside, CLONE_NEWNET) < 0)
		die("going back to the first namespace");
	for (;;) {
		int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (client >= 0)
			serve(client, address);
		else if (errno != EINTR && errno != ECONNABORTED)
			die("accepting");
	}
}

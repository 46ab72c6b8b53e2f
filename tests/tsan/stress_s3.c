/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The S3 store and its network thread under load, for ThreadSanitizer: 8 threads put and get over
 * 3 connections to a small server in this process. The server drops some connections, sends some
 * bodies slowly and some not to their end; some requests are cancelled. What a get returns is what
 * the server has; a buffer is not written to after its request has returned.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "store/s3.h"

#define THREADS 8
#define ROUNDS 60
#define BODY_BYTES 300000
#define SERVER_THREADS 16

struct server {
	int listener;
	pthread_t threads[SERVER_THREADS];
	atomic_uint requests;
	atomic_bool stop;
	char body[BODY_BYTES];
};

static void check(bool holds, const char *promise)
{
	if (holds)
		return;
	fprintf(stderr, "stress_s3: broken: %s\n", promise);
	abort();
}

/* ---- the server ---- */

/* Reads a request and drops its body. The method's first letter, 0 where the connection has ended. */
static char read_request(int fd)
{
	char head[4096] = "", *end;
	size_t len = 0;
	ssize_t n;

	do {
		n = recv(fd, head + len, sizeof(head) - 1 - len, 0);
		if (n <= 0)
			return 0;
		len += (size_t)n;
		head[len] = 0;
		end = memmem(head, len, "\r\n\r\n", 4);
	} while (!end && len < sizeof(head) - 1);
	if (end) {
		const char *at = strcasestr(head, "\r\ncontent-length:");
		size_t have = len - (size_t)(end + 4 - head),
		       want = at ? strtoul(at + 17, NULL, 10) : 0;
		char sink[65536];

		for (; have < want; have += (size_t)n) {
			n = recv(fd, sink, sizeof(sink), 0);
			if (n <= 0)
				return 0;
		}
	}
	return end ? head[0] : 0;
}

static bool send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool answer(struct server *s, int fd, char method)
{
	unsigned number = atomic_fetch_add(&s->requests, 1);
	char head[128];
	size_t len = method == 'G' ? BODY_BYTES : 0;

	if (number % 11 == 0)
		return false;
	snprintf(head, sizeof(head),
		 "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: %zu\r\n\r\n", len);
	if (!send_all(fd, head, strlen(head)))
		return false;
	if (number % 13 == 0 && len)
		return send_all(fd, s->body, len / 2) && false;
	for (size_t at = 0; at < len; at += len / 10) {
		if (!send_all(fd, s->body + at, len / 10))
			return false;
		if (number % 5 == 0)
			sched_yield();
	}
	return true;
}

static void *serve(void *arg)
{
	struct server *s = arg;

	while (!s->stop) {
		int fd = accept(s->listener, NULL, NULL);
		char method;

		if (fd < 0)
			break;
		while ((method = read_request(fd)) && answer(s, fd, method))
			;
		close(fd);
	}
	return NULL;
}

static void server_start(struct server *s, char *endpoint, size_t size)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	for (size_t i = 0; i < BODY_BYTES; i++)
		s->body[i] = (char)(i * 31 >> 3);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(bind(s->listener, &address, len) == 0 && listen(s->listener, 64) == 0 &&
		      getsockname(s->listener, &address, &len) == 0,
	      "there is a free port");
	snprintf(endpoint, size, "http://127.0.0.1:%d", ntohs(address.sin_port));
	for (int i = 0; i < SERVER_THREADS; i++)
		check(pthread_create(&s->threads[i], NULL, serve, s) == 0, "threads start");
}

static void server_stop(struct server *s)
{
	s->stop = true;
	shutdown(s->listener, SHUT_RDWR);
	for (int i = 0; i < SERVER_THREADS; i++)
		pthread_join(s->threads[i], NULL);
	close(s->listener);
}

/* ---- the clients ---- */

struct world {
	struct store *store;
	const struct server *server;
	atomic_uint next_thread, done, failed, cancelled;
};

struct progress {
	struct cancel cancel;
	size_t cancel_at;
};

static void on_progress(void *ctx, size_t done)
{
	struct progress *p = ctx;

	if (p->cancel_at && done >= p->cancel_at)
		cancel_set(&p->cancel, 1);
}

static void count(struct world *w, int r)
{
	if (r == 0)
		atomic_fetch_add(&w->done, 1);
	else if (r == -ECANCELED)
		atomic_fetch_add(&w->cancelled, 1);
	else
		atomic_fetch_add(&w->failed, 1);
}

static void one_get(struct world *w, char *buffer, bool cancelled)
{
	struct progress p = { .cancel_at = cancelled ? BODY_BYTES / 3 : 0 };
	struct store_get req = {
		.key = "some/key",
		.whole = true,
		.dst = buffer,
		.cap_bytes = BODY_BYTES,
		.expected_bytes = BODY_BYTES,
		.progress = on_progress,
		.progress_ctx = &p,
	};
	struct err e = ERR_INIT;
	int r = store_get(w->store, &req, NULL, &p.cancel, &e);

	check(r == 0 || r == -ECANCELED || (e.kind == ERR_STORE && e.retryable),
	      "failures can be retried");
	check(r != 0 || memcmp(buffer, w->server->body, BODY_BYTES) == 0,
	      "a get returns what is there");
	count(w, r);
	memset(buffer, 0, BODY_BYTES);
}

static void one_put(struct world *w, const char *body)
{
	struct err e = ERR_INIT;
	int r = store_put_bytes(w->store, "other/key", body, BODY_BYTES, STORE_IF_ABSENT, NULL,
				NULL, NULL, &e);

	check(r == 0 || (e.kind == ERR_STORE && e.retryable), "failures can be retried");
	count(w, r);
}

static void *client(void *arg)
{
	struct world *w = arg;
	unsigned index = atomic_fetch_add(&w->next_thread, 1);
	char *buffer = calloc(1, BODY_BYTES);

	check(buffer, "there is memory");
	for (unsigned i = 0; i < ROUNDS; i++) {
		if ((i + index) % 4 == 0)
			one_put(w, buffer);
		else
			one_get(w, buffer, (i + index) % 6 == 1);
	}
	free(buffer);
	return NULL;
}

static const char *test_keys(void *ctx, const char *name)
{
	return strcmp(name, "AWS_ACCESS_KEY_ID") == 0 || strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0
		       ? "test"
		       : NULL;
}

int main(void)
{
	static struct server server;
	struct world w = { .server = &server };
	pthread_t threads[THREADS];
	char endpoint[64];
	struct creds_options creds = { .getenv = test_keys, .clock = clock_system() };
	struct s3_options options = {
		.bucket = "bucket",
		.endpoint = endpoint,
		.connections = 3,
		.clock = clock_system(),
	};
	struct err e = ERR_INIT;

	server_start(&server, endpoint, sizeof(endpoint));
	options.creds = creds_new(&creds);
	check(options.creds && s3_store_new(&options, &w.store, &e) == 0, "the store opens");
	for (int i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, client, &w) == 0, "threads start");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	store_free(w.store);
	server_stop(&server);
	printf("stress_s3: %u done, %u failed, %u cancelled\n", w.done, w.failed, w.cancelled);
	check(w.done && w.failed && w.cancelled, "all three came to pass");
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests against servers that are slow, dead or gone, with limits that do not take minutes. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "store/http.h"
#include "store/httpsock.h"

#define SLOW_BODY_BYTES (24 * 1024)

/* What a server does with its one connection, until the other side closes it. */
typedef void behave_fn(int fd);

struct server {
	int listener;
	int port;
	behave_fn *behave;
	pthread_t thread;
	atomic_uint connections;
};

static void pause_ms(int ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

static void until_closed(int fd)
{
	char sink[4096];

	while (recv(fd, sink, sizeof(sink), 0) > 0)
		;
}

static bool say(int fd, const char *data, size_t len)
{
	return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void read_head(int fd)
{
	char sink[4096];

	(void)!recv(fd, sink, sizeof(sink), 0);
}

static void answer_ok(int fd)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

	for (char sink[4096]; recv(fd, sink, sizeof(sink), 0) > 0;)
		say(fd, ok, sizeof(ok) - 1);
}

static void answer_never(int fd)
{
	until_closed(fd);
}

static atomic_bool is_over; /* the test; its own process */

static void read_never(int fd)
{
	while (!is_over)
		pause_ms(20);
}

/* 2 KiB every tenth of a second: slow, and alive. */
static void answer_slowly(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 24576\r\n\r\n";
	char piece[2048];

	memset(piece, 's', sizeof(piece));
	read_head(fd);
	say(fd, head, sizeof(head) - 1);
	for (int i = 0; i < SLOW_BODY_BYTES / 2048 && say(fd, piece, sizeof(piece)); i++)
		pause_ms(100);
	until_closed(fd);
}

static void answer_in_drops(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 24576\r\n\r\n";

	read_head(fd);
	say(fd, head, sizeof(head) - 1);
	while (say(fd, "d", 1))
		pause_ms(20);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		s->connections++;
		s->behave(fd);
		close(fd);
	}
	return NULL;
}

static int listen_on(const char *ip, int port, int backlog)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

	inet_pton(AF_INET, ip, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	cr_assert_eq(bind(fd, (void *)&a, sizeof(a)), 0, "%s", strerror(errno));
	cr_assert_eq(listen(fd, backlog), 0);
	return fd;
}

static void server_start(struct server *s, behave_fn *behave)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	*s = (struct server){ .behave = behave, .listener = listen_on("127.0.0.1", 0, 16) };
	getsockname(s->listener, (void *)&a, &len);
	s->port = ntohs(a.sin_port);
	cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	is_over = true;
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
}

/* A request with a body of put_bytes, or a GET. */
static int perform(const struct http_options *o, const struct server *s, size_t put_bytes,
		   struct wbuf *text, struct err *e)
{
	_cleanup_free_ char *body = calloc(1, put_bytes + 1);
	struct iovec iov = { body, put_bytes };
	struct http_request r = { .method = put_bytes ? "PUT" : "GET",
				  .body = &iov,
				  .body_count = put_bytes ? 1 : 0,
				  .has_body = put_bytes > 0,
				  .text = text };
	struct http_answer answer;
	struct http *h;
	char url[64];
	int rc;

	snprintf(url, sizeof(url), "http://%s:%d/", o->resolve ? "store.test" : "127.0.0.1",
		 s->port);
	r.url = url;
	*e = ERR_INIT;
	wbuf_init(text, 65536);
	cr_assert_eq(http_new(o, &h, NULL), 0);
	rc = http_perform(h, &r, &answer, NULL, e);
	http_free(h);
	return rc;
}

static struct http_options limits(int first_byte_ms, int stall_ms)
{
	return (struct http_options){ .connections = 2,
				      .direct = true,
				      .connect_timeout_ms = 10000,
				      .first_byte_timeout_ms = first_byte_ms,
				      .stall_timeout_ms = stall_ms,
				      .request_timeout_ms = 60000 };
}

static void expect(behave_fn *behave, int first_byte_ms, int stall_ms, size_t put_bytes, int want,
		   const char *says)
{
	struct http_options o = limits(first_byte_ms, stall_ms);
	_cleanup_wbuf_ struct wbuf text;
	struct server s;
	struct err e;

	server_start(&s, behave);
	cr_expect_eq(perform(&o, &s, put_bytes, &text, &e), want, "%s", e.message);
	cr_expect(strstr(e.message, says), "%s", e.message);
	if (want == 0)
		cr_expect_eq(text.len, SLOW_BODY_BYTES);
	else
		cr_expect(e.retryable);
	cr_expect_eq(e.outcome_unknown, put_bytes > 0);
	server_stop(&s);
}

Test(http, an_answer_that_does_not_come_is_not_waited_for)
{
	expect(answer_never, 200, 60000, 0, -ETIMEDOUT, "nothing came in 0.2 s");
}

Test(http, an_answer_to_a_body_that_arrived_is_waited_for_as_long)
{
	expect(answer_never, 200, 60000, 3000, -ETIMEDOUT, "nothing came in 0.2 s");
}

/* The kernel takes all of it, and the other side nothing: that is not the wait for an answer. */
Test(http, a_body_that_nobody_reads_stands_still)
{
	expect(read_never, 60000, 300, 48000, -ETIMEDOUT, "stood still for 0.3 s");
}

Test(http, a_body_in_single_bytes_stands_still)
{
	expect(answer_in_drops, 60000, 500, 0, -ETIMEDOUT, "stood still for 0.5 s");
}

Test(http, a_slow_body_comes_whole)
{
	expect(answer_slowly, 60000, 1000, 0, 0, "");
}

/* ---- addresses ---- */

/* An address where connections are neither taken nor refused: its queue is full. */
static int black_hole(int port, int fill[4])
{
	int fd = listen_on("127.0.0.2", port, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, "127.0.0.2", &a.sin_addr);
	for (int i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(fill[i], (void *)&a, sizeof(a));
	}
	return fd;
}

Test(http, a_dead_address_of_a_name_costs_time_and_no_request)
{
	struct http_options o = limits(60000, 60000);
	int hole, fill[4];
	char resolve[128];
	struct server s;

	server_start(&s, answer_ok);
	hole = black_hole(s.port, fill);
	snprintf(resolve, sizeof(resolve), "store.test:%d:127.0.0.2,127.0.0.1", s.port);
	o.resolve = resolve;
	o.connect_timeout_ms = 4000;
	/* The order of the addresses is drawn by chance. */
	for (int i = 0; i < 4; i++) {
		_cleanup_wbuf_ struct wbuf text;
		struct err e;

		cr_expect_eq(perform(&o, &s, 0, &text, &e), 0, "%s", e.message);
	}
	cr_expect_eq(s.connections, 4);
	for (int i = 0; i < 4; i++)
		close(fill[i]);
	close(hole);
	server_stop(&s);
}

Test(http, a_name_whose_addresses_are_all_dead_is_given_up_by_its_limit)
{
	struct http_options o = limits(60000, 60000);
	_cleanup_wbuf_ struct wbuf text;
	int hole, fill[4];
	char resolve[128];
	struct server s;
	struct err e;

	server_start(&s, answer_ok);
	hole = black_hole(s.port, fill);
	snprintf(resolve, sizeof(resolve), "store.test:%d:127.0.0.2", s.port);
	o.resolve = resolve;
	o.connect_timeout_ms = 200;
	cr_expect_eq(perform(&o, &s, 10, &text, &e), -ETIMEDOUT, "%s", e.message);
	cr_expect(e.retryable);
	cr_expect_not(e.outcome_unknown);
	for (int i = 0; i < 4; i++)
		close(fill[i]);
	close(hole);
	server_stop(&s);
}

/* ---- sockets ---- */

Test(http, what_the_other_side_has_not_got_is_known)
{
	int listener = listen_on("127.0.0.1", 0, 1), fd = socket(AF_INET, SOCK_STREAM, 0), peer;
	struct httpsock sockets = { 0 };
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char data[32768] = "";
	ssize_t got = 0, n;

	getsockname(listener, (void *)&a, &len);
	cr_assert_eq(connect(fd, (void *)&a, len), 0);
	peer = accept(listener, NULL, NULL);
	getsockname(fd, (void *)&a, &len);
	cr_assert_eq(httpsock_add(&sockets, listener), 0);
	cr_assert_eq(httpsock_add(&sockets, fd), 0);
	cr_expect_eq(httpsock_find(&sockets, "127.0.0.1", ntohs(a.sin_port)), fd);
	cr_assert_eq(send(fd, data, sizeof(data), 0), (ssize_t)sizeof(data));
	cr_expect_gt(httpsock_unacknowledged(fd), 0);
	while (got < (ssize_t)sizeof(data) && (n = recv(peer, data, sizeof(data), 0)) > 0)
		got += n;
	while (httpsock_unacknowledged(fd) > 0)
		pause_ms(1); /* the last acknowledgement is under way */
	httpsock_remove(&sockets, fd);
	cr_expect_eq(httpsock_find(&sockets, "127.0.0.1", ntohs(a.sin_port)), -1);
	cr_expect_eq(httpsock_unacknowledged(-1), 0);
	httpsock_deinit(&sockets);
	close(peer);
	close(fd);
	close(listener);
}

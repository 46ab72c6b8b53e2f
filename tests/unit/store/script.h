/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on 127.0.0.1 that answers each request with the next line of a script, whatever was
 * asked, and keeps what was asked. So tests can have answers that no honest server gives. One
 * connection at a time.
 */
#ifndef SSTABLEFS_TESTS_UNIT_STORE_SCRIPT_H
#define SSTABLEFS_TESTS_UNIT_STORE_SCRIPT_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/util.h"

#define SCRIPT_STEPS_MAX 16
#define SCRIPT_REQUEST_MAX (256 * 1024)

enum script_end {
	SCRIPT_KEEP,  /* the connection stays open for the next request */
	SCRIPT_CLOSE, /* closed behind the answer */
	SCRIPT_HOLD,  /* nothing more is sent until the client closes */
};

struct script_step {
	const char *answer; /* "" for none */
	enum script_end end;
};

struct script {
	const struct script_step *steps;
	size_t count;
	int listener;
	pthread_t thread;
	char endpoint[64];
	pthread_mutex_t lock;		  /* protects what follows */
	char *requests[SCRIPT_STEPS_MAX]; /* head and body as text */
	size_t request_count;
};

/* The end of the request's head, or NULL while it is not complete. */
static const char *script_head_end(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	return end ? end + 4 : NULL;
}

static size_t script_body_length(const char *text)
{
	const char *at = strcasestr(text, "\r\nContent-Length:");

	return at ? strtoul(at + strlen("\r\nContent-Length:"), NULL, 10) : 0;
}

/* A whole request as a new string, or NULL where the client has closed. */
static char *script_read_request(int fd)
{
	char *text = calloc(1, SCRIPT_REQUEST_MAX);
	size_t len = 0;

	while (text && len < SCRIPT_REQUEST_MAX - 1) {
		const char *end = script_head_end(text);
		ssize_t n;

		if (end && len >= (size_t)(end - text) + script_body_length(text))
			return text;
		n = recv(fd, text + len, SCRIPT_REQUEST_MAX - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	free(text);
	return NULL;
}

/* NULL: the script is over. */
static const struct script_step *script_next(struct script *s, char *request)
{
	const struct script_step *step = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->request_count < s->count) {
		step = &s->steps[s->request_count];
		s->requests[s->request_count++] = request;
	} else {
		free(request);
	}
	pthread_mutex_unlock(&s->lock);
	return step;
}

static void script_serve(struct script *s, int fd)
{
	const struct script_step *step;
	char *request;

	while ((request = script_read_request(fd)) && (step = script_next(s, request))) {
		send(fd, step->answer, strlen(step->answer), MSG_NOSIGNAL);
		if (step->end == SCRIPT_HOLD)
			free(script_read_request(fd));
		if (step->end != SCRIPT_KEEP)
			return;
	}
}

static void *script_thread(void *arg)
{
	struct script *s = arg;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		script_serve(s, fd);
		close(fd);
	}
	return NULL;
}

static void script_start(struct script *s, const struct script_step *steps, size_t count)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	cr_assert_leq(count, SCRIPT_STEPS_MAX);
	*s = (struct script){ .steps = steps, .count = count };
	pthread_mutex_init(&s->lock, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(s->listener, &address, sizeof(address)), 0);
	cr_assert_eq(listen(s->listener, 16), 0);
	cr_assert_eq(getsockname(s->listener, &address, &len), 0);
	snprintf(s->endpoint, sizeof(s->endpoint), "http://127.0.0.1:%d", ntohs(address.sin_port));
	cr_assert_eq(pthread_create(&s->thread, NULL, script_thread, s), 0);
}

/* After the client has closed its connections. */
static void script_stop(struct script *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	for (size_t i = 0; i < s->request_count; i++)
		free(s->requests[i]);
	pthread_mutex_destroy(&s->lock);
}

static size_t script_request_count(struct script *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->request_count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

#endif

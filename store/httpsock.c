/* SPDX-License-Identifier: Apache-2.0 */
#include "store/httpsock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "base/util.h"

int httpsock_add(struct httpsock *s, int fd)
{
	if (util_grow(&s->fds, &s->cap, s->count + 1, sizeof(*s->fds)) < 0)
		return -ENOMEM;
	s->fds[s->count++] = fd;
	return 0;
}

void httpsock_remove(struct httpsock *s, int fd)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->fds[i] == fd) {
			s->fds[i] = s->fds[--s->count];
			return;
		}
	}
}

void httpsock_deinit(struct httpsock *s)
{
	free(s->fds);
	*s = (struct httpsock){ 0 };
}

static bool is_bound_to(int fd, const char *ip, int port)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr address;
	} own;
	socklen_t len = sizeof(own);
	char host[NI_MAXHOST], service[NI_MAXSERV];

	if (getsockname(fd, &own.address, &len) < 0 ||
	    getnameinfo(&own.address, len, host, sizeof(host), service, sizeof(service),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return false;
	host[strcspn(host, "%")] = 0; /* libcurl leaves the interface away */
	return strcmp(host, ip) == 0 && atoi(service) == port;
}

int httpsock_find(const struct httpsock *s, const char *local_ip, int local_port)
{
	for (size_t i = 0; i < s->count; i++) {
		if (is_bound_to(s->fds[i], local_ip, local_port))
			return s->fds[i];
	}
	return -1;
}

uint64_t httpsock_unacknowledged(int fd)
{
	int bytes = 0;

	return fd >= 0 && ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

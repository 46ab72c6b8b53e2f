/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open sockets of the network thread, so that the one under a transfer can be asked how much of
 * what was sent has arrived: libcurl counts a byte as sent once the kernel has taken it, and a
 * kernel may keep megabytes for minutes. One thread.
 */
#ifndef SSTABLEFS_STORE_HTTPSOCK_H
#define SSTABLEFS_STORE_HTTPSOCK_H

#include <stddef.h>
#include <stdint.h>

struct httpsock { /* zero: none */
	int *fds;
	size_t count, cap;
};

/* 0 or -ENOMEM. */
int httpsock_add(struct httpsock *s, int fd);
void httpsock_remove(struct httpsock *s, int fd);
void httpsock_deinit(struct httpsock *s);
/* The socket that is bound to this numeric address and port, -1 where there is none. */
int httpsock_find(const struct httpsock *s, const char *local_ip, int local_port);
/* Bytes that the other side has not acknowledged; 0 where the kernel does not say. */
uint64_t httpsock_unacknowledged(int fd);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/daemon.h"

#include <fcntl.h>
#include <sys/wait.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif
#include "base/io.h"

/* Parent: the child sends one struct err: code 0 means ready. A child that ends without a word has crashed. */
static int await(int fd, pid_t child, struct err *e)
{
	struct err said;
	ssize_t got = 0, n;
	int status;

	while (got < (ssize_t)sizeof(said)) {
		n = read(fd, (char *)&said + got, sizeof(said) - (size_t)got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += n;
	}
	if (got < (ssize_t)sizeof(said)) {
		waitpid(child, &status, 0);
		return err_set(e, ERR_IO, -EIO,
			       "the background process ended without a word (its log may say why)");
	}
	if (said.code == 0)
		return 1;
	waitpid(child, &status, 0);
	*e = said;
	return said.code;
}

int daemon_begin(struct daemon_link *link, struct err *e)
{
	int fds[2], r;
	pid_t child;

	link->fd = -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, -errno, "cannot make a pipe");
	child = fork();
	if (child < 0) {
		r = -errno;
		close(fds[0]);
		close(fds[1]);
		return err_errno(e, r, "cannot fork");
	}
	if (child == 0) {
		close(fds[0]);
		link->fd = fds[1];
		setsid();
		return 0;
	}
	close(fds[1]);
	r = await(fds[0], child, e);
	close(fds[0]);
	return r;
}

static void say(struct daemon_link *link, const struct err *e)
{
	if (link->fd < 0)
		return;
	(void)io_write_full(link->fd, e, sizeof(*e));
	close(link->fd);
	link->fd = -1;
}

void daemon_ready(struct daemon_link *link)
{
	struct err well = ERR_INIT;
	int null;

	if (link->fd < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	(void)!chdir("/");
	say(link, &well);
}

void daemon_failed(struct daemon_link *link, const struct err *e)
{
	say(link, e);
}

void daemon_notify(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/unmount.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "base/io.h"
#include "fs/mountpoint.h"
#include "tools/dirusers.h"

#define ASK_MS \
	2000 /* how long a mount may take to tell its pid; one that hangs is unmounted without */
#define GONE_MS 30000 /* how long the daemon may take to end */

/* ---- who serves it ---- */

/* Child: prints "pid" of .sstablefs/status into the pipe. */
static void tell_pid(const char *mountpoint, int out)
{
	_cleanup_free_ char *path = util_printf("%s/.sstablefs/status", mountpoint);
	_cleanup_free_ char *text = NULL;
	const char *line;
	size_t len;

	if (!path || io_read_file(AT_FDCWD, path, 1 * MIB, &text, &len) < 0)
		_exit(1);
	line = strstr(text, "\npid: ");
	if (line)
		dprintf(out, "%ld", strtol(line + 6, NULL, 10));
	_exit(0);
}

/* A pidfd of the daemon, or -1; whether it answers at all. Asked in a child, because a mount that hangs must not stop us. */
static int daemon_pidfd(const char *mountpoint, bool *ret_answers)
{
	char text[32] = "";
	struct pollfd p;
	int fds[2], status;
	pid_t child, pid;

	*ret_answers = true;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	child = fork();
	if (child == 0)
		tell_pid(mountpoint, fds[1]);
	close(fds[1]);
	p = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	if (child > 0)
		*ret_answers = poll(&p, 1, ASK_MS) == 1;
	if (child > 0 && *ret_answers)
		(void)!read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		/* Whom the kernel holds in a request stays there, killed or not, until that is answered. */
		waitpid(child, &status, *ret_answers ? 0 : WNOHANG);
	}
	pid = (pid_t)strtol(text, NULL, 10);
	return pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

static int await_end(int pidfd, const char *mountpoint, struct err *e)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0 || poll(&p, 1, GONE_MS) == 1)
		return 0;
	return err_set(e, ERR_IO, -ETIMEDOUT,
		       "%s is unmounted, but its process has not ended after %d s", mountpoint,
		       GONE_MS / 1000);
}

/* ---- unmounting ---- */

/* What users have for it: the kernel's control file belongs to who mounted. */
static int abort_connection(const struct mountpoint_info *info, struct err *e)
{
	_cleanup_free_ char *path = util_printf("/sys/fs/fuse/connections/%u/abort", info->minor);
	_cleanup_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0 || write(fd, "1", 1) != 1)
		return err_errno(e, -errno, "cannot abort the connection (%s)", path ? path : "");
	return 0;
}

/* What does not answer never ends for who waits for it: to end those, or to detach it, would not help. */
static const char *advice(bool answers)
{
	return answers ? "end them, or use --lazy"
		       : "and it does not answer: its daemon hangs, or was killed while the kernel "
			 "waited for it; --force ends that";
}

static int detach(const char *mountpoint, bool lazy, bool force, bool answers, struct err *e)
{
	char users[1024];
	int r = mountpoint_detach(mountpoint, lazy, force);

	if (r == 0)
		return 0;
	if (r != -EBUSY)
		return err_errno(e, r, "cannot unmount %s", mountpoint);
	dirusers_list((const char *[]){ mountpoint, NULL }, users, sizeof(users));
	return err_set(e, ERR_CONFLICT, r, "%s is busy: %s%s (%s)", mountpoint,
		       *users ? "in use by " : "in use", users, advice(answers));
}

int unmount_run(const char *path, bool lazy, bool force, struct err *e)
{
	_cleanup_free_ char *mountpoint = mountpoint_absolute(path);
	_cleanup_close_ int pidfd = -1;
	struct mountpoint_info info = { .mounted = false };
	bool answers = true;
	int r = 0;

	if (mountpoint)
		r = mountpoint_query(mountpoint, &info);
	if (!mountpoint || (r == 0 && !info.mounted))
		return err_set(e, ERR_NOT_FOUND, -EINVAL, "nothing is mounted on %s", path);
	if (r == 0 && strcmp(info.type, "fuse.sstablefs") != 0)
		return err_set(e, ERR_USAGE, -EINVAL, "%s is not a mount of sstablefs, but %s",
			       path, info.type);
	if (r == 0 && !force)
		pidfd = daemon_pidfd(mountpoint, &answers);
	if (r == 0 && force && geteuid() != 0)
		r = abort_connection(&info, e);
	if (r == 0)
		r = detach(mountpoint, lazy, force, answers, e);
	return r == 0 && !lazy ? await_end(pidfd, path, e) : r;
}

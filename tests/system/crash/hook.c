/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into the program under test: counts its calls that change files or send to a server, and makes one of them the moment of a crash, or
 * lets it fail. Nothing of it is in the program. hook.py sets these:
 *
 *     CRASH_STATE    file of 8 bytes, shared by all processes of a run: how many calls there were
 *     CRASH_BELOW    calls about files below this directory count (all sends do)
 *     CRASH_CLASSES  letters: w write, s sync, n a new or another name, u unlink, t truncate, x send
 *     CRASH_AT       at the so-manieth of these calls (1: the first) …
 *     CRASH_ERROR    … it fails with this errno; 0: the process dies by SIGKILL, a write when half of it is done
 *     CRASH_PAUSE    1: instead it stops itself, and goes on after SIGCONT as if nothing were
 *     CRASH_EVER     1: so do all calls after it
 *     CRASH_RECORD   file: what was done, in order, for power.py
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define NEXT(name, ...) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

static struct {
	_Atomic uint64_t *calls;
	const char *below, *classes;
	uint64_t at;
	int error;
	bool ever, pause;
	int record; /* -1: nothing is recorded */
} hook = { .record = -1 };

/* One change at a time while they are recorded: the order of the record is that of the file system. */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *state = getenv("CRASH_STATE"), *record = getenv("CRASH_RECORD");
	int fd = state ? open(state, O_RDWR | O_CLOEXEC) : -1;
	void *shared = MAP_FAILED;

	if (fd >= 0) {
		shared = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	hook.below = getenv("CRASH_BELOW");
	hook.classes = getenv("CRASH_CLASSES");
	if (shared == MAP_FAILED || !hook.below || !hook.classes) {
		fputs("hook: CRASH_STATE, CRASH_BELOW and CRASH_CLASSES are wanted\n", stderr);
		_exit(99);
	}
	hook.at = number_of("CRASH_AT");
	hook.error = (int)number_of("CRASH_ERROR");
	hook.ever = number_of("CRASH_EVER") == 1;
	hook.pause = number_of("CRASH_PAUSE") == 1;
	if (record)
		hook.record = open(record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	hook.calls = shared;
}

/* ---- what a call is about ---- */

static bool link_of(const char *proc, char out[PATH_MAX])
{
	ssize_t n = readlink(proc, out, PATH_MAX - 1);

	if (n < 0)
		return false;
	out[n] = '\0';
	return out[0] == '/';
}

static bool path_of_fd(int fd, char out[PATH_MAX])
{
	char proc[64];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return link_of(fd == AT_FDCWD ? "/proc/self/cwd" : proc, out);
}

/* The absolute path of a name as a call gives it; LMDB is given paths through /proc/self/fd. */
static bool path_of(int dirfd, const char *name, char out[PATH_MAX])
{
	char directory[PATH_MAX], proc[64];
	int fd, used = 0;

	if (sscanf(name, "/proc/self/fd/%d%n", &fd, &used) == 1 && used > 0) {
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
		if (!link_of(proc, directory))
			return false;
		return snprintf(out, PATH_MAX, "%s%s", directory, name + used) < PATH_MAX;
	}
	if (name[0] == '/')
		return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX;
	if (!path_of_fd(dirfd, directory))
		return false;
	return snprintf(out, PATH_MAX, "%s/%s", directory, name) < PATH_MAX;
}

static bool is_below(const char *path)
{
	size_t len = hook.below ? strlen(hook.below) : 0;

	return len > 0 && strncmp(path, hook.below, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}

static bool fd_counts(int fd)
{
	char path[PATH_MAX];
	int saved = errno;
	bool counts = hook.calls && path_of_fd(fd, path) && is_below(path);

	errno = saved;
	return counts;
}

static bool name_counts(int dirfd, const char *name)
{
	char path[PATH_MAX];
	int saved = errno;
	bool counts = hook.calls && path_of(dirfd, name, path) && is_below(path);

	errno = saved;
	return counts;
}

/* ---- crash and failure ---- */

/* Counts a call. True: its moment has come. */
static bool is_due(char class)
{
	uint64_t n;

	if (!strchr(hook.classes, class))
		return false;
	n = atomic_fetch_add(hook.calls, 1) + 1;
	return hook.at > 0 && (n == hook.at || (hook.ever && n > hook.at));
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* True: the call is to fail (errno is set). */
static bool meets(char class)
{
	if (!is_due(class))
		return false;
	if (hook.pause)
		return kill(getpid(), SIGSTOP) < 0;
	if (hook.error == 0)
		die();
	errno = hook.error;
	return true;
}

/* ---- the record ---- */

static void lock_order(void)
{
	if (hook.record >= 0)
		pthread_mutex_lock(&order);
}

static void unlock_order(void)
{
	if (hook.record >= 0)
		pthread_mutex_unlock(&order);
}

/* "OP a b len len\n" and both payloads. */
static void note(const char *op, uint64_t a, uint64_t b, const void *one, size_t one_len,
		 const void *two, size_t two_len)
{
	char head[128];
	int n = snprintf(head, sizeof(head), "%s %llu %llu %zu %zu\n", op, (unsigned long long)a,
			 (unsigned long long)b, one_len, two_len);
	struct iovec parts[] = {
		{ head, (size_t)n },
		{ (void *)(uintptr_t)one, one_len },
		{ (void *)(uintptr_t)two, two_len },
	};
	ssize_t all = (ssize_t)((size_t)n + one_len + two_len);

	if (NEXT(writev, hook.record, parts, 3) != all)
		abort();
}

static uint64_t ino_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static void note_fd(const char *op, int fd, uint64_t b, const void *data, size_t len)
{
	int saved = errno;

	if (hook.record >= 0)
		note(op, ino_of(fd), b, data, len, "", 0);
	errno = saved;
}

static void note_names(const char *op, uint64_t ino, int fd1, const char *name1, int fd2,
		       const char *name2)
{
	char one[PATH_MAX] = "", two[PATH_MAX] = "";
	int saved = errno;

	if (hook.record >= 0 && path_of(fd1, name1, one) && (!name2 || path_of(fd2, name2, two)))
		note(op, ino, 0, one, strlen(one), two, strlen(two));
	errno = saved;
}

/* ---- files ---- */

/* O_TMPFILE: it may be linked to a name later. */
static bool is_nameless(int flags)
{
	return (flags & __O_TMPFILE) == __O_TMPFILE;
}

static int open_counted(int dirfd, const char *name, int flags, mode_t mode)
{
	struct stat st;
	bool isnew;
	int fd;

	lock_order();
	isnew = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0;
	fd = isnew && meets('n') ? -1 : NEXT(openat, dirfd, name, flags, mode);
	if (fd >= 0 && isnew)
		note_names("create", ino_of(fd), dirfd, name, -1, NULL);
	else if (fd >= 0 && (is_nameless(flags) || (flags & O_TRUNC)))
		note_fd(is_nameless(flags) ? "nameless" : "truncate", fd, 0, "", 0);
	unlock_order();
	return fd;
}

static int open_any(int dirfd, const char *name, int flags, mode_t mode)
{
	if (((flags & O_CREAT) || is_nameless(flags)) && name_counts(dirfd, name))
		return open_counted(dirfd, name, flags, mode);
	return NEXT(openat, dirfd, name, flags, mode);
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(function, dirfd, ...)                                        \
	PUBLIC int function(__VA_ARGS__ const char *name, int flags, ...) \
	{                                                                 \
		va_list ap;                                               \
		mode_t mode;                                              \
                                                                          \
		va_start(ap, flags);                                      \
		mode = mode_of(flags, ap);                                \
		va_end(ap);                                               \
		return open_any(dirfd, name, flags, mode);                \
	}

OPEN(open, AT_FDCWD, )
OPEN(open64, AT_FDCWD, )
OPEN(openat, dirfd, int dirfd, )
OPEN(openat64, dirfd, int dirfd, )

/* ---- writing ---- */

/* Where write(2) would write. */
static uint64_t offset_of(int fd)
{
	struct stat st;

	if (fcntl(fd, F_GETFL) & O_APPEND)
		return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return (uint64_t)lseek(fd, 0, SEEK_CUR);
}

/* The moment of a write: -1 where it is to fail. Half of it is done by one that dies. */
static int meet_write(int fd, const void *data, size_t len, off_t offset)
{
	if (!is_due('w'))
		return 0;
	if (hook.error == 0) {
		if (offset < 0)
			(void)!NEXT(write, fd, data, len / 2);
		else
			(void)!NEXT(pwrite, fd, data, len / 2, offset);
		die();
	}
	errno = hook.error;
	return -1;
}

PUBLIC ssize_t write(int fd, const void *data, size_t len)
{
	uint64_t at;
	ssize_t n;

	if (!fd_counts(fd))
		return NEXT(write, fd, data, len);
	lock_order();
	at = offset_of(fd);
	n = meet_write(fd, data, len, -1) < 0 ? -1 : NEXT(write, fd, data, len);
	if (n > 0)
		note_fd("write", fd, at, data, (size_t)n);
	unlock_order();
	return n;
}

static ssize_t pwrite_any(int fd, const void *data, size_t len, off_t offset)
{
	ssize_t n;

	if (!fd_counts(fd))
		return NEXT(pwrite, fd, data, len, offset);
	lock_order();
	n = meet_write(fd, data, len, offset) < 0 ? -1 : NEXT(pwrite, fd, data, len, offset);
	if (n > 0)
		note_fd("write", fd, (uint64_t)offset, data, (size_t)n);
	unlock_order();
	return n;
}

PUBLIC ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return pwrite_any(fd, data, len, offset);
}

PUBLIC ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	return pwrite_any(fd, data, len, offset);
}

/* One write of all pieces together: LMDB takes a short one for a failure. */
static void *gather(const struct iovec *iov, int count, size_t *ret_len)
{
	size_t len = 0;
	char *all;

	for (int i = 0; i < count; i++)
		len += iov[i].iov_len;
	all = malloc(len + 1);
	if (!all)
		abort();
	*ret_len = len;
	len = 0;
	for (int i = 0; i < count; i++) {
		memcpy(all + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return all;
}

PUBLIC ssize_t writev(int fd, const struct iovec *iov, int count)
{
	size_t len;
	ssize_t n;
	void *all;

	if (!fd_counts(fd))
		return NEXT(writev, fd, iov, count);
	all = gather(iov, count, &len);
	n = write(fd, all, len);
	free(all);
	return n;
}

static ssize_t pwritev_any(int fd, const struct iovec *iov, int count, off_t offset)
{
	size_t len;
	ssize_t n;
	void *all;

	if (!fd_counts(fd))
		return NEXT(pwritev, fd, iov, count, offset);
	all = gather(iov, count, &len);
	n = pwrite_any(fd, all, len, offset);
	free(all);
	return n;
}

PUBLIC ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return pwritev_any(fd, iov, count, offset);
}

PUBLIC ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
	return pwritev_any(fd, iov, count, offset);
}

static int truncate_any(int fd, off_t size)
{
	int r;

	if (!fd_counts(fd))
		return NEXT(ftruncate, fd, size);
	lock_order();
	r = meets('t') ? -1 : NEXT(ftruncate, fd, size);
	if (r == 0)
		note_fd("truncate", fd, (uint64_t)size, "", 0);
	unlock_order();
	return r;
}

PUBLIC int ftruncate(int fd, off_t size)
{
	return truncate_any(fd, size);
}

PUBLIC int ftruncate64(int fd, off64_t size)
{
	return truncate_any(fd, size);
}

/* ---- syncing ---- */

#define SYNC(function, op)                                                                                           \
	PUBLIC int function(int fd)                                                                                  \
	{                                                                                                            \
		int r;                                                                                               \
                                                                                                                     \
		if (!fd_counts(fd))                                                                                  \
			return NEXT(function, fd);                                                                   \
		lock_order();                                                                                        \
		/* A program reads what is in the page cache: a sync that is only recorded is as good, and quick. */ \
		r = meets('s') ? -1 : hook.record >= 0 ? 0 : NEXT(function, fd);                                     \
		if (r == 0)                                                                                          \
			note_fd(op, fd, 0, "", 0);                                                                   \
		unlock_order();                                                                                      \
		return r;                                                                                            \
	}

SYNC(fsync, "fsync")
SYNC(fdatasync, "fsync")
SYNC(syncfs, "syncfs")

/* ---- names ---- */

PUBLIC int mkdirat(int dirfd, const char *name, mode_t mode)
{
	struct stat st = { 0 };
	int r;

	if (!name_counts(dirfd, name))
		return NEXT(mkdirat, dirfd, name, mode);
	lock_order();
	r = meets('n') ? -1 : NEXT(mkdirat, dirfd, name, mode);
	if (r == 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		note_names("mkdir", st.st_ino, dirfd, name, -1, NULL);
	unlock_order();
	return r;
}

PUBLIC int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

PUBLIC int linkat(int fd1, const char *name1, int fd2, const char *name2, int flags)
{
	struct stat st;
	int r;

	if (!name_counts(fd2, name2))
		return NEXT(linkat, fd1, name1, fd2, name2, flags);
	lock_order();
	r = meets('n') ? -1 : NEXT(linkat, fd1, name1, fd2, name2, flags);
	if (r == 0 && fstatat(fd2, name2, &st, AT_SYMLINK_NOFOLLOW) == 0)
		note_names("link", st.st_ino, fd1, name1, fd2, name2);
	unlock_order();
	return r;
}

PUBLIC int renameat2(int fd1, const char *name1, int fd2, const char *name2, unsigned flags)
{
	int r;

	if (!name_counts(fd2, name2))
		return NEXT(renameat2, fd1, name1, fd2, name2, flags);
	lock_order();
	r = meets('n') ? -1 : NEXT(renameat2, fd1, name1, fd2, name2, flags);
	if (r == 0)
		note_names("rename", 0, fd1, name1, fd2, name2);
	unlock_order();
	return r;
}

PUBLIC int renameat(int fd1, const char *name1, int fd2, const char *name2)
{
	return renameat2(fd1, name1, fd2, name2, 0);
}

PUBLIC int unlinkat(int dirfd, const char *name, int flags)
{
	int r;

	if (!name_counts(dirfd, name))
		return NEXT(unlinkat, dirfd, name, flags);
	lock_order();
	r = meets('u') ? -1 : NEXT(unlinkat, dirfd, name, flags);
	if (r == 0)
		note_names(flags & AT_REMOVEDIR ? "rmdir" : "unlink", 0, dirfd, name, -1, NULL);
	unlock_order();
	return r;
}

PUBLIC int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

PUBLIC int rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

/* ---- attributes ---- */

PUBLIC int futimens(int fd, const struct timespec times[2])
{
	int r;

	if (!fd_counts(fd))
		return NEXT(futimens, fd, times);
	lock_order();
	r = NEXT(futimens, fd, times);
	if (r == 0)
		note_fd("utime", fd,
			(uint64_t)times[1].tv_sec * 1000000000U + (uint64_t)times[1].tv_nsec, "",
			0);
	unlock_order();
	return r;
}

PUBLIC int fchmod(int fd, mode_t mode)
{
	int r;

	if (!fd_counts(fd))
		return NEXT(fchmod, fd, mode);
	lock_order();
	r = NEXT(fchmod, fd, mode);
	if (r == 0)
		note_fd("chmod", fd, mode, "", 0);
	unlock_order();
	return r;
}

/* ---- the store ---- */

static bool is_to_a_server(int fd)
{
	struct sockaddr peer; /* cut off behind the family, where it is longer */
	socklen_t len = sizeof(peer);
	int saved = errno;
	bool is = hook.calls && getpeername(fd, &peer, &len) == 0 &&
		  (peer.sa_family == AF_INET || peer.sa_family == AF_INET6);

	errno = saved;
	return is;
}

PUBLIC ssize_t send(int fd, const void *data, size_t len, int flags)
{
	return is_to_a_server(fd) && meets('x') ? -1 : NEXT(send, fd, data, len, flags);
}

PUBLIC ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return is_to_a_server(fd) && meets('x') ? -1 : NEXT(sendmsg, fd, message, flags);
}

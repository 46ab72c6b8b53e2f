/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "store/dirpath.h"

enum { SLOT_ROOT = -1, SLOT_OWN = -2 };

struct slot {
	char path[STORE_KEY_MAX + 1]; /* "" for a free or a forgotten one */
	int fd;			      /* -1: none */
	unsigned refs;
	uint64_t used; /* tick of the last use */
};

struct dirpath {
	int root_fd;
	pthread_mutex_t lock; /* protects everything below; not held across system calls that wait */
	uint64_t tick;
	struct slot slots[DIRPATH_OPEN_MAX];
};

size_t dirpath_directory_len(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? (size_t)(slash - key) : 0;
}

struct dirpath *dirpath_new(int root_fd)
{
	struct dirpath *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->root_fd = root_fd;
	pthread_mutex_init(&p->lock, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(p->slots); i++)
		p->slots[i].fd = -1;
	return p;
}

void dirpath_free(struct dirpath *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(p->slots); i++)
		if (p->slots[i].fd >= 0)
			close(p->slots[i].fd);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* A reference to an open directory, or false. */
static bool look_up(struct dirpath *p, const char *path, struct dirpath_ref *ref)
{
	bool found = false;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < ARRAY_SIZE(p->slots) && !found; i++) {
		struct slot *s = &p->slots[i];

		if (s->fd < 0 || strcmp(s->path, path) != 0)
			continue;
		s->refs++;
		s->used = ++p->tick;
		ref->fd = s->fd;
		ref->slot = (int)i;
		found = true;
	}
	pthread_mutex_unlock(&p->lock);
	return found;
}

/* Keeps fd (stolen) in the slot that was used least recently; where all are in use, the reference owns it. */
static void keep(struct dirpath *p, const char *path, int fd, struct dirpath_ref *ref)
{
	struct slot *oldest = NULL;
	int evicted = -1;

	ref->fd = fd;
	ref->slot = SLOT_OWN;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < ARRAY_SIZE(p->slots); i++) {
		struct slot *s = &p->slots[i];

		if (s->refs == 0 && (!oldest || s->used < oldest->used))
			oldest = s;
	}
	if (oldest) {
		evicted = oldest->fd;
		strcpy(oldest->path, path);
		oldest->fd = fd;
		oldest->refs = 1;
		oldest->used = ++p->tick;
		ref->slot = (int)(oldest - p->slots);
	}
	pthread_mutex_unlock(&p->lock);
	if (evicted >= 0)
		close(evicted);
}

/* The child directory `name` of `parent`, whose entry is durable when this returns. -EAGAIN: somebody removed the parent or the child meanwhile. */
static int open_child(int parent, const char *name, bool make)
{
	_cleanup_close_ int fd = -1;

	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make) {
		if (mkdirat(parent, name, 0777) < 0 && errno != EEXIST)
			return errno == ENOENT ? -EAGAIN : -errno;
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			return -EAGAIN;
	}
	if (fd < 0)
		return -errno;
	if (fsync(parent) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* The directory `path`, opened from the root on. */
static int open_chain(int root_fd, const char *path, bool make)
{
	char copy[STORE_KEY_MAX + 1];
	_cleanup_close_ int at = -1;
	char *rest = NULL, *name;

	strcpy(copy, path);
	for (name = strtok_r(copy, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
		int fd = open_child(at >= 0 ? at : root_fd, name, make);

		if (fd < 0)
			return fd;
		if (at >= 0)
			close(at);
		at = fd;
	}
	return steal_fd(&at);
}

int dirpath_open(struct dirpath *p, const char *key, bool make, struct dirpath_ref *ret)
{
	size_t len = dirpath_directory_len(key);
	struct dirpath_ref ref = {
		.fd = p->root_fd,
		.leaf = len ? key + len + 1 : key,
		.paths = p,
		.slot = SLOT_ROOT,
	};
	char path[STORE_KEY_MAX + 1];

	if (strlen(ref.leaf) > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(path, key, len);
	path[len] = '\0';
	if (len > 0 && !look_up(p, path, &ref)) {
		int fd = open_chain(p->root_fd, path, make);

		if (fd < 0)
			return fd;
		keep(p, path, fd, &ref);
	}
	*ret = ref;
	return 0;
}

void dirpath_release(struct dirpath_ref *ref)
{
	int to_close = -1;

	if (ref->slot == SLOT_OWN) {
		to_close = ref->fd;
	} else if (ref->slot >= 0) {
		struct slot *s = &ref->paths->slots[ref->slot];

		pthread_mutex_lock(&ref->paths->lock);
		if (--s->refs == 0 && !s->path[0]) {
			to_close = s->fd;
			s->fd = -1;
		}
		pthread_mutex_unlock(&ref->paths->lock);
	}
	if (to_close >= 0)
		close(to_close);
	*ref = DIRPATH_REF_INIT;
}

void dirpath_forget(struct dirpath_ref *ref)
{
	if (ref->slot < 0)
		return;
	pthread_mutex_lock(&ref->paths->lock);
	ref->paths->slots[ref->slot].path[0] = '\0';
	pthread_mutex_unlock(&ref->paths->lock);
}

void dirpath_prune(int root_fd, const char *path, size_t len)
{
	char copy[STORE_KEY_MAX + 1];

	memcpy(copy, path, len);
	copy[len] = '\0';
	while (copy[0] && unlinkat(root_fd, copy, AT_REMOVEDIR) == 0)
		copy[dirpath_directory_len(copy)] = '\0';
}

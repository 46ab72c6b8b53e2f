/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int spill_file(int dir_fd)
{
	int fd = dir_fd < 0 ? memfd_create("sstablefs-index", MFD_CLOEXEC)
			    : openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

int spill_grow(struct spill *s, int dir_fd, size_t bytes)
{
	size_t cap = MAX_OF(MAX_OF(bytes, s->cap_bytes + s->cap_bytes / 2), SPILL_LEAST_BYTES);
	void *data;
	int r;

	if (bytes <= s->cap_bytes)
		return 0;
	if (s->fd < 0)
		s->fd = spill_file(dir_fd);
	if (s->fd < 0)
		return s->fd;
	cap = (cap + SPILL_LEAST_BYTES - 1) / SPILL_LEAST_BYTES * SPILL_LEAST_BYTES;
	r = posix_fallocate(s->fd, (off_t)s->cap_bytes, (off_t)(cap - s->cap_bytes));
	if (r)
		return -r;
	data = s->data ? mremap(s->data, s->cap_bytes, cap, MREMAP_MAYMOVE)
		       : mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (data == MAP_FAILED)
		return -errno;
	s->data = data;
	s->cap_bytes = cap;
	return 0;
}

void spill_close(struct spill *s)
{
	if (s->data)
		munmap(s->data, s->cap_bytes);
	if (s->fd >= 0)
		close(s->fd);
	*s = SPILL_NONE;
}

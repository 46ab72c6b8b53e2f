/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes of the overlay: attributes, and the bytes of files. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include "fs/overlay_private.h"

#define PREFERRED_IO (128 * KIB)

struct inode *overlay_inode(struct overlay *o, uint64_t ino)
{
	struct table_item *i = table_first(&o->inodes, overlay_hash(ino));

	while (i && ((struct inode *)i)->ino != ino)
		i = table_next(i);
	return (struct inode *)i;
}

static int copy_target(struct overlay *o, const char *target, struct inode *i)
{
	void *block;
	int r = room_take(o->room, strlen(target) + 1, &block);

	if (r < 0)
		return r;
	i->target = block;
	i->target_bytes = strlen(target) + 1;
	memcpy(i->target, target, i->target_bytes);
	i->size_bytes = i->target_bytes - 1;
	return 0;
}

static void free_inode(struct overlay *o, struct inode *i)
{
	sparse_punch(&i->data, o->room, 0, UINT64_MAX);
	if (i->folder)
		overlay_folder_free(o, i->folder);
	room_give(o->room, i->target, i->target_bytes);
	table_remove(&o->inodes, &i->item);
	room_give(o->room, i, sizeof(*i));
}

int overlay_inode_make(struct overlay *o, const struct overlay_new *what, struct inode **ret)
{
	struct inode *i;
	void *block;
	int r = room_take(o->room, sizeof(*i), &block);

	if (r < 0)
		return r;
	i = block;
	i->ino = ++o->last_ino;
	i->mode = what->mode;
	i->uid = what->uid;
	i->gid = what->gid;
	i->atime = i->mtime = i->ctime = overlay_now(o);
	table_add(&o->inodes, o->room, &i->item, overlay_hash(i->ino));
	if (what->target)
		r = copy_target(o, what->target, i);
	else if (S_ISDIR(what->mode))
		r = overlay_folder_make(o, (struct overlay_dir){ i->ino, 0 }, &i->folder);
	if (r < 0) {
		free_inode(o, i);
		return r;
	}
	*ret = i;
	return 0;
}

void overlay_inode_settle(struct overlay *o, struct inode *i)
{
	if (i->nlink == 0 && i->lookups == 0 && i->opens == 0)
		free_inode(o, i);
}

void overlay_inode_stat(const struct inode *i, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = i->ino,
		.st_mode = i->mode,
		.st_nlink = i->nlink,
		.st_uid = i->uid,
		.st_gid = i->gid,
		.st_size = (off_t)i->size_bytes,
		.st_blocks = (blkcnt_t)(i->data.data_pages * (ROOM_PAGE_BYTES / 512)),
		.st_blksize = (blksize_t)PREFERRED_IO,
		.st_atim = i->atime,
		.st_mtim = i->mtime,
		.st_ctim = i->ctime,
	};
}

static int stat_and_count(struct overlay *o, uint64_t ino, struct stat *ret, uint64_t lookups)
{
	struct inode *i;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	if (i) {
		overlay_inode_stat(i, ret);
		i->lookups += lookups;
	}
	pthread_mutex_unlock(&o->lock);
	return i ? 0 : -ESTALE;
}

int overlay_stat(struct overlay *o, uint64_t ino, struct stat *ret)
{
	return stat_and_count(o, ino, ret, 0);
}

int overlay_look(struct overlay *o, uint64_t ino, struct stat *ret)
{
	return stat_and_count(o, ino, ret, 1);
}

void overlay_forget(struct overlay *o, uint64_t ino, uint64_t times)
{
	struct inode *i;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	if (i) {
		i->lookups -= MIN_OF(times, i->lookups);
		overlay_inode_settle(o, i);
	}
	pthread_mutex_unlock(&o->lock);
}

int overlay_parent(struct overlay *o, uint64_t ino, struct overlay_dir *ret)
{
	const struct inode *i;
	int r;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	r = !i ? -ESTALE : i->folder ? 0 : -ENOTDIR;
	if (r == 0)
		*ret = i->parent;
	pthread_mutex_unlock(&o->lock);
	return r;
}

int overlay_readlink(struct overlay *o, uint64_t ino, char **ret)
{
	const struct inode *i;
	int r;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	r = !i ? -ESTALE : i->target ? 0 : -EINVAL;
	if (r == 0) {
		*ret = strdup(i->target);
		r = *ret ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

static void resize(struct overlay *o, struct inode *i, uint64_t size)
{
	if (size < i->size_bytes)
		sparse_punch(&i->data, o->room, size, UINT64_MAX);
	i->size_bytes = size;
	i->mtime = i->ctime = overlay_now(o);
}

static void set_times(struct inode *i, const struct stat *st, int set, struct timespec now)
{
	if (set & OVERLAY_SET_ATIME)
		i->atime = set & OVERLAY_SET_ATIME_NOW ? now : st->st_atim;
	if (set & OVERLAY_SET_MTIME)
		i->mtime = set & OVERLAY_SET_MTIME_NOW ? now : st->st_mtim;
}

int overlay_setattr(struct overlay *o, uint64_t ino, const struct stat *st, int set,
		    struct stat *ret)
{
	struct timespec now;
	struct inode *i;
	int r = 0;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	if (!i)
		r = -ESTALE;
	else if ((set & OVERLAY_SET_SIZE) && !S_ISREG(i->mode))
		r = S_ISDIR(i->mode) ? -EISDIR : -EINVAL;
	else if ((set & OVERLAY_SET_SIZE) && st->st_size < 0)
		r = -EINVAL;
	if (r == 0) {
		now = overlay_now(o);
		if (set & OVERLAY_SET_MODE)
			i->mode = (i->mode & S_IFMT) | (st->st_mode & 07777);
		if (set & OVERLAY_SET_UID)
			i->uid = st->st_uid;
		if (set & OVERLAY_SET_GID)
			i->gid = st->st_gid;
		if (set & OVERLAY_SET_SIZE)
			resize(o, i, (uint64_t)st->st_size);
		set_times(i, st, set, now);
		i->ctime = now;
		overlay_inode_stat(i, ret);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

int overlay_open(struct overlay *o, uint64_t ino, bool truncate)
{
	struct inode *i;
	int r;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	r = !i ? -ESTALE : S_ISREG(i->mode) ? 0 : i->folder ? -EISDIR : -ENXIO;
	if (r == 0) {
		i->opens++;
		if (truncate)
			resize(o, i, 0);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

void overlay_close(struct overlay *o, uint64_t ino)
{
	struct inode *i;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	if (i && i->opens > 0) {
		i->opens--;
		overlay_inode_settle(o, i);
	}
	pthread_mutex_unlock(&o->lock);
}

ssize_t overlay_read(struct overlay *o, uint64_t ino, uint64_t offset, void *out, size_t len_bytes)
{
	const struct inode *i;
	ssize_t n = 0;

	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	if (!i) {
		n = -ESTALE;
	} else if (offset < i->size_bytes) {
		n = (ssize_t)MIN_OF((uint64_t)len_bytes, i->size_bytes - offset);
		sparse_read(&i->data, offset, out, (size_t)n);
	}
	pthread_mutex_unlock(&o->lock);
	return n;
}

ssize_t overlay_write(struct overlay *o, uint64_t ino, uint64_t offset, const void *data,
		      size_t len_bytes)
{
	struct inode *i;
	ssize_t n;

	if (offset > INT64_MAX - len_bytes)
		return -EFBIG;
	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	n = i ? sparse_write(&i->data, o->room, offset, data, len_bytes) : -ESTALE;
	if (n > 0) {
		i->size_bytes = MAX_OF(i->size_bytes, offset + (uint64_t)n);
		i->mtime = i->ctime = overlay_now(o);
	}
	pthread_mutex_unlock(&o->lock);
	return n;
}

static int allocate(struct overlay *o, struct inode *i, int mode, uint64_t offset, uint64_t len)
{
	uint64_t end = offset + len;
	int r;

	if (!S_ISREG(i->mode))
		return -ENODEV;
	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
		sparse_punch(&i->data, o->room, offset, end);
	} else if (mode == 0 || mode == FALLOC_FL_KEEP_SIZE) {
		r = sparse_reserve(&i->data, o->room, offset, len);
		if (r < 0)
			return r;
		if (mode == 0)
			i->size_bytes = MAX_OF(i->size_bytes, end);
	} else {
		return -EOPNOTSUPP;
	}
	i->mtime = i->ctime = overlay_now(o);
	return 0;
}

int overlay_allocate(struct overlay *o, uint64_t ino, int mode, uint64_t offset, uint64_t len_bytes)
{
	struct inode *i;
	int r;

	if (len_bytes == 0 || offset > INT64_MAX - len_bytes)
		return len_bytes ? -EFBIG : -EINVAL;
	pthread_mutex_lock(&o->lock);
	i = overlay_inode(o, ino);
	r = i ? allocate(o, i, mode, offset, len_bytes) : -ESTALE;
	pthread_mutex_unlock(&o->lock);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File I/O on descriptors: whole reads and writes, atomic publication, directories made on the way. EINTR is handled here.
 */
#ifndef SSTABLEFS_BASE_IO_H
#define SSTABLEFS_BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/cancel.h"
#include "base/err.h"

/* Reads up to len bytes at offset until that many or the end came. Bytes read, or -errno. */
ssize_t io_pread_full(int fd, void *data, size_t len_bytes, uint64_t offset);
/* 0 or -errno (-ENOSPC included); a short write goes on. */
int io_pwrite_full(int fd, const void *data, size_t len_bytes, uint64_t offset);
int io_write_full(int fd, const void *data, size_t len_bytes);
int io_writev_full(int fd, const struct iovec *iov, int iov_count);
/* A whole file of at most max_bytes into a new NUL-terminated buffer. 0 or -errno (-EFBIG: larger). */
int io_read_file(int dirfd, const char *path, size_t max_bytes, char **ret_data, size_t *ret_len);
/* The same, and whose file it was that was read. `flags` of open(2) beside those of reading: O_NOFOLLOW or 0. */
int io_read_stat(int dirfd, const char *path, int flags, size_t max_bytes, char **ret_data,
		 size_t *ret_len, struct stat *ret_st);
/* Opens a directory by an absolute path, no part of which may be a symbolic link. 0 or -errno (-ENOTDIR for one that is). */
int io_open_real(const char *path, int *ret_fd);
/* Writes `path` atomically and durably: temporary name beside it, fsync, rename, fsync of the directory. */
int io_publish_file(int dirfd, const char *path, const void *data, size_t len_bytes, mode_t mode,
		    struct err *e);
/* Renames, and replaces nothing: -EEXIST. A file system that cannot promise that (NFS, some FUSE) is asked before. */
int io_rename_new(int from_fd, const char *name, int to_fd, const char *new_name);
/* mkdir -p of `path` below dirfd (AT_FDCWD allowed). 0 or -errno. */
int io_mkdirs(int dirfd, const char *path, mode_t mode);
int io_fsync_dir(int dirfd, const char *path);
/* Removes a tree (not following symlinks). 0 or -errno; what is missing is no error. */
int io_remove_tree(int dirfd, const char *path);
/* The same of what may take minutes: each entry is a sign of life (cancel_waits), and -ECANCELED ends it, with the rest left to the next call. */
int io_remove_large_tree(int dirfd, const char *path, const struct cancel *cancel);

#endif

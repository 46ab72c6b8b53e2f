/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded store: a local directory, nothing to start.
 *
 * Layout: an object is a regular file at exactly its key below the root; a key's segments are directories. One name is reserved at the root,
 * ".sstablefs-tmp" (DIRTMP_NAME): it holds files that are being written, and lock files. Everything in it may be deleted while no process uses the store.
 * Object stores allow a key "a" beside a key "a/b"; here the second put of such a pair is refused (-EEXIST, ERR_USAGE): no key of the repository's format
 * is a directory of another. Also refused (ERR_USAGE): segments longer than 255 bytes and keys below the reserved name. Files that are no valid key,
 * symbolic links and special files are not objects: they are not listed.
 *
 * Durable: a put returns after fsync of the file, its publication by link (IF_ABSENT) or rename, and fsync of the directory that it is in and of every
 * directory above. PRECONDITION for IF_ABSENT says that the key is there, durably too. Where fsync fails after publication, outcome_unknown is set.
 *
 * Atomic between threads and processes: IF_ABSENT is link(2). IF_MATCH, ALWAYS and deletes hold an flock of one of 64 lock files, chosen by the
 * directory of the key, for the step of compare and rename; the data was written and synced before. Listings hold it shared while they read the names of a
 * directory: readdir(3) may show a file that is replaced meanwhile neither before nor after (seen on tmpfs), and a listing must not miss a key.
 *
 * ETag: "<mtime in ns>-<size>-<inode>", in hexadecimal. A published file is never written to. Its time is set by us, in nanoseconds, and is raised under the lock
 * above that of the version it replaces, and above every time that this process gave before; so a version has another ETag than all before it, and equal ETags mean the same put. (For a key that
 * was deleted and put again by another process this needs a clock that does not show the same nanosecond twice.) File systems that do not keep nanoseconds are refused at the first put.
 * Copying a repository with cp -a may change the ETags: harmless, no ETag is part of the format.
 *
 * Directories are made 0777 and files 0666 less the umask, the root itself 0700: who may enter the root may read the repository.
 */
#ifndef SSTABLEFS_STORE_DIR_H
#define SSTABLEFS_STORE_DIR_H

#include <sys/vfs.h>
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

struct dir_store_options {
	const char *path;
	bool create; /* make the directory (not its parents) where it is missing (init); else -ENOENT, ERR_NOT_FOUND */
	const struct clock *clock;
	struct log *log; /* a warning on FUSE file systems; may be NULL */
	/* fstatfs, replaceable by tests (NULL: the system's): network file systems (NFS, SMB/CIFS, 9p, Ceph, Lustre) are refused by magic number. */
	int (*statfs)(int fd, struct statfs *ret);
};

/* Opens, and removes what dead writers left in the reserved directory. Nothing is written to an existing directory before the first put. */
int dir_store_new(const struct dir_store_options *options, struct store **ret, struct err *e);

#endif

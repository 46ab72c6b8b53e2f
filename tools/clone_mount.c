/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clone_mount.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include "base/io.h"
#include "fs/mountpoint.h"
#include "tools/dirusers.h"
#include "tools/ownmount.h"
#include "tools/unmount.h"

/* linux/magic.h */
#define MAGIC_OVERLAY 0x794c7630
#define MAGIC_FUSE 0x65735546
#define MAGIC_NFS 0x6969
#define MAGIC_SMB2 0xfe534d42
#define MAGIC_VFAT 0x4d44

/* ---- overlayfs ---- */

/*
 * The kernel takes ',' ':' and '\' in paths of overlayfs for marks of its own, and versions differ in how they are escaped. Paths that are relative
 * to the state directory have none: names of clusters, nodes and backups cannot.
 */
static int mount_relative(int dirfd, const char *options, const char *target)
{
	_cleanup_close_ int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fchdir(dirfd) < 0)
		return -errno;
	r = mount("sstablefs-clone", target, "overlay", MS_NOSUID | MS_NODEV | MS_NOATIME,
		  options) < 0
		    ? -errno
		    : 0;
	if (back >= 0)
		(void)!fchdir(back);
	return r;
}

static int explain_overlay(int r, const char *where, struct err *e)
{
	switch (r) {
	case -ENODEV:
		return err_set(
			e, ERR_IO, r,
			"the kernel has no overlayfs, which a clone needs (modprobe overlay; in a container, on the host)");
	case -EPERM:
	case -EACCES:
		return err_set(
			e, ERR_IO, r,
			"the kernel refuses to mount overlayfs: it takes root with CAP_SYS_ADMIN, which containers do not have by default");
	case -EINVAL:
		return err_set(
			e, ERR_IO, r,
			"the kernel refuses an overlayfs whose upper directory is in %s: choose a directory on ext4, XFS or tmpfs (the kernel's log says why)",
			where);
	default:
		return err_errno(e, r, "cannot mount overlayfs at %s", where);
	}
}

/* File systems that cannot be an upper directory, or would not keep what a database writes. */
static int check_file_system(const struct clone_place *p, struct err *e)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} unfit[] = { { MAGIC_OVERLAY, "overlayfs itself (a container's own file system)" },
		      { MAGIC_FUSE, "a FUSE file system" },
		      { MAGIC_NFS, "NFS" },
		      { MAGIC_SMB2, "SMB" },
		      { MAGIC_VFAT, "FAT" } };
	struct statfs fs;

	if (fstatfs(p->fd, &fs) < 0)
		return err_errno(e, -errno, "%s", p->state);
	for (size_t i = 0; i < ARRAY_SIZE(unfit); i++)
		if ((unsigned long)fs.f_type == unfit[i].magic)
			return err_set(
				e, ERR_IO, -EINVAL,
				"%s lies on %s, which cannot hold the upper directory of overlayfs: choose a directory on a local disk (ext4, XFS) or on tmpfs",
				p->directory, unfit[i].name);
	return 0;
}

/* In the mounted probe: a file goes, and a hard link copies no data. */
static int use_probe(const struct clone_place *p, struct err *e)
{
	_cleanup_free_ char *xattr = util_printf("%s/probe/upper/b", p->state);
	char value[8];

	if (unlinkat(p->fd, "probe/merged/a", 0) < 0 ||
	    faccessat(p->fd, "probe/merged/a", F_OK, 0) == 0)
		return err_errno(e, -errno, "overlayfs cannot remove a file in %s", p->state);
	if (linkat(p->fd, "probe/merged/b", p->fd, "probe/merged/c", 0) < 0)
		return err_errno(e, -errno, "overlayfs cannot link a file in %s", p->state);
	if (!xattr)
		return err_nomem(e);
	if (lgetxattr(xattr, "trusted.overlay.metacopy", value, sizeof(value)) < 0)
		return err_set(
			e, ERR_IO, -EOPNOTSUPP,
			"overlayfs does not work with metacopy=on in %s (does its file system have extended attributes?): snapshots would copy all data",
			p->state);
	return 0;
}

/* One that was killed in the middle of it. */
static void end_probe(const struct clone_place *p)
{
	_cleanup_free_ char *merged = util_printf("%s/probe/merged", p->state);

	if (merged)
		(void)umount2(merged, MNT_DETACH | UMOUNT_NOFOLLOW);
}

static int fill_probe(const struct clone_place *p, struct err *e)
{
	static const char *const dirs[] = { "probe", "probe/lower", "probe/upper", "probe/work",
					    "probe/merged" };
	static const char *const names[] = { "probe/lower/a", "probe/lower/b" };
	int r;

	end_probe(p);
	r = io_remove_tree(p->fd, "probe");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++)
		r = mkdirat(p->fd, dirs[i], 0700) < 0 ? -errno : 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd =
			openat(p->fd, names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		r = fd < 0 ? -errno : io_write_full(fd, "probe", 5);
	}
	return r < 0 ? err_errno(e, r, "cannot write in %s", p->state) : 0;
}

int clone_mount_probe(const struct clone_place *p, struct err *e)
{
	_cleanup_free_ char *merged = util_printf("%s/probe/merged", p->state);
	int r = merged ? check_file_system(p, e) : err_nomem(e);

	if (r == 0)
		r = fill_probe(p, e);
	if (r < 0)
		return r;
	r = mount_relative(
		p->fd, "lowerdir=probe/lower,upperdir=probe/upper,workdir=probe/work,metacopy=on",
		merged);
	if (r < 0)
		return explain_overlay(r, p->directory, e);
	r = use_probe(p, e);
	if (umount2(merged, MNT_DETACH) < 0 && r == 0)
		r = err_errno(e, -errno, "cannot unmount %s", merged);
	if (r == 0)
		io_remove_tree(p->fd, "probe");
	return r;
}

char *clone_mount_lower(const struct clone_place *p, const struct record *record)
{
	return util_printf("%s/%s/nodes/%s/%s/data", p->mountpoint, record->where.cluster,
			   record->where.node, record->backup);
}

/* A directory that both have shows the owner and mode of the upper one. */
static int adopt_owner(const struct clone_place *p, const char *lower, struct err *e)
{
	struct stat st;

	if (stat(lower, &st) < 0)
		return err_errno(e, -errno, "the backup has no data directory: %s", lower);
	if (chown(p->upper, st.st_uid, st.st_gid) < 0 || chmod(p->upper, st.st_mode & 07777) < 0)
		return err_errno(e, -errno, "cannot set the owner of %s", p->upper);
	return 0;
}

int clone_mount_overlay(const struct clone_place *p, const struct record *record, struct err *e)
{
	_cleanup_free_ char *lower = clone_mount_lower(p, record);
	_cleanup_free_ char *options = util_printf(
		"lowerdir=backup/%s/nodes/%s/%s/data,upperdir=upper,workdir=work,metacopy=on",
		record->where.cluster, record->where.node, record->backup);
	int r;

	if (!lower || !options)
		return err_nomem(e);
	r = clone_place_is_empty(p->upper) == 1 ? adopt_owner(p, lower, e) : 0;
	if (r < 0)
		return r;
	r = mount_relative(p->fd, options, p->directory);
	return r < 0 ? explain_overlay(r, p->directory, e) : 0;
}

/* ---- the repository ---- */

int clone_mount_backup(struct cli *cli, const struct clone_place *p, const struct record *record,
		       const char *url, const char *more, struct err *e)
{
	_cleanup_free_ char *log = util_printf("%s/mount.log", p->state), *log_value = NULL,
			    *options = NULL;

	log_value = log ? ownmount_escaped(log) : NULL;
	if (log_value)
		options = util_printf("log=%s%s%s,ro,allow_other,cluster=%s,node=%s,pin=%s",
				      log_value, *more ? "," : "", more, record->where.cluster,
				      record->where.node, record->backup);
	return options ? ownmount_start(cli, url, p->mountpoint, options, e) : err_nomem(e);
}

/* ---- the end ---- */

static int query(const char *path, struct mountpoint_info *ret, struct err *e)
{
	int r = mountpoint_query(path, ret);

	return r < 0 ? err_errno(e, r, "cannot see what is mounted") : 0;
}

int clone_mount_state(const struct clone_place *p, enum clone_state *ret, struct err *e)
{
	struct mountpoint_info overlay, backup;
	int r = query(p->directory, &overlay, e);

	if (r == 0)
		r = query(p->mountpoint, &backup, e);
	if (r < 0)
		return r;
	if (overlay.mounted && strcmp(overlay.source, "sstablefs-clone") != 0)
		return err_set(e, ERR_CONFLICT, -EBUSY,
			       "%s of %s is mounted on %s: unmount it first, or choose another "
			       "directory",
			       overlay.type, overlay.source, p->directory);
	*ret = CLONE_BROKEN;
	if (!overlay.mounted && !backup.mounted)
		*ret = CLONE_DOWN;
	else if (overlay.mounted && backup.mounted && !mountpoint_is_stale(p->mountpoint))
		*ret = CLONE_UP;
	return 0;
}

static int end_overlay(const struct clone_place *p, struct err *e)
{
	char users[1024];

	if (umount2(p->directory, 0) == 0)
		return 0;
	if (errno != EBUSY)
		return err_errno(e, -errno, "cannot unmount %s", p->directory);
	dirusers_list((const char *[]){ p->directory, NULL }, users, sizeof(users));
	return err_set(e, ERR_CONFLICT, -EBUSY,
		       "%s is in use%s%s: stop Cassandra first, and leave the directory",
		       p->directory, *users ? " by " : "", users);
}

int clone_mount_end(const struct clone_place *p, struct err *e)
{
	struct mountpoint_info info;
	unsigned cleared;
	int r = query(p->directory, &info, e);

	end_probe(p);
	if (r == 0 && info.mounted)
		r = end_overlay(p, e);
	/* A killed daemon's mount is cleared; a living one is unmounted, and waited for. */
	if (r == 0)
		r = mountpoint_clear(p->mountpoint, &cleared, e);
	if (r == 0)
		r = query(p->mountpoint, &info, e);
	return r == 0 && info.mounted ? unmount_run(p->mountpoint, false, false, e) : r;
}

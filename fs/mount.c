/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "fs/mount_private.h"
#include "fs/mountpoint.h"
#include "fs/ops.h"
#include "fs/ops_prefill.h"

#define SESSION_THREADS 10

/* ---- telling the kernel ---- */

static void forget_entry(void *ctx, uint64_t parent, const char *name)
{
	struct mount *m = ctx;

	if (m->mounted && !cancel_is_set(&m->cancel))
		fuse_lowlevel_notify_inval_entry(m->session, parent, name, strlen(name));
}

static void forget_attributes(void *ctx, uint64_t ino)
{
	struct mount *m = ctx;

	if (m->mounted && !cancel_is_set(&m->cancel))
		fuse_lowlevel_notify_inval_inode(m->session, ino, -1, 0);
}

static void backup_removed(void *ctx, const struct ulid *writer)
{
	struct mount *m = ctx;

	if (m->overlay)
		overlay_forget_backup(m->overlay, fs_generation_of(writer));
}

/* ---- building the stack ---- */

/* Content must not be starved by an overlay, or by an index, that take its memory: what they leave is at least what one large object needs. */
static int build_overlay(struct mount *m, uint64_t left, struct err *e)
{
	uint64_t most = left > BLOCKS_MIN_MEMORY ? left - BLOCKS_MIN_MEMORY : 0;

	if (m->o.read_only || m->o.overlay_bytes == 0)
		return 0;
	if (m->o.overlay_bytes > most) {
		m->o.overlay_bytes = most;
		log_write(m->o.log, LOG_LEVEL_WARNING, "overlay",
			  "the scratch overlay is bounded to %llu bytes: memory= leaves no more",
			  (unsigned long long)most);
	}
	m->overlay = overlay_new(m->o.overlay_bytes, m->o.clock);
	return m->overlay ? 0 : err_nomem(e);
}

/* What the overlay does not use holds content. */
static void lend(void *reader, uint64_t bytes)
{
	reader_lend(reader, bytes);
}

static int build_reading(struct mount *m, struct err *e)
{
	_cleanup_free_ char *ring = util_printf("%s/frames", m->cache_path);
	uint64_t part = MIN_OF(m->o.memory_bytes / 8, 24 * MIB);
	struct meta_options mo = { m->repo, m->source, m->kv, part };
	struct reader_options ro = {
		.source = m->source,
		.connections = m->o.connections,
		.kv = m->kv,
		.ring_path = m->index_memory ? NULL : ring,
		.ring_bytes = m->o.cache_bytes - m->o.cache_bytes / 4,
		.metrics = m->o.metrics,
	};
	struct index_options io = { .kv = m->kv,
				    .clock = m->o.clock,
				    .directory = m->index_memory ? NULL : m->cache_path,
				    .max_bytes = mount_link_bytes(m),
				    .memory_bytes = mount_index_memory(m) };
	struct err why = ERR_INIT;
	int r;

	if (!ring)
		return err_nomem(e);
	ro.memory_bytes = m->o.memory_bytes - 2 * part - m->index_memory;
	r = build_overlay(m, ro.memory_bytes, e);
	if (r < 0)
		return r;
	m->meta = meta_new(&mo);
	if (!m->meta)
		return err_nomem(e);
	m->trees = treecache_new(m->meta, part);
	if (!m->trees)
		return err_nomem(e);
	io.meta = m->meta;
	io.trees = m->trees;
	m->index = index_new(&io);
	if (!m->index)
		return err_nomem(e);
	r = reader_new(&ro, &m->reader, &why);
	if (r < 0 && ro.ring_path) {
		log_write(m->o.log, LOG_LEVEL_WARNING, "cache",
			  "%s; this mount keeps no content on disk", why.message);
		ro.ring_path = NULL;
		r = reader_new(&ro, &m->reader, &why);
	}
	if (r < 0)
		*e = why;
	else if (m->overlay)
		overlay_share(m->overlay, lend, m->reader);
	return r;
}

static int take_pin(struct mount *m, struct err *e)
{
	const struct pinned_options o = {
		.repo = m->repo,
		.meta = m->meta,
		.backup = m->o.pin,
		.cluster = m->o.cluster,
		.node = m->o.node,
		.default_node = m->o.default_node,
		.log = m->o.log,
	};

	return m->o.pin ? pinned_begin(&o, &m->pinned, e) : 0;
}

static int build_tree(struct mount *m, struct err *e)
{
	struct view_options vo = {
		.repo = m->repo,
		.meta = m->meta,
		.index = m->index,
		.cluster = m->o.cluster,
		.node = m->o.node,
		.pinned = m->pinned,
		.refresh_ms = (int64_t)m->o.refresh_s * 1000,
		.numeric_ids = m->o.numeric_ids,
		.notify = { forget_entry, forget_attributes, backup_removed, m },
		.log = m->o.log,
		.metrics = m->o.metrics,
		.cancel = &m->cancel,
	};
	const struct autopin_options po = { .repo = m->repo,
					    .log = m->o.log,
					    .metrics = m->o.metrics };
	struct fs_options fo = {
		.index = m->index,
		.trees = m->trees,
		.reader = m->reader,
		.pinned = m->pinned,
		.overlay = m->overlay,
		.clock = m->o.clock,
		.log = m->o.log,
		.refresh_s = m->o.refresh_s,
		.has_uid = m->o.has_uid || getuid() != 0,
		.has_gid = m->o.has_gid || getuid() != 0,
		.uid = m->o.has_uid ? m->o.uid : getuid(),
		.gid = m->o.has_gid ? m->o.gid : getgid(),
		.umask = m->o.has_umask ? m->o.umask : 0,
		.status = mount_status_text,
		.metrics = mount_metrics_text,
		.ctx = m,
	};

	m->autopins = autopin_new(&po);
	if (!m->autopins)
		return err_nomem(e);
	fo.autopins = m->autopins;
	m->view = view_new(&vo);
	if (!m->view)
		return err_nomem(e);
	fo.view = m->view;
	m->fs = fs_new(&fo);
	return m->fs ? 0 : err_nomem(e);
}

/* The store is asked once before anything is mounted: what cannot work is said now, not by the first reader. */
static int first_look(struct mount *m, struct err *e)
{
	struct view_names *names;
	int r = view_clusters(m->view, (struct view_wait){ true, NULL }, &names, e);

	if (r != 0)
		return r;
	view_names_free(names);
	return 0;
}

static int build_server(struct mount *m, struct err *e)
{
	int r;

	m->server = (struct server){
		.fs = m->fs,
		.log = m->o.log,
		.clock = m->o.clock,
		.trace_fd = m->o.trace_fd,
		.limit_ms = OP_LIMIT_MS,
		.stop = &m->cancel,
		.xattr = m->o.xattr,
	};
	m->server.pool = pool_new("store", OP_THREADS);
	m->server.prefill = prefill_new();
	if (!m->server.pool || !m->server.prefill)
		return err_nomem(e);
	r = op_server_start(&m->server, m->o.metrics);
	if (r < 0)
		return err_errno(e, r, "cannot start a thread");
	m->server_started = true;
	return 0;
}

/* ---- the session ---- */

/* fsname= with ',' and '\' escaped as libfuse wants it. New string. */
static char *session_options(const struct mount *m)
{
	size_t len = strlen(m->o.fsname);
	_cleanup_free_ char *name = malloc(2 * len + 1);
	char *out = name;

	if (!name)
		return NULL;
	for (const char *s = m->o.fsname; *s; s++) {
		if (*s == ',' || *s == '\\')
			*out++ = '\\';
		*out++ = *s;
	}
	*out = '\0';
	return util_printf(
		"fsname=%s,subtype=sstablefs,default_permissions,nosuid,nodev,max_read=1048576%s%s",
		name, m->o.allow_other ? ",allow_other" : "", m->o.read_only ? ",ro" : "");
}

static int explain_mount(const struct mount *m, struct err *e)
{
	if (access("/dev/fuse", F_OK) < 0)
		return err_set(
			e, ERR_IO, -ENODEV,
			"there is no /dev/fuse on this host: load the kernel module (modprobe fuse), or give the container the device");
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return err_set(e, ERR_IO, -EACCES, "no permission to open /dev/fuse");
	if (getuid() != 0 && m->o.allow_other)
		return err_set(
			e, ERR_IO, -EPERM,
			"cannot mount %s: -o allow_other for users needs user_allow_other in /etc/fuse.conf",
			m->o.mountpoint);
	return err_set(
		e, ERR_IO, -EPERM,
		"cannot mount %s: it takes root, or fusermount3 (package fuse3) and a directory of your own",
		m->o.mountpoint);
}

/* What a daemon that was killed left there. Not before all else is ready: where that fails nothing has changed. */
static int clear_stale(struct mount *m, struct err *e)
{
	unsigned cleared;
	int r = mountpoint_clear(m->mountpoint, &cleared, e);

	if (r == 0 && cleared > 0)
		log_write(m->o.log, LOG_LEVEL_WARNING, "stale",
			  "%s was a stale mount, whose process was gone: it was cleared",
			  m->mountpoint);
	return r;
}

static int open_session(struct mount *m, struct err *e)
{
	_cleanup_free_ char *options = session_options(m);
	char program[] = "sstablefs", flag[] = "-o";
	char *argv[] = { program, flag, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_lowlevel_ops ops = ops_table(m->o.xattr);
	int r;

	if (!options)
		return err_nomem(e);
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return explain_mount(m, e);
	m->session = fuse_session_new(&args, &ops, sizeof(ops), &m->server);
	fuse_opt_free_args(&args);
	m->server.session = m->session;
	if (!m->session)
		return err_set(e, ERR_IO, -EINVAL, "libfuse refused the mount options");
	r = clear_stale(m, e);
	if (r < 0)
		return r;
	if (fuse_session_mount(m->session, m->mountpoint) != 0)
		return explain_mount(m, e);
	m->mounted = true;
	return 0;
}

/* The kernel's default of 128 KiB halves what one reader gets; only root may change it, and it is no loss where it fails. */
static void raise_readahead(struct mount *m)
{
	struct mountpoint_info info;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (mountpoint_query(m->mountpoint, &info) < 0 || !info.mounted)
		return;
	m->connection = info.minor;
	path = util_printf("/sys/class/bdi/%u:%u/read_ahead_kb", info.major, info.minor);
	if (path)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "1024", 4);
}

int mount_open(struct repo *repo, const struct mount_options *o, struct mount **ret, struct err *e)
{
	struct mount *m;
	int r = mountpoint_check(o->mountpoint, e);

	if (r < 0)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_nomem(e);
	m->o = *o;
	m->repo = repo;
	m->begun_ms = clock_elapsed_ms(o->clock);
	m->mountpoint = mountpoint_absolute(o->mountpoint);
	m->source = source_new(repo_store(repo), o->verify, o->metrics);
	r = m->mountpoint && m->source ? mount_open_cache(m, e) : err_nomem(e);
	if (r == 0)
		r = build_reading(m, e);
	if (r == 0)
		r = take_pin(m, e);
	if (r == 0)
		r = build_tree(m, e);
	if (r == 0)
		r = first_look(m, e);
	if (r == 0)
		r = build_server(m, e);
	if (r == 0)
		r = open_session(m, e);
	if (r < 0) {
		mount_close(m);
		return r;
	}
	raise_readahead(m);
	*ret = m;
	return 0;
}

int mount_serve(struct mount *m, void (*on_ready)(void *ctx), void *ctx, struct err *e)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (!config)
		return err_nomem(e);
	m->server.ready = on_ready;
	m->server.ready_ctx = ctx;
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, SESSION_THREADS);
	r = fuse_session_loop_mt(m->session, config);
	fuse_loop_cfg_destroy(config);
	return r < 0 ? err_errno(e, r, "serving %s ended", m->mountpoint) : 0;
}

void mount_stop(struct mount *m)
{
	cancel_set(&m->cancel, 1);
	fuse_session_exit(m->session);
}

/*
 * Ends every request that is still with the kernel. Without it a thread that tells the kernel to forget a name could wait for a directory
 * that a lookup holds, which nobody answers any more.
 */
static void abort_connection(struct mount *m)
{
	_cleanup_free_ char *path = util_printf("/sys/fs/fuse/connections/%u/abort", m->connection);
	_cleanup_close_ int fd = -1;
	struct mountpoint_info info;

	if (m->connection == 0 || mountpoint_query(m->mountpoint, &info) < 0 || !info.mounted ||
	    info.minor != m->connection)
		return;
	if (path)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "1", 1);
}

void mount_close(struct mount *m)
{
	cancel_set(&m->cancel, 1);
	if (m->server_started)
		op_server_cancel(&m->server);
	if (m->server.pool)
		pool_free(
			m->server.pool); /* what waits for the store gives up within 100 ms and is answered */
	if (m->server_started)
		op_server_stop(&m->server);
	if (m->mounted)
		abort_connection(m);
	if (m->autopins)
		autopin_stop(m->autopins);
	if (m->view)
		view_free(m->view);
	if (m->mounted)
		fuse_session_unmount(m->session);
	if (m->session)
		fuse_session_destroy(m->session);
	prefill_free(m->server.prefill);
	if (m->fs)
		fs_free(m->fs);
	if (m->autopins)
		autopin_free(m->autopins);
	if (m->pinned)
		pinned_end(m->pinned);
	if (m->overlay)
		overlay_free(m->overlay);
	if (m->reader)
		reader_free(m->reader);
	if (m->trees)
		treecache_free(m->trees);
	if (m->index)
		index_free(m->index);
	if (m->meta)
		meta_free(m->meta);
	if (m->kv)
		kv_close(m->kv);
	if (m->source)
		source_free(m->source);
	free(m->cache_path);
	free(m->mountpoint);
	free(m);
}

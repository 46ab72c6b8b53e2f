/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"
#include "fs/mountpoint.h"
#include "fs/ops.h"

#define CACHES_AT_ONCE 64 /* mounts of one repository on one host that share cache_dir */
#define SESSION_THREADS 10
#define MEMORY_PREFIX "/dev/shm/sstablefs-"

/*
 * Memory (P7): memory= covers the blocks of content, the metadata objects kept whole, the parsed trees, and the scratch overlay. Small tables and thread stacks are in the 64 MiB beside it.
 */
struct mount {
	struct mount_options o;
	struct repo *repo;
	struct source *source;
	struct kv *kv;
	struct meta *meta;
	struct reader *reader;
	struct index *index;
	struct treecache *trees;
	struct overlay *overlay; /* NULL: nothing can be changed */
	struct view *view;
	struct pinned *pinned;
	struct fs *fs;
	struct server server;
	bool server_started;
	struct fuse_session *session;
	char *mountpoint; /* absolute */
	bool mounted;
	unsigned connection;  /* its number below /sys/fs/fuse/connections, 0 where not known */
	struct cancel cancel; /* the mount ends */
	int64_t begun_ms;
	char *cache_path;
	uint64_t index_memory; /* of memory=, for the index, where there is no cache directory; else 0 */
};

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

/* ---- .sstablefs ---- */

static void add_line(struct wbuf *out, const char *name, const char *value)
{
	size_t begin;

	wbuf_put(out, name, strlen(name));
	wbuf_put(out, ": ", 2);
	begin = out->len;
	wbuf_put(out, value, strlen(value) + 1);
	if (wbuf_error(out) < 0)
		return;
	util_one_line((char *)out->data + begin); /* a path may hold a newline */
	out->data[out->len - 1] = '\n';
}

static void add_bytes(struct wbuf *out, const char *name, uint64_t used, uint64_t limit)
{
	_cleanup_free_ char *line = util_printf("%llu of %llu bytes", (unsigned long long)used,
						(unsigned long long)limit);

	if (line)
		add_line(out, name, line);
}

static void status_text(void *ctx, struct wbuf *out)
{
	struct mount *m = ctx;
	_cleanup_free_ char *uptime = util_printf(
		"%lld s", (long long)(clock_elapsed_ms(m->o.clock) - m->begun_ms) / 1000);
	_cleanup_free_ char *pid = util_printf("%d", (int)getpid());

	add_line(out, "repository", m->o.fsname);
	add_line(out, "repository_id", repo_id(m->repo));
	add_line(out, "mountpoint", m->mountpoint);
	add_line(out, "pid", pid ? pid : "");
	add_line(out, "uptime", uptime ? uptime : "");
	add_line(out, "cache", m->cache_path);
	add_bytes(out, "memory_content", reader_memory(m->reader), m->o.memory_bytes);
	add_bytes(out, "memory_trees", treecache_bytes(m->trees), m->o.memory_bytes);
	add_bytes(out, "index", kv_used_bytes(m->kv), m->o.cache_bytes);
	if (m->pinned)
		pinned_describe(m->pinned, out);
	overlay_describe(m->overlay, out);
	view_describe(m->view, out);
}

static void metrics_text(void *ctx, struct wbuf *out)
{
	struct mount *m = ctx;

	metric_set(metrics_counter(m->o.metrics, "memory_content_bytes",
				   "verified content in memory"),
		   reader_memory(m->reader));
	metric_set(metrics_counter(m->o.metrics, "memory_tree_bytes",
				   "parsed directories in memory"),
		   treecache_bytes(m->trees));
	metric_set(metrics_counter(m->o.metrics, "index_bytes",
				   "local index, mapped from the cache directory"),
		   kv_used_bytes(m->kv));
	overlay_count(m->overlay, m->o.metrics);
	metrics_format(m->o.metrics, out);
}

/* ---- building the stack ---- */

/* How much of memory= an index takes that cannot lie on a disk. */
static uint64_t index_in_memory(const struct mount *m)
{
	return MAX_OF(KV_MIN_BYTES, MIN_OF(m->o.memory_bytes / 4, 48 * MIB));
}

/* The sub-directory is another mount's, or somebody else's: the next one may do. */
static bool is_taken(int r)
{
	return r == -EBUSY || r == -ENOTDIR || r == -ELOOP || r == -EACCES || r == -EPERM;
}

/* A locked directory of this mount: the first that can be had whose name begins with `prefix`. */
static int open_cache_at(struct mount *m, const char *prefix, uint64_t bytes, struct err *e)
{
	int r = -EBUSY;

	for (unsigned i = 0; is_taken(r) && i < CACHES_AT_ONCE; i++) {
		free(m->cache_path);
		m->cache_path = util_printf("%s%s-%u", prefix, repo_id(m->repo), i);
		r = m->cache_path ? kv_open(m->cache_path, bytes, &m->kv, e) : err_nomem(e);
	}
	return r;
}

/* Where no disk can be had the index lies in memory, inside memory=; no content is kept. Its files lose their names at once: they go with the process. */
static int open_cache_in_memory(struct mount *m, struct err *e)
{
	int r = open_cache_at(m, MEMORY_PREFIX, index_in_memory(m), e);

	if (r == 0)
		io_remove_tree(AT_FDCWD, m->cache_path);
	m->index_memory = index_in_memory(m);
	return r;
}

/* An index whose disk fails later goes to memory too; its name is that of the cache's directory, which is locked, so no other mount has it. */
static int open_cache_on_disk(struct mount *m, struct err *e)
{
	_cleanup_free_ char *prefix = util_printf("%s/", m->o.cache_dir), *refuge = NULL;
	int r = prefix ? open_cache_at(m, prefix, MAX_OF(m->o.cache_bytes / 4, 64 * MIB), e)
		       : err_nomem(e);

	if (r < 0)
		return r;
	refuge = util_printf(MEMORY_PREFIX "%d", (int)getpid());
	if (!refuge || kv_set_refuge(m->kv, refuge, index_in_memory(m)) < 0)
		return err_nomem(e);
	return 0;
}

static int open_cache(struct mount *m, struct err *e)
{
	struct err why = ERR_INIT;
	char text[2048];
	int r = io_mkdirs(AT_FDCWD, m->o.cache_dir, 0700);

	if (r == -ENOTDIR)
		return err_errno(
			e, r,
			"cannot make the cache directory %s (choose another with -o cache_dir=)",
			m->o.cache_dir);
	r = r < 0 ? err_errno(&why, r, "it cannot be made") : open_cache_on_disk(m, &why);
	if (r < 0) {
		log_write(
			m->o.log, LOG_LEVEL_WARNING, "cache",
			"the cache directory %s cannot be used: %s; this mount keeps its index in memory and no content",
			m->o.cache_dir, err_describe(&why, text, sizeof(text)));
		r = open_cache_in_memory(m, e);
	}
	if (r < 0)
		return err_wrap(e, r, "neither the cache directory %s nor memory can be used",
				m->o.cache_dir);
	if (kv_discarded(m->kv))
		log_write(m->o.log, LOG_LEVEL_INFO, "cache-discarded",
			  "the local cache is made anew: %s", kv_discarded(m->kv));
	return 0;
}

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
	struct err why = ERR_INIT;
	int r;

	if (!ring)
		return err_nomem(e);
	ro.memory_bytes = m->o.memory_bytes - 2 * part - m->index_memory;
	r = build_overlay(m, ro.memory_bytes, e);
	if (r < 0)
		return r;
	if (m->overlay)
		ro.memory_bytes -= m->o.overlay_bytes;
	m->meta = meta_new(&mo);
	if (!m->meta)
		return err_nomem(e);
	m->index = index_new(m->kv, m->meta);
	m->trees = treecache_new(m->meta, part);
	if (!m->index || !m->trees)
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
		.refresh_ms = (int64_t)m->o.refresh_s * 1000,
		.numeric_ids = m->o.numeric_ids,
		.notify = { forget_entry, forget_attributes, backup_removed, m },
		.log = m->o.log,
		.metrics = m->o.metrics,
		.cancel = &m->cancel,
	};
	struct fs_options fo = {
		.index = m->index,
		.trees = m->trees,
		.reader = m->reader,
		.pinned = m->pinned,
		.overlay = m->overlay,
		.clock = m->o.clock,
		.refresh_s = m->o.refresh_s,
		.has_uid = m->o.has_uid || getuid() != 0,
		.has_gid = m->o.has_gid || getuid() != 0,
		.uid = m->o.has_uid ? m->o.uid : getuid(),
		.gid = m->o.has_gid ? m->o.gid : getgid(),
		.umask = m->o.has_umask ? m->o.umask : 0,
		.status = status_text,
		.metrics = metrics_text,
		.ctx = m,
	};

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
	if (!m->server.pool)
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
	r = m->mountpoint && m->source ? open_cache(m, e) : err_nomem(e);
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
	if (m->view)
		view_free(m->view);
	if (m->mounted)
		fuse_session_unmount(m->session);
	if (m->session)
		fuse_session_destroy(m->session);
	if (m->fs)
		fs_free(m->fs);
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

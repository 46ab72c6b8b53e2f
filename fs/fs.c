/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/fs.h"

#include <string.h>
#include <time.h>
#include "fs/fs_private.h"

_Static_assert((int)FS_WOULD_BLOCK == (int)VIEW_WOULD_BLOCK &&
		       (int)FS_WOULD_BLOCK == (int)TREECACHE_WOULD_BLOCK &&
		       (int)FS_WOULD_BLOCK == (int)STREAM_WOULD_BLOCK &&
		       (int)FS_WOULD_BLOCK == (int)INDEX_WOULD_BLOCK &&
		       (int)FS_ABSENT == (int)VIEW_ABSENT && (int)FS_ABSENT == (int)INDEX_ABSENT,
	       "these outcomes are forwarded as they are");

#define PREFERRED_READ (1 * MIB) /* st_blksize: cp reads that much at a time */

struct fs *fs_new(const struct fs_options *o)
{
	struct fs *f = calloc(1, sizeof(*f));
	int64_t now = clock_wall_ns(o->clock);

	if (!f)
		return NULL;
	f->order = order_new();
	if (!f->order) {
		free(f);
		return NULL;
	}
	f->o = *o;
	f->born = (struct timespec){ .tv_sec = now / 1000000000, .tv_nsec = now % 1000000000 };
	f->handles.prev = f->handles.next = &f->handles;
	pthread_mutex_init(&f->lock, NULL);
	if (o->autopins) {
		const struct autopin_ops ops = fs_autopin_ops(f);

		autopin_set_ops(o->autopins, &ops);
	}
	return f;
}

void fs_free(struct fs *f)
{
	while (f->handles.next != &f->handles)
		fs_handle_unref(f->handles.next);
	order_free(f->order);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void fs_handle_add(struct fs *f, struct handle *h, void (*free_it)(struct handle *h))
{
	h->fs = f;
	h->free = free_it;
	atomic_init(&h->refs, 1);
	pthread_mutex_lock(&f->lock);
	h->next = f->handles.next;
	h->prev = &f->handles;
	h->next->prev = h->prev->next = h;
	pthread_mutex_unlock(&f->lock);
}

void fs_handle_ref(struct handle *h)
{
	atomic_fetch_add(&h->refs, 1);
}

void fs_handle_unref(struct handle *h)
{
	struct fs *f = h->fs;

	if (atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	pthread_mutex_lock(&f->lock);
	h->prev->next = h->next;
	h->next->prev = h->prev;
	pthread_mutex_unlock(&f->lock);
	h->free(h);
}

int fs_row(struct fs *f, uint64_t ino, struct view_wait w, struct index_node *ret,
	   struct position *ret_position, struct err *e)
{
	int r;

	*ret = (struct index_node){ .ino = ino, .type = INDEX_PATH };
	if (ino == INODE_ROOT)
		return position_parse(ret_position, "");
	r = index_get(f->o.index, ino, w.wait, w.cancel, ret, e);
	if (r == INDEX_ABSENT)
		return err_set(e, ERR_NOT_FOUND, -ESTALE, "inode %llu is gone",
			       (unsigned long long)ino);
	if (r == 0 && ret->type == INDEX_PATH)
		r = position_parse(ret_position, ret->path);
	return r;
}

int fs_look(struct fs *f, const struct position *p, struct view_wait w, struct view_node **ret,
	    struct err *e)
{
	return view_look(f->o.view, p->cluster, p->node, w, ret, e);
}

int fs_find_backup(struct fs *f, const struct position *p, struct view_node **ret_node,
		   struct view_backup *ret, struct err *e)
{
	struct view_node *n = view_known(f->o.view, p->cluster, p->node);

	if (!n || !view_node_find(n, p->backup, ret))
		return err_set(e, ERR_NOT_FOUND, -ESTALE, "backup %s of node %s was removed",
			       p->backup, p->node);
	*ret_node = n;
	return pinned_is(f->o.pinned, view_node_name(n), &ret->writer)
		       ? pinned_check(f->o.pinned, e)
		       : 0;
}

int fs_check_file(struct fs *f, uint32_t node, uint64_t ino, struct err *e)
{
	struct view_node *n = view_by_number(f->o.view, node);
	int r = pinned_is(f->o.pinned, view_node_name(n), NULL) ? pinned_check(f->o.pinned, e) : 0;
	int holds;

	if (r == 0)
		return 0;
	/* Rare, and slow: other backups may have the file too, and are not concerned. */
	holds = index_backup_holds(f->o.index, node, pinned_writer(f->o.pinned), ino, NULL);
	return holds == 0 || (holds == INDEX_NOT_COUNTED && view_node_indexed(n)) ? 0 : r;
}

uint64_t fs_generation_of(const struct ulid *writer)
{
	return digest_xxh64(writer->b, sizeof(writer->b)) >> 1 | 1;
}

/* One step down: replaces *tree by that of the child named by the first component of rest, which has len bytes. */
static int step_down(struct fs *f, const struct position *p, const char *rest, size_t len,
		     struct view_wait w, struct fs_tree *t, struct err *e)
{
	char name[FORMAT_FILE_NAME_BYTES + 1];
	const struct child *c = NULL;
	struct cached *below = NULL;
	int r;

	if (len <= FORMAT_FILE_NAME_BYTES) {
		memcpy(name, rest, len);
		name[len] = '\0';
		c = tree_find_child(t->tree->tree, name);
	}
	r = c ? treecache_tree(f->o.trees, view_node_name(t->node), &c->place, w.wait, &below,
			       w.cancel, e)
	      : err_set(e, ERR_NOT_FOUND, -ESTALE, "%s is gone", p->path);
	if (r == 0)
		t->attr = c->attr;
	treecache_unref(f->o.trees, t->tree);
	t->tree = below;
	return r;
}

int fs_missing(struct fs *f, struct view_node *n, const char *backup, const struct ulid *writer,
	       struct view_wait w, int r, struct err *e)
{
	const struct node_name *name = view_node_name(n);
	struct view_backup now;

	if (r != -ENOENT || !w.wait)
		return r;
	view_node_expire(n);
	if (view_look(f->o.view, name->cluster, name->node, w, &n, NULL) != 0 ||
	    (view_node_find(n, backup, &now) && memcmp(&now.writer, writer, sizeof(*writer)) == 0))
		return r;
	return err_set(e, ERR_NOT_FOUND, -ESTALE, "backup %s of node %s was removed", backup,
		       name->node);
}

int fs_find_tree(struct fs *f, const struct position *p, struct view_wait w, struct fs_tree *ret,
		 struct err *e)
{
	const char *rest = p->inside;
	struct view_backup b;
	struct fs_tree t;
	int r = fs_find_backup(f, p, &t.node, &b, e);

	if (r < 0)
		return r;
	t.attr = (struct attributes){ .mode = 0755, .mtime_ns = b.finished_ns };
	t.generation = fs_generation(&b);
	r = treecache_tree(f->o.trees, view_node_name(t.node), &b.root, w.wait, &t.tree, w.cancel,
			   e);
	while (r == 0 && *rest) {
		size_t len = strcspn(rest, "/");

		r = step_down(f, p, rest, len, w, &t, e);
		rest += len + (rest[len] == '/');
	}
	if (r < 0)
		return fs_missing(f, t.node, b.name, &b.writer, w, r, e);
	if (r == 0) {
		t.writer = b.writer;
		view_node_note_walked(t.node, &b);
		*ret = t;
	}
	return r;
}

int fs_link_target(struct fs *f, const struct position *p, char **ret, struct err *e)
{
	struct view_node *n;
	struct view_backup b;

	if (p->kind == PLACE_LINK) {
		*ret = util_printf("../../nodes/%s/%s", p->node, p->backup);
		return *ret ? 0 : err_nomem(e);
	}
	n = view_known(f->o.view, p->cluster, p->node);
	if (!n || !view_node_latest(n, &b))
		return FS_ABSENT;
	*ret = util_printf("%s", b.name);
	return *ret ? 0 : err_nomem(e);
}

/* ---- attributes ---- */

static bool is_generated(enum place_kind k)
{
	return k == PLACE_STATUS || k == PLACE_METRICS || k == PLACE_BACKUP_JSON;
}

static void set_size(struct stat *st, uint64_t size)
{
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	st->st_blksize = (blksize_t)PREFERRED_READ;
}

void fs_stat_static(struct fs *f, const struct position *p, uint64_t ino, struct stat *ret)
{
	mode_t mode = fs_is_link(p->kind)     ? S_IFLNK | 0777
		      : is_generated(p->kind) ? (S_IFREG | 0444)
					      : (S_IFDIR | 0755);

	*ret = (struct stat){
		.st_ino = ino,
		.st_mode = fs_is_link(p->kind) ? mode : mode & ~f->o.umask,
		.st_nlink = 1,
		.st_uid = f->o.uid,
		.st_gid = f->o.gid,
		.st_mtim = f->born,
		.st_atim = f->born,
		.st_ctim = f->born,
	};
	set_size(ret, 0);
}

void fs_stat_recorded(struct fs *f, struct view_node *n, const struct attributes *attr, mode_t type,
		      uint64_t ino, uint64_t size, uint32_t nlink, struct stat *ret)
{
	int64_t sec = attr->mtime_ns / 1000000000, nsec = attr->mtime_ns % 1000000000;
	uint32_t uid, gid;

	if (nsec < 0) {
		sec--;
		nsec += 1000000000;
	}
	view_node_owner(n, attr->uid, attr->gid, &uid, &gid);
	*ret = (struct stat){
		.st_ino = ino,
		.st_mode = type | (attr->mode & 07777 & ~f->o.umask),
		.st_nlink = nlink,
		.st_uid = f->o.has_uid ? f->o.uid : uid,
		.st_gid = f->o.has_gid ? f->o.gid : gid,
		.st_mtim = { sec, nsec },
		.st_atim = { sec, nsec },
		.st_ctim = { sec, nsec },
	};
	set_size(ret, size);
}

/* Counts that differ in this mount change when a backup is forgotten, which nobody tells the kernel. */
void fs_stat_file(struct fs *f, const struct index_node *row, struct stat *ret,
		  double *ret_timeout_s)
{
	struct view_node *n = view_by_number(f->o.view, row->node);
	bool exact = view_node_indexed(n) && row->counts == index_counts(f->o.index);
	int64_t delta = f->o.overlay ? overlay_links(f->o.overlay, row->ino) : 0;

	fs_stat_recorded(f, n, &row->attr, S_IFREG, row->ino, row->size_bytes,
			 (uint32_t)MAX_OF(row->nlink + delta, (int64_t)0), ret);
	*ret_timeout_s = !exact ? 0 : delta ? f->o.refresh_s : FS_LONG_S;
}

void fs_stat_dir(struct fs *f, struct view_node *n, const struct attributes *attr, uint64_t ino,
		 uint64_t generation, struct stat *ret)
{
	struct timespec changed;

	fs_stat_recorded(f, n, attr, S_IFDIR, ino, 0, 1, ret);
	if (f->o.overlay &&
	    overlay_has_changed(f->o.overlay, fs_overlay_dir(ino, generation), &changed))
		ret->st_mtim = ret->st_ctim = changed;
}

static int stat_inside(struct fs *f, const struct position *p, uint64_t ino, struct view_wait w,
		       struct stat *ret, struct err *e)
{
	struct fs_tree t;
	int r = fs_find_tree(f, p, w, &t, e);

	if (r != 0)
		return r;
	treecache_unref(f->o.trees, t.tree);
	fs_stat_dir(f, t.node, &t.attr, ino, t.generation, ret);
	return 0;
}

static void set_time(struct stat *st, int64_t ns)
{
	st->st_mtim = st->st_atim = st->st_ctim =
		(struct timespec){ ns / 1000000000, ns % 1000000000 };
}

int fs_stat_position(struct fs *f, const struct position *p, const char *target, uint64_t ino,
		     struct view_wait w, struct stat *ret, double *ret_timeout_s, struct err *e)
{
	struct view_backup b;
	struct view_node *n;
	int r;

	*ret_timeout_s = f->o.refresh_s;
	if (p->kind == PLACE_INSIDE) {
		*ret_timeout_s = FS_LONG_S;
		return stat_inside(f, p, ino, w, ret, e);
	}
	fs_stat_static(f, p, ino, ret);
	if (target)
		set_size(ret, strlen(target));
	if (p->kind != PLACE_BACKUP && p->kind != PLACE_BACKUP_JSON)
		return 0;
	r = fs_find_backup(f, p, &n, &b, e);
	if (r < 0)
		return r;
	if (p->kind == PLACE_BACKUP) {
		fs_stat_dir(f, n, &(struct attributes){ .mode = 0755, .mtime_ns = b.finished_ns },
			    ino, fs_generation(&b), ret);
		return 0;
	}
	set_size(ret, b.json_bytes);
	set_time(ret, b.finished_ns);
	return 0;
}

/* What an open file or directory kept: it has no name any more. */
static bool stat_of_open(struct fs *f, uint64_t ino, struct stat *ret)
{
	const struct handle *h;

	pthread_mutex_lock(&f->lock);
	for (h = f->handles.next; h != &f->handles && h->st.st_ino != ino; h = h->next)
		;
	if (h != &f->handles)
		*ret = h->st;
	pthread_mutex_unlock(&f->lock);
	ret->st_nlink = 0;
	return h != &f->handles;
}

static int stat_known(struct fs *f, uint64_t ino, struct view_wait w, struct stat *ret,
		      double *ret_timeout_s, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct position p;
	int r;

	if (overlay_owns(ino)) {
		*ret_timeout_s = FS_LONG_S;
		return f->o.overlay ? overlay_stat(f->o.overlay, ino, ret) : -ESTALE;
	}
	r = fs_row(f, ino, w, &row, &p, e);
	if (r != 0)
		return r;
	if (row.type == INDEX_PATH)
		return fs_stat_position(f, &p, row.target, ino, w, ret, ret_timeout_s, e);
	fs_stat_file(f, &row, ret, ret_timeout_s);
	return 0;
}

int fs_getattr(struct fs *f, uint64_t ino, struct view_wait w, struct stat *ret,
	       double *ret_timeout_s, struct err *e)
{
	int r = stat_known(f, ino, w, ret, ret_timeout_s, e);

	if (r != -ESTALE || !stat_of_open(f, ino, ret))
		return r;
	*ret_timeout_s = f->o.refresh_s;
	return 0;
}

int fs_readlink(struct fs *f, uint64_t ino, char **ret, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct position p;
	int r;

	if (overlay_owns(ino) && f->o.overlay)
		return overlay_readlink(f->o.overlay, ino, ret);
	r = fs_row(f, ino, FS_WAIT, &row, &p, e);
	if (r != 0)
		return r;
	if (row.type != INDEX_PATH || !row.target)
		return err_set(e, ERR_IO, -EINVAL, "not a symbolic link");
	*ret = util_printf("%s", row.target);
	return *ret ? 0 : err_nomem(e);
}

int fs_statvfs(struct fs *f, struct statvfs *ret)
{
	struct overlay_usage u = { 0 };

	if (f->o.overlay)
		u = overlay_usage(f->o.overlay);
	*ret = (struct statvfs){
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = view_total_bytes(f->o.view) / 4096 + u.max_bytes / 4096,
		.f_bfree = (u.max_bytes - u.used_bytes) / 4096,
		.f_bavail = (u.max_bytes - u.used_bytes) / 4096,
		.f_namemax = FORMAT_FILE_NAME_BYTES,
	};
	return 0;
}

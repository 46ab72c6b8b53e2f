/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which backup is pinned for an open file (docs/mount.md, "Pins"): FUSE says which inode is opened, not by which name, and any COMMITTED backup that holds it
 * protects it. First what is pinned anyway, then the backup that was walked last, then the newest that holds it.
 */
#include <string.h>
#include "fs/fs_private.h"

static bool is_gone(const struct ulid *writer, const struct autopin_known *known, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (known[i].gone && memcmp(&known[i].writer, writer, sizeof(*writer)) == 0)
			return true;
	return false;
}

static int take(struct view_node *n, const struct view_backup *b, bool sure,
		struct autopin_choice *ret)
{
	*ret = (struct autopin_choice){
		.where = *view_node_name(n), .writer = b->writer, .root = b->root, .sure = sure
	};
	memcpy(ret->backup, b->name, sizeof(ret->backup));
	return 0;
}

static bool holds(struct fs *f, struct view_node *n, const struct ulid *writer, uint64_t ino)
{
	return index_backup_holds(f->o.index, view_node_number(n), writer, ino, NULL) == 1;
}

static int by_age(const void *a, const void *b)
{
	return view_backup_compare_age(b, a);
}

/* The newest that holds it. AUTOPIN_NONE: none is known to; AUTOPIN_GONE: none but such as are gone. */
static int choose_newest(struct fs *f, struct view_node *n, uint64_t ino,
			 const struct autopin_known *known, size_t count,
			 struct autopin_choice *ret)
{
	_cleanup_free_ struct view_backup *all = NULL;
	size_t all_count;
	bool any_gone = false;

	all = view_node_backups(n, &all_count);
	if (!all)
		return AUTOPIN_NONE;
	qsort(all, all_count, sizeof(*all), by_age);
	for (size_t i = 0; i < all_count; i++) {
		if (!holds(f, n, &all[i].writer, ino))
			continue;
		if (!is_gone(&all[i].writer, known, count))
			return take(n, &all[i], true, ret);
		any_gone = true;
	}
	return any_gone ? AUTOPIN_GONE : AUTOPIN_NONE;
}

static int choose(void *ctx, uint32_t node, uint64_t ino, const struct autopin_known *known,
		  size_t count, struct autopin_choice *ret)
{
	struct fs *f = ctx;
	struct view_node *n = view_by_number(f->o.view, node);
	bool is_pinned = pinned_is(f->o.pinned, view_node_name(n), NULL);
	struct view_backup walked;
	bool was_walked = view_node_walked(n, &walked) && !is_gone(&walked.writer, known, count);
	int r;

	if (is_pinned && holds(f, n, pinned_writer(f->o.pinned), ino))
		return AUTOPIN_NONE;
	for (size_t i = 0; i < count; i++)
		if (!known[i].gone && holds(f, n, &known[i].writer, ino)) {
			*ret = (struct autopin_choice){ .writer = known[i].writer, .sure = true };
			return 0;
		}
	if (was_walked && holds(f, n, &walked.writer, ino))
		return take(n, &walked, true, ret);
	r = choose_newest(f, n, ino, known, count, ret);
	/* Not counted in the index yet: most likely it was found in the one that was walked. */
	if (r == AUTOPIN_NONE && was_walked && !view_node_indexed(n))
		return is_pinned && memcmp(&walked.writer, pinned_writer(f->o.pinned),
					   sizeof(walked.writer)) == 0
			       ? AUTOPIN_NONE
			       : take(n, &walked, false, ret);
	return r;
}

static bool settled(void *ctx, uint32_t node)
{
	struct fs *f = ctx;

	return view_node_indexed(view_by_number(f->o.view, node));
}

static void deleted(void *ctx, uint32_t node)
{
	struct fs *f = ctx;

	view_node_expire(view_by_number(f->o.view, node));
}

struct autopin_ops fs_autopin_ops(struct fs *f)
{
	return (struct autopin_ops){ choose, settled, deleted, f };
}

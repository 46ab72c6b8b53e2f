/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "fs/fs_private.h"

static int no_attribute(struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, -ENODATA, "no such attribute");
}

/* The key of the object that holds the first byte; "inline" where the content lies in the run. */
static char *first_object(const struct node_name *n, const struct entry *entry)
{
	char key[KEY_BYTES];

	if (entry->inline_data)
		return util_printf("inline");
	return util_printf("%s",
			   keys_object(key, n, KEY_OBJECT_DATA, &entry->extents[0].object.writer,
				       &entry->extents[0].object.id));
}

/* raw or zstd, and in how many pieces. */
static char *stored_as(const struct entry *entry)
{
	bool raw = true;

	if (entry->inline_data)
		return util_printf("inline");
	for (uint32_t i = 0; i < entry->extent_count; i++)
		raw = raw && (entry->extents[i].object.flags & OBJECT_RAW);
	return util_printf("%s, %u extent%s", raw ? "raw" : "zstd", entry->extent_count,
			   entry->extent_count == 1 ? "" : "s");
}

int fs_getxattr(struct fs *f, uint64_t ino, const char *name, struct view_wait w, char **ret,
		struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	const struct node_name *n;
	struct position p;
	struct cached *run;
	char hex[SHA256_HEX];
	int r;

	if (strncmp(name, "user.sstablefs.", 15) != 0 || overlay_owns(ino))
		return no_attribute(e);
	r = fs_row(f, ino, w, &row, &p, e);
	if (r != 0 || row.type != INDEX_FILE)
		return r != 0 ? r : no_attribute(e);
	n = view_node_name(view_by_number(f->o.view, row.node));
	r = treecache_run(f->o.trees, n, &row.run, w.wait, &run, w.cancel, e);
	if (r != 0)
		return r;
	name += 15;
	util_hex(hex, row.content.b, sizeof(row.content.b));
	if (strcmp(name, "content") == 0)
		*ret = util_printf("%s", hex);
	else if (strcmp(name, "stored") == 0)
		*ret = stored_as(&run->run->entries[row.entry]);
	else if (strcmp(name, "object") == 0)
		*ret = first_object(n, &run->run->entries[row.entry]);
	else
		r = no_attribute(e);
	treecache_unref(f->o.trees, run);
	return r < 0 ? r : *ret ? 0 : err_nomem(e);
}

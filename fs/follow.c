/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/follow.h"

/* Returns how far it came; *ret_size is the file's size, 0 where there is nothing to fetch. */
static uint64_t fetch(struct fs *f, const struct order_want *want, uint64_t *ret_size)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	const struct node_name *n;
	const struct entry *entry;
	struct cached *run;
	uint64_t came_to = 0;

	*ret_size = 0;
	if (index_get(f->o.index, want->ino, false, NULL, &row, NULL) != 0 ||
	    row.type != INDEX_FILE)
		return 0;
	n = view_node_name(view_by_number(f->o.view, row.node));
	if (treecache_run(f->o.trees, n, &row.run, false, &run, NULL, NULL) != 0)
		return 0;
	entry = &run->run->entries[row.entry];
	if (!entry->inline_data && entry->size_bytes > 0) {
		*ret_size = entry->size_bytes;
		came_to = reader_expect(f->o.reader, n, entry->extents, entry->extent_count,
					want->from,
					MIN_OF(entry->size_bytes, want->from + want->bytes),
					want->as_listed); /* packs are filled by name */
	}
	treecache_unref(f->o.trees, run);
	return came_to;
}

bool follow_open(struct fs *f, uint64_t ino, uint64_t size_bytes, struct stream *stream)
{
	if (!order_open(f->order, ino, size_bytes))
		return false;
	if (stream)
		stream_expected(stream);
	follow_read(f, ino, size_bytes, 0);
	return true;
}

void follow_read(struct fs *f, uint64_t ino, uint64_t size_bytes, uint64_t end)
{
	uint64_t window = reader_window(f->o.reader), rest = size_bytes - end;
	struct order_want want;
	uint64_t came_to, size;

	if (rest >= window)
		return;
	while (order_next(f->order, ino, window - rest, &want)) {
		came_to = fetch(f, &want, &size);
		if (!order_fetched(f->order, &want, MAX_OF(came_to, want.from), size))
			return;
	}
}

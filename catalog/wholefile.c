/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/wholefile.h"

#include <string.h>

/* The run that holds the entry, which is in *ret_entry. */
static int find(struct meta *m, const struct record *rec, const char *name, struct run **ret,
		const struct entry **ret_entry, const struct cancel *c, struct err *e)
{
	_cleanup_(tree_freep) struct tree *top = NULL;
	const struct run_ref *ref;
	int r;

	if (!rec->has_root)
		return WHOLEFILE_NONE;
	r = meta_tree(m, &rec->where, &rec->root, &top, c, e);
	if (r < 0)
		return r;
	ref = tree_find_run(top, name);
	if (!ref)
		return WHOLEFILE_NONE;
	r = meta_run(m, &rec->where, &ref->place, ret, c, e);
	if (r < 0)
		return r;
	*ret_entry = run_find(*ret, name);
	return *ret_entry ? 0 : WHOLEFILE_NONE;
}

int wholefile_id(struct meta *m, const struct record *rec, const char *name, struct id256 *ret,
		 const struct cancel *c, struct err *e)
{
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry;
	int r = find(m, rec, name, &run, &entry, c, e);

	if (r == 0)
		*ret = entry->content;
	return r;
}

static int read_extent(struct source *s, const struct record *rec, const struct extent *x, char *to,
		       const struct cancel *c, struct err *e)
{
	_cleanup_free_ char *object = malloc(SOURCE_HEADROOM + (size_t)x->object.plain_bytes);
	char *content = object ? object + SOURCE_HEADROOM : NULL;
	uint32_t start, end;
	int r;

	if (!object)
		return err_nomem(e);
	r = source_fetch_range(s, &rec->where, KEY_OBJECT_DATA, &x->object, x->offset, x->len_bytes,
			       content, NULL, &start, &end, c, e);
	if (r == 0)
		memcpy(to, content + x->offset, x->len_bytes);
	return r;
}

int wholefile_read(struct meta *m, struct source *s, const struct record *rec, const char *name,
		   size_t max_bytes, char **ret, size_t *ret_len, const struct cancel *c,
		   struct err *e)
{
	_cleanup_(run_freep) struct run *run = NULL;
	_cleanup_free_ char *text = NULL;
	const struct entry *entry;
	size_t at = 0;
	int r = find(m, rec, name, &run, &entry, c, e);

	if (r != 0)
		return r;
	if (entry->size_bytes > max_bytes)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "%s is larger than %zu bytes", name,
			       max_bytes);
	text = malloc((size_t)entry->size_bytes + 1);
	if (!text)
		return err_nomem(e);
	if (entry->inline_data)
		memcpy(text, entry->inline_data, (size_t)entry->size_bytes);
	for (uint32_t i = 0; !entry->inline_data && i < entry->extent_count; i++) {
		r = read_extent(s, rec, &entry->extents[i], text + at, c, e);
		if (r < 0)
			return err_wrap(e, r, "cannot read %s", name);
		at += entry->extents[i].len_bytes;
	}
	text[entry->size_bytes] = '\0';
	*ret = steal_pointer(&text);
	*ret_len = (size_t)entry->size_bytes;
	return 0;
}

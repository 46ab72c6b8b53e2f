/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "catalog/object.h"
#include "catalog/wire.h"

#define RUN_MAGIC 'R'

/* ---- encoding ---- */

/* NULL, or what is wrong with the content of an entry that is to be written. */
static const char *check_content(const struct entry *f)
{
	uint64_t left = f->size_bytes;

	if (f->size_bytes <= FORMAT_INLINE_BYTES)
		return f->inline_data ? NULL : "a small file has no inline content";
	for (uint32_t i = 0; i < f->extent_count; i++) {
		const struct extent *x = &f->extents[i];

		if (!wire_extent_is_fine(x))
			return "an extent is outside its object or its frames";
		if (x->len_bytes > left ||
		    (x->len_bytes < left && x->len_bytes % FORMAT_FRAME_BYTES))
			return "an extent does not fit the file's size or frames";
		left -= x->len_bytes;
	}
	return left == 0 ? NULL : "the extents do not add up to the file's size";
}

static struct wire_attributes attributes_of(const struct entry *f)
{
	return (struct wire_attributes){ .attr = f->attr, .data_dir = f->data_dir };
}

/* NULL, or what is wrong with entry i of those that are to be written. */
static const char *check_entry(const struct entry *entries, size_t i)
{
	const struct entry *f = &entries[i];
	struct wire_attributes a = attributes_of(f);
	size_t key = tree_key_length(f->name);

	if (!wire_name_is_fine(f->name, strlen(f->name)))
		return "a file's name is not allowed";
	if (!wire_attributes_are_fine(&a))
		return "a file's mode or data directory is out of range";
	if (i > 0 && tree_compare_names(f[-1].name, f->name) >= 0)
		return "names are not in order";
	if (i > 0 && (tree_key_length(f[-1].name) != key || memcmp(f[-1].name, f->name, key) != 0))
		return "names do not belong to one SSTable";
	return check_content(f);
}

/* Checks all, and collects the objects. */
static int prepare(const struct entry *entries, size_t count, struct wire_objects *t, struct err *e)
{
	size_t extents = 0;

	if (count < 1 || count > FORMAT_RUN_ENTRIES)
		return wire_invalid(e, "run", "its number of entries is out of range");
	for (size_t i = 0; i < count; i++) {
		const struct entry *f = &entries[i];
		const char *wrong = check_entry(entries, i);

		if (wrong)
			return wire_invalid(e, "run", wrong);
		if (f->size_bytes <= FORMAT_INLINE_BYTES)
			continue;
		extents += f->extent_count;
		if (extents > FORMAT_EXTENTS)
			return wire_invalid(e, "run", "its files are too large (1.5 TiB)");
		for (uint32_t k = 0; k < f->extent_count; k++)
			if (wire_objects_add(t, &f->extents[k].object) < 0)
				return err_nomem(e);
	}
	if (wire_objects_seal(t) < 0)
		return wire_invalid(e, "run", "an object is outside the limits");
	return 0;
}

static void put_entry(struct wbuf *out, const struct wire_objects *t, const struct entry *f,
		      const struct entry *previous)
{
	struct wire_attributes a = attributes_of(f), before;

	if (previous)
		before = attributes_of(previous);
	wire_name_put(out, previous ? previous->name : NULL, f->name,
		      previous && wire_attributes_same(&before, &a));
	wire_attributes_put(out, previous ? &before : NULL, &a, true);
	wbuf_varint(out, f->size_bytes);
	if (f->size_bytes <= FORMAT_INLINE_BYTES) {
		wbuf_put(out, f->inline_data, f->size_bytes);
		return;
	}
	wbuf_put(out, f->content.b, SHA256_BYTES);
	for (uint32_t i = 0; i < f->extent_count; i++)
		wire_file_extent_put(out, t, &f->extents[i]);
}

int run_encode(const struct entry *entries, size_t count, struct wbuf *out, struct err *e)
{
	_cleanup_(wire_objects_deinit) struct wire_objects t = { 0 };
	size_t start = out->len;
	int r = prepare(entries, count, &t, e);

	if (r < 0)
		return r;
	wbuf_u8(out, RUN_MAGIC);
	wbuf_u8(out, FORMAT_VERSION);
	wire_objects_put(&t, out);
	wbuf_varint(out, count);
	for (size_t i = 0; i < count; i++)
		put_entry(out, &t, &entries[i], i > 0 ? &entries[i - 1] : NULL);
	if (wbuf_error(out) == -ENOMEM)
		return err_nomem(e);
	if (wbuf_error(out) < 0 || out->len - start > FORMAT_RUN_BYTES)
		return wire_invalid(e, "run", "it is too large");
	return 0;
}

/* ---- parsing ---- */

/*
 * The entries are read twice: once to count what they need (target->entries NULL), and once into the one block of memory that is as large.
 */
struct target {
	struct entry *entries;
	struct extent *extents;
	char *text; /* names with their NUL, inline content */
	size_t extent_count, text_bytes;
};

static const char *get_extents(struct rbuf *b, struct wire_objects *t, struct entry *f,
			       struct target *to)
{
	uint64_t left = f->size_bytes;

	f->extents = to->extents ? to->extents + to->extent_count : NULL;
	while (left > 0) {
		struct extent x;

		if (to->extent_count == FORMAT_EXTENTS)
			return "it has too many extents";
		if (!wire_file_extent_get(b, t, &x))
			return "an extent is not valid";
		if (x.len_bytes > left || (x.len_bytes < left && x.len_bytes % FORMAT_FRAME_BYTES))
			return "an extent does not fit the file";
		left -= x.len_bytes;
		if (to->extents)
			to->extents[to->extent_count] = x;
		to->extent_count++;
		f->extent_count++;
	}
	return NULL;
}

/* Appends bytes to the text: where they lie, NULL while counting. */
static const char *keep_text(struct target *to, const void *data, size_t len)
{
	char *at = to->text ? to->text + to->text_bytes : NULL;

	if (at && len > 0)
		memcpy(at, data, len);
	to->text_bytes += len;
	return at;
}

static const char *get_content(struct rbuf *b, struct wire_objects *t, struct entry *f,
			       struct target *to)
{
	const uint8_t *data;

	f->size_bytes = rbuf_varint(b, FORMAT_FILE_BYTES);
	data = rbuf_take(b, f->size_bytes <= FORMAT_INLINE_BYTES ? f->size_bytes : SHA256_BYTES);
	if (!data)
		return "an entry is cut short or too large";
	if (f->size_bytes > FORMAT_INLINE_BYTES) {
		memcpy(f->content.b, data, SHA256_BYTES);
		return get_extents(b, t, f, to);
	}
	f->inline_data = keep_text(to, data, f->size_bytes);
	if (to->entries)
		f->content = content_id(data, f->size_bytes);
	return NULL;
}

static const char *get_entries(struct rbuf *b, struct wire_objects *t, uint32_t count,
			       struct target *to)
{
	struct wire_name name = { 0 }, previous;
	struct wire_attributes a = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		struct entry f = { 0 };
		const char *wrong;
		bool same;

		previous = name;
		if (!wire_name_get(b, &name, &same))
			return "a name is not valid";
		if (i > 0 && tree_compare_names(previous.text, name.text) >= 0)
			return "its names are not in order";
		if (i > 0 && (tree_key_length(previous.text) != tree_key_length(name.text) ||
			      memcmp(previous.text, name.text, tree_key_length(name.text)) != 0))
			return "its names do not belong to one SSTable";
		if (!wire_attributes_get(b, &a, same, i == 0, true))
			return "a file's attributes are not valid";
		f.name = keep_text(to, name.text, name.len + 1);
		f.attr = a.attr;
		f.data_dir = a.data_dir;
		wrong = get_content(b, t, &f, to);
		if (wrong)
			return wrong;
		if (to->entries)
			to->entries[i] = f;
	}
	if (rbuf_end(b) < 0)
		return "it is cut short, or longer than its entries";
	return wire_objects_all_used(t) ? NULL : "it names an object that it does not use";
}

static struct run *new_run(uint32_t count, const struct target *need, struct target *to)
{
	struct run *run = malloc(sizeof(*run));
	size_t entries = count * sizeof(struct entry);
	size_t extents = need->extent_count * sizeof(struct extent);

	if (!run)
		return NULL;
	run->memory_bytes = entries + extents + need->text_bytes;
	run->memory = malloc(run->memory_bytes);
	if (!run->memory) {
		free(run);
		return NULL;
	}
	run->entry_count = count;
	run->entries = run->memory;
	*to = (struct target){ .entries = run->entries,
			       .extents = (struct extent *)((char *)run->memory + entries),
			       .text = (char *)run->memory + entries + extents };
	return run;
}

int run_parse(const void *data, size_t len_bytes, struct run **ret, struct err *e)
{
	_cleanup_(wire_objects_deinit) struct wire_objects t = { 0 };
	_cleanup_(run_freep) struct run *run = NULL;
	struct rbuf b = rbuf_over(data, len_bytes), again;
	struct target need = { 0 }, to;
	const char *wrong;
	uint32_t count;
	int r;

	if (len_bytes > FORMAT_RUN_BYTES)
		return wire_corrupt(e, "run", "it is too large");
	if (rbuf_u8(&b) != RUN_MAGIC || rbuf_u8(&b) != FORMAT_VERSION)
		return wire_corrupt(e, "run", "it does not begin as one of version 1");
	r = wire_objects_get(&t, &b);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0)
		return wire_corrupt(e, "run", "its table of objects is not valid");
	count = (uint32_t)rbuf_varint(&b, FORMAT_RUN_ENTRIES);
	if (count == 0)
		return wire_corrupt(e, "run", "its number of entries is out of range");
	again = b;
	wrong = get_entries(&b, &t, count, &need);
	if (wrong)
		return wire_corrupt(e, "run", wrong);
	run = new_run(count, &need, &to);
	if (!run)
		return err_nomem(e);
	wrong = get_entries(&again, &t, count, &to);
	if (wrong)
		return wire_corrupt(e, "run", wrong);
	*ret = steal_pointer(&run);
	return 0;
}

void run_free(struct run *r)
{
	if (!r)
		return;
	free(r->memory);
	free(r);
}

const struct entry *run_find(const struct run *r, const char *name)
{
	size_t low = 0, high = r->entry_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = tree_compare_names(r->entries[middle].name, name);

		if (order == 0)
			return &r->entries[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

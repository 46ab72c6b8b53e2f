/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/tree.h"

#include <errno.h>
#include <string.h>
#include "catalog/wire.h"

#define TREE_MAGIC 'T'
#define CHILD_BYTES_MIN (3 + 1 + SHA256_BYTES + 2)
#define RUN_BYTES_MIN (3 + SHA256_BYTES + 2)

size_t tree_key_length(const char *name)
{
	const char *dash = strrchr(name, '-');

	return dash ? (size_t)(dash - name) : 0;
}

/* Bytewise order of two strings of which only the first bytes count. */
static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int r = memcmp(a, b, MIN_OF(a_len, b_len));

	if (r != 0 || a_len == b_len)
		return r;
	return a_len < b_len ? -1 : 1;
}

int tree_compare_names(const char *a, const char *b)
{
	int r = compare_bytes(a, tree_key_length(a), b, tree_key_length(b));

	return r ? r : strcmp(a, b);
}

static bool same_key(const char *a, const char *b)
{
	size_t len = tree_key_length(a);

	return len == tree_key_length(b) && memcmp(a, b, len) == 0;
}

size_t tree_run_length(const char *const *names, size_t count)
{
	size_t n = 1;

	while (n < count && n < FORMAT_RUN_ENTRIES && same_key(names[0], names[n]))
		n++;
	return n;
}

/* ---- checks, the same for what is written and for what is read ---- */

static struct wire_attributes attributes_of(const struct child *c)
{
	return (struct wire_attributes){ .attr = c->attr, .data_dir = FORMAT_NO_DATA_DIR };
}

/* Runs are cut where the key changes, or after FORMAT_RUN_ENTRIES. */
static const char *check_cut(const char *before, uint32_t entries_before, const char *first)
{
	if (tree_compare_names(before, first) >= 0)
		return "its runs are not in order";
	if (same_key(before, first) && entries_before != FORMAT_RUN_ENTRIES)
		return "its runs are not cut where they must be";
	return NULL;
}

static uint64_t own_files(const struct tree *t)
{
	uint64_t files = 0;

	for (uint32_t i = 0; i < t->run_count; i++)
		files += t->runs[i].entry_count;
	return files;
}

static const char *check_names(const struct tree *t)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < t->child_count; i++)
		bytes += strlen(t->children[i].name) + 1;
	for (uint32_t i = 0; i < t->run_count; i++)
		bytes += strlen(t->runs[i].first) + 1;
	return bytes > FORMAT_TREE_NAMES_BYTES ? "its names are too long together" : NULL;
}

static const char *check_totals(const struct tree *t)
{
	if (t->file_count < own_files(t) || t->file_count > FORMAT_FILES)
		return "its number of files does not fit";
	if (t->dir_count < t->child_count || t->dir_count > FORMAT_DIRECTORIES)
		return "its number of directories does not fit";
	if (t->total_bytes > INT64_MAX)
		return "its number of bytes does not fit";
	return NULL;
}

/* ---- encoding ---- */

static const char *check_children(const struct tree *t)
{
	for (uint32_t i = 0; i < t->child_count; i++) {
		const struct child *c = &t->children[i];
		struct wire_attributes a = attributes_of(c);

		if (!wire_name_is_fine(c->name, strlen(c->name)))
			return "a directory's name is not allowed";
		if (i > 0 && strcmp(c[-1].name, c->name) >= 0)
			return "its directories are not in order";
		if (!wire_attributes_are_fine(&a))
			return "a directory's mode is out of range";
		if (!wire_extent_is_fine(&c->place.extent))
			return "an extent is outside its object or its frames";
	}
	return NULL;
}

static const char *check_runs(const struct tree *t)
{
	for (uint32_t i = 0; i < t->run_count; i++) {
		const struct run_ref *run = &t->runs[i];
		const char *wrong;

		if (!wire_name_is_fine(run->first, strlen(run->first)))
			return "a file's name is not allowed";
		if (run->entry_count < 1 || run->entry_count > FORMAT_RUN_ENTRIES)
			return "a run's number of entries is out of range";
		if (!wire_extent_is_fine(&run->place.extent))
			return "an extent is outside its object or its frames";
		wrong = i > 0 ? check_cut(run[-1].first, run[-1].entry_count, run->first) : NULL;
		if (wrong)
			return wrong;
	}
	return NULL;
}

static int prepare(const struct tree *t, struct wire_objects *objects, struct err *e)
{
	const char *wrong = check_children(t);

	if (!wrong)
		wrong = check_runs(t);
	if (!wrong)
		wrong = check_names(t);
	if (!wrong)
		wrong = check_totals(t);
	if (wrong)
		return wire_invalid(e, "tree", wrong);
	for (uint32_t i = 0; i < t->child_count; i++)
		if (wire_objects_add(objects, &t->children[i].place.extent.object) < 0)
			return err_nomem(e);
	for (uint32_t i = 0; i < t->run_count; i++)
		if (wire_objects_add(objects, &t->runs[i].place.extent.object) < 0)
			return err_nomem(e);
	if (wire_objects_seal(objects) < 0)
		return wire_invalid(e, "tree", "an object is outside the limits");
	return 0;
}

static void put_child(struct wbuf *out, const struct wire_objects *objects, const struct child *c,
		      const struct child *previous, const struct extent *last)
{
	struct wire_attributes a = attributes_of(c), before;

	if (previous)
		before = attributes_of(previous);
	wire_name_put(out, previous ? previous->name : NULL, c->name,
		      previous && wire_attributes_same(&before, &a));
	wire_attributes_put(out, previous ? &before : NULL, &a, false);
	wire_place_put(out, objects, last, &c->place);
}

static void put_run(struct wbuf *out, const struct wire_objects *objects, const struct run_ref *run,
		    const struct run_ref *previous, const struct extent *last)
{
	bool same = previous && previous->entry_count == run->entry_count;

	wire_name_put(out, previous ? previous->first : NULL, run->first, same);
	if (!same)
		wbuf_varint(out, run->entry_count);
	wire_place_put(out, objects, last, &run->place);
}

int tree_encode(const struct tree *t, struct wbuf *out, struct err *e)
{
	_cleanup_(wire_objects_deinit) struct wire_objects objects = { 0 };
	struct extent none = { 0 };
	const struct extent *last = &none;
	size_t start = out->len;
	int r = prepare(t, &objects, e);

	if (r < 0)
		return r;
	wbuf_u8(out, TREE_MAGIC);
	wbuf_u8(out, FORMAT_VERSION);
	wbuf_varint(out, t->file_count);
	wbuf_varint(out, t->total_bytes);
	wbuf_varint(out, t->dir_count);
	wire_objects_put(&objects, out);
	wbuf_varint(out, t->child_count);
	for (uint32_t i = 0; i < t->child_count; i++) {
		const struct child *c = &t->children[i];

		put_child(out, &objects, c, i > 0 ? c - 1 : NULL, last);
		last = &c->place.extent;
	}
	wbuf_varint(out, t->run_count);
	for (uint32_t i = 0; i < t->run_count; i++) {
		const struct run_ref *run = &t->runs[i];

		put_run(out, &objects, run, i > 0 ? run - 1 : NULL, last);
		last = &run->place.extent;
	}
	if (wbuf_error(out) == -ENOMEM)
		return err_nomem(e);
	if (wbuf_error(out) < 0 || out->len - start > FORMAT_TREE_BYTES)
		return wire_invalid(e, "tree", "it is too large");
	return 0;
}

/* ---- parsing ---- */

/* As in run.c: children and runs are read twice, first to count the bytes of their names (all NULL). */
struct target {
	struct child *children;
	struct run_ref *runs;
	char *text;
	uint32_t child_count, run_count;
	size_t text_bytes;
};

static const char *keep_name(struct target *to, const struct wire_name *name)
{
	char *at = to->text ? to->text + to->text_bytes : NULL;

	if (at)
		memcpy(at, name->text, name->len + 1);
	to->text_bytes += name->len + 1;
	return at;
}

static const char *get_children(struct rbuf *b, struct wire_objects *objects, struct extent *last,
				struct target *to)
{
	struct wire_name name = { 0 }, previous;
	struct wire_attributes a = { 0 };

	to->child_count = (uint32_t)rbuf_varint(b, rbuf_left(b) / CHILD_BYTES_MIN);
	for (uint32_t i = 0; i < to->child_count; i++) {
		struct child c = { 0 };
		bool same;

		previous = name;
		if (!wire_name_get(b, &name, &same))
			return "a directory's name is not valid";
		if (i > 0 && strcmp(previous.text, name.text) >= 0)
			return "its directories are not in order";
		if (!wire_attributes_get(b, &a, same, i == 0, false))
			return "a directory's attributes are not valid";
		if (!wire_place_get(b, objects, last, &c.place))
			return "a directory's place is not valid";
		c.name = keep_name(to, &name);
		c.attr = a.attr;
		*last = c.place.extent;
		if (to->children)
			to->children[i] = c;
	}
	return NULL;
}

/* The number of entries: written where it is not that of the run before. */
static bool get_entry_count(struct rbuf *b, bool same, bool first, uint32_t *count)
{
	uint32_t before = *count;

	if (same)
		return !first;
	*count = (uint32_t)rbuf_varint(b, FORMAT_RUN_ENTRIES);
	return *count > 0 && (first || *count != before);
}

static const char *get_runs(struct rbuf *b, struct wire_objects *objects, struct extent *last,
			    struct target *to)
{
	struct wire_name name = { 0 }, previous;
	uint32_t entries = 0, entries_before;

	to->run_count = (uint32_t)rbuf_varint(b, rbuf_left(b) / RUN_BYTES_MIN);
	for (uint32_t i = 0; i < to->run_count; i++) {
		struct run_ref run = { 0 };
		const char *wrong;
		bool same;

		previous = name;
		entries_before = entries;
		if (!wire_name_get(b, &name, &same))
			return "a run's name is not valid";
		if (!get_entry_count(b, same, i == 0, &entries))
			return "a run's number of entries is not valid";
		wrong = i > 0 ? check_cut(previous.text, entries_before, name.text) : NULL;
		if (wrong)
			return wrong;
		if (!wire_place_get(b, objects, last, &run.place))
			return "a run's place is not valid";
		run.first = keep_name(to, &name);
		run.entry_count = entries;
		*last = run.place.extent;
		if (to->runs)
			to->runs[i] = run;
	}
	return NULL;
}

static const char *get_all(struct rbuf b, struct wire_objects *objects, struct target *to)
{
	struct extent last = { 0 };
	const char *wrong = get_children(&b, objects, &last, to);

	if (!wrong)
		wrong = get_runs(&b, objects, &last, to);
	if (wrong)
		return wrong;
	if (rbuf_end(&b) < 0)
		return "it is cut short, or longer than its runs";
	return wire_objects_all_used(objects) ? NULL : "it names an object that it does not use";
}

/* Memory for what was counted in `need`; *to is where it goes. */
static int allocate(struct tree *t, const struct target *need, struct target *to)
{
	size_t children = need->child_count * sizeof(struct child);
	size_t runs = need->run_count * sizeof(struct run_ref);

	t->memory_bytes = children + runs + need->text_bytes + 1;
	t->memory = malloc(t->memory_bytes);
	if (!t->memory)
		return -ENOMEM;
	t->child_count = need->child_count;
	t->run_count = need->run_count;
	t->children = t->memory;
	t->runs = (struct run_ref *)((char *)t->memory + children);
	*to = (struct target){ .children = t->children,
			       .runs = t->runs,
			       .text = (char *)t->memory + children + runs };
	return 0;
}

int tree_parse(const void *data, size_t len_bytes, struct tree **ret, struct err *e)
{
	_cleanup_(wire_objects_deinit) struct wire_objects objects = { 0 };
	_cleanup_(tree_freep) struct tree *t = NULL;
	struct rbuf b = rbuf_over(data, len_bytes);
	struct target need = { 0 }, to;
	const char *wrong;
	int r;

	if (len_bytes > FORMAT_TREE_BYTES)
		return wire_corrupt(e, "tree", "it is too large");
	if (rbuf_u8(&b) != TREE_MAGIC || rbuf_u8(&b) != FORMAT_VERSION)
		return wire_corrupt(e, "tree", "it does not begin as one of version 1");
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_nomem(e);
	t->file_count = rbuf_varint(&b, INT64_MAX);
	t->total_bytes = rbuf_varint(&b, INT64_MAX);
	t->dir_count = rbuf_varint(&b, INT64_MAX);
	r = wire_objects_get(&objects, &b);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0)
		return wire_corrupt(e, "tree", "its table of objects is not valid");
	wrong = get_all(b, &objects, &need);
	if (!wrong && need.text_bytes > FORMAT_TREE_NAMES_BYTES)
		wrong = "its names are too long together";
	if (wrong)
		return wire_corrupt(e, "tree", wrong);
	if (allocate(t, &need, &to) < 0)
		return err_nomem(e);
	wrong = get_all(b, &objects, &to);
	if (!wrong)
		wrong = check_totals(t);
	if (wrong)
		return wire_corrupt(e, "tree", wrong);
	*ret = steal_pointer(&t);
	return 0;
}

struct tree_room tree_room(const struct tree *t)
{
	return (struct tree_room){ .files = t->file_count - own_files(t), .dirs = t->dir_count };
}

bool tree_room_take(struct tree_room *room, const struct tree *child)
{
	if (child->file_count > room->files || child->dir_count >= room->dirs)
		return false;
	room->files -= child->file_count;
	room->dirs -= child->dir_count + 1;
	return true;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	free(t->memory);
	free(t);
}

const struct child *tree_find_child(const struct tree *t, const char *name)
{
	size_t low = 0, high = t->child_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(t->children[middle].name, name);

		if (order == 0)
			return &t->children[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct run_ref *tree_find_run(const struct tree *t, const char *name)
{
	size_t low = 0,
	       high = t->run_count; /* runs before low begin at or before name, from high on after it */

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (tree_compare_names(t->runs[middle].first, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || !same_key(t->runs[low - 1].first, name))
		return NULL;
	return &t->runs[low - 1];
}

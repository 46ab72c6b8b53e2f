/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/diff.h"

#include <errno.h>
#include <string.h>

/*
 * Two directories are compared at a time, either of which may be absent. What differs in one of them (files, and directories whose trees
 * differ) is collected and told in the order of paths; a directory counts as its name with a '/' behind it.
 */
struct difference {
	enum diff_kind kind;
	const char *name;
	const struct entry *a, *b;
	const struct child *child_a, *child_b; /* a directory where one of them is set */
};

struct level {
	struct tree *trees[2];
	struct tree_room room[2];
	struct run **runs; /* kept while their entries are told */
	size_t run_count, run_cap;
	struct difference *differences;
	size_t count, cap;
};

struct diff {
	struct meta *m;
	const struct node_name *nodes[2];
	diff_fn *fn;
	void *ctx;
	const struct cancel *c;
	struct err *e;
	unsigned depth;
	size_t path_len;
	char path[FORMAT_PATH_BYTES + 1];
};

static void level_deinit(struct level *l)
{
	for (size_t i = 0; i < l->run_count; i++)
		run_free(l->runs[i]);
	free(l->runs);
	free(l->differences);
	tree_free(l->trees[0]);
	tree_free(l->trees[1]);
}

static int add(struct diff *d, struct level *l, const struct difference *x)
{
	if (util_grow(&l->differences, &l->cap, l->count + 1, sizeof(*l->differences)) < 0)
		return err_nomem(d->e);
	l->differences[l->count++] = *x;
	return 0;
}

/* ---- files ---- */

static bool same_digest(const struct place *a, const struct place *b)
{
	return memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0;
}

/* The entries of those runs of one side that the other side does not have, one after the other. */
struct cursor {
	unsigned side;
	uint32_t next_run;  /* of the tree */
	uint32_t other_run; /* of the other tree: all before it have a smaller first name */
	const struct run *run;
	uint32_t next_entry;
};

static bool other_has(const struct level *l, struct cursor *k, const struct run_ref *ref)
{
	const struct tree *other = l->trees[1 - k->side];
	int order = -1;

	for (; other && k->other_run < other->run_count; k->other_run++) {
		order = tree_compare_names(other->runs[k->other_run].first, ref->first);
		if (order >= 0)
			break;
	}
	return order == 0 && same_digest(&other->runs[k->other_run].place, &ref->place);
}

static int load_run(struct diff *d, struct level *l, struct cursor *k, const struct run_ref *ref)
{
	struct run *run;
	int r;

	if (cancel_is_set(d->c))
		return err_set(d->e, ERR_IO, -ECANCELED, "interrupted");
	if (util_grow(&l->runs, &l->run_cap, l->run_count + 1, sizeof(*l->runs)) < 0)
		return err_nomem(d->e);
	r = meta_run(d->m, d->nodes[k->side], &ref->place, &run, d->c, d->e);
	if (r < 0)
		return r;
	l->runs[l->run_count++] = run;
	k->run = run;
	k->next_entry = 0;
	return 0;
}

/* The entry that the cursor stands at, NULL at the end. */
static int peek(struct diff *d, struct level *l, struct cursor *k, const struct entry **ret)
{
	const struct tree *t = l->trees[k->side];
	int r = 0;

	while (r == 0 && (!k->run || k->next_entry == k->run->entry_count)) {
		const struct run_ref *ref;

		if (!t || k->next_run == t->run_count) {
			*ret = NULL;
			return 0;
		}
		ref = &t->runs[k->next_run++];
		if (!other_has(l, k, ref))
			r = load_run(d, l, k, ref);
	}
	if (r == 0)
		*ret = &k->run->entries[k->next_entry];
	return r;
}

static bool same_attributes(const struct attributes *a, const struct attributes *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       a->mtime_ns == b->mtime_ns;
}

static int compare_entries(struct diff *d, struct level *l, const struct entry *a,
			   const struct entry *b)
{
	struct difference x = {
		.kind = DIFF_CHANGED, .name = a ? a->name : b->name, .a = a, .b = b
	};

	if (!a)
		x.kind = DIFF_ADDED;
	else if (!b)
		x.kind = DIFF_REMOVED;
	else if (memcmp(&a->content, &b->content, sizeof(a->content)) != 0)
		x.kind = DIFF_CHANGED;
	else if (!same_attributes(&a->attr, &b->attr))
		x.kind = DIFF_ATTRIBUTES;
	else
		return 0;
	return add(d, l, &x);
}

static int compare_files(struct diff *d, struct level *l)
{
	struct cursor ca = { .side = 0 }, cb = { .side = 1 };
	const struct entry *a, *b;
	int r;

	while ((r = peek(d, l, &ca, &a)) == 0 && (r = peek(d, l, &cb, &b)) == 0 && (a || b)) {
		int order = !a ? 1 : !b ? -1 : tree_compare_names(a->name, b->name);

		r = compare_entries(d, l, order <= 0 ? a : NULL, order >= 0 ? b : NULL);
		if (r < 0)
			return r;
		ca.next_entry += order <= 0;
		cb.next_entry += order >= 0;
	}
	return r;
}

/* ---- directories ---- */

static int compare_children(struct diff *d, struct level *l)
{
	const struct tree *ta = l->trees[0], *tb = l->trees[1];
	uint32_t na = ta ? ta->child_count : 0, nb = tb ? tb->child_count : 0;
	uint32_t i = 0, k = 0;
	int r = 0;

	while (r == 0 && (i < na || k < nb)) {
		const struct child *a = i < na ? &ta->children[i] : NULL;
		const struct child *b = k < nb ? &tb->children[k] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
		struct difference x = { .name = order <= 0 ? a->name : b->name,
					.child_a = order <= 0 ? a : NULL,
					.child_b = order >= 0 ? b : NULL };

		if (order != 0 || !same_digest(&a->place, &b->place))
			r = add(d, l, &x);
		i += order <= 0;
		k += order >= 0;
	}
	return r;
}

static bool is_directory(const struct difference *x)
{
	return x->child_a || x->child_b;
}

/* Byte i of the name as it counts in a path: '/' behind a directory's, 0 behind a file's. */
static unsigned char path_byte(const struct difference *x, size_t i, size_t len)
{
	if (i < len)
		return (unsigned char)x->name[i];
	return is_directory(x) ? '/' : 0;
}

static int compare_paths(const void *a, const void *b)
{
	const struct difference *x = a, *y = b;
	size_t len_x = strlen(x->name), len_y = strlen(y->name), len = MIN_OF(len_x, len_y);
	int order = memcmp(x->name, y->name, len);

	if (order == 0)
		order = path_byte(x, len, len_x) - path_byte(y, len, len_y);
	return order ? order : (len_x > len_y) - (len_x < len_y);
}

static int damaged(struct diff *d, unsigned side, const struct place *p, const char *why)
{
	char key[KEY_BYTES];

	err_set(d->e, ERR_CORRUPT, -EBADMSG, "directory \"%s\" is damaged: %s", d->path, why);
	err_key(d->e, keys_object(key, d->nodes[side], KEY_OBJECT_META, &p->extent.object.writer,
				  &p->extent.object.id));
	return -EBADMSG;
}

static int compare_level(struct diff *d, struct level *above, const struct place *a,
			 const struct place *b);

/* The path of a difference: d->path with its name behind it. */
static int push_name(struct diff *d, const struct difference *x)
{
	size_t len = strlen(x->name), slash = d->path_len > 0;

	if (d->path_len + slash + len > FORMAT_PATH_BYTES || d->depth > FORMAT_DEPTH) {
		if (x->child_a || x->child_b)
			return damaged(d, x->child_a ? 0 : 1, &(x->child_a ?: x->child_b)->place,
				       "a path is too long or too deep");
		return err_set(d->e, ERR_CORRUPT, -EBADMSG,
			       "directory \"%s\" is damaged: a path is too long or too deep",
			       d->path);
	}
	if (slash)
		d->path[d->path_len++] = '/';
	memcpy(d->path + d->path_len, x->name, len + 1);
	d->path_len += len;
	return 0;
}

static int tell(struct diff *d, struct level *l, const struct difference *x)
{
	size_t before = d->path_len;
	int r = push_name(d, x);

	if (r < 0)
		return r;
	if (is_directory(x))
		r = compare_level(d, l, x->child_a ? &x->child_a->place : NULL,
				  x->child_b ? &x->child_b->place : NULL);
	else
		r = d->fn(d->ctx, x->kind, d->path, x->a, x->b, d->e);
	d->path_len = before;
	d->path[before] = '\0';
	return MIN_OF(r, 0);
}

/* One side's tree; NULL where the side has no such directory. */
static int load_tree(struct diff *d, struct level *l, struct level *above, unsigned side,
		     const struct place *p)
{
	int r;

	if (!p)
		return 0;
	if (cancel_is_set(d->c))
		return err_set(d->e, ERR_IO, -ECANCELED, "interrupted");
	r = meta_tree(d->m, d->nodes[side], p, &l->trees[side], d->c, d->e);
	if (r < 0)
		return r;
	l->room[side] = tree_room(l->trees[side]);
	if (above && !tree_room_take(&above->room[side], l->trees[side]))
		return damaged(d, side, p, "it holds more than the directories above it say");
	return 0;
}

static int compare_level(struct diff *d, struct level *above, const struct place *a,
			 const struct place *b)
{
	_cleanup_(level_deinit) struct level l = { 0 };
	int r;

	d->depth++;
	r = load_tree(d, &l, above, 0, a);
	if (r == 0)
		r = load_tree(d, &l, above, 1, b);
	if (r == 0)
		r = compare_files(d, &l);
	if (r == 0)
		r = compare_children(d, &l);
	if (r == 0 && l.count > 0)
		qsort(l.differences, l.count, sizeof(*l.differences), compare_paths);
	for (size_t i = 0; i < l.count && r == 0; i++)
		r = tell(d, &l, &l.differences[i]);
	d->depth--;
	return r;
}

int diff_run(struct meta *m, const struct record *a, const struct record *b, diff_fn *fn, void *ctx,
	     const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	struct diff d = { .m = m,
			  .nodes = { &a->where, &b->where },
			  .fn = fn,
			  .ctx = ctx,
			  .c = c,
			  .e = e ? e : &mine };

	if (!a->has_root || !b->has_root)
		return err_set(e, ERR_NOT_FOUND, -ENOENT, "backup %s is not finished",
			       a->has_root ? b->backup : a->backup);
	if (same_digest(&a->root, &b->root))
		return 0;
	return compare_level(&d, NULL, &a->root, &b->root);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/assemble.h"

#include <errno.h>
#include <string.h>

#include "catalog/decay.h"
#include "catalog/layout.h"

/* A file between its last byte and its run. */
struct pending {
	struct stamp stamp;
	struct id256 id;
	struct content *content; /* a reference; NULL: inline */
	uint8_t inline_data[];
};

struct totals {
	uint64_t files, bytes, dirs;
};

struct assemble {
	struct assemble_options o;
	struct layout *layout;
	struct pending *
		*pending; /* of each file; NULL before it is read, and again when its run is made */
	struct place **run_places; /* all borrowed from `known` */
	struct place **dir_places;
	struct totals *totals; /* of each directory: what is in it, then with what is below it */
	size_t files_taken, runs_made;
	struct id256 last_id; /* of the file taken last */
	uint64_t new_inline_bytes;
	struct wbuf bytes;
};

int assemble_new(const struct assemble_options *o, struct assemble **ret, struct err *e)
{
	_cleanup_(assemble_freep) struct assemble *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_nomem(e);
	a->o = *o;
	wbuf_init(&a->bytes, FORMAT_OBJECT_BYTES);
	r = layout_new(o->snapshot, &a->layout, e);
	if (r < 0)
		return r;
	a->pending = calloc(a->layout->file_count + 1, sizeof(*a->pending));
	a->run_places = calloc(a->layout->run_count + 1, sizeof(*a->run_places));
	a->dir_places = calloc(a->layout->dir_count, sizeof(*a->dir_places));
	a->totals = calloc(a->layout->dir_count, sizeof(*a->totals));
	if (!a->pending || !a->run_places || !a->dir_places || !a->totals)
		return err_nomem(e);
	*ret = steal_pointer(&a);
	return 0;
}

static void drop_pending(struct assemble *a, size_t file)
{
	struct pending *p = a->pending[file];

	if (p)
		content_unref(p->content);
	free(p);
	a->pending[file] = NULL;
}

void assemble_free(struct assemble *a)
{
	if (!a)
		return;
	for (size_t i = 0; a->pending && i < a->layout->file_count; i++)
		drop_pending(a, i);
	layout_free(a->layout);
	free(a->pending);
	free(a->run_places);
	free(a->dir_places);
	free(a->totals);
	wbuf_deinit(&a->bytes);
	free(a);
}

/* ---- blobs: encoded runs and trees ---- */

/* The place of what lies in a->bytes: the known one, or a new one, packed. *ret_new may be NULL. */
static int place_bytes(struct assemble *a, struct place **ret, bool *ret_new, struct err *e)
{
	struct place new = { .digest = content_id(a->bytes.data, a->bytes.len) };
	struct place *p = known_find_place(a->o.known, &new.digest);

	if (ret_new)
		*ret_new = p == NULL;
	*ret = p;
	if (p && !decay_declines_place(a->o.decay, p))
		return 0;
	if (!p)
		p = known_add_place(a->o.known, &new);
	if (!p)
		return err_nomem(e);
	*ret = p;
	if (a->o.kv)
		kv_put(a->o.kv, KV_BLOBS, &new.digest, sizeof(new.digest), a->bytes.data,
		       a->bytes.len, NULL);
	return packer_add(a->o.packer, a->bytes.data, a->bytes.len, NULL, &p->extent, e);
}

/* ---- runs ---- */

static void entry_of(const struct assemble *a, size_t file, struct entry *ret)
{
	const struct pending *p = a->pending[file];

	*ret = (struct entry){ .name = layout_file_name(a->layout, file),
			       .attr = { .mode = p->stamp.mode,
					 .uid = p->stamp.uid,
					 .gid = p->stamp.gid,
					 .mtime_ns = p->stamp.mtime_ns },
			       .size_bytes = p->stamp.size_bytes,
			       .data_dir = layout_file(a->layout, file)->data_dir,
			       .content = p->id,
			       .inline_data = p->content ? NULL : p->inline_data,
			       .extents = p->content ? p->content->extents : NULL,
			       .extent_count = p->content ? p->content->extent_count : 0 };
}

static int account_file(struct assemble *a, size_t file)
{
	const struct pending *p = a->pending[file];
	int r = account_owner(a->o.account, p->stamp.uid, p->stamp.gid);

	if (r == 0)
		r = account_file_name(a->o.account, layout_file_name(a->layout, file));
	if (r == 0 && p->content)
		r = account_content(a->o.account, p->content);
	return r;
}

/* The run's files are no longer needed: counts them and lets them go. */
static int let_go(struct assemble *a, const struct layout_run *run, bool is_new, struct err *e)
{
	struct totals *t = &a->totals[run->dir];

	for (size_t i = run->first_file; i < run->first_file + run->file_count; i++) {
		const struct pending *p = a->pending[i];

		if (account_file(a, i) < 0)
			return err_nomem(e);
		t->files++;
		t->bytes += p->stamp.size_bytes;
		if (is_new && !p->content)
			a->new_inline_bytes += p->stamp.size_bytes;
		drop_pending(a, i);
	}
	return 0;
}

static int make_run(struct assemble *a, size_t index, struct err *e)
{
	const struct layout_run *run = &a->layout->runs[index];
	struct entry entries[FORMAT_RUN_ENTRIES];
	bool is_new;
	int r;

	for (uint32_t i = 0; i < run->file_count; i++)
		entry_of(a, run->first_file + i, &entries[i]);
	wbuf_reset(&a->bytes);
	r = run_encode(entries, run->file_count, &a->bytes, e);
	if (r < 0)
		return err_wrap(e, r, "%s/%s", a->layout->dirs[run->dir].path,
				layout_file_name(a->layout, run->first_file));
	r = place_bytes(a, &a->run_places[index], &is_new, e);
	return r < 0 ? r : let_go(a, run, is_new, e);
}

static bool run_is_ready(const struct assemble *a, size_t index)
{
	const struct layout_run *run = &a->layout->runs[index];

	if (run->first_file + run->file_count > a->files_taken)
		return false;
	for (size_t i = run->first_file; i < run->first_file + run->file_count; i++)
		if (a->pending[i]->content && !content_is_placed(a->pending[i]->content))
			return false;
	return true;
}

/* Runs are made in order, so that they are packed in order. */
static int make_runs(struct assemble *a, struct err *e)
{
	int r = 0;

	while (r == 0 && a->runs_made < a->layout->run_count && run_is_ready(a, a->runs_made))
		r = make_run(a, a->runs_made++, e);
	return r;
}

static struct pending *pending_new(const struct ingest_file *file)
{
	size_t inline_bytes = file->content ? 0 : file->stamp.size_bytes;
	struct pending *p = malloc(sizeof(*p) + inline_bytes + 1);

	if (!p)
		return NULL;
	p->stamp = file->stamp;
	p->id = file->id;
	p->content = file->content ? content_ref(file->content) : NULL;
	memcpy(p->inline_data, file->inline_data ? file->inline_data : "", inline_bytes);
	return p;
}

/* Another file at the path of the one before: its bytes must be the same, and then it is left out. */
static int check_twin(const struct assemble *a, size_t index, const struct ingest_file *file,
		      struct err *e)
{
	const struct snapshot_file *kept = layout_file(a->layout, a->files_taken - 1);
	const struct snapshot_file *other = &a->o.snapshot->files[index];

	if (memcmp(&file->id, &a->last_id, sizeof(file->id)) == 0)
		return 0;
	return err_set(
		e, ERR_CONFLICT, -EEXIST,
		"two data directories hold different files at the same path: %s/%s and %s/%s",
		kept->place->source, kept->name, other->place->source, other->name);
}

int assemble_file(void *ctx, size_t index, const struct ingest_file *file, struct err *e)
{
	struct assemble *a = ctx;
	size_t next = a->files_taken;

	if (next == a->layout->file_count || a->layout->files[next] != index)
		return check_twin(a, index, file, e);
	a->pending[next] = pending_new(file);
	if (!a->pending[next])
		return err_nomem(e);
	a->last_id = file->id;
	a->files_taken++;
	return make_runs(a, e);
}

/* ---- trees ---- */

static void collect_runs(const struct assemble *a, const struct layout_dir *d, struct tree *t)
{
	for (size_t i = 0; i < d->run_count; i++) {
		const struct layout_run *run = &a->layout->runs[d->first_run + i];

		t->runs[i] = (struct run_ref){
			.first = layout_file_name(a->layout, run->first_file),
			.entry_count = run->file_count,
			.place = *a->run_places[d->first_run + i],
		};
	}
	t->run_count = (uint32_t)d->run_count;
}

/* The children of a directory follow it, each with what is below it in between; their trees are made already. */
static void collect_children(const struct assemble *a, size_t index, struct tree *t,
			     struct totals *totals)
{
	const struct layout_dir *dirs = a->layout->dirs;

	for (size_t i = index + 1; i < a->layout->dir_count && dirs[i].depth > dirs[index].depth;
	     i++) {
		if (dirs[i].parent != index)
			continue;
		t->children[t->child_count++] = (struct child){ .name = dirs[i].name,
								.attr = dirs[i].attr,
								.place = *a->dir_places[i] };
		totals->files += a->totals[i].files;
		totals->bytes += a->totals[i].bytes;
		totals->dirs += a->totals[i].dirs + 1;
	}
}

static size_t count_children(const struct assemble *a, size_t index)
{
	const struct layout_dir *dirs = a->layout->dirs;
	size_t count = 0;

	for (size_t i = index + 1; i < a->layout->dir_count && dirs[i].depth > dirs[index].depth;
	     i++)
		count += dirs[i].parent == index;
	return count;
}

static int make_tree(struct assemble *a, size_t index, struct err *e)
{
	const struct layout_dir *d = &a->layout->dirs[index];
	_cleanup_free_ struct child *children =
		calloc(count_children(a, index) + 1, sizeof(*children));
	_cleanup_free_ struct run_ref *runs = calloc(d->run_count + 1, sizeof(*runs));
	struct tree t = { .children = children, .runs = runs };
	int r;

	if (!children || !runs ||
	    (index > 0 && account_owner(a->o.account, d->attr.uid, d->attr.gid) < 0))
		return err_nomem(e);
	collect_runs(a, d, &t);
	collect_children(a, index, &t, &a->totals[index]);
	t.file_count = a->totals[index].files;
	t.total_bytes = a->totals[index].bytes;
	t.dir_count = a->totals[index].dirs;
	wbuf_reset(&a->bytes);
	r = tree_encode(&t, &a->bytes, e);
	if (r < 0)
		return err_wrap(e, r, "directory \"%s\"", d->path);
	return place_bytes(a, &a->dir_places[index], NULL, e);
}

static int make_trees(struct assemble *a, unsigned depth, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < a->layout->dir_count && r == 0; i++)
		if (a->layout->dirs[i].depth == depth)
			r = make_tree(a, i, e);
	return r < 0 ? r : packer_close(a->o.packer, e);
}

int assemble_finish(struct assemble *a, struct place *ret_root, struct assemble_counts *ret,
		    struct err *e)
{
	unsigned deepest = 0;
	int r = make_runs(a, e);

	if (r < 0)
		return r;
	if (a->runs_made < a->layout->run_count)
		return err_set(e, ERR_IO, -EINVAL, "the content of a file was not placed");
	r = packer_close(a->o.packer, e);
	for (size_t i = 0; i < a->layout->dir_count; i++)
		deepest = MAX_OF(deepest, a->layout->dirs[i].depth);
	for (unsigned depth = deepest + 1; depth > 0 && r == 0; depth--)
		r = make_trees(a, depth - 1, e);
	if (r < 0)
		return r;
	*ret_root = *a->dir_places[0];
	*ret = (struct assemble_counts){ .files = a->totals[0].files,
					 .dirs = a->totals[0].dirs,
					 .total_bytes = a->totals[0].bytes,
					 .new_inline_bytes = a->new_inline_bytes };
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/catalog/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/mem.h"
#include "tests/unit/catalog/fixture_wire.h"

#define MTIME_NS 1700000000123456789LL
#define CONTENTS_MAX 4096
#define CHILDREN_MAX 512

/* ---- the repository ---- */

struct content {
	struct id256 id;
	struct extent *extents;
	uint32_t extent_count;
};

/* A tree or run that a node's backups have already: it is not stored again. */
struct known_blob {
	struct node_name where;
	struct place place;
};

struct contents {
	size_t count, blob_count;
	struct content items[CONTENTS_MAX];
	struct known_blob blobs[CONTENTS_MAX];
};

struct fixture *fixture_new(enum object_verify how)
{
	struct fixture *f = calloc(1, sizeof(*f));

	must(f);
	f->store = fixture_wire_new(mem_store_new(clock_system()), &f->wire);
	must(f->store);
	f->contents = calloc(1, sizeof(struct contents));
	must(f->contents);
	must(repo_init(f->store, OBJECT_COMPRESS_ZSTD, clock_system(), NULL) == 0);
	must(repo_open(f->store, REPO_READ | REPO_WRITE, clock_system(), NULL, &f->repo, NULL) ==
	     0);
	fixture_restart(f, how, NULL);
	return f;
}

static void stop(struct fixture *f)
{
	meta_free(f->meta);
	source_free(f->source);
	metrics_free(f->metrics);
}

void fixture_restart(struct fixture *f, enum object_verify how, struct kv *kv)
{
	stop(f);
	f->kv = kv;
	f->metrics = metrics_new();
	f->source = source_new(f->store, how, f->metrics);
	must(f->metrics && f->source);
	f->meta =
		meta_new(&(struct meta_options){ .repo = f->repo, .source = f->source, .kv = kv });
	must(f->meta);
}

void fixture_free(struct fixture *f)
{
	struct contents *c = f->contents;

	stop(f);
	repo_free(f->repo);
	store_free(f->store);
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].extents);
	free(c);
	free(f);
}

/* ---- objects ---- */

struct packing {
	struct fixture *f;
	struct node_name where;
	enum object_compression compression;
	struct object_builder *builder;
	struct extent **waiting; /* extents whose object is the one that is being built */
	size_t waiting_count;
};

static void upload(struct packing *p, enum key_object kind, struct extent **extents, size_t count,
		   struct object_builder *b)
{
	struct object_image image;
	char key[KEY_BYTES];
	struct object_ref ref;

	must(object_builder_finish(b, &image, NULL) == 0);
	ref = (struct object_ref){ .writer = p->f->writer,
				   .id = image.id,
				   .head_bytes = image.head->head_bytes,
				   .plain_bytes = image.head->plain_bytes,
				   .flags = (uint8_t)image.head->flags };
	for (size_t i = 0; i < count; i++)
		extents[i]->object = ref;
	keys_object(key, &p->where, kind, &ref.writer, &ref.id);
	must(store_put(p->f->store,
		       &(struct store_put){ .key = key,
					    .body = image.iov,
					    .body_count = image.iov_count,
					    .cond = STORE_ALWAYS },
		       NULL, NULL, NULL) == 0);
	object_builder_reset(b);
}

static void flush_pack(struct packing *p)
{
	if (p->waiting_count > 0)
		upload(p, KEY_OBJECT_DATA, p->waiting, p->waiting_count, p->builder);
	p->waiting_count = 0;
}

static void store_piece(struct packing *p, const uint8_t *data, struct extent *x)
{
	if (x->len_bytes >= FORMAT_OWN_OBJECT_BYTES) {
		struct object_builder *own = object_builder_new(p->compression);

		must(own && object_builder_add(own, data, x->len_bytes, true, NULL, &x->offset,
					       NULL) == 0);
		upload(p, KEY_OBJECT_DATA, &x, 1, own);
		object_builder_free(own);
		return;
	}
	if (!object_builder_fits(p->builder, x->len_bytes))
		flush_pack(p);
	must(object_builder_add(p->builder, data, x->len_bytes, false, NULL, &x->offset, NULL) ==
	     0);
	p->waiting[p->waiting_count++] = x;
}

static struct id256 content_of(const uint8_t *data, size_t len)
{
	struct content_hasher *h = content_hasher_new(len);
	struct id256 id;

	must(h);
	for (size_t done = 0; done < len; done += FORMAT_FRAME_BYTES) {
		struct id256 frame =
			digest_sha256(data + done, MIN_OF(len - done, FORMAT_FRAME_BYTES));

		content_hasher_frame(h, &frame);
	}
	id = content_hasher_final(h);
	content_hasher_free(h);
	return id;
}

/* The stored content of a file; stored now where it is new. */
static const struct content *store_content(struct packing *p, const struct fixture_file *file)
{
	struct contents *all = p->f->contents;
	struct id256 id = content_of(file->data, file->len_bytes);
	struct content *c;

	for (size_t i = 0; i < all->count; i++)
		if (memcmp(&all->items[i].id, &id, sizeof(id)) == 0)
			return &all->items[i];
	must(all->count < CONTENTS_MAX);
	c = &all->items[all->count++];
	c->id = id;
	c->extents = calloc(file->len_bytes / FORMAT_OBJECT_BYTES + 1, sizeof(*c->extents));
	must(c->extents);
	for (size_t done = 0; done < file->len_bytes && file->len_bytes > FORMAT_INLINE_BYTES;
	     done += FORMAT_OBJECT_BYTES) {
		struct extent *x = &c->extents[c->extent_count++];

		x->len_bytes = (uint32_t)MIN_OF(file->len_bytes - done, FORMAT_OBJECT_BYTES);
		store_piece(p, (const uint8_t *)file->data + done, x);
	}
	return c;
}

void fixture_mislead(struct fixture *f, const void *data, size_t len_bytes)
{
	struct contents *all = f->contents;

	must(all->count > 0);
	all->items[all->count - 1].id = content_of(data, len_bytes);
}

/* ---- trees ---- */

struct named {
	char name[FORMAT_FILE_NAME_BYTES + 1];
	const struct fixture_file *file; /* NULL: a directory */
	const struct content *content;
};

static int compare_files(const void *a, const void *b)
{
	return tree_compare_names(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int compare_dirs(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static struct attributes attributes_of(const struct fixture_file *file)
{
	if (file->attr.mode)
		return file->attr;
	return (struct attributes){ 0644, getuid(), getgid(), MTIME_NS };
}

static struct entry entry_of(const struct named *n)
{
	struct entry e = { .name = n->name,
			   .attr = attributes_of(n->file),
			   .size_bytes = n->file->len_bytes,
			   .data_dir = n->file->data_dir,
			   .content = n->content->id };

	if (e.size_bytes <= FORMAT_INLINE_BYTES) {
		e.inline_data = n->file->data ? n->file->data : "";
		return e;
	}
	e.extents = n->content->extents;
	e.extent_count = n->content->extent_count;
	return e;
}

static bool find_blob(struct packing *p, struct place *place)
{
	struct contents *all = p->f->contents;

	for (size_t i = 0; i < all->blob_count; i++)
		if (memcmp(&all->blobs[i].place.digest, &place->digest, sizeof(place->digest)) ==
			    0 &&
		    keys_node_equal(&all->blobs[i].where, &p->where)) {
			*place = all->blobs[i].place;
			return true;
		}
	return false;
}

static void remember_blob(struct packing *p, const struct place *place)
{
	struct contents *all = p->f->contents;

	must(all->blob_count < CONTENTS_MAX);
	all->blobs[all->blob_count++] = (struct known_blob){ .where = p->where, .place = *place };
}

/* Adds a blob to the metadata object in b, whose ref is filled in by upload. False: it is stored already. */
static bool add_blob(struct packing *p, struct object_builder *b, const struct wbuf *blob,
		     struct place *place)
{
	must(wbuf_error(blob) == 0);
	place->digest = content_id(blob->data, blob->len);
	if (find_blob(p, place))
		return false;
	place->extent.len_bytes = (uint32_t)blob->len;
	must(object_builder_add(b, blob->data, blob->len, false, NULL, &place->extent.offset,
				NULL) == 0);
	return true;
}

/* The runs of a directory, the new ones together in one object. Returns how many. */
static uint32_t store_runs(struct packing *p, struct named *files, size_t count,
			   struct run_ref *runs)
{
	struct object_builder *b = object_builder_new(p->compression);
	struct extent *extents[CHILDREN_MAX];
	struct place *fresh[CHILDREN_MAX];
	const char *names[CHILDREN_MAX];
	uint32_t run_count = 0;
	size_t fresh_count = 0;

	must(b && count <= CHILDREN_MAX);
	qsort(files, count, sizeof(*files), compare_files);
	for (size_t i = 0; i < count; i++)
		names[i] = files[i].name;
	for (size_t done = 0; done < count;) {
		size_t n = tree_run_length(names + done, count - done);
		struct entry entries[FORMAT_RUN_ENTRIES];
		struct run_ref *ref = &runs[run_count++];
		struct wbuf blob;

		for (size_t i = 0; i < n; i++)
			entries[i] = entry_of(&files[done + i]);
		wbuf_init(&blob, FORMAT_RUN_BYTES);
		must(run_encode(entries, n, &blob, NULL) == 0);
		*ref = (struct run_ref){ .first = files[done].name, .entry_count = (uint32_t)n };
		if (add_blob(p, b, &blob, &ref->place)) {
			fresh[fresh_count] = &ref->place;
			extents[fresh_count++] = &ref->place.extent;
		}
		wbuf_deinit(&blob);
		done += n;
	}
	if (fresh_count > 0)
		upload(p, KEY_OBJECT_META, extents, fresh_count, b);
	for (size_t i = 0; i < fresh_count; i++)
		remember_blob(p, fresh[i]);
	object_builder_free(b);
	return run_count;
}

static void store_tree(struct packing *p, const struct tree *t, struct place *place)
{
	struct object_builder *b = object_builder_new(p->compression);
	struct extent *extent = &place->extent;
	struct wbuf blob;

	wbuf_init(&blob, FORMAT_TREE_BYTES);
	must(b && tree_encode(t, &blob, NULL) == 0);
	if (add_blob(p, b, &blob, place)) {
		upload(p, KEY_OBJECT_META, &extent, 1, b);
		remember_blob(p, place);
	}
	wbuf_deinit(&blob);
	object_builder_free(b);
}

/* What lies directly in the directory `dir` ("" or ending in '/'). */
static void split(const struct fixture_file *files, size_t count, const char *dir,
		  struct named *in_files, size_t *file_count, struct named *in_dirs,
		  size_t *dir_count)
{
	for (size_t i = 0; i < count; i++) {
		const char *rest = files[i].path + strlen(dir), *slash;
		struct named n = { 0 };
		bool known = false;

		if (strncmp(files[i].path, dir, strlen(dir)) != 0 || !*rest)
			continue;
		slash = strchr(rest, '/');
		n.file = slash ? NULL : &files[i];
		memcpy(n.name, rest, slash ? (size_t)(slash - rest) : strlen(rest));
		for (size_t k = 0; k < *dir_count && slash; k++)
			known = known || strcmp(in_dirs[k].name, n.name) == 0;
		must(*dir_count < CHILDREN_MAX && *file_count < CHILDREN_MAX);
		if (slash && !known)
			in_dirs[(*dir_count)++] = n;
		else if (!slash)
			in_files[(*file_count)++] = n;
	}
}

static void store_directory(struct packing *p, const struct fixture_file *files, size_t count,
			    const char *dir, struct place *place, struct tree *sums)
{
	struct named *in_files = calloc(CHILDREN_MAX, sizeof(*in_files));
	struct named *in_dirs = calloc(CHILDREN_MAX, sizeof(*in_dirs));
	struct run_ref *runs = calloc(CHILDREN_MAX, sizeof(*runs));
	struct child *children = calloc(CHILDREN_MAX, sizeof(*children));
	struct tree t = { .children = children, .runs = runs };
	size_t file_count = 0, dir_count = 0;

	must(in_files && in_dirs && runs && children);
	split(files, count, dir, in_files, &file_count, in_dirs, &dir_count);
	for (size_t i = 0; i < file_count; i++) {
		in_files[i].content = store_content(p, in_files[i].file);
		t.total_bytes += in_files[i].file->len_bytes;
	}
	flush_pack(p);
	t.file_count = file_count;
	qsort(in_dirs, dir_count, sizeof(*in_dirs), compare_dirs);
	for (size_t i = 0; i < dir_count; i++) {
		char path[FORMAT_PATH_BYTES + 1];

		snprintf(path, sizeof(path), "%s%s/", dir, in_dirs[i].name);
		children[i] = (struct child){
			.name = in_dirs[i].name,
			.attr = { 0755, getuid(), getgid(), MTIME_NS + (int64_t)i },
		};
		store_directory(p, files, count, path, &children[i].place, &t);
	}
	t.child_count = (uint32_t)dir_count;
	t.dir_count += dir_count;
	t.run_count = store_runs(p, in_files, file_count, runs);
	store_tree(p, &t, place);
	sums->file_count += t.file_count;
	sums->total_bytes += t.total_bytes;
	sums->dir_count += t.dir_count;
	free(in_files);
	free(in_dirs);
	free(runs);
	free(children);
}

/* ---- backups ---- */

static void set(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	must(*field);
}

static void put_record(struct fixture *f, const struct record *r)
{
	char key[KEY_BYTES];
	size_t len;
	char *text;

	must(record_encode(r, &text, &len, NULL) == 0);
	keys_record(key, &r->where, r->backup, &r->writer);
	must(store_put_bytes(f->store, key, text, len, STORE_ALWAYS, NULL, NULL, NULL, NULL) == 0);
	free(text);
}

struct record *fixture_backup_of(struct fixture *f, const char *cluster, const char *node,
				 const char *name, enum record_state state,
				 const struct fixture_file *files, size_t count,
				 enum object_compression compression)
{
	struct packing p = { .f = f, .compression = compression };
	struct record *r = record_new();
	struct tree sums = { 0 };

	must(r);
	snprintf(p.where.cluster, sizeof(p.where.cluster), "%s", cluster);
	snprintf(p.where.node, sizeof(p.where.node), "%s", node);
	p.builder = object_builder_new(compression);
	p.waiting = calloc(CONTENTS_MAX, sizeof(struct extent *));
	must(p.builder && p.waiting);
	f->writer = ulid_new(clock_system());
	store_directory(&p, files, count, "", &r->root, &sums);
	object_builder_free(p.builder);
	free(p.waiting);
	r->state = state;
	r->has_root = state == RECORD_COMMITTED;
	r->sequence = 2;
	snprintf(r->nonce, sizeof(r->nonce), "%032llx", (unsigned long long)f->backups);
	r->writer = f->writer;
	set(&r->backup, name);
	r->where = p.where;
	set(&r->cluster_original, cluster);
	r->started_ns = MTIME_NS;
	r->finished_ns = state == RECORD_COMMITTED ? MTIME_NS + 1000 : 0;
	r->store_time_ns = MTIME_NS + (int64_t)++f->backups * 1000000000;
	r->file_count = sums.file_count;
	r->dir_count = sums.dir_count;
	r->total_bytes = sums.total_bytes;
	put_record(f, r);
	return r;
}

struct record *fixture_backup(struct fixture *f, const char *name, const struct fixture_file *files,
			      size_t count, enum object_compression compression)
{
	return fixture_backup_of(f, FIXTURE_CLUSTER, FIXTURE_NODE, name, RECORD_COMMITTED, files,
				 count, compression);
}

/* ---- looking ---- */

const struct entry *fixture_find(struct fixture *f, const struct record *r, const char *path,
				 struct run **ret_run)
{
	struct place place = r->root;

	for (;;) {
		const char *slash = strchr(path, '/');
		char name[FORMAT_FILE_NAME_BYTES + 1];
		const struct entry *entry = NULL;
		const struct run_ref *ref;
		const struct child *child;
		struct tree *t;

		must(meta_tree(f->meta, &r->where, &place, &t, NULL, NULL) == 0);
		if (slash) {
			snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
			child = tree_find_child(t, name);
			if (child)
				place = child->place;
			tree_free(t);
			if (!child)
				return NULL;
			path = slash + 1;
			continue;
		}
		ref = tree_find_run(t, path);
		if (ref) {
			must(meta_run(f->meta, &r->where, &ref->place, ret_run, NULL, NULL) == 0);
			entry = run_find(*ret_run, path);
			if (!entry)
				run_free(*ret_run);
		}
		tree_free(t);
		return entry;
	}
}

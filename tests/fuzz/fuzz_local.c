/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in the local store, by those who read it: the first byte chooses the table, the rest is the value, stored with a checksum that fits, as by
 * somebody who can write to the cache. Nothing of it may be believed beyond what a digest says.
 */
#include <fcntl.h>
#include <stdio.h>
#include "base/io.h"
#include "cache/ring.h"
#include "catalog/blockload.h"
#include "catalog/meta.h"
#include "store/mem.h"
#include "tests/fuzz/seal.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct local {
	char path[64];
	struct kv *kv;
	struct store *store;
	struct repo *repo;
	struct source *source;
	struct meta *meta;
	struct blockload *loads;
	struct ring *ring;
	uint8_t *block; /* of an object */
};

static const struct node_name where = { .cluster = "golden", .node = "n1" };

static void must(bool so)
{
	if (!so)
		abort();
}

static struct local local;

static void clean_up(void)
{
	blockload_free(local.loads);
	meta_free(local.meta);
	source_free(local.source);
	ring_close(local.ring);
	kv_close(local.kv);
	repo_free(local.repo);
	store_free(local.store);
	free(local.block);
	io_remove_tree(AT_FDCWD, local.path);
}

static void set_up(struct local *l)
{
	char path[100];

	strcpy(l->path, "/tmp/sstablefs-fuzz-XXXXXX");
	must(mkdtemp(l->path) != NULL);
	snprintf(path, sizeof(path), "%s/kv", l->path);
	must(kv_open(path, KV_MIN_BYTES, &l->kv, NULL) == 0);
	snprintf(path, sizeof(path), "%s/ring", l->path);
	must(ring_open(path, RING_MIN_BYTES, l->kv, NULL, &l->ring, NULL) == 0);
	l->store = mem_store_new(clock_system());
	must(l->store && repo_init(l->store, OBJECT_COMPRESS_NONE, clock_system(), NULL) == 0);
	must(repo_open(l->store, REPO_READ, clock_system(), NULL, &l->repo, NULL) == 0);
	l->source = source_new(l->store, OBJECT_VERIFY_XXH3, NULL);
	l->meta = meta_new(
		&(struct meta_options){ .repo = l->repo, .source = l->source, .kv = l->kv });
	l->loads = blockload_new(l->source, l->kv);
	l->block = malloc(FORMAT_OBJECT_BYTES);
	must(l->source && l->meta && l->loads && l->block);
	atexit(clean_up);
}

/* ETag, NUL, text: what can be read is taken, whatever the store says (there it is not). What cannot is slow: memory for the store's answer. */
static void try_record(struct local *l, const uint8_t *data, size_t size)
{
	struct record_key key = { .backup = "monday", .etag = "e" };
	_cleanup_(record_freep) struct record *record = NULL, *back = NULL;
	_cleanup_free_ char *sealed = NULL, *packed = NULL;
	char name[KEY_BYTES];
	size_t len;

	must(ulid_parse(&key.writer, "01M81HMP9QWNBZH7VC8EV2DQZ0") == 0);
	keys_record(name, &where, key.backup, &key.writer);
	sealed = seal_body(data, size, &len);
	if (record_decode(name, sealed, len, &where, key.backup, &key.writer, &record, NULL) < 0)
		return;
	packed = malloc(len + 2);
	must(packed != NULL);
	memcpy(packed, "e", 2);
	memcpy(packed + 2, sealed, len);
	must(kv_put(l->kv, KV_RECORDS, name, strlen(name), packed, len + 2, NULL) == 0);
	must(meta_record(l->meta, &where, &key, &back, NULL, NULL) == 0);
	must(back->sequence == record->sequence && back->state == record->state);
}

static void try_blob(struct local *l, const uint8_t *data, size_t size)
{
	struct place place = { .digest = content_id(data, size),
			       .extent.len_bytes = (uint32_t)size };
	struct tree *tree = NULL;
	struct run *run = NULL;

	place.extent.object.plain_bytes = (uint32_t)size;
	must(kv_put(l->kv, KV_BLOBS, &place.digest, sizeof(place.digest), data, size, NULL) == 0);
	if (meta_tree(l->meta, &where, &place, &tree, NULL, NULL) == 0)
		tree_free(tree);
	if (meta_run(l->meta, &where, &place, &run, NULL, NULL) == 0)
		run_free(run);
	kv_delete(l->kv, KV_BLOBS, &place.digest, sizeof(place.digest), NULL);
}

static void try_head(struct local *l, const uint8_t *data, size_t size)
{
	static const char prefix[] = "sstablefs/1 object";
	struct block_loader loader = blockload_callbacks(l->loads);
	struct block_object o = { .id = digest_sha256_2(prefix, sizeof(prefix), data, size) };

	must(kv_put(l->kv, KV_HEADS, o.id.b, SHA256_BYTES, data, size, NULL) == 0);
	for (unsigned blocks = 1; blocks <= 2; blocks++) {
		o.plain_bytes = (uint32_t)(blocks * BLOCKS_BLOCK_BYTES - blocks);
		o.whole = blocks > 1;
		/* Nothing can fit: the content is none that the head was made of. */
		must(loader.verify(loader.ctx, &o, 0, o.plain_bytes, l->block, NULL) < 0);
	}
	kv_delete(l->kv, KV_HEADS, o.id.b, SHA256_BYTES, NULL);
}

/* Entries of the ring, each a byte for the block, its length, and its value. */
static void try_ring(struct local *l, const uint8_t *data, size_t size)
{
	struct id256 id = digest_sha256(data, size);
	uint8_t key[SHA256_BYTES + 4] = { 0 };

	memcpy(key, id.b, SHA256_BYTES);
	while (size >= 2 && size - 2 >= data[1]) {
		key[SHA256_BYTES] = data[0];
		kv_put(l->kv, KV_RING, key, sizeof(key), data + 2, data[1], NULL);
		size -= 2 + (size_t)data[1];
		data += 2 + data[1];
	}
	ring_read(l->ring, &id, 3 * RING_SLOT_BYTES - 1, 7, l->block);
	ring_read(l->ring, &id, 1, 1, l->block);
	ring_write(l->ring, &id, 1, 1, l->block);
	ring_forget(l->ring, &id, UINT64_MAX);
}

/* The cursor, and what a slot is said to hold. */
static void try_state(struct local *l, const uint8_t *data, size_t size)
{
	struct id256 id = { { 0 } };
	char path[100];

	ring_close(steal_pointer(&l->ring));
	kv_put(l->kv, KV_STATE, "ring", 4, data, size, NULL);
	for (uint8_t slot = 0; slot < 8; slot++)
		kv_put(l->kv, KV_RING, (uint8_t[4]){ slot }, 4, data, size, NULL);
	snprintf(path, sizeof(path), "%s/ring", l->path);
	must(ring_open(path, RING_MIN_BYTES, l->kv, NULL, &l->ring, NULL) == 0);
	ring_write(l->ring, &id, 3 * RING_SLOT_BYTES, 7, l->block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!local.kv)
		set_up(&local);
	if (size < 1)
		return 0;
	switch (data[0]) {
	case 'r':
		try_record(&local, data + 1, size - 1);
		break;
	case 'b':
		try_blob(&local, data + 1, size - 1);
		break;
	case 'h':
		try_head(&local, data + 1, size - 1);
		break;
	case 'g':
		try_ring(&local, data + 1, size - 1);
		break;
	default:
		try_state(&local, data + 1, size - 1);
		break;
	}
	return 0;
}

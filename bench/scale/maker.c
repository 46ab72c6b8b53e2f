/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/scale/maker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "store/dir.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

void maker_must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "the maker: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_directories(const char *path)
{
	char copy[4096];

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *at = copy + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		maker_must(mkdir(copy, 0777) == 0 || errno == EEXIST, copy);
		*at = '/';
	}
}

static void write_key(struct maker *m, const char *key, const struct iovec *iov, int count,
		      size_t total)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", m->directory, key);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0 && errno == ENOENT) {
		make_directories(path);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	}
	maker_must(fd >= 0 && writev(fd, iov, count) == (ssize_t)total && close(fd) == 0, path);
}

/* Ends the object that is being built and writes it. */
struct object_ref maker_finish(struct maker *m, enum key_object kind)
{
	struct object_image image;
	struct object_ref ref;
	char key[KEY_BYTES];

	maker_must(object_builder_finish(m->builder, &image, NULL) == 0, "an object");
	ref = (struct object_ref){ .writer = m->writer,
				   .id = image.id,
				   .head_bytes = image.head->head_bytes,
				   .plain_bytes = image.head->plain_bytes,
				   .flags = (uint8_t)image.head->flags };
	write_key(m, keys_object(key, &m->where, kind, &ref.writer, &ref.id), image.iov,
		  image.iov_count, image.total_bytes);
	object_builder_reset(m->builder);
	m->keys++;
	return ref;
}

void maker_add_piece(struct maker *m, const void *data, size_t len, struct extent *x)
{
	maker_must(object_builder_add(m->builder, data, len, false, NULL, &x->offset, NULL) == 0,
		   "a piece");
	x->len_bytes = (uint32_t)len;
}

struct place maker_store_tree(struct maker *m, const struct tree *t)
{
	struct place p = { .extent.offset = 0 };
	struct wbuf text;

	wbuf_init(&text, FORMAT_TREE_BYTES);
	maker_must(tree_encode(t, &text, NULL) == 0, "a tree");
	p.digest = content_id(text.data, text.len);
	maker_add_piece(m, text.data, text.len, &p.extent);
	p.extent.object = maker_finish(m, KEY_OBJECT_META);
	wbuf_deinit(&text);
	return p;
}

void maker_store_record(struct maker *m, size_t number, bool deleted, const struct place *root,
			const struct tree *t)
{
	struct record *r = record_new();
	char key[KEY_BYTES], *text = NULL;
	struct iovec iov;

	maker_must(r, "memory");
	free(r->backup);
	r->backup = util_printf("b%05zu", number);
	r->where = m->where;
	r->writer = m->writer;
	r->state = deleted ? RECORD_DELETED : RECORD_COMMITTED;
	r->sequence = deleted ? 3 : 2;
	memcpy(r->nonce, "00112233445566778899aabbccddeeff", sizeof(r->nonce));
	r->started_ns = r->renewed_ns = r->store_time_ns = r->finished_ns =
		MAKER_START_NS + (int64_t)number * DAY_NS;
	r->root = *root;
	r->has_root = true;
	r->file_count = t->file_count;
	r->total_bytes = t->total_bytes;
	r->dir_count = t->dir_count;
	maker_must(r->backup && record_encode(r, &text, &iov.iov_len, NULL) == 0, "a record");
	iov.iov_base = text;
	write_key(m, keys_record(key, &r->where, r->backup, &r->writer), &iov, 1, iov.iov_len);
	free(text);
	record_free(r);
}

size_t maker_number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	maker_must(*end == '\0' && end > text, text);
	return n;
}

void maker_begin(struct maker *m, const char *directory)
{
	struct dir_store_options o = { .path = directory, .create = true, .clock = clock_system() };
	struct store *store = NULL;
	struct err e = ERR_INIT;

	*m = (struct maker){ .directory = directory, .where = { "c1", "n1" }, .random = 1 };
	maker_must(dir_store_new(&o, &store, &e) == 0 &&
			   repo_init(store, OBJECT_COMPRESS_NONE, clock_system(), &e) == 0,
		   e.message);
	store_free(store);
	m->builder = object_builder_new(OBJECT_COMPRESS_NONE);
	maker_must(m->builder, "memory");
}

uint64_t maker_random(struct maker *m)
{
	return m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407;
}

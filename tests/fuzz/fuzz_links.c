/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of link counts whose checksums fit, as by somebody who can write to the cache: records of any content, or blocks of any content, the head among them. It is asked, and
 * the next file is made from it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/io.h"
#include "fs/linkbuild.h"

#define BLOCK_BYTES 4096
#define PLAIN_BYTES (BLOCK_BYTES - 16)
#define HEAD_BYTES 48 /* magic, nonce, node */
#define MOST_BYTES (4 * MIB)
#define MOST_BACKUPS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct node_name where = { .cluster = "golden", .node = "n1" };
static char path[64];
static int dir = -1;

static void must(bool so)
{
	if (!so)
		abort();
}

static void clean_up(void)
{
	close(dir);
	io_remove_tree(AT_FDCWD, path);
}

static void set_up(void)
{
	strcpy(path, "/tmp/sstablefs-fuzz-XXXXXX");
	must(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir >= 0);
	atexit(clean_up);
}

/* Records, each behind a byte that says of which part, in the order of the parts. */
static void write_records(const uint8_t *data, size_t size)
{
	static const size_t bytes[] = { sizeof(struct link_run), sizeof(uint32_t),
					sizeof(struct link_backup), sizeof(struct link) };
	struct linkfile_writer *w;
	struct linkfile *f;
	unsigned part = 0;

	must(linkfile_writer_new(dir, &where, 1, MOST_BYTES, &w) == 0);
	while (size > 0) {
		union {
			struct link_run run;
			struct link_backup backup;
			struct link link;
			uint32_t number;
		} record = { 0 };
		size_t n;

		part = MAX_OF(part, data[0] % LINKFILE_PARTS);
		n = MIN_OF(size - 1, bytes[part]);
		memcpy(&record, data + 1, n);
		data += 1 + n;
		size -= 1 + n;
		must(linkfile_append(w, part, &record) == 0);
	}
	must(linkfile_finish(w, false, &f) == 0);
	linkfile_unref(f);
	linkfile_writer_free(w);
}

/* What says that a file is this node's: the first bytes of an empty one. */
static void begin_of_file(char name[256], uint8_t head[HEAD_BYTES])
{
	DIR *d = opendir(path);
	struct dirent *en;
	int fd;

	write_records(NULL, 0);
	must(d != NULL);
	while ((en = readdir(d)))
		if (en->d_name[0] != '.')
			snprintf(name, 256, "%s", en->d_name);
	closedir(d);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && pread(fd, head, HEAD_BYTES, 0) == HEAD_BYTES);
	close(fd);
}

/* Blocks: behind what says that the file is this node's all is as it comes, the head's counts too. */
static void write_blocks(const uint8_t *data, size_t size)
{
	uint8_t head[HEAD_BYTES], block[BLOCK_BYTES];
	uint64_t nonce, count = size / PLAIN_BYTES + 1;
	char name[256] = "";
	int fd;

	begin_of_file(name, head);
	memcpy(&nonce, head + 8, sizeof(nonce));
	fd = openat(dir, name, O_WRONLY | O_TRUNC | O_CLOEXEC);
	must(fd >= 0);
	for (uint64_t i = 0; i < count; i++) {
		size_t used = i == 0 ? HEAD_BYTES : 0, n = MIN_OF(size, PLAIN_BYTES - used);
		uint64_t tag = nonce + i, sum;

		memset(block, 0, sizeof(block));
		memcpy(block, head, used);
		if (n > 0)
			memcpy(block + used, data, n);
		data += n;
		size -= n;
		memcpy(block + PLAIN_BYTES, &tag, sizeof(tag));
		sum = digest_xxh64(block, BLOCK_BYTES - 8);
		memcpy(block + BLOCK_BYTES - 8, &sum, sizeof(sum));
		must(write(fd, block, sizeof(block)) == sizeof(block));
	}
	close(fd);
}

static int look(void *ctx, const struct link *l)
{
	const struct linkfile *f = ctx;
	struct link_run run;

	(void)linkfile_get(f, LINKFILE_RUNS, l->run, &run);
	return 0;
}

static void ask(struct linkfile *f)
{
	struct linkfile_cursor c;
	struct link_run run, found;
	struct link l;
	uint32_t number;

	linkfile_cursor_init(&c, f, LINKFILE_RUNS, 0);
	while (linkfile_next(&c, &run) == 0)
		if (linkfile_find_run(f, &run.key, &found, &number) == 0)
			must(link_key_compare(&run.key, &found.key) == 0);
	linkfile_cursor_init(&c, f, LINKFILE_LINKS, 0);
	while (linkfile_next(&c, &l) == 0)
		must(linkfile_each(f, l.ino, look, f) <= 0);
}

static void told(void *ctx, uint64_t ino)
{
	(void)ctx;
	(void)ino;
}

static int gone(void *ctx, const struct link_key *k)
{
	(void)ctx;
	(void)k;
	return 0;
}

/* All backups but the last: they are known, so nothing is read for them; where everything would have to be read again (a collision) that is the end. */
static void build(struct linkfile *f)
{
	struct link_wanted wanted[MOST_BACKUPS];
	struct cancel stopped = { 0 };
	struct linkbuild_options o = { .dir_fd = -1,
				       .name = &where,
				       .max_bytes = MOST_BYTES,
				       .old = f,
				       .cancel = &stopped,
				       .backups = wanted };
	_cleanup_(linkfile_unrefp) struct linkfile *next = NULL;
	_cleanup_(linkbuild_freep) struct linkbuild *b = NULL;
	struct linkfile_cursor c;
	struct link_backup backup, known;

	linkfile_cursor_init(&c, f, LINKFILE_BACKUPS, 0);
	while (o.count < MOST_BACKUPS && linkfile_next(&c, &backup) == 0) {
		if (linkfile_find_backup(f, &backup.writer, &known) != 0 ||
		    memcmp(&known.root, &backup.root, sizeof(known.root)) != 0)
			continue;
		wanted[o.count].writer = backup.writer;
		wanted[o.count++].root.digest = backup.root;
	}
	o.count -= o.count > 0;
	cancel_set(&stopped, 1);
	if (linkbuild_run(&o, &b, &next, NULL) != 0)
		return;
	(void)linkbuild_changed(b, told, NULL);
	(void)linkbuild_gone(b, gone, NULL);
	ask(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = NULL;

	if (dir < 0)
		set_up();
	if (size < 1 || size > MOST_BYTES / 64)
		return 0;
	if (data[0] & 1)
		write_blocks(data + 1, size - 1);
	else
		write_records(data + 1, size - 1);
	if (linkfile_open(dir, &where, &f) < 0)
		return 0;
	ask(f);
	build(f);
	return 0;
}

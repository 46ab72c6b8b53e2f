/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "catalog/piece.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/sample.h"

#define SIZE (9 * 1024 * 1024 + 5000)

struct file {
	struct tmpdir tmp;
	char path[128];
	uint8_t *data, *read;
	struct stamp stamp;
	struct frame_digest digests[80];
	struct err e;
};

static void file_init(struct file *f)
{
	*f = (struct file){ .tmp = tmpdir_new() };
	f->data = sample_bytes(1, SIZE);
	f->read = malloc(SIZE);
	cr_assert(f->read);
	tmpdir_write(&f->tmp, "f", f->data, SIZE);
	snprintf(f->path, sizeof(f->path), "%s/f", f->tmp.path);
	cr_assert_eq(piece_stamp(f->path, &f->stamp, &f->e), 0);
}

static void file_deinit(struct file *f)
{
	free(f->data);
	free(f->read);
	tmpdir_deinit(&f->tmp);
}

#define _cleanup_file_ _cleanup_(file_deinit)

static int read_piece(struct file *f, uint64_t offset, size_t len)
{
	return piece_read(f->path, &f->stamp, offset, f->read, len, f->digests, NULL, NULL, &f->e);
}

Test(piece, is_read_with_the_digests_of_its_frames)
{
	_cleanup_file_ struct file f;
	size_t tail = SIZE - FORMAT_OBJECT_BYTES;

	file_init(&f);
	cr_assert_eq(read_piece(&f, FORMAT_OBJECT_BYTES, tail), 0);
	cr_expect_eq(memcmp(f.read, f.data + FORMAT_OBJECT_BYTES, tail), 0);
	for (size_t at = 0; at < tail; at += FORMAT_FRAME_BYTES) {
		struct id256 expected =
			digest_sha256(f.read + at, MIN_OF(tail - at, FORMAT_FRAME_BYTES));

		cr_expect_eq(memcmp(&f.digests[at / FORMAT_FRAME_BYTES].sha256, &expected,
				    sizeof(expected)),
			     0, "frame at %zu", at);
	}
}

Test(piece, any_difference_to_the_stamp_is_a_change)
{
	_cleanup_file_ struct file f;
	struct stamp right;

	file_init(&f);
	right = f.stamp;
	f.stamp.mtime_ns++;
	cr_expect_eq(read_piece(&f, 0, 100), PIECE_CHANGED);
	f.stamp = right;
	f.stamp.ino++;
	cr_expect_eq(read_piece(&f, 0, 0), PIECE_CHANGED);
	f.stamp = right;
	f.stamp.size_bytes--;
	cr_expect_eq(read_piece(&f, 0, 100), PIECE_CHANGED);
	f.stamp = right;
	f.stamp.mode ^= 0777;
	cr_expect_eq(read_piece(&f, 0, 100), 0, "attributes are no content");
}

Test(piece, what_is_gone_or_no_file_is_named)
{
	_cleanup_file_ struct file f;

	file_init(&f);
	unlinkat(f.tmp.fd, "f", 0);
	cr_expect_eq(read_piece(&f, 0, 100), -ENOENT);
	cr_expect(strstr(f.e.message, "/f vanished"), "%s", f.e.message);
	cr_expect_eq(piece_stamp(f.path, &f.stamp, &f.e), -ENOENT);
	symlinkat("elsewhere", f.tmp.fd, "f");
	cr_expect_eq(read_piece(&f, 0, 100), -ELOOP);
	unlinkat(f.tmp.fd, "f", 0);
	mkdirat(f.tmp.fd, "f", 0700);
	cr_expect_eq(read_piece(&f, 0, 100), PIECE_CHANGED);
}

Test(piece, reading_stops_when_cancelled)
{
	_cleanup_file_ struct file f;
	struct cancel cancel = { 0 };

	file_init(&f);
	cancel_set(&cancel, 1);
	cr_expect_eq(piece_read(f.path, &f.stamp, 0, f.read, 100, f.digests, NULL, &cancel, &f.e),
		     -ECANCELED);
}

/* ---- a file that changes between two steps of reading ---- */

static int changing_fd;
static void *
	guarded; /* the page of the digests: touched for the first time when the first step is read */

static void on_touch(int signal)
{
	uint8_t byte = 0;

	mprotect(guarded, 4096, PROT_READ | PROT_WRITE);
	if (pwrite(changing_fd, &byte, 1, SIZE - 1) != 1)
		_exit(99);
}

Test(piece, a_file_that_changes_while_it_is_read_is_no_longer_the_same)
{
	_cleanup_file_ struct file f;
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	struct sigaction action = { .sa_handler = on_touch };

	file_init(&f);
	/* Any write moves the mtime away from 1970, however coarse the clock of the file system is. */
	cr_assert_eq(utimensat(f.tmp.fd, "f", times, 0), 0);
	cr_assert_eq(piece_stamp(f.path, &f.stamp, &f.e), 0);
	changing_fd = openat(f.tmp.fd, "f", O_WRONLY | O_CLOEXEC);
	guarded = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(guarded != MAP_FAILED);
	sigaction(SIGSEGV, &action, NULL);
	cr_expect_eq(piece_read(f.path, &f.stamp, 0, f.read, 2 * MIB, guarded, NULL, NULL, &f.e),
		     PIECE_CHANGED);
	munmap(guarded, 4096);
	close(changing_fd);
}

static size_t resident_pages(struct file *f, unsigned char *ret)
{
	int fd = openat(f->tmp.fd, "f", O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	size_t count = 0;

	cr_assert(map != MAP_FAILED);
	cr_assert_eq(mincore(map, SIZE, ret), 0);
	munmap(map, SIZE);
	close(fd);
	for (size_t i = 0; i < SIZE / 4096 + 1; i++)
		count += ret[i] & 1;
	return count;
}

Test(piece, reading_leaves_the_page_cache_as_it_was)
{
	static unsigned char before[SIZE / 4096 + 2], after[SIZE / 4096 + 2];
	_cleanup_file_ struct file f;
	int fd;

	file_init(&f);
	fd = openat(f.tmp.fd, "f", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(fsync(fd), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	/* What somebody else uses. */
	cr_assert_eq(io_pread_full(fd, f.read, 100000, 3000000), 100000);
	close(fd);
	resident_pages(&f, before);
	cr_assert_eq(read_piece(&f, 0, FORMAT_OBJECT_BYTES), 0);
	cr_assert_eq(read_piece(&f, FORMAT_OBJECT_BYTES, SIZE - FORMAT_OBJECT_BYTES), 0);
	resident_pages(&f, after);
	for (size_t i = 0; i < SIZE / 4096 + 1; i++)
		cr_assert_eq(before[i] & 1, after[i] & 1, "page %zu", i);
}

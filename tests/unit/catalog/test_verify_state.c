/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "catalog/verify_state.h"
#include "tests/unit/base/tmpdir.h"

#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)
#define NOW (INT64_C(1700000000) * SECOND)

static void random_seven(void *ctx, void *out, size_t len_bytes)
{
	memset(out, 0, len_bytes);
	memset(out, 7, 1);
}

static const struct clock with_seven = { NULL, NULL, random_seven, NULL };

struct turn {
	struct verify_state *state;
	struct verify_begin begin;
};

static struct turn begin_at(const struct tmpdir *t, uint32_t slices, int64_t now_ns)
{
	struct verify_state_options o = {
		.dir = t->path, .slices = slices, .now_ns = now_ns, .clock = &with_seven
	};
	struct err e = ERR_INIT;
	struct turn r;

	cr_assert_eq(verify_state_open(&o, &r.state, &r.begin, &e), 0, "%s", e.message);
	return r;
}

static struct turn begin(const struct tmpdir *t, uint32_t slices)
{
	return begin_at(t, slices, NOW);
}

static struct object_ref object(unsigned n)
{
	struct object_ref ref = { .plain_bytes = 1 };

	memcpy(ref.id.b, &n, sizeof(n));
	return ref;
}

static void whole(struct turn *r, unsigned n)
{
	struct object_ref ref = object(n);

	verify_state_whole(r->state, &ref);
}

static bool is_whole(const struct turn *r, unsigned n)
{
	struct object_ref ref = object(n);

	return verify_state_is_whole(r->state, &ref);
}

static void finish(struct turn *r)
{
	verify_state_finish(r->state, NULL, 0);
	verify_state_free(r->state);
}

/* Ended without a word, as by SIGKILL. */
static void die(struct turn *r)
{
	verify_state_free(r->state);
}

/* The directory's only file. */
static void only_file(const struct tmpdir *t, char path[512])
{
	DIR *d = opendir(t->path);
	struct dirent *x;
	int count = 0;

	cr_assert(d);
	while ((x = readdir(d)))
		if (*x->d_name != '.' && ++count)
			snprintf(path, 512, "%s/%s", t->path, x->d_name);
	closedir(d);
	cr_assert_eq(count, 1);
}

Test(verify_state, slices_follow_one_another_from_one_drawn_by_chance)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();

	for (uint32_t i = 0; i < 20; i++) {
		struct turn r = begin(&t, 9);

		cr_expect_eq(r.begin.slice, (7 + i) % 9);
		cr_expect_not(r.begin.continued);
		cr_expect_not(r.begin.damaged);
		finish(&r);
	}
}

Test(verify_state, a_run_that_did_not_end_is_continued_with_its_slice_and_objects)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct turn r = begin(&t, 9);

	whole(&r, 1);
	cr_expect_not(is_whole(&r, 1), "only what was noted before it began counts");
	die(&r);
	r = begin_at(&t, 9, NOW + DAY);
	cr_expect(r.begin.continued);
	cr_expect_eq(r.begin.begun_ns, NOW);
	cr_expect_eq(r.begin.objects, 1);
	cr_expect_eq(r.begin.slice, 7);
	cr_expect(is_whole(&r, 1));
	cr_expect_not(is_whole(&r, 2));
	whole(&r, 2);
	die(&r);
	r = begin(&t, 9);
	cr_expect(is_whole(&r, 1) && is_whole(&r, 2));
	finish(&r);
	r = begin(&t, 9);
	cr_expect_not(r.begin.continued);
	cr_expect_eq(r.begin.slice, 8);
	cr_expect_not(is_whole(&r, 1));
	finish(&r);
}

Test(verify_state, what_is_too_old_or_of_no_known_time_is_not_continued)
{
	static const struct {
		int64_t begun, now;
	} cases[] = { { NOW, NOW + VERIFY_CONTINUE_NS + SECOND },
		      { NOW, NOW - DAY },
		      { NOW, 0 },
		      { 0, NOW } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
		struct turn r = begin_at(&t, 1, cases[i].begun);

		whole(&r, 1);
		die(&r);
		r = begin_at(&t, 1, cases[i].now);
		cr_expect(r.begin.too_old, "%zu", i);
		cr_expect_not(r.begin.continued);
		cr_expect_not(is_whole(&r, 1));
		die(&r);
	}
}

Test(verify_state, runs_side_by_side_take_different_slices)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct turn a = begin(&t, 3), b = begin(&t, 3), c = begin(&t, 3), d = begin(&t, 3);

	cr_expect_eq(a.begin.slice, 1);
	cr_expect_eq(b.begin.slice, 2);
	cr_expect_eq(c.begin.slice, 0);
	cr_expect_not(c.begin.unremembered);
	cr_expect(d.begin.unremembered);
	whole(&b, 1);
	whole(&d, 2);
	finish(&d);
	die(&b);
	finish(&a);
	b = begin(&t, 3);
	cr_expect(b.begin.continued);
	cr_expect_eq(b.begin.slice, 2);
	cr_expect(is_whole(&b, 1) && !is_whole(&b, 2));
	finish(&b);
	finish(&c);
}

Test(verify_state, every_flipped_byte_is_noticed_or_does_no_harm)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[512];
	struct stat st;

	for (off_t at = 0;; at++) {
		struct turn r = begin(&t, 1);
		unsigned kept = 0;
		uint8_t byte;
		int fd;

		only_file(&t, path);
		for (unsigned n = 1; n <= 3; n++)
			whole(&r, n);
		die(&r);
		fd = open(path, O_RDWR | O_CLOEXEC);
		cr_assert(fd >= 0 && fstat(fd, &st) == 0);
		if (at == st.st_size) {
			close(fd);
			break;
		}
		cr_assert_eq(pread(fd, &byte, 1, at), 1);
		byte ^= 0x20;
		cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		r = begin(&t, 1);
		for (unsigned n = 0; n < 100; n++) {
			cr_assert(n >= 1 && n <= 3 ? true : !is_whole(&r, n));
			kept += is_whole(&r, n);
		}
		cr_expect_eq(kept, r.begin.damaged ? 0 : 2, "at %d", (int)at);
		finish(&r);
	}
}

Test(verify_state, a_torn_note_does_not_shift_those_that_follow)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct turn r = begin(&t, 1);
	char path[512];
	struct stat st;

	whole(&r, 1);
	whole(&r, 2);
	die(&r);
	only_file(&t, path);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(truncate(path, st.st_size - 5), 0);
	r = begin(&t, 1);
	cr_expect(is_whole(&r, 1) && !is_whole(&r, 2));
	whole(&r, 3);
	die(&r);
	r = begin(&t, 1);
	cr_expect(is_whole(&r, 1) && is_whole(&r, 3));
	finish(&r);
}

Test(verify_state, what_was_found_damaged_is_a_suspect_until_it_is_found_whole)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	const struct object_ref bad = object(5), other = object(6);
	struct xxh128 digest = seen_object_digest(&bad);
	struct xxh128 digest2 = seen_object_digest(&other);
	struct turn r = begin(&t, 4), beside;

	cr_expect_not(verify_state_is_suspect(r.state, &bad));
	verify_state_finish(r.state, &digest, 1);
	verify_state_free(r.state);
	r = begin(&t, 4);
	cr_expect(verify_state_is_suspect(r.state, &bad));
	/* Another run finds another one meanwhile. */
	beside = begin(&t, 4);
	verify_state_finish(beside.state, (struct xxh128[]){ digest, digest2 }, 2);
	verify_state_free(beside.state);
	finish(&r);
	r = begin(&t, 4);
	cr_expect_not(verify_state_is_suspect(r.state, &bad));
	cr_expect(verify_state_is_suspect(r.state, &other));
	finish(&r);
	r = begin(&t, 4);
	cr_expect_not(verify_state_is_suspect(r.state, &other));
	finish(&r);
}

Test(verify_state, what_others_may_write_to_is_not_believed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct verify_state_options o = {
		.dir = t.path, .slices = 1, .now_ns = NOW, .clock = &with_seven
	};
	struct verify_state *state;
	struct verify_begin b;
	struct err e = ERR_INIT;

	cr_assert_eq(fchmod(t.fd, 0777), 0);
	cr_expect_eq(verify_state_open(&o, &state, &b, &e), -EPERM);
	cr_expect(strstr(e.message, t.path));
	o.dir = "/proc/nowhere";
	cr_expect_lt(verify_state_open(&o, &state, &b, &e), 0);
}

Test(verify_state, every_object_is_of_exactly_one_slice)
{
	size_t counts[10] = { 0 };

	for (unsigned n = 0; n < 10000; n++) {
		struct id256 id = digest_sha256(&n, sizeof(n));

		counts[verify_state_slice_of(&id, 10)]++;
	}
	for (size_t i = 0; i < 10; i++)
		cr_expect(counts[i] > 800 && counts[i] < 1200);
}

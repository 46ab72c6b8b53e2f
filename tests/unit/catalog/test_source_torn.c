/* SPDX-License-Identifier: Apache-2.0 */
/* Objects fetched through repetitions from a store that tears, damages and miscounts its answers: what was told of is right, and is never written again. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "catalog/source.h"
#include "store/retry.h"
#include "tests/unit/catalog/fixture.h"

#define ROUNDS 150
#define PAGE ((size_t)4096)
#define MAP_BYTES (SOURCE_HEADROOM + FORMAT_OBJECT_BYTES + FORMAT_HEAD_MAX_BYTES)

struct torn {
	struct store store;
	struct store *below;
	_Atomic uint64_t random; /* heads are asked for by another thread */
	_Atomic unsigned tears, damages;
};

static uint32_t draw(uint64_t *random, uint64_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((*random >> 33) % below);
}

static int torn_error(struct err *e)
{
	err_set(e, ERR_STORE, -EIO, "torn");
	e->retryable = true;
	return -EIO;
}

/* Pieces of the right or damaged bytes, some of them told of; then the end that was drawn. */
static int torn_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct torn *t = (struct torn *)s;
	_cleanup_free_ uint8_t *bytes = malloc(req->cap_bytes);
	struct store_get quiet = *req;
	uint64_t random = atomic_fetch_add(&t->random, 7919) * 31;
	size_t len, give, done = 0;
	uint32_t fate = draw(&random, 10);
	int r;

	quiet.dst = bytes;
	quiet.progress = NULL;
	r = t->below->ops->get(t->below, &quiet, ret, c, e);
	if (r != 0)
		return r;
	len = give = req->whole ? ret->size_bytes : req->len_bytes;
	if (fate < 3) {
		give = draw(&random, len + 1);
		t->tears++;
	}
	if (fate == 2 || fate == 3) {
		bytes[draw(&random, len)] ^= 0x10;
		t->damages++;
	}
	ret->size_bytes += fate == 4;
	while (done < give) {
		size_t n = 1 + draw(&random, MIN_OF(give - done, 700000));

		memcpy((uint8_t *)req->dst + done, bytes + done, n);
		done += n;
		if (req->progress && (draw(&random, 3) || (done == len && fate > 2)))
			req->progress(req->progress_ctx, done);
	}
	return fate < 3 ? torn_error(e) : 0;
}

static void torn_free(struct store *s)
{
}

static const struct store_ops torn_ops = { .name = "torn", .get = torn_get, .free = torn_free };

/* One content, its object, and where it is fetched to: pages that were told of cannot be written. */
struct scene {
	struct fixture *f;
	struct torn torn;
	struct store *store;
	struct source *source;
	struct record *record;
	struct run *run;
	const struct object_ref *ref;
	const uint8_t *data; /* of the object */
	uint8_t *file, *map, *content;
	uint32_t begin, end;
	unsigned told, wrong;
};

static void sleep_not(void *ctx, int ms, const struct cancel *c)
{
}

static void note_arrival(void *ctx, uint32_t end)
{
	struct scene *s = ctx;
	uint32_t from = MAX_OF(s->begin, s->end);
	size_t before = (size_t)(s->content - s->map) + s->begin;
	size_t protected_bytes = ((size_t)(s->content - s->map) + end) / PAGE * PAGE;

	s->wrong += end <= s->end || memcmp(s->content + from, s->data + from, end - from) != 0;
	s->end = end;
	s->told++;
	before = before / PAGE * PAGE;
	if (s->begin == 0)
		before = 0;
	if (protected_bytes > before)
		cr_assert_eq(mprotect(s->map + before, protected_bytes - before, PROT_READ), 0);
}

static void scene_init(struct scene *s, enum object_compression compression, size_t len)
{
	struct fixture_file file = { .path = "data/ks/t-1/nb-1-big-Data.db", .len_bytes = len };

	*s = (struct scene){ .f = fixture_new(OBJECT_VERIFY_XXH3) };
	file.data = s->file = compression == OBJECT_COMPRESS_NONE ? fixture_random(1, len)
								  : fixture_text(1, len);
	s->data = s->file;
	s->record = fixture_backup(s->f, "b1", &file, 1, compression);
	s->ref = &fixture_find(s->f, s->record, file.path, &s->run)->extents[0].object;
	s->torn = (struct torn){ .store.ops = &torn_ops, .below = s->f->store };
	s->store =
		retry_store_new(&s->torn.store, &(struct retry_options){ .max_attempts = 8,
									 .clock = clock_system(),
									 .sleep_ms = sleep_not });
	s->map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(s->store && s->map != MAP_FAILED);
	s->content = s->map + SOURCE_HEADROOM;
}

static void scene_deinit(struct scene *s)
{
	source_free(s->source);
	store_free(s->store);
	munmap(s->map, MAP_BYTES);
	run_free(s->run);
	record_free(s->record);
	fixture_free(s->f);
	free(s->file);
}
#define _cleanup_scene_ _cleanup_(scene_deinit)

static int fetch_once(struct scene *s, uint64_t *random)
{
	struct source_listener listener = { note_arrival, s };
	uint32_t start = 0, end = s->ref->plain_bytes, offset, len;
	int r;

	if (draw(random, 4) == 0) { /* nothing kept */
		source_free(s->source);
		s->source = source_new(s->store, OBJECT_VERIFY_XXH3, NULL);
	}
	cr_assert_eq(mprotect(s->map, MAP_BYTES, PROT_READ | PROT_WRITE), 0);
	memset(s->map, 0xee, MAP_BYTES);
	s->begin = s->end = 0;
	if (draw(random, 2)) {
		r = source_fetch(s->source, &s->record->where, KEY_OBJECT_DATA, s->ref, s->content,
				 &listener, NULL, NULL, NULL);
	} else {
		offset = draw(random, s->ref->plain_bytes);
		len = 1 + draw(random, s->ref->plain_bytes - offset);
		s->begin = offset / FORMAT_FRAME_BYTES * (uint32_t)FORMAT_FRAME_BYTES;
		r = source_fetch_range(s->source, &s->record->where, KEY_OBJECT_DATA, s->ref,
				       offset, len, s->content, &listener, &start, &end, NULL,
				       NULL);
	}
	if (s->end)
		cr_expect_arr_eq(s->content + s->begin, s->data + s->begin, s->end - s->begin);
	if (r == 0)
		cr_expect(s->end == end &&
			  memcmp(s->content + start, s->data + start, end - start) == 0);
	return r;
}

static void fetch_often(struct scene *s, unsigned rounds)
{
	unsigned done = 0;
	uint64_t random = 1;

	s->source = source_new(s->store, OBJECT_VERIFY_XXH3, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		int r = fetch_once(s, &random);

		cr_assert(r == 0 || r == -EBADMSG || r == -EIO, "%d", r);
		done += r == 0;
	}
	cr_expect_eq(s->wrong, 0);
	cr_expect_gt(done, rounds / 2);
	cr_expect_gt(s->torn.tears, 0);
	cr_expect_gt(s->torn.damages, 0);
}

Test(source_torn, raw_objects_are_right_and_what_was_told_of_stays)
{
	_cleanup_scene_ struct scene s;

	scene_init(&s, OBJECT_COMPRESS_NONE, 5 * MIB + 12345);
	fetch_often(&s, ROUNDS);
}

Test(source_torn, compressed_objects_too)
{
	_cleanup_scene_ struct scene s;

	scene_init(&s, OBJECT_COMPRESS_ZSTD, 5 * MIB + 12345);
	fetch_often(&s, ROUNDS);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/wire.h"

#include <errno.h>
#include <string.h>
#include "catalog/object.h"

#define FLAG_BITS 2
#define REF_BYTES_MIN (SHA256_BYTES + 1)

int wire_corrupt(struct err *e, const char *what, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "the %s is damaged: %s", what, why);
}

int wire_invalid(struct err *e, const char *what, const char *why)
{
	return err_set(e, ERR_IO, -EINVAL, "cannot write a %s: %s", what, why);
}

/* ---- objects ---- */

static int compare_refs(const void *a, const void *b)
{
	const struct object_ref *x = a, *y = b;
	int r = memcmp(x->writer.b, y->writer.b, ULID_BYTES);

	return r ? r : memcmp(x->id.b, y->id.b, SHA256_BYTES);
}

static uint32_t frames_for(uint32_t plain_bytes)
{
	return (uint32_t)((plain_bytes + FORMAT_FRAME_BYTES - 1) / FORMAT_FRAME_BYTES);
}

static uint32_t frame_count_of(const struct object_ref *ref)
{
	return (ref->head_bytes - FORMAT_HEAD_FIXED_BYTES) / FORMAT_HEAD_FRAME_BYTES;
}

static bool frame_count_is_fine(const struct object_ref *ref, uint64_t frames)
{
	if (ref->flags & OBJECT_UNIFORM)
		return frames == frames_for(ref->plain_bytes);
	/* One frame is always uniform. */
	return frames >= 2 && frames >= frames_for(ref->plain_bytes) &&
	       frames <= FORMAT_PACK_FRAMES && frames <= ref->plain_bytes;
}

bool wire_ref_is_fine(const struct object_ref *ref)
{
	return !(ref->flags & ~(OBJECT_RAW | OBJECT_UNIFORM)) && ref->plain_bytes >= 1 &&
	       ref->plain_bytes <= FORMAT_OBJECT_BYTES &&
	       ref->head_bytes >= FORMAT_HEAD_FIXED_BYTES &&
	       (ref->head_bytes - FORMAT_HEAD_FIXED_BYTES) % FORMAT_HEAD_FRAME_BYTES == 0 &&
	       frame_count_is_fine(ref, frame_count_of(ref));
}

static bool refs_are_equal(const struct object_ref *a, const struct object_ref *b)
{
	return compare_refs(a, b) == 0 && a->head_bytes == b->head_bytes &&
	       a->plain_bytes == b->plain_bytes && a->flags == b->flags;
}

void wire_objects_deinit(struct wire_objects *t)
{
	free(t->refs);
	free(t->used);
	*t = (struct wire_objects){ 0 };
}

int wire_objects_add(struct wire_objects *t, const struct object_ref *ref)
{
	int r = util_grow(&t->refs, &t->cap, t->count + 1, sizeof(t->refs[0]));

	if (r < 0)
		return r;
	t->refs[t->count++] = *ref;
	return 0;
}

int wire_objects_seal(struct wire_objects *t)
{
	size_t kept = 0;

	if (t->count == 0)
		return 0;
	qsort(t->refs, t->count, sizeof(t->refs[0]), compare_refs);
	for (size_t i = 0; i < t->count; i++) {
		if (!wire_ref_is_fine(&t->refs[i]))
			return -EINVAL;
		if (kept > 0 && compare_refs(&t->refs[kept - 1], &t->refs[i]) == 0) {
			if (!refs_are_equal(&t->refs[kept - 1], &t->refs[i]))
				return -EINVAL;
			continue;
		}
		t->refs[kept++] = t->refs[i];
	}
	t->count = kept;
	return 0;
}

/* How many of the objects from number `first` have its writer. */
static size_t count_of_writer(const struct wire_objects *t, size_t first)
{
	size_t n = 1;

	while (first + n < t->count &&
	       memcmp(t->refs[first].writer.b, t->refs[first + n].writer.b, ULID_BYTES) == 0)
		n++;
	return n;
}

static void put_ref(struct wbuf *out, const struct object_ref *ref)
{
	wbuf_put(out, ref->id.b, SHA256_BYTES);
	/* What lacks to a full object, so that full ones and most packs take a byte or three. */
	wbuf_varint(out, (FORMAT_OBJECT_BYTES - ref->plain_bytes) << FLAG_BITS | ref->flags);
	if (!(ref->flags & OBJECT_UNIFORM))
		wbuf_varint(out, frame_count_of(ref));
}

void wire_objects_put(const struct wire_objects *t, struct wbuf *out)
{
	size_t writers = 0;

	for (size_t i = 0; i < t->count; i += count_of_writer(t, i))
		writers++;
	wbuf_varint(out, writers);
	for (size_t i = 0; i < t->count;) {
		size_t n = count_of_writer(t, i);

		wbuf_put(out, t->refs[i].writer.b, ULID_BYTES);
		wbuf_varint(out, n);
		for (; n > 0; n--)
			put_ref(out, &t->refs[i++]);
	}
}

static bool get_ref(struct rbuf *b, const uint8_t *writer, struct object_ref *ret)
{
	const uint8_t *id = rbuf_take(b, SHA256_BYTES);
	uint64_t lacks = rbuf_varint(b, ((FORMAT_OBJECT_BYTES - 1) << FLAG_BITS) | 3);
	uint64_t frames;

	if (rbuf_error(b) < 0)
		return false;
	memcpy(ret->writer.b, writer, ULID_BYTES);
	memcpy(ret->id.b, id, SHA256_BYTES);
	ret->flags = lacks & (OBJECT_RAW | OBJECT_UNIFORM);
	ret->plain_bytes = (uint32_t)(FORMAT_OBJECT_BYTES - (lacks >> FLAG_BITS));
	if (ret->flags & OBJECT_UNIFORM)
		frames = frames_for(ret->plain_bytes);
	else
		frames = rbuf_varint(b, FORMAT_PACK_FRAMES);
	ret->head_bytes = FORMAT_HEAD_FIXED_BYTES + FORMAT_HEAD_FRAME_BYTES * (uint32_t)frames;
	return rbuf_error(b) == 0 && frame_count_is_fine(ret, frames);
}

static int get_writer(struct wire_objects *t, struct rbuf *b)
{
	const uint8_t *writer = rbuf_take(b, ULID_BYTES);
	uint64_t n = rbuf_varint(b, rbuf_left(b) / REF_BYTES_MIN);
	int r;

	if (rbuf_error(b) < 0 || n == 0)
		return -EBADMSG;
	if (t->count > 0 && memcmp(t->refs[t->count - 1].writer.b, writer, ULID_BYTES) >= 0)
		return -EBADMSG;
	r = util_grow(&t->refs, &t->cap, t->count + n, sizeof(t->refs[0]));
	if (r < 0)
		return r;
	for (; n > 0; n--) {
		struct object_ref *ref = &t->refs[t->count];

		if (!get_ref(b, writer, ref))
			return -EBADMSG;
		if (t->count > 0 && compare_refs(ref - 1, ref) >= 0)
			return -EBADMSG;
		t->count++;
	}
	return 0;
}

int wire_objects_get(struct wire_objects *t, struct rbuf *b)
{
	uint64_t writers = rbuf_varint(b, rbuf_left(b) / (ULID_BYTES + 1 + REF_BYTES_MIN));
	int r;

	for (; writers > 0; writers--) {
		r = get_writer(t, b);
		if (r < 0)
			return r;
	}
	if (rbuf_error(b) < 0)
		return -EBADMSG;
	t->used = calloc(t->count + 1, sizeof(t->used[0]));
	return t->used ? 0 : -ENOMEM;
}

bool wire_objects_all_used(const struct wire_objects *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (!t->used[i])
			return false;
	return true;
}

/* ---- names ---- */

bool wire_name_is_fine(const char *name, size_t len_bytes)
{
	if (len_bytes < 1 || len_bytes > FORMAT_FILE_NAME_BYTES)
		return false;
	if (memchr(name, '/', len_bytes) || memchr(name, '\0', len_bytes))
		return false;
	return name[0] != '.' || (len_bytes != 1 && (len_bytes != 2 || name[1] != '.'));
}

/* What a name has in common with the one before it: as many bytes as possible at its begin, then at its end. */
struct shared {
	size_t begin, end;
};

static struct shared shared_with(const char *previous, size_t previous_len, const char *name,
				 size_t len)
{
	size_t most = MIN_OF(previous_len, len);
	struct shared s = { 0 };

	while (s.begin < most && previous[s.begin] == name[s.begin])
		s.begin++;
	while (s.begin + s.end < most &&
	       previous[previous_len - 1 - s.end] == name[len - 1 - s.end])
		s.end++;
	return s;
}

void wire_name_put(struct wbuf *out, const char *previous, const char *name, bool bit)
{
	size_t len = strlen(name);
	struct shared s = { 0 };

	if (previous)
		s = shared_with(previous, strlen(previous), name, len);
	wbuf_varint(out, s.begin << 1 | bit);
	wbuf_varint(out, s.end);
	wbuf_string(out, name + s.begin, len - s.begin - s.end);
}

bool wire_name_get(struct rbuf *b, struct wire_name *name, bool *ret_bit)
{
	struct wire_name previous = *name;
	uint64_t lead = rbuf_varint(b, previous.len << 1 | 1);
	struct shared s = { .begin = (size_t)(lead >> 1) }, most;
	const char *middle;
	size_t len;

	s.end = (size_t)rbuf_varint(b, previous.len - s.begin);
	middle = rbuf_string(b, FORMAT_FILE_NAME_BYTES - s.begin - s.end, &len);
	if (rbuf_error(b) < 0)
		return false;
	memcpy(name->text + s.begin, middle, len);
	memcpy(name->text + s.begin + len, previous.text + previous.len - s.end, s.end);
	name->len = s.begin + len + s.end;
	name->text[name->len] = '\0';
	most = shared_with(previous.text, previous.len, name->text, name->len);
	*ret_bit = lead & 1;
	return most.begin == s.begin && most.end == s.end &&
	       wire_name_is_fine(name->text, name->len);
}

/* ---- attributes ---- */

bool wire_attributes_are_fine(const struct wire_attributes *a)
{
	return a->attr.mode <= 07777 &&
	       (a->data_dir < FORMAT_DATA_DIRS || a->data_dir == FORMAT_NO_DATA_DIR);
}

bool wire_attributes_same(const struct wire_attributes *a, const struct wire_attributes *b)
{
	return a->attr.mode == b->attr.mode && a->attr.uid == b->attr.uid &&
	       a->attr.gid == b->attr.gid && a->data_dir == b->data_dir;
}

void wire_attributes_put(struct wbuf *out, const struct wire_attributes *previous,
			 const struct wire_attributes *a, bool with_data_dir)
{
	uint64_t mtime = (uint64_t)a->attr.mtime_ns;

	if (!previous || !wire_attributes_same(previous, a)) {
		wbuf_varint(out, a->attr.mode);
		wbuf_varint(out, a->attr.uid);
		wbuf_varint(out, a->attr.gid);
		if (with_data_dir)
			wbuf_varint(out, a->data_dir == FORMAT_NO_DATA_DIR ? 0 : a->data_dir + 1);
	}
	/* The difference modulo 2^64, zigzag: small either way gives few bytes. */
	if (previous)
		mtime -= (uint64_t)previous->attr.mtime_ns;
	wbuf_varint(out, mtime << 1 ^ (mtime >> 63 ? UINT64_MAX : 0));
}

bool wire_attributes_get(struct rbuf *b, struct wire_attributes *a, bool same, bool first,
			 bool with_data_dir)
{
	struct wire_attributes previous = *a;
	uint64_t zigzag, data_dir;

	if (same && first)
		return false;
	if (!same) {
		a->attr.mode = (uint32_t)rbuf_varint(b, 07777);
		a->attr.uid = (uint32_t)rbuf_varint(b, UINT32_MAX);
		a->attr.gid = (uint32_t)rbuf_varint(b, UINT32_MAX);
		data_dir = with_data_dir ? rbuf_varint(b, FORMAT_DATA_DIRS) : 0;
		a->data_dir = data_dir ? (uint32_t)data_dir - 1 : FORMAT_NO_DATA_DIR;
		if (!first && wire_attributes_same(&previous, a))
			return false;
	}
	zigzag = rbuf_varint(b, UINT64_MAX);
	a->attr.mtime_ns = (int64_t)((uint64_t)previous.attr.mtime_ns +
				     (zigzag >> 1 ^ (zigzag & 1 ? UINT64_MAX : 0)));
	return rbuf_error(b) == 0;
}

/* ---- extents ---- */

bool wire_extent_is_fine(const struct extent *x)
{
	uint64_t end = (uint64_t)x->offset + x->len_bytes;

	if (x->len_bytes == 0 || end > x->object.plain_bytes)
		return false;
	if (!(x->object.flags & OBJECT_UNIFORM))
		return true;
	return x->offset % FORMAT_FRAME_BYTES == 0 &&
	       (end % FORMAT_FRAME_BYTES == 0 || end == x->object.plain_bytes);
}

/* The number of the object; it is in the table, as every extent's was added before the seal. */
static uint64_t index_of(const struct wire_objects *t, const struct object_ref *ref)
{
	const struct object_ref *found =
		bsearch(ref, t->refs, t->count, sizeof(t->refs[0]), compare_refs);

	return found ? (uint64_t)(found - t->refs) : 0;
}

/* The object's number and a bit. */
static bool get_object(struct rbuf *b, struct wire_objects *t, struct object_ref *ret,
		       bool *ret_bit)
{
	uint64_t lead;

	if (t->count == 0)
		return false;
	lead = rbuf_varint(b, ((uint64_t)t->count - 1) << 1 | 1);
	if (rbuf_error(b) < 0)
		return false;
	t->used[lead >> 1] = true;
	*ret = t->refs[lead >> 1];
	*ret_bit = lead & 1;
	return true;
}

void wire_file_extent_put(struct wbuf *out, const struct wire_objects *t, const struct extent *x)
{
	bool whole = x->offset == 0 && x->len_bytes == x->object.plain_bytes;

	wbuf_varint(out, index_of(t, &x->object) << 1 | whole);
	if (whole)
		return;
	wbuf_varint(out, x->offset);
	wbuf_varint(out, x->len_bytes);
}

bool wire_file_extent_get(struct rbuf *b, struct wire_objects *t, struct extent *ret)
{
	bool whole;

	if (!get_object(b, t, &ret->object, &whole))
		return false;
	ret->offset = 0;
	ret->len_bytes = ret->object.plain_bytes;
	if (!whole) {
		ret->offset = (uint32_t)rbuf_varint(b, FORMAT_OBJECT_BYTES);
		ret->len_bytes = (uint32_t)rbuf_varint(b, FORMAT_OBJECT_BYTES);
		if (ret->offset == 0 && ret->len_bytes == ret->object.plain_bytes)
			return false;
	}
	return rbuf_error(b) == 0 && wire_extent_is_fine(ret);
}

/* Whether x begins where the one before it ends. */
static bool follows(const struct extent *previous, const struct extent *x)
{
	return previous->len_bytes > 0 && compare_refs(&previous->object, &x->object) == 0 &&
	       previous->offset + previous->len_bytes == x->offset;
}

void wire_place_put(struct wbuf *out, const struct wire_objects *t, const struct extent *previous,
		    const struct place *p)
{
	bool next = follows(previous, &p->extent);

	wbuf_put(out, p->digest.b, SHA256_BYTES);
	wbuf_varint(out, index_of(t, &p->extent.object) << 1 | next);
	if (!next)
		wbuf_varint(out, p->extent.offset);
	wbuf_varint(out, p->extent.len_bytes);
}

bool wire_place_get(struct rbuf *b, struct wire_objects *t, const struct extent *previous,
		    struct place *ret)
{
	const uint8_t *digest = rbuf_take(b, SHA256_BYTES);
	struct extent *x = &ret->extent;
	bool next;

	if (!digest || !get_object(b, t, &x->object, &next))
		return false;
	memcpy(ret->digest.b, digest, SHA256_BYTES);
	x->offset = next ? previous->offset + previous->len_bytes
			 : (uint32_t)rbuf_varint(b, FORMAT_OBJECT_BYTES);
	x->len_bytes = (uint32_t)rbuf_varint(b, FORMAT_OBJECT_BYTES);
	return rbuf_error(b) == 0 && next == follows(previous, x) && wire_extent_is_fine(x);
}

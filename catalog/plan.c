/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/plan.h"

#include <errno.h>
#include <string.h>

#define PLAN_GROUP_PIECES 256 /* files with inline content that are worked off together */
#define PLAN_TEXT_BYTES (64 * KIB)
#define PLAN_MAX (UINT32_MAX / 2) /* files, pieces, objects */

struct plan_text { /* paths and inline content */
	struct plan_text *next;
	size_t used, size;
	char bytes[];
};

void plan_init(struct plan *p)
{
	*p = (struct plan){ .group = PLAN_NONE };
}

static void free_texts(struct plan *p)
{
	while (p->texts) {
		struct plan_text *t = p->texts;

		p->texts = t->next;
		free(t);
	}
	p->text_bytes = 0;
}

void plan_deinit(struct plan *p)
{
	free_texts(p);
	free(p->files);
	free(p->pieces);
	free(p->objects);
	free(p->slots);
	plan_init(p);
}

void plan_reset(struct plan *p)
{
	free_texts(p);
	p->file_count = p->piece_count = p->object_count = 0;
	p->group = PLAN_NONE;
	for (size_t i = 0; i < p->slot_count; i++)
		p->slots[i] = PLAN_NONE;
}

uint64_t plan_memory(const struct plan *p)
{
	return p->file_count * sizeof(*p->files) + p->piece_count * sizeof(*p->pieces) +
	       p->object_count * (sizeof(*p->objects) + 2 * sizeof(*p->slots)) + p->text_bytes;
}

static void *keep_text(struct plan *p, const void *data, size_t len)
{
	struct plan_text *t = p->texts;
	char *copy;

	if (!t || t->size - t->used < len) {
		size_t size = MAX_OF(len, PLAN_TEXT_BYTES);

		t = malloc(sizeof(*t) + size);
		if (!t)
			return NULL;
		*t = (struct plan_text){ .next = p->texts, .size = size };
		p->texts = t;
		p->text_bytes += size;
	}
	copy = t->bytes + t->used;
	memcpy(copy, data, len);
	t->used += len;
	return copy;
}

/* ---- objects ---- */

/* The slot that holds the object, or the free one where it would be put. */
static size_t slot_of(const struct plan *p, const struct ulid *writer, const struct id256 *id)
{
	uint64_t h;
	size_t i;

	memcpy(&h, id->b, sizeof(h));
	for (i = h % p->slot_count; p->slots[i] != PLAN_NONE; i = (i + 1) % p->slot_count) {
		const struct object_ref *ref = &p->objects[p->slots[i]].ref;

		if (memcmp(&ref->id, id, sizeof(*id)) == 0 &&
		    memcmp(&ref->writer, writer, sizeof(*writer)) == 0)
			break;
	}
	return i;
}

uint32_t plan_find(const struct plan *p, const struct ulid *writer, const struct id256 *id)
{
	return p->slot_count ? p->slots[slot_of(p, writer, id)] : PLAN_NONE;
}

/* Room for another object in the hash table: never more than half full. */
static int grow_slots(struct plan *p)
{
	size_t count = MAX_OF(p->slot_count * 2, (size_t)1024);
	uint32_t *slots;

	if (2 * (p->object_count + 1) <= p->slot_count)
		return 0;
	slots = malloc(count * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		slots[i] = PLAN_NONE;
	free(p->slots);
	p->slots = slots;
	p->slot_count = count;
	for (uint32_t i = 0; i < p->object_count; i++)
		if (!p->objects[i].grouped)
			slots[slot_of(p, &p->objects[i].ref.writer, &p->objects[i].ref.id)] = i;
	return 0;
}

static uint32_t new_object(struct plan *p, const struct plan_object *object)
{
	if (p->object_count >= PLAN_MAX || grow_slots(p) < 0 ||
	    util_grow(&p->objects, &p->object_cap, p->object_count + 1, sizeof(*p->objects)) < 0)
		return PLAN_NONE;
	p->objects[p->object_count] = *object;
	p->objects[p->object_count].first_piece = PLAN_NONE;
	p->objects[p->object_count].start = UINT32_MAX;
	return (uint32_t)p->object_count++;
}

static uint32_t object_for(struct plan *p, const struct node_name *n, const struct object_ref *ref)
{
	uint32_t i = plan_find(p, &ref->writer, &ref->id);

	if (i != PLAN_NONE)
		return i;
	i = new_object(p, &(struct plan_object){ .ref = *ref, .node = n });
	if (i != PLAN_NONE)
		p->slots[slot_of(p, &ref->writer, &ref->id)] = i;
	return i;
}

static uint32_t group_for(struct plan *p)
{
	if (p->group == PLAN_NONE || p->objects[p->group].piece_count == PLAN_GROUP_PIECES)
		p->group = new_object(p, &(struct plan_object){ .grouped = true });
	return p->group;
}

/* ---- pieces ---- */

static int add_piece(struct plan *p, uint32_t object_index, const struct plan_piece *piece)
{
	struct plan_object *object;
	uint32_t i = (uint32_t)p->piece_count;

	if (object_index == PLAN_NONE || p->piece_count >= PLAN_MAX ||
	    util_grow(&p->pieces, &p->piece_cap, p->piece_count + 1, sizeof(*p->pieces)) < 0)
		return -ENOMEM;
	p->pieces[i] = *piece;
	p->pieces[i].object = object_index;
	p->pieces[i].next = PLAN_NONE;
	p->piece_count++;
	object = &p->objects[object_index];
	*(object->first_piece == PLAN_NONE ? &object->first_piece
					   : &p->pieces[object->last_piece].next) = i;
	object->last_piece = i;
	object->piece_count++;
	object->start = MIN_OF(object->start, piece->offset);
	object->end = MAX_OF(object->end, piece->offset + piece->len_bytes);
	return 0;
}

static int add_pieces(struct plan *p, const struct node_name *n, const struct entry *entry,
		      uint32_t file)
{
	struct plan_piece piece = { .file = file };
	int r = 0;

	if (entry->size_bytes <= FORMAT_INLINE_BYTES) {
		piece.len_bytes = (uint32_t)entry->size_bytes;
		return add_piece(p, group_for(p), &piece);
	}
	for (uint32_t i = 0; i < entry->extent_count && r == 0; i++) {
		const struct extent *x = &entry->extents[i];

		piece.offset = x->offset;
		piece.len_bytes = x->len_bytes;
		r = add_piece(p, object_for(p, n, &x->object), &piece);
		piece.file_offset += x->len_bytes;
	}
	return r;
}

/* Whether an object that is known already is described in another way: its pieces might lie outside it. */
static bool disagrees(const struct plan *p, const struct entry *entry)
{
	if (entry->size_bytes <= FORMAT_INLINE_BYTES)
		return false;
	for (uint32_t i = 0; i < entry->extent_count; i++) {
		const struct object_ref *ref = &entry->extents[i].object, *known;
		uint32_t k = plan_find(p, &ref->writer, &ref->id);

		if (k == PLAN_NONE)
			continue;
		known = &p->objects[k].ref;
		if (ref->head_bytes != known->head_bytes || ref->flags != known->flags ||
		    ref->plain_bytes != known->plain_bytes)
			return true;
	}
	return false;
}

int plan_add(struct plan *p, const struct node_name *n, const char *path, const struct entry *entry,
	     struct err *e)
{
	struct plan_file file = { .attr = entry->attr,
				  .size_bytes = entry->size_bytes,
				  .data_dir = entry->data_dir,
				  .content = entry->content,
				  .first_piece = (uint32_t)p->piece_count };

	if (disagrees(p, entry))
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "%s: one of its objects is described in two ways", path);
	file.path = keep_text(p, path, strlen(path) + 1);
	if (!file.path || p->file_count >= PLAN_MAX ||
	    util_grow(&p->files, &p->file_cap, p->file_count + 1, sizeof(*p->files)) < 0)
		return err_nomem(e);
	if (entry->size_bytes <= FORMAT_INLINE_BYTES) {
		file.inline_data = keep_text(p, entry->inline_data, entry->size_bytes);
		if (!file.inline_data)
			return err_nomem(e);
	}
	if (add_pieces(p, n, entry, (uint32_t)p->file_count) < 0)
		return err_nomem(e);
	file.piece_count = (uint32_t)p->piece_count - file.first_piece;
	file.left = file.piece_count;
	p->files[p->file_count++] = file;
	return 0;
}

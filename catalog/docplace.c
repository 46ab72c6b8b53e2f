/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/docplace.h"

#include <errno.h>
#include <string.h>
#include "catalog/object.h"
#include "catalog/wire.h"

static int damaged(struct err *e, const char *key, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "\"%s\" %s", key, why);
}

void docplace_put_ulid(json_t *o, const char *key, const struct ulid *u, bool *failed)
{
	char text[ULID_TEXT];

	doc_put(o, key, json_string(ulid_format(text, u)), failed);
}

int docplace_need_ulid(const json_t *o, const char *key, struct ulid *ret, struct err *e)
{
	const char *text = NULL;
	int r = doc_need_text(o, key, ULID_TEXT - 1, &text, e);

	if (r == 0 && ulid_parse(ret, text) < 0)
		return damaged(e, key, "is not a ULID");
	return r;
}

int docplace_need_name(const json_t *o, const char *key, char out[FORMAT_NAME_BYTES + 1],
		       struct err *e)
{
	const char *text = NULL;
	int r = doc_need_text(o, key, FORMAT_NAME_BYTES, &text, e);

	if (r < 0)
		return r;
	if (keys_check_name(key, text, NULL) < 0)
		return damaged(e, key, "is not an allowed name");
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

int docplace_need_u32(const json_t *o, const char *key, uint32_t max, uint32_t *ret, struct err *e)
{
	uint64_t value = 0;
	int r = doc_need_u64(o, key, max, &value, e);

	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

bool docplace_is_fine(const struct place *p)
{
	return wire_ref_is_fine(&p->extent.object) && wire_extent_is_fine(&p->extent);
}

void docplace_put(json_t *o, const char *key, const struct place *p, bool *failed)
{
	const struct object_ref *ref = &p->extent.object;
	json_t *root = json_object();

	doc_put_hex(root, "digest", p->digest.b, SHA256_BYTES, failed);
	docplace_put_ulid(root, "writer", &ref->writer, failed);
	doc_put_hex(root, "object", ref->id.b, SHA256_BYTES, failed);
	doc_put_u64(root, "head_bytes", ref->head_bytes, failed);
	doc_put_u64(root, "plain_bytes", ref->plain_bytes, failed);
	doc_put(root, "raw", json_boolean(ref->flags & OBJECT_RAW), failed);
	doc_put(root, "uniform", json_boolean(ref->flags & OBJECT_UNIFORM), failed);
	doc_put_u64(root, "offset", p->extent.offset, failed);
	doc_put_u64(root, "length", p->extent.len_bytes, failed);
	doc_put(o, key, root, failed);
}

static int read_ref(const json_t *root, struct object_ref *ref, struct err *e)
{
	bool raw = false, uniform = false;
	int n = docplace_need_ulid(root, "writer", &ref->writer, e);

	if (n == 0)
		n = doc_need_hex(root, "object", ref->id.b, SHA256_BYTES, e);
	if (n == 0)
		n = docplace_need_u32(root, "head_bytes", FORMAT_HEAD_MAX_BYTES, &ref->head_bytes,
				      e);
	if (n == 0)
		n = docplace_need_u32(root, "plain_bytes", FORMAT_OBJECT_BYTES, &ref->plain_bytes,
				      e);
	if (n == 0)
		n = doc_need_bool(root, "raw", &raw, e);
	if (n == 0)
		n = doc_need_bool(root, "uniform", &uniform, e);
	ref->flags = (uint8_t)((raw ? OBJECT_RAW : 0) | (uniform ? OBJECT_UNIFORM : 0));
	return n;
}

int docplace_need(const json_t *o, const char *key, struct place *ret, struct err *e)
{
	const json_t *place = NULL;
	struct place p = { 0 };
	struct extent *x = &p.extent;
	int n = doc_need_object(o, key, &place, e);

	if (n == 0)
		n = doc_need_hex(place, "digest", p.digest.b, SHA256_BYTES, e);
	if (n == 0)
		n = read_ref(place, &x->object, e);
	if (n == 0)
		n = docplace_need_u32(place, "offset", FORMAT_OBJECT_BYTES, &x->offset, e);
	if (n == 0)
		n = docplace_need_u32(place, "length", FORMAT_OBJECT_BYTES, &x->len_bytes, e);
	if (n == 0 && !docplace_is_fine(&p))
		return damaged(e, key, "names a place that cannot be");
	if (n == 0)
		*ret = p;
	return n;
}

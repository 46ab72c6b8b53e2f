/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/doc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/digest.h"

#define NS_PER_S INT64_C(1000000000)

static const struct {
	enum doc_access access;
	const char *name;
} accesses[] = { { DOC_READ, "read" }, { DOC_WRITE, "write" }, { DOC_COLLECT, "collect" } };

/* ---- writing ---- */

json_t *doc_new(const char *type)
{
	_cleanup_json_ json_t *o = json_object();
	json_t *features = json_object();
	bool failed = false;

	doc_put(o, "type", json_string(type), &failed);
	doc_put_u64(o, "format", FORMAT_VERSION, &failed);
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		doc_put(features, accesses[i].name, json_array(), &failed);
	doc_put(o, "features", features, &failed);
	return failed ? NULL : steal_pointer(&o);
}

void doc_put(json_t *o, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(o, key, value) < 0)
		*failed = true;
}

static json_t *clean_text(const char *text)
{
	_cleanup_free_ char *clean = strdup(text);

	if (!clean)
		return NULL;
	for (char *p = clean; *p; p++)
		if (*p & 0x80)
			*p = '?';
	return json_string(clean);
}

json_t *doc_text(const char *text)
{
	json_t *value = json_string(text);

	return value ? value : clean_text(text);
}

void doc_put_text(json_t *o, const char *key, const char *text, bool *failed)
{
	if (*text)
		doc_put(o, key, doc_text(text), failed);
}

void doc_put_u64(json_t *o, const char *key, uint64_t value, bool *failed)
{
	if (value > INT64_MAX)
		*failed = true;
	doc_put(o, key, json_integer((json_int_t)value), failed);
}

void doc_put_time(json_t *o, const char *key, int64_t ns, bool *failed)
{
	char text[CLOCK_RFC3339_BYTES + 16], base[CLOCK_RFC3339_BYTES];

	if (ns <= 0)
		return;
	clock_rfc3339(base, ns - ns % NS_PER_S, 0);
	snprintf(text, sizeof(text), "%.*s.%09dZ", (int)strcspn(base, "Z"), base,
		 (int)(ns % NS_PER_S));
	doc_put(o, key, json_string(text), failed);
}

void doc_put_hex(json_t *o, const char *key, const void *data, size_t len_bytes, bool *failed)
{
	char hex[SHA256_HEX];

	util_hex(hex, data, len_bytes);
	doc_put(o, key, json_string(hex), failed);
}

/* ---- reading ---- */

static int damaged(struct err *e, const char *key, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "\"%s\" %s", key, why);
}

/* Format 1 knows no feature yet: any name is an unknown one. */
static int read_features(const json_t *document, unsigned *ret_refused, struct err *e)
{
	const json_t *features = NULL, *list = NULL;
	unsigned refused = 0;
	int r = doc_need_object(document, "features", &features, e);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(accesses); i++) {
		r = doc_get_array(features, accesses[i].name, FORMAT_FEATURES, &list, e);
		if (r == 0 && json_array_size(list) > 0)
			refused |= accesses[i].access;
	}
	*ret_refused = refused;
	return r;
}

static int check_kind(const char *what, const json_t *document, const char *type, struct err *e)
{
	const char *actual = NULL;
	uint64_t format = 0;
	int r = doc_need_text(document, "type", FORMAT_TEXT_BYTES, &actual, e);

	if (r == 0 && strcmp(actual, type) != 0)
		r = damaged(e, "type", "says that it is something else");
	if (r == 0)
		r = doc_need_u64(document, "format", UINT64_MAX, &format, e);
	if (r == 0 && format != FORMAT_VERSION)
		return err_set(
			e, ERR_USAGE, -ENOTSUP,
			"%s has format %llu; this program knows format 1: use a newer sstablefs",
			what, (unsigned long long)format);
	return r < 0 ? err_wrap(e, r, "%s is damaged", what) : 0;
}

int doc_open(const char *what, const char *type, const char *text, size_t len_bytes,
	     size_t max_bytes, json_t **ret, unsigned *ret_refused, struct err *e)
{
	_cleanup_json_ json_t *document = NULL;
	int r = json_unseal(what, text, len_bytes, max_bytes, &document, e);

	if (r < 0)
		return r;
	r = check_kind(what, document, type, e);
	if (r < 0)
		return r;
	r = read_features(document, ret_refused, e);
	if (r < 0)
		return err_wrap(e, r, "%s is damaged", what);
	*ret = steal_pointer(&document);
	return 0;
}

int doc_refuse(const char *what, const json_t *document, unsigned access, struct err *e)
{
	const json_t *features = json_object_get(document, "features");

	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		const json_t *list = json_object_get(features, accesses[i].name);
		const char *name = json_string_value(json_array_get(list, 0));

		if ((access & accesses[i].access) && json_array_size(list) > 0)
			return err_set(
				e, ERR_USAGE, -ENOTSUP,
				"%s needs the feature \"%.64s\" (%s), which this program does not "
				"know: use a newer sstablefs",
				what, name ? name : "?", accesses[i].name);
	}
	return 0;
}

int doc_get_text(const json_t *o, const char *key, size_t max_bytes, char **dst, struct err *e)
{
	const char *value = "";
	char *copy;
	int r = json_get_string(o, key, max_bytes, &value, e);

	if (r < 0 && r != -ENOENT)
		return r;
	copy = strdup(value);
	if (!copy)
		return err_nomem(e);
	free(*dst);
	*dst = copy;
	return 0;
}

int doc_need_text(const json_t *o, const char *key, size_t max_bytes, const char **ret,
		  struct err *e)
{
	int r = json_get_string(o, key, max_bytes, ret, e);

	return r == -ENOENT ? damaged(e, key, "is missing") : r;
}

int doc_need_u64(const json_t *o, const char *key, uint64_t max, uint64_t *ret, struct err *e)
{
	int r = json_get_u64(o, key, ret, e);

	if (r == -ENOENT)
		return damaged(e, key, "is missing");
	if (r == 0 && *ret > max)
		return damaged(e, key, "is out of range");
	return r;
}

int doc_get_u64(const json_t *o, const char *key, uint64_t *ret, struct err *e)
{
	int r = json_get_u64(o, key, ret, e);

	if (r == -ENOENT)
		*ret = 0;
	return r == -ENOENT ? 0 : r;
}

int doc_get_time(const json_t *o, const char *key, int64_t *ret_ns, struct err *e)
{
	const char *text;
	int r = json_get_string(o, key, FORMAT_TEXT_BYTES, &text, e);

	if (r == -ENOENT)
		*ret_ns = 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (clock_parse_rfc3339(text, ret_ns) < 0 || *ret_ns <= 0)
		return damaged(e, key, "is not a time");
	return 0;
}

int doc_need_hex(const json_t *o, const char *key, void *out, size_t len_bytes, struct err *e)
{
	const char *text = NULL;
	int r = doc_need_text(o, key, 2 * len_bytes, &text, e);

	if (r == 0 && (strlen(text) != 2 * len_bytes || util_unhex(out, len_bytes, text) < 0))
		return damaged(e, key, "is not as many hexadecimal digits as it must be");
	return r;
}

int doc_need_bool(const json_t *o, const char *key, bool *ret, struct err *e)
{
	const json_t *value = json_object_get(o, key);

	if (!json_is_boolean(value))
		return damaged(e, key, "is not true or false");
	*ret = json_is_true(value);
	return 0;
}

int doc_need_object(const json_t *o, const char *key, const json_t **ret, struct err *e)
{
	const json_t *value = json_object_get(o, key);

	if (!json_is_object(value))
		return damaged(e, key, "is not an object");
	*ret = value;
	return 0;
}

int doc_get_array(const json_t *o, const char *key, size_t max, const json_t **ret, struct err *e)
{
	const json_t *value = json_object_get(o, key);

	if (value && !json_is_array(value))
		return damaged(e, key, "is not a list");
	if (json_array_size(value) > max)
		return damaged(e, key, "has too many elements");
	*ret = value;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3xml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "store/httphdr.h"
#include "store/xml.h"

#define PAGE_TEXT_MAX (16 * MIB)

/* ---- errors ---- */

static void copy_cut(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
}

static void error_element(struct s3xml_error *e, const char *path, const char *text)
{
	if (strcmp(path, "/Error/Code") == 0)
		copy_cut(e->code, sizeof(e->code), text);
	else if (strcmp(path, "/Error/Message") == 0)
		copy_cut(e->message, sizeof(e->message), text);
	else if (strcmp(path, "/Error/Region") == 0)
		copy_cut(e->region, sizeof(e->region), text);
	else if (strcmp(path, "/Error/Endpoint") == 0)
		copy_cut(e->endpoint, sizeof(e->endpoint), text);
}

/* The root decides what a document is. */
struct reader {
	const char *root; /* what is wanted */
	bool is_wanted, is_error;
	struct s3xml_error *error; /* filled where the root is <Error> */
	int (*begin)(void *ctx, const char *path);
	int (*end)(void *ctx, const char *path, const char *text, bool cut);
	void *ctx;
};

static int reader_begin(void *ctx, const char *path)
{
	struct reader *r = ctx;

	if (r->is_error)
		return 0;
	if (!r->is_wanted) {
		r->is_wanted = r->root && strcmp(path, r->root) == 0;
		r->is_error = strcmp(path, "/Error") == 0;
		return r->is_wanted || r->is_error ? 0 : -EBADMSG;
	}
	return r->begin ? r->begin(r->ctx, path) : 0;
}

static int reader_end(void *ctx, const char *path, const char *text, bool cut)
{
	struct reader *r = ctx;

	if (!r->is_error)
		return r->end(r->ctx, path, text, cut);
	error_element(r->error, path, text);
	return 0;
}

/* 0, S3XML_ERROR_DOCUMENT, < 0. */
static int reader_run(struct reader *r, const void *data, size_t len_bytes)
{
	struct xml_handler handler = { .begin = reader_begin, .end = reader_end, .ctx = r };
	int rc;

	*r->error = (struct s3xml_error){ 0 };
	rc = xml_walk(data, len_bytes, &handler);
	if (rc < 0)
		return rc;
	return r->is_error ? S3XML_ERROR_DOCUMENT : 0;
}

int s3xml_parse_error(const void *data, size_t len_bytes, struct s3xml_error *ret)
{
	struct s3xml_error error;
	struct reader r = { .error = &error };
	int rc = reader_run(&r, data, len_bytes);

	if (rc < 0)
		return rc;
	*ret = error;
	return 0;
}

/* ---- listings ---- */

struct list_reader {
	struct s3xml_page *page;
	bool url_encoded, has_key, has_size, has_etag;
	struct s3xml_entry entry; /* under way */
	size_t token_at;	  /* + 1; 0: none */
};

static size_t keep_text(struct s3xml_page *page, const char *text)
{
	size_t at = page->text.len;

	wbuf_put(&page->text, text, strlen(text) + 1);
	return at;
}

static void keep_etag(struct list_reader *l, const char *text)
{
	size_t len = strlen(text);
	size_t at = l->page->text.len;

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		wbuf_put(&l->page->text, text + 1, len - 2);
		wbuf_u8(&l->page->text, 0);
	} else {
		at = keep_text(l->page, text);
	}
	l->entry.etag_at = at;
	l->has_etag = true;
}

static int finish_entry(struct list_reader *l, bool is_prefix)
{
	struct s3xml_page *page = l->page;

	if (!l->has_key || (!is_prefix && !l->has_size) || page->count >= S3XML_ENTRIES_MAX)
		return -EBADMSG;
	if (!l->has_etag)
		keep_etag(l, "");
	if (wbuf_error(&page->text))
		return wbuf_error(&page->text) == -ENOMEM ? -ENOMEM : -EBADMSG;
	if (util_grow(&page->entries, &page->cap, page->count + 1, sizeof(*page->entries)) < 0)
		return -ENOMEM;
	l->entry.is_prefix = is_prefix;
	page->entries[page->count++] = l->entry;
	return 0;
}

static int list_begin(void *ctx, const char *path)
{
	struct list_reader *l = ctx;

	if (strcmp(path, "/ListBucketResult/Contents") == 0 ||
	    strcmp(path, "/ListBucketResult/CommonPrefixes") == 0) {
		l->entry = (struct s3xml_entry){ 0 };
		l->has_key = l->has_size = l->has_etag = false;
	}
	return 0;
}

static int list_key(struct list_reader *l, const char *text)
{
	if (l->has_key || !text[0])
		return -EBADMSG;
	l->entry.key_at = keep_text(l->page, text);
	l->has_key = true;
	return 0;
}

static int list_entry_element(struct list_reader *l, const char *name, const char *text)
{
	if (strcmp(name, "Key") == 0)
		return list_key(l, text);
	if (strcmp(name, "Size") == 0) {
		l->has_size = true;
		return httphdr_parse_u64(text, &l->entry.size_bytes) < 0 ? -EBADMSG : 0;
	}
	if (strcmp(name, "ETag") == 0)
		keep_etag(l, text);
	else if (strcmp(name, "LastModified") == 0 &&
		 clock_parse_rfc3339(text, &l->entry.modified_ns) < 0)
		l->entry.modified_ns = 0;
	return 0;
}

static int list_end(void *ctx, const char *path, const char *text, bool cut)
{
	static const char root[] = "/ListBucketResult/", contents[] = "Contents/";
	struct list_reader *l = ctx;
	const char *name;

	if (strncmp(path, root, sizeof(root) - 1) != 0)
		return 0;
	name = path + sizeof(root) - 1;
	if (cut)
		return -EBADMSG;
	if (strncmp(name, contents, sizeof(contents) - 1) == 0)
		return list_entry_element(l, name + sizeof(contents) - 1, text);
	if (strcmp(name, "Contents") == 0)
		return finish_entry(l, false);
	if (strcmp(name, "CommonPrefixes/Prefix") == 0)
		return list_key(l, text);
	if (strcmp(name, "CommonPrefixes") == 0)
		return finish_entry(l, true);
	if (strcmp(name, "IsTruncated") == 0)
		l->page->truncated = strcmp(text, "true") == 0;
	else if (strcmp(name, "NextContinuationToken") == 0 && text[0])
		l->token_at = keep_text(l->page, text) + 1;
	else if (strcmp(name, "EncodingType") == 0)
		l->url_encoded = strcmp(text, "url") == 0;
	return 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. As in forms, '+' is a blank: that is what AWS and MinIO send. */
static int url_decode(char *s)
{
	char *out = s;

	for (; *s; s++) {
		int high, low;

		if (*s != '%') {
			*out++ = *s == '+' ? ' ' : *s;
			continue;
		}
		high = hex_value(s[1]);
		low = high < 0 ? -1 : hex_value(s[2]);
		if (low < 0 || (high == 0 && low == 0))
			return -EBADMSG;
		*out++ = (char)(high * 16 + low);
		s += 2;
	}
	*out = 0;
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct s3xml_entry *)a)->key, ((const struct s3xml_entry *)b)->key);
}

/*
 * Only now is it known whether keys are encoded, and the text stays where it is. Keys and prefixes
 * come apart: sorting makes one sequence of them.
 */
static int finish_page(struct list_reader *l)
{
	struct s3xml_page *page = l->page;

	if (wbuf_error(&page->text))
		return wbuf_error(&page->text) == -ENOMEM ? -ENOMEM : -EBADMSG;
	for (size_t i = 0; i < page->count; i++) {
		struct s3xml_entry *entry = &page->entries[i];
		char *text = (char *)page->text.data;

		if (l->url_encoded && url_decode(text + entry->key_at) < 0)
			return -EBADMSG;
		entry->key = text + entry->key_at;
		entry->etag = text + entry->etag_at;
	}
	if (l->token_at)
		page->token = (char *)page->text.data + l->token_at - 1;
	if (page->truncated && !page->token)
		return -EBADMSG;
	if (page->count)
		qsort(page->entries, page->count, sizeof(*page->entries), compare_entries);
	return 0;
}

int s3xml_parse_list(const void *data, size_t len_bytes, struct s3xml_page *ret,
		     struct s3xml_error *ret_error)
{
	struct s3xml_page page = { 0 };
	struct list_reader l = { .page = &page };
	struct s3xml_error error;
	struct reader r = { .root = "/ListBucketResult",
			    .error = &error,
			    .begin = list_begin,
			    .end = list_end,
			    .ctx = &l };
	int rc;

	wbuf_init(&page.text, PAGE_TEXT_MAX);
	rc = reader_run(&r, data, len_bytes);
	if (rc == 0)
		rc = finish_page(&l);
	if (rc == 0)
		*ret = page;
	else
		s3xml_page_deinit(&page);
	if (rc == S3XML_ERROR_DOCUMENT)
		*ret_error = error;
	return rc;
}

void s3xml_page_deinit(struct s3xml_page *page)
{
	free(page->entries);
	wbuf_deinit(&page->text);
	*page = (struct s3xml_page){ 0 };
}

/* ---- DeleteObjects ---- */

struct delete_reader {
	s3xml_delete_fn *failed;
	void *ctx;
	char key[XML_TEXT_MAX + 1];
	char code[64], message[192];
	bool has_key;
};

static int delete_begin(void *ctx, const char *path)
{
	struct delete_reader *d = ctx;

	if (strcmp(path, "/DeleteResult/Error") == 0) {
		d->has_key = false;
		d->code[0] = d->message[0] = 0;
	}
	return 0;
}

static int delete_end(void *ctx, const char *path, const char *text, bool cut)
{
	struct delete_reader *d = ctx;

	if (strcmp(path, "/DeleteResult/Error/Key") == 0) {
		if (cut)
			return -EBADMSG;
		copy_cut(d->key, sizeof(d->key), text);
		d->has_key = true;
	} else if (strcmp(path, "/DeleteResult/Error/Code") == 0) {
		copy_cut(d->code, sizeof(d->code), text);
	} else if (strcmp(path, "/DeleteResult/Error/Message") == 0) {
		copy_cut(d->message, sizeof(d->message), text);
	} else if (strcmp(path, "/DeleteResult/Error") == 0) {
		if (!d->has_key)
			return -EBADMSG;
		d->failed(d->ctx, &(struct s3xml_delete_error){
					  .key = d->key, .code = d->code, .message = d->message });
	}
	return 0;
}

int s3xml_parse_delete(const void *data, size_t len_bytes, s3xml_delete_fn *failed, void *ctx,
		       struct s3xml_error *ret_error)
{
	struct delete_reader d = { .failed = failed, .ctx = ctx };
	struct s3xml_error error;
	struct reader r = { .root = "/DeleteResult",
			    .error = &error,
			    .begin = delete_begin,
			    .end = delete_end,
			    .ctx = &d };
	int rc = reader_run(&r, data, len_bytes);

	if (rc == S3XML_ERROR_DOCUMENT)
		*ret_error = error;
	return rc;
}

bool s3xml_can_hold(const char *key)
{
	for (const unsigned char *p = (const unsigned char *)key; *p; p++) {
		if (*p < 0x20)
			return false;
	}
	return true;
}

static void put_escaped(struct wbuf *out, const char *s)
{
	for (; *s; s++) {
		const char *escape = *s == '&'	 ? "&amp;"
				     : *s == '<' ? "&lt;"
				     : *s == '>' ? "&gt;"
						 : NULL;

		if (escape)
			wbuf_put(out, escape, strlen(escape));
		else
			wbuf_u8(out, (uint8_t)*s);
	}
}

static void put_text(struct wbuf *out, const char *s)
{
	wbuf_put(out, s, strlen(s));
}

void s3xml_delete_begin(struct wbuf *out)
{
	put_text(out,
		 "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
}

void s3xml_delete_key(struct wbuf *out, const char *prefix, const char *key)
{
	put_text(out, "<Object><Key>");
	put_escaped(out, prefix);
	put_escaped(out, key);
	put_text(out, "</Key></Object>");
}

void s3xml_delete_end(struct wbuf *out)
{
	put_text(out, "</Delete>");
}

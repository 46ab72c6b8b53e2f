/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sigv4.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/digest.h"

#define SIGV4_SCRATCH_MAX (256 * KIB)

static void put_text(struct wbuf *out, const char *s)
{
	wbuf_put(out, s, strlen(s));
}

static void put_line(struct wbuf *out, const char *s)
{
	put_text(out, s);
	wbuf_u8(out, '\n');
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void sigv4_encode(struct wbuf *out, const char *s, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";

	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		if (is_unreserved(*p) || (*p == '/' && keep_slash)) {
			wbuf_u8(out, *p);
		} else {
			wbuf_u8(out, '%');
			wbuf_u8(out, (uint8_t)digits[*p >> 4]);
			wbuf_u8(out, (uint8_t)digits[*p & 15]);
		}
	}
}

static void set_error(struct wbuf *out, int error)
{
	if (!out->error)
		out->error = error;
}

struct encoded_pair { /* offsets of two strings in a buffer that may still move */
	size_t name, value;
};

struct pair_order {
	const char *name, *value;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct pair_order *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->value, y->value);
}

/* The order is that of the encoded bytes, so encoding comes first. */
void sigv4_query(struct wbuf *out, const struct sigv4_pair *query, size_t count)
{
	_cleanup_wbuf_ struct wbuf scratch;
	struct encoded_pair at[SIGV4_PAIRS_MAX];
	struct pair_order order[SIGV4_PAIRS_MAX];

	wbuf_init(&scratch, SIGV4_SCRATCH_MAX);
	if (count > SIGV4_PAIRS_MAX) {
		set_error(out, -E2BIG);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		at[i].name = scratch.len;
		sigv4_encode(&scratch, query[i].name, false);
		wbuf_u8(&scratch, 0);
		at[i].value = scratch.len;
		sigv4_encode(&scratch, query[i].value, false);
		wbuf_u8(&scratch, 0);
	}
	if (wbuf_error(&scratch)) {
		set_error(out, wbuf_error(&scratch));
		return;
	}
	for (size_t i = 0; i < count; i++)
		order[i] = (struct pair_order){ (const char *)scratch.data + at[i].name,
						(const char *)scratch.data + at[i].value };
	qsort(order, count, sizeof(order[0]), compare_pairs);
	for (size_t i = 0; i < count; i++) {
		if (i)
			wbuf_u8(out, '&');
		put_text(out, order[i].name);
		wbuf_u8(out, '=');
		put_text(out, order[i].value);
	}
}

/* Sequential blanks inside a header value count as one. */
static void put_header_value(struct wbuf *out, const char *value)
{
	for (const char *p = value; *p; p++) {
		if (*p != ' ' || p == value || p[-1] != ' ')
			wbuf_u8(out, (uint8_t)*p);
	}
}

static size_t sorted_headers(const struct sigv4_request *r,
			     struct pair_order order[SIGV4_PAIRS_MAX])
{
	size_t count = MIN_OF(r->header_count, (size_t)SIGV4_PAIRS_MAX);

	for (size_t i = 0; i < count; i++)
		order[i] = (struct pair_order){ r->headers[i].name, r->headers[i].value };
	qsort(order, count, sizeof(order[0]), compare_pairs);
	return count;
}

static void put_signed_names(struct wbuf *out, const struct sigv4_request *r)
{
	struct pair_order order[SIGV4_PAIRS_MAX];
	size_t count = sorted_headers(r, order);

	for (size_t i = 0; i < count; i++) {
		if (i)
			wbuf_u8(out, ';');
		put_text(out, order[i].name);
	}
}

void sigv4_canonical_request(struct wbuf *out, const struct sigv4_request *r)
{
	struct pair_order order[SIGV4_PAIRS_MAX];
	size_t count = sorted_headers(r, order);

	if (r->header_count > SIGV4_PAIRS_MAX)
		set_error(out, -E2BIG);
	put_line(out, r->method);
	sigv4_encode(out, r->path, true);
	wbuf_u8(out, '\n');
	sigv4_query(out, r->query, r->query_count);
	wbuf_u8(out, '\n');
	for (size_t i = 0; i < count; i++) {
		put_text(out, order[i].name);
		wbuf_u8(out, ':');
		put_header_value(out, order[i].value);
		wbuf_u8(out, '\n');
	}
	wbuf_u8(out, '\n');
	put_signed_names(out, r);
	wbuf_u8(out, '\n');
	put_text(out, r->payload_hash);
}

/* "20130524/us-east-1/s3/aws4_request" */
static void put_scope(struct wbuf *out, const struct sigv4_request *r)
{
	wbuf_put(out, r->date, 8);
	wbuf_u8(out, '/');
	put_text(out, r->region);
	wbuf_u8(out, '/');
	put_text(out, r->service);
	put_text(out, "/aws4_request");
}

static struct id256 hmac_text(const struct id256 *key, const char *text, size_t len_bytes)
{
	return digest_hmac_sha256(key->b, sizeof(key->b), text, len_bytes);
}

static struct id256 signing_key(const struct sigv4_request *r, const char *secret_key,
				struct wbuf *scratch)
{
	struct id256 k;

	wbuf_reset(scratch);
	put_text(scratch, "AWS4");
	put_text(scratch, secret_key);
	k = digest_hmac_sha256(scratch->data, scratch->len, r->date, 8);
	explicit_bzero(scratch->data, scratch->len);
	wbuf_reset(scratch);
	k = hmac_text(&k, r->region, strlen(r->region));
	k = hmac_text(&k, r->service, strlen(r->service));
	return hmac_text(&k, "aws4_request", strlen("aws4_request"));
}

static void put_string_to_sign(struct wbuf *out, const struct sigv4_request *r,
			       const struct wbuf *canonical)
{
	struct id256 hash = digest_sha256(canonical->data, canonical->len);
	char hex[SHA256_HEX];

	util_hex(hex, hash.b, sizeof(hash.b));
	put_line(out, "AWS4-HMAC-SHA256");
	put_line(out, r->date);
	put_scope(out, r);
	wbuf_u8(out, '\n');
	put_text(out, hex);
}

int sigv4_authorization(struct wbuf *out, const struct sigv4_request *r, const char *access_key,
			const char *secret_key)
{
	_cleanup_wbuf_ struct wbuf canonical, to_sign, scratch;
	struct id256 key, signature;
	char hex[SHA256_HEX];

	wbuf_init(&canonical, SIGV4_SCRATCH_MAX);
	wbuf_init(&to_sign, SIGV4_SCRATCH_MAX);
	wbuf_init(&scratch, SIGV4_SCRATCH_MAX);
	if (strlen(r->date) != SIGV4_DATE_BYTES - 1)
		return -EINVAL;
	sigv4_canonical_request(&canonical, r);
	if (wbuf_error(&canonical))
		return wbuf_error(&canonical);
	put_string_to_sign(&to_sign, r, &canonical);
	if (wbuf_error(&to_sign))
		return wbuf_error(&to_sign);
	wbuf_reserve(&scratch, strlen(secret_key) + 4);
	if (wbuf_error(&scratch))
		return wbuf_error(&scratch);
	key = signing_key(r, secret_key, &scratch);
	signature = hmac_text(&key, (const char *)to_sign.data, to_sign.len);
	explicit_bzero(&key, sizeof(key));
	util_hex(hex, signature.b, sizeof(signature.b));

	put_text(out, "AWS4-HMAC-SHA256 Credential=");
	put_text(out, access_key);
	wbuf_u8(out, '/');
	put_scope(out, r);
	put_text(out, ",SignedHeaders=");
	put_signed_names(out, r);
	put_text(out, ",Signature=");
	put_text(out, hex);
	wbuf_u8(out, 0);
	return wbuf_error(out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests: SHA-256 (identity), XXH3-128 (accidents, on reads), HMAC-SHA256 and MD5 (S3). Thin covers of OpenSSL and of xxHash.
 * All functions are reentrant; a struct sha256 belongs to one thread at a time.
 */
#ifndef SSTABLEFS_BASE_DIGEST_H
#define SSTABLEFS_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include "base/util.h"

#define SHA256_BYTES 32
#define SHA256_HEX (2 * SHA256_BYTES + 1)
#define XXH128_BYTES 16
#define MD5_BYTES 16

struct id256 { /* a SHA-256, compared by memcmp */
	uint8_t b[SHA256_BYTES];
};

struct xxh128 { /* XXH3-128 with seed 0, as a little-endian 128-bit integer (low half first) */
	uint8_t b[XXH128_BYTES];
};

struct sha256;
struct sha256 *sha256_new(void); /* NULL: out of memory */
void sha256_free(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t len_bytes);
struct id256 sha256_final(struct sha256 *h); /* and ready for the next message */
DEFINE_CLEANUP(struct sha256 *, sha256_free);

struct id256 digest_sha256(const void *data, size_t len_bytes);
/* SHA-256 over two pieces, one after the other. */
struct id256 digest_sha256_2(const void *a, size_t a_bytes, const void *b, size_t b_bytes);
struct id256 digest_hmac_sha256(const void *key, size_t key_bytes, const void *data,
				size_t len_bytes);
/* 0, or -EOPNOTSUPP where this host's OpenSSL has no MD5 (FIPS); out is then untouched. */
int digest_md5(uint8_t out[MD5_BYTES], const void *data, size_t len_bytes);
struct xxh128 digest_xxh128(const void *data, size_t len_bytes);
uint64_t digest_xxh64(const void *data,
		      size_t len_bytes); /* XXH3-64: hash tables, cache checksums */
/* Standard base64 with padding; out needs 4 * ((len + 2) / 3) + 1 bytes. */
void digest_base64(char *out, const void *data, size_t len_bytes);

#endif

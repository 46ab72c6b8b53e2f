/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3sum.h"

#include <string.h>
#include "base/crc.h"
#include "base/digest.h"

/*
 * Over TLS there is no checksum: a changed byte ends the connection, and there are servers on the
 * internet that refuse the header (Backblaze B2 with 400).
 */
struct s3sum_way s3sum_way(enum s3sum_trust trust, bool tls, bool is_put, uint64_t body_bytes)
{
	if (tls)
		return (struct s3sum_way){ .skip_sha256 = true };
	return (struct s3sum_way){
		.checksum = is_put && trust != S3SUM_REFUSES,
		.skip_sha256 = is_put && trust == S3SUM_CHECKS &&
			       body_bytes >= S3SUM_UNSIGNED_BYTES,
	};
}

void s3sum_text(char out[S3SUM_TEXT], const struct iovec *body, int body_count)
{
	uint32_t crc = 0;
	uint8_t bytes[4];

	for (int i = 0; i < body_count; i++)
		crc = crc_add(crc, body[i].iov_base, body[i].iov_len);
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(crc >> (24 - 8 * i));
	digest_base64(out, bytes, sizeof(bytes));
}

static bool is_one_of(const char *code, const char *const *codes)
{
	for (; *codes; codes++) {
		if (strcmp(code, *codes) == 0)
			return true;
	}
	return false;
}

/* Answers to a header, or to a body without its SHA-256, that the server does not know. */
static bool is_refusal(const struct s3sum_answer *a)
{
	static const char *const unknown[] = { "InvalidArgument", "InvalidRequest",
					       "NotImplemented", NULL };
	static const char *const wants_sha256[] = { "XAmzContentSHA256Mismatch", NULL };

	if (a->status == 400)
		return is_one_of(a->code, unknown) ||
		       (a->way.skip_sha256 && is_one_of(a->code, wants_sha256));
	return a->status == 501;
}

enum s3sum_verdict s3sum_judge(const struct s3sum_answer *a)
{
	if (!a->way.checksum)
		return S3SUM_NOTHING;
	if (is_refusal(a))
		return S3SUM_REFUSED;
	if (a->status != 200 || !a->received[0])
		return S3SUM_NOTHING;
	return strcmp(a->sent, a->received) == 0 ? S3SUM_CHECKED : S3SUM_DAMAGED;
}

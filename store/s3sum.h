/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What protects the body of a PUT on its way: its SHA-256 in the signature, TLS, or a CRC-32 that
 * the server checks (docs/store.md, "What protects a body"). Pure. Any thread.
 */
#ifndef SSTABLEFS_STORE_S3SUM_H
#define SSTABLEFS_STORE_S3SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define S3SUM_HEADER "x-amz-checksum-crc32"
#define S3SUM_TEXT 9 /* eight characters of base64 and the NUL */
/* Smaller bodies are signed with their SHA-256 in any case: it costs next to nothing. */
#define S3SUM_UNSIGNED_BYTES (64 * 1024)

/* What is known of a server. */
enum s3sum_trust {
	S3SUM_UNKNOWN, /* it has not answered a checksum yet, or passes it over */
	S3SUM_CHECKS,  /* it answered a PUT with the checksum that was sent */
	S3SUM_REFUSES, /* it does not take such requests */
};

/* How a body is sent. */
struct s3sum_way {
	bool checksum;	  /* with S3SUM_HEADER */
	bool skip_sha256; /* neither taken nor signed */
};

struct s3sum_way s3sum_way(enum s3sum_trust trust, bool tls, bool is_put, uint64_t body_bytes);

/* The value of S3SUM_HEADER. */
void s3sum_text(char out[S3SUM_TEXT], const struct iovec *body, int body_count);

/* What an answer says to that: `sent` and `received` are checksums, "" for none; `code` is the error document's. */
struct s3sum_answer {
	struct s3sum_way way;
	int status;
	const char *code, *sent, *received;
};

enum s3sum_verdict {
	S3SUM_NOTHING, /* nothing is learned */
	S3SUM_CHECKED,
	S3SUM_REFUSED, /* not carried out: to be sent again as to a server that S3SUM_REFUSES */
	S3SUM_DAMAGED, /* stored, with other bytes than were sent */
};

enum s3sum_verdict s3sum_judge(const struct s3sum_answer *a);

#endif

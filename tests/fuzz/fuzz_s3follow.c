/* SPDX-License-Identifier: Apache-2.0 */
/* The Location of a redirect: what is followed stays where the user pointed, and can be signed and sent. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "store/s3follow.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcasecmp(s + n - m, suffix) == 0;
}

static void check_text(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			abort();
}

static void follow(const char *origin, const char *domain, const char *location)
{
	struct s3follow_target to;
	struct s3addr from;

	if (s3addr_init_origin(&from, origin, strlen(origin)) < 0)
		abort();
	if (s3follow_location(location, &from, &to) == 0) {
		if ((from.tls && !to.addr.tls) || !ends_with(to.addr.server, domain) ||
		    to.query_count > S3FOLLOW_QUERY_MAX || strpbrk(to.addr.host, "/?#@ "))
			abort();
		check_text(to.addr.path);
		for (size_t i = 0; i < to.query_count; i++) {
			check_text(to.query[i].name);
			check_text(to.query[i].value);
		}
		s3follow_target_deinit(&to);
	}
	s3addr_deinit(&from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *location = text_of(data, size);
	char region[S3ADDR_REGION_MAX];
	struct s3follow_answer a = { .status = 400, .code = "IllegalLocationConstraintException" };

	follow("https://store.example:9000", "store.example", location);
	follow("http://127.0.0.1:9000", "127.0.0.1", location);
	follow("https://bkt.s3.eu-west-1.amazonaws.com", ".amazonaws.com", location);
	a.message = a.region = a.location = location;
	s3follow_region(&a, region);
	if (region[0] && !s3addr_is_region(region))
		abort();
	return 0;
}

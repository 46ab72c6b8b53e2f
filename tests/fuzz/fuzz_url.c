/* SPDX-License-Identifier: Apache-2.0 */
/* A URL that is taken shows itself, and names a store that can be addressed and keys that can be stored. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "store/s3addr.h"
#include "store/url.h"

static void check_s3(const struct url *u)
{
	struct s3addr a;

	if (*u->prefix && store_key_check(u->prefix) < 0)
		abort();
	if (s3addr_init(&a, u->bucket, u->endpoint, "us-east-1", u->addressing, NULL) < 0)
		abort();
	s3addr_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *display;
	struct err e = ERR_INIT;
	struct url u;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (url_parse(text, &u, &e) == 0) {
		display = url_display(&u);
		if (!display)
			abort();
		if (u.scheme == URL_S3)
			check_s3(&u);
		free(display);
		url_deinit(&u);
	} else if (e.kind != ERR_USAGE || !e.message[0]) {
		abort();
	}
	free(text);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses what the rest is read as: an error, a listing or the result of a deletion. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "store/s3xml.h"

static void check_key(void *ctx, const struct s3xml_delete_error *error)
{
	size_t *sum = ctx;

	*sum += strlen(error->key) + strlen(error->code) + strlen(error->message);
}

static void check_page(const struct s3xml_page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		if (!page->entries[i].key[0] && page->entries[i].is_prefix)
			abort();
		if (strlen(page->entries[i].etag) > S3XML_TOKEN_MAX)
			abort();
		if (i && strcmp(page->entries[i - 1].key, page->entries[i].key) > 0)
			abort();
	}
	if (page->truncated && !page->token)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3xml_page page = { 0 };
	struct s3xml_error error;
	size_t sum = 0;

	if (size == 0)
		return 0;
	switch (data[0]) {
	case 'e':
		if (s3xml_parse_error(data + 1, size - 1, &error) == 0 &&
		    strlen(error.code) >= sizeof(error.code))
			abort();
		break;
	case 'l':
		if (s3xml_parse_list(data + 1, size - 1, &page, &error) == 0) {
			check_page(&page);
			s3xml_page_deinit(&page);
		}
		break;
	default:
		s3xml_parse_delete(data + 1, size - 1, check_key, &sum, &error);
		break;
	}
	return 0;
}

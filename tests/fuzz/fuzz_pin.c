/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a pin, and any body with a seal that fits. What is read is written, and read again, without change. */
#include <string.h>
#include "catalog/pin.h"
#include "tests/fuzz/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *sealed = NULL, *a = NULL, *b = NULL;
	size_t sealed_len, a_len, b_len;
	struct pin first, second;

	(void)pin_decode((const char *)data, size, NULL, NULL, &first, NULL);
	sealed = seal_body(data, size, &sealed_len);
	if (pin_decode(sealed, sealed_len, NULL, NULL, &first, NULL) < 0 || first.refused)
		return 0;
	if (pin_encode(&first, &a, &a_len, NULL) < 0)
		abort();
	if (pin_decode(a, a_len, NULL, NULL, &second, NULL) < 0 ||
	    pin_encode(&second, &b, &b_len, NULL) < 0)
		abort();
	if (a_len != b_len || memcmp(a, b, a_len) != 0)
		abort();
	return 0;
}

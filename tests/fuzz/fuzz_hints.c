/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file of hints, and as the payload of a block whose digest fits. What is read is written, and read again, without change. */
#include <string.h>
#include <sys/mman.h>
#include "base/io.h"
#include "catalog/hintfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("hints", MFD_CLOEXEC);

	if (fd < 0 || io_pwrite_full(fd, data, size, 0) < 0)
		abort();
	return fd;
}

static void read_all(int fd, const struct id256 *scope, size_t expected)
{
	_cleanup_(hintfile_closep) struct hintfile_reader *r = NULL;
	const char *why;
	struct hint hint;
	size_t count = 0;

	if (hintfile_open(fd, scope, &r, &why) != 0)
		return;
	while (hintfile_next(r, &hint) == 0)
		count++;
	if (expected && count != expected)
		abort();
}

/* Entry by entry into a file of its own, which must hold as many. */
static void copy_payload(const uint8_t *data, size_t size, const struct id256 *scope)
{
	_cleanup_(hintfile_freep) struct hintfile_writer *w = NULL;
	_cleanup_free_ struct hintfile_names *names = calloc(1, sizeof(*names));
	struct rbuf b = rbuf_over(data, size);
	struct hint hint;
	size_t count = 0;
	int fd = memfd_create("hints", MFD_CLOEXEC);

	if (!names || fd < 0 || hintfile_create(fd, scope, 1, &w) < 0)
		abort();
	while (hintfile_parse(&b, names, &hint) == 0) {
		if (hintfile_add(w, &hint) < 0)
			abort();
		count++;
	}
	if (hintfile_finish(w) < 0)
		abort();
	read_all(fd, scope, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct id256 scope = { { 1 } };

	read_all(file_of(data, size), &scope, 0);
	copy_payload(data, size, &scope);
	return 0;
}

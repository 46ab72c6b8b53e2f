/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"
#include "catalog/object.h"
#include "tools/commands.h"

static int hash_frames(int fd, const char *path, uint64_t size, struct content_hasher *h,
		       struct err *e)
{
	_cleanup_free_ uint8_t *frame = malloc(FORMAT_FRAME_BYTES);

	if (!frame)
		return err_nomem(e);
	for (uint64_t at = 0; at < size; at += FORMAT_FRAME_BYTES) {
		size_t want = (size_t)MIN_OF(size - at, FORMAT_FRAME_BYTES);
		ssize_t got = io_pread_full(fd, frame, want, at);
		struct id256 digest;

		if (got < 0)
			return err_errno(e, (int)got, "cannot read %s", path);
		if ((size_t)got != want)
			return err_set(e, ERR_IO, -EIO, "%s became shorter while it was read",
				       path);
		digest = digest_sha256(frame, want);
		content_hasher_frame(h, &digest);
	}
	return 0;
}

static int id_of(const char *path, struct id256 *ret, struct err *e)
{
	_cleanup_(content_hasher_freep) struct content_hasher *h = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		err_errno(e, r, "cannot open %s", path);
		if (e && r == -ENOENT)
			e->kind = ERR_NOT_FOUND;
		return r;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, -EINVAL, "%s is not a regular file", path);
	h = content_hasher_new((uint64_t)st.st_size);
	if (!h)
		return err_nomem(e);
	r = hash_frames(fd, path, (uint64_t)st.st_size, h, e);
	if (r == 0)
		*ret = content_hasher_final(h);
	return r;
}

static int tell(struct cli *cli, json_t *list, const char *path, const char *hex, struct err *e)
{
	if (!cli->json)
		return cli_print_line(e, "%s  %s", hex, path);
	if (json_array_append_new(list, json_pack("{s:o, s:s}", "file", json_text(path), "content",
						  hex)) < 0)
		return err_nomem(e);
	return 0;
}

int cmd_id(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { COMMON_HELP, { NULL, 0, NULL, 0 } };
	_cleanup_json_ json_t *list = json_array();
	struct err e = ERR_INIT;

	if (cli_getopt(argc, argv, options, &e) == '?')
		return cli_fail(cli, &e);
	if (optind >= argc)
		return cli_usage(cli, "id needs a file");
	for (int i = optind; i < argc; i++) {
		char hex[SHA256_HEX];
		struct id256 id;

		if (id_of(argv[i], &id, &e) < 0)
			return cli_fail(cli, &e);
		util_hex(hex, id.b, sizeof(id.b));
		if (tell(cli, list, argv[i], hex, &e) < 0)
			return cli_fail(cli, &e);
	}
	return cli->json ? cli_print_json(cli, json_pack("{s:O}", "files", list)) : EXIT_DONE;
}

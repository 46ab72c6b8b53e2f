/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/hintfile.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"

#define MAGIC "SSFSHINT"
#define MAGIC_BYTES 8
#define HEADER_BYTES (MAGIC_BYTES + 4 + SHA256_BYTES + 8 + 8)
#define FRAMING_BYTES (4 + SHA256_BYTES) /* before a payload */

enum { ENTRY_DIRECTORY = 1, ENTRY_FILE = 2 };

/* ---- entries ---- */

/* A string that a C string can hold. */
static bool get_string(struct rbuf *b, char *dst, size_t max_bytes)
{
	size_t len;
	const char *s = rbuf_string(b, max_bytes, &len);

	if (!s || memchr(s, '\0', len))
		return false;
	memcpy(dst, s, len);
	dst[len] = '\0';
	return true;
}

static bool get_file(struct rbuf *b, struct hintfile_names *n, struct hint *ret)
{
	const uint8_t *id;

	if (!n->has_dir || !get_string(b, n->name, FORMAT_FILE_NAME_BYTES) || !n->name[0])
		return false;
	*ret = (struct hint){ .dir = n->dir, .name = n->name };
	ret->data_dir = rbuf_u32(b);
	ret->ino = rbuf_u64(b);
	ret->size_bytes = rbuf_u64(b);
	ret->mtime_ns = (int64_t)rbuf_u64(b);
	ret->btime_ns = (int64_t)rbuf_u64(b);
	ret->crc = rbuf_u32(b);
	id = rbuf_take(b, sizeof(ret->id));
	if (!id)
		return false;
	memcpy(&ret->id, id, sizeof(ret->id));
	if (ret->size_bytes <= FORMAT_INLINE_BYTES)
		ret->inline_data = rbuf_take(b, ret->size_bytes);
	return !rbuf_error(b);
}

int hintfile_parse(struct rbuf *b, struct hintfile_names *n, struct hint *ret)
{
	while (rbuf_left(b) > 0) {
		switch (rbuf_u8(b)) {
		case ENTRY_DIRECTORY:
			if (!get_string(b, n->dir, FORMAT_PATH_BYTES))
				return -EBADMSG;
			n->has_dir = true;
			break;
		case ENTRY_FILE:
			return get_file(b, n, ret) ? 0 : -EBADMSG;
		default:
			return -EBADMSG;
		}
	}
	return rbuf_error(b) ? -EBADMSG : HINTFILE_END;
}

static void put_file(struct wbuf *b, const struct hint *h)
{
	wbuf_u8(b, ENTRY_FILE);
	wbuf_string(b, h->name, strlen(h->name));
	wbuf_u32(b, h->data_dir);
	wbuf_u64(b, h->ino);
	wbuf_u64(b, h->size_bytes);
	wbuf_u64(b, (uint64_t)h->mtime_ns);
	wbuf_u64(b, (uint64_t)h->btime_ns);
	wbuf_u32(b, h->crc);
	wbuf_put(b, h->id.b, sizeof(h->id.b));
	if (h->size_bytes <= FORMAT_INLINE_BYTES)
		wbuf_put(b, h->inline_data, h->size_bytes);
}

static void put_header(struct wbuf *b, const struct id256 *scope, uint64_t ino, int64_t started_ns)
{
	wbuf_put(b, MAGIC, MAGIC_BYTES);
	wbuf_u32(b, HINTFILE_VERSION);
	wbuf_put(b, scope->b, sizeof(scope->b));
	wbuf_u64(b, ino);
	wbuf_u64(b, (uint64_t)started_ns);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* ---- reading ---- */

struct hintfile_reader {
	int fd;
	uint64_t offset;
	int64_t started_ns;
	struct id256 chain; /* the digest of what was read last */
	const char *damage;
	struct rbuf payload;
	struct hintfile_names names;
	uint8_t block[HINTFILE_BLOCK_MAX];
};

/* What is wrong with a header, or NULL. */
static const char *check_header(struct hintfile_reader *r, const struct id256 *scope)
{
	uint8_t raw[HEADER_BYTES + SHA256_BYTES] = { 0 };
	struct rbuf b = rbuf_over(raw, sizeof(raw));

	if (io_pread_full(r->fd, raw, sizeof(raw), 0) != sizeof(raw))
		return "it is cut short";
	if (memcmp(rbuf_take(&b, MAGIC_BYTES), MAGIC, MAGIC_BYTES) != 0)
		return "it is something else";
	if (rbuf_u32(&b) != HINTFILE_VERSION)
		return "another version made it";
	r->chain = digest_sha256(raw, HEADER_BYTES);
	if (memcmp(raw + HEADER_BYTES, r->chain.b, sizeof(r->chain.b)) != 0)
		return "it is damaged";
	if (memcmp(rbuf_take(&b, sizeof(scope->b)), scope->b, sizeof(scope->b)) != 0)
		return "it is of another node, repository, host or set of data directories";
	if (rbuf_u64(&b) != inode_of(r->fd))
		return "it is a copy";
	r->started_ns = (int64_t)rbuf_u64(&b);
	r->offset = sizeof(raw);
	return NULL;
}

int hintfile_open(int fd, const struct id256 *scope, struct hintfile_reader **ret,
		  const char **ret_why)
{
	_cleanup_(hintfile_closep) struct hintfile_reader *r = calloc(1, sizeof(*r));

	if (!r) {
		close(fd);
		return -ENOMEM;
	}
	r->fd = fd;
	*ret_why = check_header(r, scope);
	if (*ret_why)
		return HINTFILE_END;
	*ret = steal_pointer(&r);
	return 0;
}

void hintfile_close(struct hintfile_reader *r)
{
	if (!r)
		return;
	close(r->fd);
	free(r);
}

int64_t hintfile_started_ns(const struct hintfile_reader *r)
{
	return r->started_ns;
}

const char *hintfile_damage(const struct hintfile_reader *r)
{
	return r->damage;
}

static int damaged(struct hintfile_reader *r, const char *why)
{
	r->damage = why;
	return HINTFILE_END;
}

static int next_block(struct hintfile_reader *r)
{
	uint8_t framing[FRAMING_BYTES] = { 0 };
	struct rbuf b = rbuf_over(framing, sizeof(framing));
	ssize_t n = io_pread_full(r->fd, framing, sizeof(framing), r->offset);
	uint32_t len;

	if (n == 0)
		return HINTFILE_END;
	if (n < 0)
		return damaged(r, "it cannot be read");
	if (n < FRAMING_BYTES)
		return damaged(r, "it is cut short");
	len = rbuf_u32(&b);
	if (len > sizeof(r->block) ||
	    io_pread_full(r->fd, r->block, len, r->offset + FRAMING_BYTES) != len)
		return damaged(r, "it is cut short");
	r->chain = digest_sha256_2(r->chain.b, sizeof(r->chain.b), r->block, len);
	if (memcmp(r->chain.b, framing + 4, sizeof(r->chain.b)) != 0)
		return damaged(r, "it is damaged");
	r->offset += FRAMING_BYTES + len;
	r->payload = rbuf_over(r->block, len);
	r->names.has_dir = false;
	return 0;
}

int hintfile_next(struct hintfile_reader *r, struct hint *ret)
{
	int n = r->damage ? HINTFILE_END : hintfile_parse(&r->payload, &r->names, ret);

	while (n == HINTFILE_END && !r->damage) {
		if (next_block(r) != 0)
			return HINTFILE_END;
		n = hintfile_parse(&r->payload, &r->names, ret);
	}
	return n < 0 ? damaged(r, "it is damaged") : n;
}

/* ---- writing ---- */

struct hintfile_writer {
	int fd;
	uint64_t offset;
	struct id256 chain;
	struct wbuf payload;
	char dir[FORMAT_PATH_BYTES + 1]; /* the last one in the payload */
	bool has_dir;
	int failed;
};

static int emit(struct hintfile_writer *w, const void *data, size_t len)
{
	if (w->failed == 0 && w->offset + len > HINTFILE_BYTES)
		w->failed = -EFBIG;
	if (w->failed == 0)
		w->failed = io_pwrite_full(w->fd, data, len, w->offset);
	w->offset += len;
	return w->failed;
}

static int write_header(struct hintfile_writer *w, const struct id256 *scope, int64_t started_ns)
{
	int r;

	put_header(&w->payload, scope, inode_of(w->fd), started_ns);
	if (wbuf_error(&w->payload))
		return wbuf_error(&w->payload);
	w->chain = digest_sha256(w->payload.data, w->payload.len);
	wbuf_put(&w->payload, w->chain.b, sizeof(w->chain.b));
	r = wbuf_error(&w->payload);
	if (r == 0)
		r = emit(w, w->payload.data, w->payload.len);
	wbuf_reset(&w->payload);
	return r;
}

int hintfile_create(int fd, const struct id256 *scope, int64_t started_ns,
		    struct hintfile_writer **ret)
{
	_cleanup_(hintfile_freep) struct hintfile_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->fd = fd;
	wbuf_init(&w->payload, HINTFILE_BLOCK_MAX);
	r = write_header(w, scope, started_ns);
	if (r == 0)
		*ret = steal_pointer(&w);
	return r;
}

static int write_block(struct hintfile_writer *w)
{
	uint8_t framing[FRAMING_BYTES];
	uint32_t len = (uint32_t)w->payload.len;

	if (w->failed == 0)
		w->failed = wbuf_error(&w->payload);
	if (len == 0 || w->failed)
		return w->failed;
	w->chain = digest_sha256_2(w->chain.b, sizeof(w->chain.b), w->payload.data, len);
	for (size_t i = 0; i < 4; i++)
		framing[i] = (uint8_t)(len >> (8 * i));
	memcpy(framing + 4, w->chain.b, sizeof(w->chain.b));
	if (emit(w, framing, sizeof(framing)) == 0)
		emit(w, w->payload.data, len);
	wbuf_reset(&w->payload);
	w->has_dir = false;
	return w->failed;
}

int hintfile_add(struct hintfile_writer *w, const struct hint *h)
{
	if (strlen(h->dir) > FORMAT_PATH_BYTES || strlen(h->name) > FORMAT_FILE_NAME_BYTES)
		return w->failed;
	if (!w->has_dir || strcmp(w->dir, h->dir) != 0) {
		strcpy(w->dir, h->dir);
		w->has_dir = true;
		wbuf_u8(&w->payload, ENTRY_DIRECTORY);
		wbuf_string(&w->payload, h->dir, strlen(h->dir));
	}
	put_file(&w->payload, h);
	return w->payload.len >= HINTFILE_BLOCK_BYTES || wbuf_error(&w->payload) ? write_block(w)
										 : w->failed;
}

int hintfile_finish(struct hintfile_writer *w)
{
	return write_block(w);
}

void hintfile_free(struct hintfile_writer *w)
{
	if (!w)
		return;
	wbuf_deinit(&w->payload);
	free(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>
#include "base/util.h"

#define DEPTH_LIMIT 8
#define PATH_BYTES_MAX 256

struct walk {
	XML_Parser parser;
	char path[PATH_BYTES_MAX];
	size_t path_len;
	unsigned depth;
	char text[XML_TEXT_MAX + 1]; /* of the innermost element, since its last child */
	size_t text_len;
	bool text_cut;
	int error;
	const struct xml_handler *handler;
};

static void walk_stop(struct walk *w, int error)
{
	if (error < 0 && !w->error) {
		w->error = error;
		XML_StopParser(w->parser, XML_FALSE);
	}
}

/* A stopped parser still ends an empty element: from the first error on, nothing is listened to. */
static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct walk *w = arg;
	size_t len = strlen(name);

	if (w->error)
		return;
	if (w->depth >= DEPTH_LIMIT || w->path_len + len + 2 > sizeof(w->path)) {
		walk_stop(w, -EBADMSG);
		return;
	}
	w->path[w->path_len] = '/';
	memcpy(w->path + w->path_len + 1, name, len + 1);
	w->path_len += len + 1;
	w->depth++;
	w->text_len = 0;
	w->text_cut = false;
	walk_stop(w, w->handler->begin(w->handler->ctx, w->path));
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct walk *w = arg;

	if (w->error)
		return;
	w->text[w->text_len] = 0;
	walk_stop(w, w->handler->end(w->handler->ctx, w->path, w->text, w->text_cut));
	w->path_len -= strlen(name) + 1;
	w->path[w->path_len] = 0;
	w->depth--;
	w->text_len = 0;
	w->text_cut = false;
}

static void XMLCALL on_text(void *arg, const XML_Char *s, int len)
{
	struct walk *w = arg;
	size_t n = MIN_OF((size_t)len, XML_TEXT_MAX - w->text_len);

	w->text_cut |= n < (size_t)len;
	memcpy(w->text + w->text_len, s, n);
	w->text_len += n;
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id,
			       const XML_Char *public_id, int internal)
{
	walk_stop(arg, -EBADMSG);
}

int xml_walk(const void *data, size_t len_bytes, const struct xml_handler *handler)
{
	struct walk w;
	int r = 0;

	if (len_bytes > INT_MAX)
		return -EBADMSG;
	w = (struct walk){ .parser = XML_ParserCreate(NULL), .handler = handler };
	if (!w.parser)
		return -ENOMEM;
	XML_SetUserData(w.parser, &w);
	XML_SetElementHandler(w.parser, on_start, on_end);
	XML_SetCharacterDataHandler(w.parser, on_text);
	XML_SetStartDoctypeDeclHandler(w.parser, on_doctype);
	if (XML_Parse(w.parser, data, (int)len_bytes, XML_TRUE) != XML_STATUS_OK)
		r = XML_GetErrorCode(w.parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
	XML_ParserFree(w.parser);
	explicit_bzero(w.text, sizeof(w.text)); /* the answers of STS hold secrets */
	return w.error ? w.error : r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/snitch.h"

#include <fcntl.h>
#include <string.h>
#include "base/io.h"
#include "base/util.h"

#define BLANKS " \t\f"

struct properties { /* "" = not there */
	char *dc, *rack;
};

static void properties_deinit(struct properties *p)
{
	free(p->dc);
	free(p->rack);
}

/* What follows a key: blanks, perhaps one = or :, blanks again. */
static const char *value_after(const char *at)
{
	at += strspn(at, BLANKS);
	at += *at == '=' || *at == ':';
	return at + strspn(at, BLANKS);
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

static int bad(const char *path, size_t number, const char *why, struct err *e)
{
	return err_set(e, ERR_USAGE, -EBADMSG, "%s, line %zu: %s", path, number, why);
}

static char **wanted(struct properties *p, const char *key, size_t len)
{
	if (len == 2 && memcmp(key, "dc", len) == 0)
		return &p->dc;
	return len == 4 && memcmp(key, "rack", len) == 0 ? &p->rack : NULL;
}

/* The last of several counts. */
static int take_line(struct properties *p, const char *path, size_t number, const char *line,
		     struct err *e)
{
	size_t len = strcspn(line, "=:" BLANKS);
	char **string = wanted(p, line, len);

	if (strchr(line, '\\'))
		return bad(path, number, "backslashes are not followed", e);
	if (!string)
		return 0;
	line = value_after(line + len);
	/* Java takes bytes for Latin-1, which need not be what was meant. */
	if (!is_ascii(line))
		return bad(path, number, "a name is not of ASCII", e);
	for (len = strlen(line); len > 0 && (unsigned char)line[len - 1] <= ' ';)
		len--; /* as Cassandra does */
	if (len > FACTS_WORD_MAX)
		return bad(path, number, "a name is too long", e);
	return facts_set(string, line, len, e);
}

/* A line ends with \n, \r or both. */
static int take_text(struct properties *p, const char *path, char *text, struct err *e)
{
	int r = 0;

	for (size_t number = 1; *text && r == 0; number++) {
		char *line = text + strspn(text, BLANKS);
		char *end = line + strcspn(line, "\r\n");

		text = end + (*end != '\0') + (end[0] == '\r' && end[1] == '\n');
		*end = '\0';
		if (*line && !strchr("#!", *line))
			r = take_line(p, path, number, line, e);
	}
	return r;
}

int snitch_read(const char *path, const char *text, size_t len, struct facts *f, struct err *e)
{
	_cleanup_(properties_deinit) struct properties p = { strdup(""), strdup("") };
	_cleanup_free_ char *copy = strndup(text, len);
	int r;

	if (!p.dc || !p.rack || !copy)
		return err_nomem(e);
	if (strlen(copy) != len)
		return err_set(e, ERR_USAGE, -EBADMSG, "%s has a NUL in it", path);
	r = take_text(&p, path, copy, e);
	if (r < 0)
		return r;
	if (!*p.dc || !*p.rack)
		return err_set(e, ERR_NOT_FOUND, -ENOENT, "%s names no %s", path,
			       *p.dc ? "rack" : "dc");
	free(f->dc);
	free(f->rack);
	f->dc = steal_pointer(&p.dc);
	f->rack = steal_pointer(&p.rack);
	return 0;
}

static int read_file(const char *yaml, struct facts *f, char **ret_source, struct err *e)
{
	const char *slash = strrchr(yaml, '/');
	_cleanup_free_ char *path =
		util_printf("%.*s" SNITCH_FILE, slash ? (int)(slash + 1 - yaml) : 0, yaml);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (!path)
		return err_nomem(e);
	r = io_read_file(AT_FDCWD, path, SNITCH_BYTES_MAX, &text, &len);
	if (r < 0)
		return err_errno(e, r, "cannot read %s", path);
	r = snitch_read(path, text, len, f, e);
	if (r == 0)
		*ret_source = steal_pointer(&path);
	return r;
}

/* What SimpleSnitch says wherever it is. */
static int take_fixed(struct facts *f, char **ret_source, struct err *e)
{
	static const char dc[] = "datacenter1", rack[] = "rack1";
	_cleanup_free_ char *source = strdup("SimpleSnitch");
	int r = source ? facts_set(&f->dc, dc, strlen(dc), e) : err_nomem(e);

	if (r == 0)
		r = facts_set(&f->rack, rack, strlen(rack), e);
	if (r == 0)
		*ret_source = steal_pointer(&source);
	return r;
}

int snitch_find(const char *snitch, const char *yaml, struct facts *f, char **ret_source,
		struct err *e)
{
	static const char package[] = "org.apache.cassandra.locator.";

	if (strncmp(snitch, package, strlen(package)) == 0)
		snitch += strlen(package);
	if (strcmp(snitch, "GossipingPropertyFileSnitch") == 0)
		return read_file(yaml, f, ret_source, e);
	if (strcmp(snitch, "SimpleSnitch") == 0)
		return take_fixed(f, ret_source, e);
	if (!*snitch)
		return err_set(e, ERR_USAGE, -ENOTSUP, "%s has no endpoint_snitch", yaml);
	return err_set(e, ERR_USAGE, -ENOTSUP,
		       "endpoint_snitch in %s is %s, and what that goes by is not looked at", yaml,
		       snitch);
}

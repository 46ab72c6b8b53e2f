/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/keys.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_allowed(char c)
{
	return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
}

static bool is_reserved(const char *name)
{
	static const char *const reserved[] = { "objects", "latest", "backups", "nodes" };

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

int keys_check_name(const char *what, const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (len == 0)
		return err_set(e, ERR_USAGE, -EINVAL, "the name of a %s must not be empty", what);
	if (len > FORMAT_NAME_BYTES)
		return err_set(e, ERR_USAGE, -EINVAL, "the name of a %s has at most %d characters",
			       what, FORMAT_NAME_BYTES);
	for (size_t i = 0; i < len; i++) {
		if (i == 0 ? is_alphanumeric(name[i]) : is_allowed(name[i]))
			continue;
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"\"%s\" cannot be the name of a %s: letters, digits, '.', '_' and '-' "
			"are allowed, with a letter or digit first",
			name, what);
	}
	if (is_reserved(name))
		return err_set(e, ERR_USAGE, -EINVAL,
			       "\"%s\" cannot be the name of a %s: it is reserved", name, what);
	return 0;
}

void keys_clean_name(char out[FORMAT_NAME_BYTES + 1], const char *original)
{
	size_t n = 0;

	if (!is_alphanumeric(original[0]))
		out[n++] = 'x';
	for (; *original && n < FORMAT_NAME_BYTES; original++)
		out[n++] = is_allowed(*original) ? *original : '_';
	out[n] = '\0';
	if (is_reserved(out))
		memcpy(out + n, "_", 2);
}

/* Older records have what --cluster gave, which had to be clean already; what Cassandra says may be clean by itself. */
bool keys_is_alias(const char *original, const char *cluster)
{
	return !*original || strcmp(original, cluster) == 0;
}

bool keys_node_equal(const struct node_name *a, const struct node_name *b)
{
	return strcmp(a->cluster, b->cluster) == 0 && strcmp(a->node, b->node) == 0;
}

/* Every name in a key was checked and every field is bounded: a key always fits. */
static char *format_key(char *out, const char *fmt, ...) _printf_(2, 3);

static char *format_key(char *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(out, KEY_BYTES, fmt, args);
	va_end(args);
	return out;
}

char *keys_node_prefix(char *out, const struct node_name *n)
{
	return format_key(out, "nodes/%s/%s/", n->cluster, n->node);
}

char *keys_records_prefix(char *out, const struct node_name *n, const char *backup)
{
	return format_key(out, "nodes/%s/%s/records/%s%s", n->cluster, n->node,
			  backup ? backup : "", backup ? "/" : "");
}

char *keys_record(char *out, const struct node_name *n, const char *backup,
		  const struct ulid *writer)
{
	char text[ULID_TEXT];

	return format_key(out, "nodes/%s/%s/records/%s/%s.json", n->cluster, n->node, backup,
			  ulid_format(text, writer));
}

char *keys_object(char *out, const struct node_name *n, enum key_object kind,
		  const struct ulid *writer, const struct id256 *id)
{
	char text[ULID_TEXT], hex[SHA256_HEX];

	util_hex(hex, id->b, sizeof(id->b));
	return format_key(out, "nodes/%s/%s/%s/%s/%s", n->cluster, n->node,
			  kind == KEY_OBJECT_DATA ? "objects" : "trees", ulid_format(text, writer),
			  hex);
}

char *keys_condemned_prefix(char *out, const struct node_name *n)
{
	return format_key(out, "nodes/%s/%s/condemned/", n->cluster, n->node);
}

char *keys_pin(char *out, const struct node_name *n, const struct ulid *pin)
{
	char text[ULID_TEXT];

	return format_key(out, "nodes/%s/%s/pins/%s.json", n->cluster, n->node,
			  ulid_format(text, pin));
}

char *keys_probe(char *out, const struct node_name *n, const struct ulid *probe)
{
	char text[ULID_TEXT];

	return format_key(out, "nodes/%s/%s/probe/%s", n->cluster, n->node,
			  ulid_format(text, probe));
}

int keys_parse_record(const char *rest, char backup[FORMAT_NAME_BYTES + 1], struct ulid *ret_writer)
{
	const char *slash = strchr(rest, '/');
	char writer[ULID_TEXT];
	size_t len;

	if (!slash)
		return -EINVAL;
	len = (size_t)(slash - rest);
	if (len > FORMAT_NAME_BYTES || strlen(slash + 1) != ULID_TEXT - 1 + strlen(".json") ||
	    strcmp(slash + ULID_TEXT, ".json") != 0)
		return -EINVAL;
	memcpy(writer, slash + 1, ULID_TEXT - 1);
	writer[ULID_TEXT - 1] = '\0';
	memcpy(backup, rest, len);
	backup[len] = '\0';
	if (keys_check_name("backup", backup, NULL) < 0)
		return -EINVAL;
	return ulid_parse(ret_writer, writer);
}

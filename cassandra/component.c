/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/component.h"

#include <string.h>

#define UUID_ID_BYTES \
	28 /* "3gse_1syu_3qlog2deomt6h5p53n": days, seconds, ticks and node, in base 36 */
#define TABLE_ID_BYTES 32

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length of the part before the next '-', which must be there; 0 where it is empty or missing. */
static size_t part_length(const char *part)
{
	const char *end = strchr(part, '-');

	return end ? (size_t)(end - part) : 0;
}

static bool all_of(const char *part, size_t len, bool (*test)(char))
{
	for (size_t i = 0; i < len; i++)
		if (!test(part[i]))
			return false;
	return len > 0;
}

static bool is_uuid_id(const char *part, size_t len)
{
	if (len != UUID_ID_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool separator = i == 4 || i == 9;

		if (separator ? part[i] != '_' : !is_lower(part[i]) && !is_digit(part[i]))
			return false;
	}
	return true;
}

static bool parse_id(const char *part, size_t len, enum component_id_kind *ret)
{
	if (all_of(part, len, is_digit))
		*ret = COMPONENT_ID_GENERATION;
	else if (is_uuid_id(part, len))
		*ret = COMPONENT_ID_UUID;
	else
		return false;
	return true;
}

bool component_parse(const char *file_name, struct component *ret)
{
	const char *version = file_name, *id, *format, *name;
	size_t version_len = part_length(version), id_len, format_len;
	struct component c = { 0 };

	if (!all_of(version, version_len, is_lower) || version_len >= sizeof(c.version))
		return false;
	id = version + version_len + 1;
	id_len = part_length(id);
	if (!parse_id(id, id_len, &c.id_kind))
		return false;
	format = id + id_len + 1;
	format_len = part_length(format);
	if (!all_of(format, format_len, is_lower))
		return false;
	name = format + format_len + 1;
	/* A fifth part: names of Cassandra 2.1 and older begin with keyspace and table. */
	if (*name == '\0' || strchr(name, '-') != NULL)
		return false;
	memcpy(c.version, version, version_len);
	c.name = name;
	*ret = c;
	return true;
}

bool component_is(const char *file_name, const char *component)
{
	struct component c;

	return component_parse(file_name, &c) && strcmp(c.name, component) == 0;
}

bool component_is_mutable(const char *file_name)
{
	static const char *const names[] = { "Statistics.db", "Summary.db", "TOC.txt" };
	const char *last = strrchr(file_name, '-');

	if (!last)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(last + 1, names[i]) == 0)
			return true;
	return false;
}

size_t component_table_directory(const char *dir_name)
{
	size_t len = strlen(dir_name);
	size_t name_len;

	if (len < TABLE_ID_BYTES + 2)
		return 0;
	name_len = len - TABLE_ID_BYTES - 1;
	if (dir_name[name_len] != '-')
		return 0;
	for (const char *p = dir_name + name_len + 1; *p; p++)
		if (!is_digit(*p) && !(*p >= 'a' && *p <= 'f'))
			return 0;
	return name_len;
}

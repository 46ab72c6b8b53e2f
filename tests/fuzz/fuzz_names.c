/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as what is found in a listing or a directory: the key of a record, a name, a ULID, the file of an SSTable. */
#include "cassandra/component.h"
#include "catalog/keys.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const char *text)
{
	const struct node_name n = { .cluster = "c", .node = "n" };
	char backup[FORMAT_NAME_BYTES + 1], key[KEY_BYTES], prefix[KEY_BYTES];
	struct ulid writer;

	if (keys_parse_record(text, backup, &writer) < 0)
		return;
	/* What was taken is exactly what would be written. */
	keys_records_prefix(prefix, &n, NULL);
	keys_record(key, &n, backup, &writer);
	if (strcmp(key + strlen(prefix), text) != 0)
		abort();
}

static void check_names(const char *text)
{
	char clean[FORMAT_NAME_BYTES + 1];
	struct err e = ERR_INIT;

	keys_clean_name(clean, text);
	if (keys_check_name("node", clean, NULL) < 0)
		abort();
	if (keys_check_name("node", text, &e) == 0) {
		if (strchr(text, '/') || *text == '.' || strlen(text) > FORMAT_NAME_BYTES)
			abort();
		if (strcmp(clean, text) != 0)
			abort();
	} else if (!e.message[0]) {
		abort();
	}
}

static void check_component(const char *text)
{
	struct component c;

	if (component_parse(text, &c) && (c.name < text || c.name > text + strlen(text)))
		abort();
	(void)component_is_mutable(text);
	if (component_table_directory(text) > strlen(text))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = text_of(data, size);
	char back[ULID_TEXT];
	struct ulid u;

	check_record(text);
	check_names(text);
	check_component(text);
	if (ulid_parse(&u, text) == 0 && strcmp(ulid_format(back, &u), text) != 0)
		abort();
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/nodeconf.h"

#include <fcntl.h>
#include <string.h>
#include <yaml.h>
#include "base/io.h"
#include "base/util.h"

struct reading {
	const char *path;
	struct nodeconf *y;
	yaml_parser_t parser;
	unsigned depth; /* open mappings and sequences */
	bool at_value;	/* in the outermost mapping: the next event is a value */
	char key[64];	/* of the outermost mapping; "" where it is a long one */
};

static int bad(const struct reading *r, const char *why, struct err *e)
{
	return err_set(e, ERR_USAGE, -EBADMSG, "%s, line %zu: %s", r->path, r->parser.mark.line + 1,
		       why);
}

static char **wanted(struct nodeconf *y, const char *key)
{
	const struct {
		const char *key;
		char **value;
	} keys[] = {
		{ "cluster_name", &y->cluster },
		{ "partitioner", &y->partitioner },
		{ "storage_compatibility_mode", &y->compatibility_mode },
		{ "rpc_address", &y->rpc_address },
		{ "broadcast_rpc_address", &y->broadcast_rpc_address },
		{ "native_transport_port", &y->native_port },
		{ "local_system_data_file_directory", &y->local_system_dir },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(key, keys[i].key) == 0)
			return keys[i].value;
	return NULL;
}

static int add_dir(struct reading *r, const char *value, size_t len, struct err *e)
{
	struct nodeconf *y = r->y;
	char **longer;

	if (y->data_dir_count == FACTS_DATA_DIRS_MAX)
		return bad(r, "too many data_file_directories", e);
	longer = realloc(y->data_dirs, (y->data_dir_count + 1) * sizeof(*longer));
	if (!longer)
		return err_nomem(e);
	y->data_dirs = longer;
	longer[y->data_dir_count] = NULL;
	if (facts_set(&longer[y->data_dir_count], value, len, e) < 0)
		return bad(r, "a value is too long", e);
	y->data_dir_count++;
	return 0;
}

static int take_scalar(struct reading *r, const yaml_event_t *event, struct err *e)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	char **string;

	if (memchr(value, 0, len))
		return bad(r, "a value has a NUL in it", e);
	if (r->depth == 1 && !r->at_value) {
		bool fits = len < sizeof(r->key);

		memcpy(r->key, value, fits ? len : 0);
		r->key[fits ? len : 0] = 0;
		return 0;
	}
	if (r->depth == 2 && strcmp(r->key, "data_file_directories") == 0)
		return add_dir(r, value, len, e);
	string = r->depth == 1 ? wanted(r->y, r->key) : NULL;
	if (string && facts_set(string, value, len, e) < 0)
		return bad(r, "a value is too long", e);
	return 0;
}

/* In the outermost mapping keys and values take turns. */
static void take_turn(struct reading *r)
{
	if (r->depth == 1)
		r->at_value = !r->at_value;
}

static int take_event(struct reading *r, const yaml_event_t *event, struct err *e)
{
	int n = 0;

	switch (event->type) {
	case YAML_SCALAR_EVENT:
		n = take_scalar(r, event, e);
		take_turn(r);
		return n;
	case YAML_ALIAS_EVENT:
		take_turn(r);
		return 0;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		if (r->depth == 0 && event->type != YAML_MAPPING_START_EVENT)
			return bad(r, "it is no mapping", e);
		return ++r->depth > NODECONF_DEPTH_MAX ? bad(r, "it is nested too deeply", e) : 0;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		r->depth--;
		take_turn(r);
		return 0;
	default:
		return 0;
	}
}

static int read_events(struct reading *r, struct err *e)
{
	for (size_t count = 0; count < NODECONF_EVENTS_MAX; count++) {
		yaml_event_t event = { .type = YAML_NO_EVENT };
		bool last;
		int n;

		if (!yaml_parser_parse(&r->parser, &event)) {
			if (r->parser.error == YAML_MEMORY_ERROR)
				return err_nomem(e);
			return bad(r, r->parser.problem ? r->parser.problem : "it is no YAML", e);
		}
		last = event.type == YAML_STREAM_END_EVENT;
		n = take_event(r, &event, e);
		yaml_event_delete(&event);
		if (n < 0 || last)
			return n;
	}
	return bad(r, "it holds too much", e);
}

static struct nodeconf *nodeconf_new(void)
{
	_cleanup_(nodeconf_freep) struct nodeconf *y = calloc(1, sizeof(*y));
	char **strings[] = { &y->cluster,	  &y->partitioner,	     &y->compatibility_mode,
			     &y->rpc_address,	  &y->broadcast_rpc_address, &y->native_port,
			     &y->local_system_dir };

	if (!y)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (!(*strings[i] = strdup("")))
			return NULL;
	return steal_pointer(&y);
}

int nodeconf_read(const char *path, const char *text, size_t len, struct nodeconf **ret,
		  struct err *e)
{
	_cleanup_(nodeconf_freep) struct nodeconf *y = nodeconf_new();
	struct reading r = { .path = path, .y = y };
	int n;

	if (!y || !yaml_parser_initialize(&r.parser))
		return err_nomem(e);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	n = read_events(&r, e);
	yaml_parser_delete(&r.parser);
	if (n == 0)
		*ret = steal_pointer(&y);
	return n;
}

int nodeconf_read_file(const char *path, struct nodeconf **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, NODECONF_BYTES_MAX, &text, &len);

	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, r, "there is no %s", path);
	if (r < 0)
		return err_errno(e, r, "cannot read %s", path);
	return nodeconf_read(path, text, len, ret, e);
}

void nodeconf_free(struct nodeconf *y)
{
	if (!y)
		return;
	for (size_t i = 0; i < y->data_dir_count; i++)
		free(y->data_dirs[i]);
	free(y->data_dirs);
	free(y->cluster);
	free(y->partitioner);
	free(y->compatibility_mode);
	free(y->rpc_address);
	free(y->broadcast_rpc_address);
	free(y->native_port);
	free(y->local_system_dir);
	free(y);
}

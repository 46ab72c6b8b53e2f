/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/nodeconf.h"

#include <fcntl.h>
#include <string.h>
#include <yaml.h>
#include "base/io.h"
#include "base/util.h"

#define KEY_BYTES 64
#define LEVELS 2 /* of mappings whose keys are looked at: that of the file, and those in it */

struct level {			   /* an open mapping; of a sequence only that it is none */
	bool is_mapping, at_value; /* at_value: the next event is one */
	char key[KEY_BYTES];	   /* "" where it is a long one, has a dot, or is no word */
};

struct reading {
	const char *path;
	struct nodeconf *y;
	yaml_parser_t parser;
	unsigned depth; /* open mappings and sequences */
	struct level levels[LEVELS];
	bool at_seeds; /* the next word is the list of them */
};

static int bad(const struct reading *r, const char *why, struct err *e)
{
	return err_set(e, ERR_USAGE, -EBADMSG, "%s, line %zu: %s", r->path, r->parser.mark.line + 1,
		       why);
}

/* Every setting that is a word: "key", or "key.key" of a mapping in the file. */
#define SETTINGS 26
struct setting {
	const char *key;
	char **value;
};

static void list_settings(struct nodeconf *y, struct setting ret[SETTINGS])
{
	const struct setting all[SETTINGS] = {
		{ "cluster_name", &y->cluster },
		{ "partitioner", &y->partitioner },
		{ "storage_compatibility_mode", &y->compatibility_mode },
		{ "authenticator", &y->authenticator },
		{ "authenticator.class_name", &y->authenticator_class },
		{ "rpc_address", &y->rpc_address },
		{ "rpc_interface", &y->rpc_interface },
		{ "rpc_interface_prefer_ipv6", &y->rpc_prefer_ipv6 },
		{ "native_transport_port", &y->native_port },
		{ "num_tokens", &y->num_tokens },
		{ "listen_address", &y->listen_address },
		{ "listen_interface", &y->listen_interface },
		{ "broadcast_address", &y->broadcast_address },
		{ "endpoint_snitch", &y->snitch },
		{ "uuid_sstable_identifiers_enabled", &y->uuid_ids },
		{ "local_system_data_file_directory", &y->local_system_dir },
		{ "commitlog_directory", &y->commitlog_dir },
		{ "hints_directory", &y->hints_dir },
		{ "saved_caches_directory", &y->saved_caches_dir },
		{ "cdc_raw_directory", &y->cdc_dir },
		{ "server_encryption_options.internode_encryption", &y->internode_encryption },
		{ "server_encryption_options.keystore", &y->internode_keystore },
		{ "client_encryption_options.enabled", &y->client_tls },
		{ "client_encryption_options.optional", &y->client_tls_optional },
		{ "client_encryption_options.keystore", &y->client_keystore },
		{ "transparent_data_encryption_options.enabled", &y->data_encryption },
	};

	memcpy(ret, all, sizeof(all));
}

static char **wanted(struct nodeconf *y, const char *key)
{
	struct setting all[SETTINGS];

	list_settings(y, all);
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(key, all[i].key) == 0)
			return all[i].value;
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

/* "key", or "key.key", of where the reading is. */
static void put_where(const struct reading *r, char key[LEVELS * KEY_BYTES + LEVELS])
{
	*key = '\0';
	for (unsigned i = 0; i < MIN_OF(r->depth, LEVELS); i++) {
		if (i > 0)
			strcat(key, ".");
		strcat(key, r->levels[i].key);
	}
}

/* Whether a setting, or one in it, would be what is said there. */
static bool matters(struct reading *r)
{
	static const char *const lists[] = { "data_file_directories", "seed_provider" };
	char key[LEVELS * KEY_BYTES + LEVELS];
	struct setting all[SETTINGS];
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (r->depth > 0 && strcmp(r->levels[0].key, lists[i]) == 0)
			return true;
	put_where(r, key);
	len = strlen(key);
	list_settings(r->y, all);
	for (size_t i = 0; i < SETTINGS; i++)
		if (len > 0 && strncmp(all[i].key, key, len) == 0 &&
		    (!all[i].key[len] || all[i].key[len] == '.'))
			return true;
	return false;
}

/* The first is told. libyaml has read on by then. */
static int note_alias(const struct reading *r, const yaml_event_t *event, struct err *e)
{
	static const char dirs[] = "data_file_directories";
	struct nodeconf *y = r->y;

	if (strcmp(r->levels[0].key, dirs) == 0 || strcmp(r->levels[0].key, "<<") == 0)
		y->unfollowed_dirs = true;
	if (y->unfollowed)
		return 0;
	y->unfollowed = util_printf(
		"%s, line %zu: an alias (*) or a merge (<<) of YAML, which are not followed: write there what is meant",
		r->path, event->start_mark.line + 1);
	return y->unfollowed ? 0 : err_nomem(e);
}

/* "<<: *others" brings keys of another mapping, which may be any. */
static bool is_merge(struct reading *r, const char *key)
{
	bool of_settings;

	if (strcmp(key, "<<") != 0)
		return false;
	r->depth--;
	of_settings = r->depth == 0 || matters(r);
	r->depth++;
	return of_settings;
}

/* The innermost open mapping that is looked at; NULL: it lies deeper, or is a sequence. */
static struct level *mapping(struct reading *r)
{
	bool near = r->depth >= 1 && r->depth <= LEVELS;

	return near && r->levels[r->depth - 1].is_mapping ? &r->levels[r->depth - 1] : NULL;
}

static void take_key(struct level *m, const char *value, size_t len)
{
	bool fits = len < sizeof(m->key) && !memchr(value, '.', len);

	memcpy(m->key, value, fits ? len : 0);
	m->key[fits ? len : 0] = 0;
}

static int take_value(struct reading *r, const char *value, size_t len, struct err *e)
{
	char key[LEVELS * KEY_BYTES + LEVELS];
	char **string;

	put_where(r, key);
	string = wanted(r->y, key);
	return string && facts_set(string, value, len, e) < 0 ? bad(r, "a value is too long", e)
							      : 0;
}

/* Wherever the provider has them: a list of one mapping with a list of one mapping, or one mapping less with each version. */
static int take_provider(struct reading *r, const char *value, size_t len, struct err *e)
{
	bool seeds = r->at_seeds;

	r->at_seeds = !seeds && strcmp(value, "seeds") == 0;
	return seeds && facts_set(&r->y->seeds, value, len, e) < 0
		       ? bad(r, "a value is too long", e)
		       : 0;
}

static int take_scalar(struct reading *r, const yaml_event_t *event, struct err *e)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct level *m = mapping(r);

	if (memchr(value, 0, len))
		return bad(r, "a value has a NUL in it", e);
	if (r->depth > 1 && strcmp(r->levels[0].key, "seed_provider") == 0)
		return take_provider(r, value, len, e);
	if (m && !m->at_value) {
		take_key(m, value, len);
		return is_merge(r, m->key) ? note_alias(r, event, e) : 0;
	}
	if (m)
		return take_value(r, value, len, e);
	if (r->depth == 2 && strcmp(r->levels[0].key, "data_file_directories") == 0)
		return add_dir(r, value, len, e);
	return 0;
}

/* In a mapping keys and values take turns. */
static void take_turn(struct reading *r)
{
	struct level *m = mapping(r);

	if (m)
		m->at_value = !m->at_value;
}

/* In a list everything is one. */
static bool is_at_value(struct reading *r)
{
	const struct level *m = mapping(r);

	return !m || m->at_value;
}

/* A list, a mapping or an alias as a key is none of ours. */
static void take_other(struct reading *r)
{
	struct level *m = mapping(r);

	if (m && !m->at_value)
		m->key[0] = 0;
}

static int open_level(struct reading *r, bool is_mapping, struct err *e)
{
	if (r->depth == 0 && !is_mapping)
		return bad(r, "it is no mapping", e);
	take_other(r);
	if (++r->depth > NODECONF_DEPTH_MAX)
		return bad(r, "it is nested too deeply", e);
	if (r->depth <= LEVELS)
		r->levels[r->depth - 1] = (struct level){ .is_mapping = is_mapping };
	return 0;
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
		if (is_at_value(r) && matters(r))
			n = note_alias(r, event, e);
		take_other(r);
		take_turn(r);
		return n;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		return open_level(r, event->type == YAML_MAPPING_START_EVENT, e);
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

static bool make_strings(struct nodeconf *y)
{
	struct setting all[SETTINGS];

	list_settings(y, all);
	for (size_t i = 0; i < SETTINGS; i++)
		if (!(*all[i].value = strdup("")))
			return false;
	return (y->seeds = strdup(""));
}

static struct nodeconf *nodeconf_new(void)
{
	_cleanup_(nodeconf_freep) struct nodeconf *y = calloc(1, sizeof(*y));

	return y && make_strings(y) ? steal_pointer(&y) : NULL;
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
	struct stat st;
	size_t len;
	int r = io_read_stat(AT_FDCWD, path, 0, NODECONF_BYTES_MAX, &text, &len, &st);

	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, r, "there is no %s", path);
	if (r < 0)
		return err_errno(e, r, "cannot read %s", path);
	r = nodeconf_read(path, text, len, ret, e);
	if (r == 0)
		(*ret)->st = st;
	return r;
}

void nodeconf_free(struct nodeconf *y)
{
	struct setting all[SETTINGS];

	if (!y)
		return;
	for (size_t i = 0; i < y->data_dir_count; i++)
		free(y->data_dirs[i]);
	free(y->data_dirs);
	free(y->seeds);
	free(y->unfollowed);
	list_settings(y, all);
	for (size_t i = 0; i < SETTINGS; i++)
		free(*all[i].value);
	free(y);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clone_advice.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"

static bool has(char *const *list, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], word) == 0)
			return true;
	return false;
}

static void put(json_t *o, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(o, key, value) < 0)
		*failed = true;
}

/*
 * Versions of SSTables beyond nb ("oa", "da", …) are not opened by a 5.0 that is told to stay compatible with 4.x, which is its default; nor are UUID ids
 * without the switch for them (both: "Detected unreadable sstables", or a refusal to start).
 */
static void put_formats(json_t *o, const struct record *r, bool *failed)
{
	bool newer = false;

	for (size_t i = 0; i < r->sstable_version_count; i++)
		newer = newer || strcmp(r->sstable_versions[i], "nb") > 0;
	if (*r->compatibility_mode)
		put(o, "storage_compatibility_mode", json_text(r->compatibility_mode), failed);
	else if (newer)
		put(o, "storage_compatibility_mode", json_string("NONE"), failed);
	if (has(r->id_kinds, r->id_kind_count, "uuid"))
		put(o, "uuid_sstable_identifiers_enabled", json_true(), failed);
}

/* Its own name, which is the one that system.local has; a backup that was made without Cassandra does not know it. */
static bool knows_cluster(const struct record *r)
{
	return *r->cluster_original;
}

json_t *clone_advice_yaml(const struct record *r, const char *directory)
{
	json_t *o = json_object(), *dirs = json_array();
	bool failed = false;

	if (knows_cluster(r))
		put(o, "cluster_name", json_text(r->cluster_original), &failed);
	if (json_array_append_new(dirs, json_text(directory)) < 0)
		failed = true;
	put(o, "data_file_directories", dirs, &failed);
	if (*r->partitioner)
		put(o, "partitioner", json_text(r->partitioner), &failed);
	if (r->token_count > 0)
		put(o, "num_tokens", json_integer((json_int_t)r->token_count), &failed);
	put_formats(o, r, &failed);
	if (!failed)
		return o;
	json_decref(o);
	return NULL;
}

/* A string as YAML takes it as it is: between single quotes, which are doubled inside. */
static char *quoted(const char *text)
{
	char *out = malloc(2 * strlen(text) + 3), *o = out;

	if (!out)
		return NULL;
	*o++ = '\'';
	for (; *text; text++) {
		if (*text == '\'')
			*o++ = '\'';
		*o++ = *text;
	}
	memcpy(o, "'", 2);
	return out;
}

static char *line(const char *key, const json_t *value)
{
	const json_t *string = json_is_array(value) ? json_array_get(value, 0) : value;
	_cleanup_free_ char *text =
		json_is_string(string) ? quoted(json_string_value(string))
		: json_is_true(value)  ? strdup("true")
				       : util_printf("%lld", (long long)json_integer_value(value));

	if (!text)
		return NULL;
	return util_printf(json_is_array(value) ? "    %s: [%s]\n" : "    %s: %s\n", key, text);
}

char *clone_advice_lines(const json_t *yaml)
{
	char *all = strdup("");
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(size_t)yaml, key, value) {
		_cleanup_free_ char *one = line(key, value), *before = all;

		all = before && one ? util_printf("%s%s", before, one) : NULL;
	}
	return all;
}

static void add(json_t *list, char *text, bool *failed)
{
	if (!text || json_array_append_new(list, json_text(text)) < 0)
		*failed = true;
	free(text);
}

static void add_same(json_t *list, const struct record *r, const char *directory, bool *failed)
{
	add(list,
	    util_printf(
		    "As the node that was backed up%s%s: the original must be down, and stay down. Same cluster name, DC and rack; it comes up as the same host, with its tokens.",
		    *r->host_id ? ", host id " : "", r->host_id),
	    failed);
	add(list,
	    util_printf(
		    "As a node of another cluster: before the first start rm -r '%s'/system/local-* '%s'/system/peers*, then set cluster_name to the other cluster's, initial_token to the backup's tokens (sstablefs --json show %s), and auto_bootstrap: false.",
		    directory, directory, r->backup),
	    failed);
}

json_t *clone_advice_steps(const struct record *r, const char *directory, bool has_system)
{
	json_t *list = json_array();
	bool failed = list == NULL;

	add(list,
	    util_printf(
		    "Put these lines into cassandra.yaml; commitlog_directory, saved_caches_directory and hints_directory stay on local disks, outside of %s.",
		    directory),
	    &failed);
	if (!knows_cluster(r))
		add(list,
		    strdup("cluster_name must be that of the node that was backed up (\"Saved cluster name X != configured name Y\" names it): the backup was made without asking Cassandra and does not know it."),
		    &failed);
	add(list,
	    strdup("Empty those three directories: what is in them belongs to other data, and would be replayed over the backup."),
	    &failed);
	if (has_system)
		add_same(list, r, directory, &failed);
	else
		add(list,
		    strdup("The backup has no system keyspaces: the node comes up as a new one and knows no table. Create the schema of schema.cql with the same table ids first, or back up the whole node."),
		    &failed);
	add(list,
	    util_printf(
		    "Start Cassandra%s%s, as the user that owns %s. It reads from the repository what it needs, when it needs it: the repository must be reachable as long as the clone is used.",
		    *r->cassandra_version ? " " : "", r->cassandra_version, directory),
	    &failed);
	if (!failed)
		return list;
	json_decref(list);
	return NULL;
}

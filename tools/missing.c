/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/missing.h"

#include <string.h>
#include "base/json.h"

static bool is_finished(struct record *const *records, size_t count, const char *host_id)
{
	for (size_t i = 0; i < count; i++)
		if (records[i]->state == RECORD_COMMITTED &&
		    strcmp(records[i]->host_id, host_id) == 0)
			return true;
	return false;
}

json_t *missing_nodes(struct record *const *records, size_t count)
{
	_cleanup_json_ json_t *list = NULL;
	const struct record *largest = NULL;

	for (size_t i = 0; i < count; i++)
		if (records[i]->peers_known &&
		    (!largest || records[i]->peer_count > largest->peer_count))
			largest = records[i];
	if (!largest)
		return json_null();
	list = json_array();
	for (size_t i = 0; list && i < largest->peer_count; i++) {
		const struct record_node *n = &largest->peers[i];

		if (!is_finished(records, count, n->host_id) &&
		    json_array_append_new(list,
					  json_pack("{s:o, s:o, s:o, s:o}", "host_id",
						    json_text(n->host_id), "address",
						    json_text(n->address), "dc", json_text(n->dc),
						    "rack", json_text(n->rack))) < 0)
			return NULL;
	}
	return steal_pointer(&list);
}

char *missing_words(const json_t *missing)
{
	char *text = NULL;
	json_t *n;
	size_t i;

	json_array_foreach(missing, i, n) {
		_cleanup_free_ char *before = text;

		text = util_printf("%s%s%s (%s, %s)", before ? before : "", before ? ", " : "",
				   json_string_value(json_object_get(n, "address")),
				   json_string_value(json_object_get(n, "dc")),
				   json_string_value(json_object_get(n, "rack")));
		if (!text)
			return NULL;
	}
	return text;
}

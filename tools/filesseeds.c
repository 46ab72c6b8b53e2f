/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/filesseeds.h"

#include <string.h>
#include "cassandra/seedlist.h"

#define SHOWN_BYTES 300

/* As its cassandra.yaml has them. */
static const char *text_of(const struct lead_host *h)
{
	const char *text = json_string_value(json_object_get(h->ready, "seeds"));

	return text ? text : "";
}

/* A host whose sstablefs is older looks none up: what stands there is compared. */
static void collect_text(json_t *all, const char *rest)
{
	char host[SEEDLIST_HOST_BYTES], address[SEEDLIST_HOST_BYTES];

	while (seedlist_next(&rest, host))
		json_object_set_new(all, seedlist_address(host, address) ? address : host,
				    json_true());
}

/* By what any of the hosts knows a seed: the texts are keys. */
static json_t *collect(const struct lead_host *hosts, size_t count)
{
	json_t *all = json_object();

	for (size_t i = 0; all && i < count; i++) {
		const json_t *seed, *list = json_object_get(hosts[i].ready, "seed_addresses");
		size_t k;

		if (!list)
			collect_text(all, text_of(&hosts[i]));
		json_array_foreach(list, k, seed)
			if (json_is_string(seed))
				json_object_set_new(all, json_string_value(seed), json_true());
	}
	return all;
}

static bool is_among(const json_t *seeds, const char *name)
{
	char address[SEEDLIST_HOST_BYTES];

	return json_object_get(seeds, seedlist_address(name, address) ? address : name);
}

static bool is_named(const json_t *seeds, const struct lead_host *h)
{
	const char *at = strrchr(h->host, '@'), *name = at ? at + 1 : h->host;
	const json_t *own, *list = json_object_get(h->ready, "addresses");
	size_t i;

	json_array_foreach(list, i, own)
		if (json_is_string(own) && is_among(seeds, json_string_value(own)))
			return true;
	return is_among(seeds, name);
}

static bool share_rack(const struct filesplan_node *x, const struct filesplan_node *y)
{
	return strcmp(x->dc, y->dc) == 0 && strcmp(x->rack, y->rack) == 0;
}

int filesseeds_group(const struct filesplan *p, const struct lead_host *hosts, size_t *group,
		     size_t *ret_seeds, struct err *e)
{
	_cleanup_json_ json_t *seeds = collect(hosts, p->count);
	size_t next = 0;

	if (!seeds)
		return err_nomem(e);
	for (size_t i = 0; i < p->count; i++)
		group[i] = !p->nodes[i].without && (p->nodes[i].seed || is_named(seeds, &hosts[i]))
				   ? next++
				   : SIZE_MAX;
	*ret_seeds = next;
	for (size_t i = 0; i < p->count; i++) {
		if (group[i] != SIZE_MAX)
			continue;
		for (size_t k = i; k < p->count; k++)
			if (group[k] == SIZE_MAX && share_rack(&p->nodes[i], &p->nodes[k]))
				group[k] = next;
		next++;
	}
	return 0;
}

int filesseeds_refuse(const struct filesplan *p, const struct lead_host *hosts, struct err *e)
{
	size_t asked = 0; /* somebody is */
	const char *seeds;

	while (p->nodes[asked].without)
		asked++;
	seeds = text_of(&hosts[asked]);
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"none of the %zu hosts is known to be a seed (cassandra.yaml of %s names %.*s), and a node that starts without one gives up: name one with is_seed in a list, --host-list FILE%s; nothing was done",
		p->count, hosts[asked].host, SHOWN_BYTES, *seeds ? seeds : "none",
		p->remote ? "" : " --in-place");
}

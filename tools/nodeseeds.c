/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodeseeds.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
#include "cassandra/seedlist.h"

static void add_text(json_t *list, const char *text)
{
	const json_t *there;
	size_t i;

	json_array_foreach(list, i, there)
		if (strcmp(json_string_value(there), text) == 0)
			return;
	json_array_append_new(list, json_text(text));
}

static void add_address(json_t *list, const struct sockaddr *a)
{
	char text[INET6_ADDRSTRLEN], one[SEEDLIST_HOST_BYTES];
	const void *bytes = a->sa_family == AF_INET
				    ? (const void *)&((const struct sockaddr_in *)a)->sin_addr
			    : a->sa_family == AF_INET6
				    ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
				    : NULL;

	if (bytes && inet_ntop(a->sa_family, bytes, text, sizeof(text)) &&
	    seedlist_address(text, one))
		add_text(list, one);
}

/* Each name may take as long as its servers let it wait. */
static void add_host(json_t *list, const char *host, const struct cancel *cancel)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char address[SEEDLIST_HOST_BYTES];
	struct addrinfo *found = NULL;

	cancel_waits(cancel);
	if (seedlist_address(host, address)) {
		add_text(list, address);
		return;
	}
	add_text(list, host);
	if (cancel_is_set(cancel) || getaddrinfo(host, NULL, &hints, &found) != 0)
		return;
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		add_address(list, a->ai_addr);
	freeaddrinfo(found);
}

static void add_interface(json_t *list, const char *name)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (i->ifa_addr && strcmp(i->ifa_name, name) == 0)
			add_address(list, i->ifa_addr);
	freeifaddrs(all);
}

/* Where neither an address nor an interface is named, Cassandra takes what the name of the machine leads to. */
static void add_listening(json_t *list, const struct nodeconf *conf, const struct cancel *cancel)
{
	char name[SEEDLIST_HOST_BYTES] = "";

	if (*conf->listen_address)
		add_host(list, conf->listen_address, cancel);
	else if (*conf->listen_interface)
		add_interface(list, conf->listen_interface);
	else if (gethostname(name, sizeof(name) - 1) == 0 && *name)
		add_host(list, name, cancel);
}

json_t *nodeseeds_named(const struct nodeconf *conf, const struct cancel *cancel)
{
	const char *rest = conf ? conf->seeds : "";
	char host[SEEDLIST_HOST_BYTES];
	json_t *list = json_array();

	while (list && seedlist_next(&rest, host))
		add_host(list, host, cancel);
	return list;
}

json_t *nodeseeds_own(const struct nodeconf *conf, const char *told, const struct cancel *cancel)
{
	json_t *list = json_array();

	if (list && conf)
		add_listening(list, conf, cancel);
	if (list && conf && *conf->broadcast_address)
		add_host(list, conf->broadcast_address, cancel);
	if (list && *told)
		add_host(list, told, cancel);
	return list;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/seedlist.h"

#include <arpa/inet.h>
#include <string.h>

#define BLANKS " \t\r\n"

/* "HOST:PORT", "[ADDRESS]:PORT"; with more colons than one, and no brackets, all of it is an address of IPv6. */
static size_t length_of_host(const char **word, size_t len)
{
	const char *text = *word, *colon = memchr(text, ':', len);
	const char *end = *text == '[' ? memchr(text, ']', len) : NULL;

	if (end) {
		(*word)++;
		return (size_t)(end - *word);
	}
	if (colon && !memchr(colon + 1, ':', len - (size_t)(colon + 1 - text)))
		return (size_t)(colon - text);
	return len;
}

bool seedlist_next(const char **list, char host[SEEDLIST_HOST_BYTES])
{
	while (**list) {
		const char *word = *list + strspn(*list, BLANKS ",");
		size_t len = strcspn(word, ",");

		*list = word + len;
		while (len > 0 && strchr(BLANKS, word[len - 1]))
			len--;
		len = len > 0 ? length_of_host(&word, len) : 0;
		if (len == 0 || len >= SEEDLIST_HOST_BYTES)
			continue;
		memcpy(host, word, len);
		host[len] = '\0';
		return true;
	}
	return false;
}

bool seedlist_address(const char *text, char ret[SEEDLIST_HOST_BYTES])
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, text, &four) == 1)
		return inet_ntop(AF_INET, &four, ret, SEEDLIST_HOST_BYTES);
	if (inet_pton(AF_INET6, text, &six) != 1)
		return false;
	if (!IN6_IS_ADDR_V4MAPPED(&six))
		return inet_ntop(AF_INET6, &six, ret, SEEDLIST_HOST_BYTES);
	memcpy(&four, six.s6_addr + sizeof(six) - sizeof(four), sizeof(four));
	return inet_ntop(AF_INET, &four, ret, SEEDLIST_HOST_BYTES);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The seeds that cassandra.yaml names, read as Cassandra's SimpleSeedProvider does: words parted by commas, each a name or an address, perhaps with a port. Pure. */
#ifndef SSTABLEFS_CASSANDRA_SEEDLIST_H
#define SSTABLEFS_CASSANDRA_SEEDLIST_H

#include <stdbool.h>

#define SEEDLIST_HOST_BYTES 256

/* The next one, without its port; *list stands behind it then. False: there is none. One that is too long for a host is passed over. */
bool seedlist_next(const char **list, char host[SEEDLIST_HOST_BYTES]);
/* An address in the form in which equal ones are equal texts; one of IPv4 that is written as one of IPv6 is of IPv4. False: it is none, but a name. */
bool seedlist_address(const char *text, char ret[SEEDLIST_HOST_BYTES]);

#endif

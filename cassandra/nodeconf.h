/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few settings of cassandra.yaml that are of use where the running node cannot be asked. Read through libyaml's events. What is
 * not known is passed over; aliases are not followed: whether one stands for a setting, or may, is said. Limits: 4 MiB, 100,000 events, 32 levels.
 */
#ifndef SSTABLEFS_CASSANDRA_NODECONF_H
#define SSTABLEFS_CASSANDRA_NODECONF_H

#include <sys/stat.h>
#include "cassandra/facts.h"

#define NODECONF_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define NODECONF_EVENTS_MAX 100000
#define NODECONF_DEPTH_MAX 32

struct nodeconf { /* strings are owned; "" = not set */
	char *cluster, *partitioner, *compatibility_mode, *rpc_address, *rpc_interface,
		*rpc_prefer_ipv6, *native_port, *num_tokens, *uuid_ids, *listen_address,
		*listen_interface, *broadcast_address, *snitch;
	char *authenticator,
		*authenticator_class; /* a word, or from 5.0 on the class of a mapping */
	char *seeds;		      /* of seed_provider, as they stand there */
	char *local_system_dir;	      /* of the node's own system tables */
	char *commitlog_dir, *hints_dir, *saved_caches_dir, *cdc_dir;
	/* Of server_encryption_options, client_encryption_options and transparent_data_encryption_options. */
	char *internode_encryption, *internode_keystore;
	char *client_tls, *client_tls_optional, *client_keystore;
	char *data_encryption;
	char **data_dirs;
	size_t data_dir_count;
	/* A sentence with the line of the first alias that stands for any of these, or may, so that it is not known; NULL: there is none. */
	char *unfollowed;
	bool unfollowed_dirs; /* data_dirs may be less than all */
	struct stat st;	      /* of the file, by nodeconf_read_file */
};

/* 0; -ENOENT (ERR_NOT_FOUND): no such file; ERR_USAGE naming the line where it is no YAML or over a limit; others as they come. */
int nodeconf_read_file(const char *path, struct nodeconf **ret, struct err *e);
/* The same of a text; `path` is for messages. */
int nodeconf_read(const char *path, const char *text, size_t len, struct nodeconf **ret,
		  struct err *e);
void nodeconf_free(struct nodeconf *y);
DEFINE_CLEANUP(struct nodeconf *, nodeconf_free);

#endif

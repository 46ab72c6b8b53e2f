/* SPDX-License-Identifier: Apache-2.0 */
/* Listing and deleting many keys on S3: the operations of struct store_ops that speak XML. Any thread. */
#ifndef SSTABLEFS_STORE_S3LIST_H
#define SSTABLEFS_STORE_S3LIST_H

#include "store/s3req.h"
#include "store/store.h"

int s3list_run(const struct s3req_client *client, const struct store_list *req,
	       const struct cancel *c, struct err *e);
int s3list_delete(const struct s3req_client *client, const char *const *keys, size_t count,
		  struct store_delete_error *errors, size_t *ret_error_count,
		  const struct cancel *c, struct err *e);

#endif

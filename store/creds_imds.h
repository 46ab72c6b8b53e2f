/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata service of an EC2 instance, version 2 only: a request without a session token is
 * never made, so a host that forbids version 1 and one that permits it are the same. Any thread.
 */
#ifndef SSTABLEFS_STORE_CREDS_IMDS_H
#define SSTABLEFS_STORE_CREDS_IMDS_H

#include "store/creds_link.h"

creds_link_fn creds_imds_fetch;

#endif

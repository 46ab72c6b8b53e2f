/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of a container: the endpoint of ECS tasks and of EKS Pod Identity. Any thread. */
#ifndef SSTABLEFS_STORE_CREDS_CONTAINER_H
#define SSTABLEFS_STORE_CREDS_CONTAINER_H

#include "store/creds_link.h"

/* Whether a URL may be asked, and sent the authorization token: https anywhere; http only at this host itself and the link-local endpoints of ECS and EKS. */
bool creds_container_may_ask(const char *url);
creds_link_fn creds_container_fetch;

#endif

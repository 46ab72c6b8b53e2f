/* SPDX-License-Identifier: Apache-2.0 */
/* What libcurl is told of every transfer of a server, whatever its request. */
#ifndef SSTABLEFS_STORE_HTTPOPT_H
#define SSTABLEFS_STORE_HTTPOPT_H

#include <curl/curl.h>
#include "store/http.h"

/* The strings of *o are borrowed. */
void httpopt_set(CURL *easy, const struct http_options *o);

#endif

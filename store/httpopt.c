/* SPDX-License-Identifier: Apache-2.0 */
#include "store/httpopt.h"

#define HTTP_BUFFER_BYTES (256L * 1024)
#define HTTP_IDLE_MAX_S 30L /* an older idle connection has often been closed by the other side */
/* Names lead elsewhere in time: addresses are looked up again, connections do not stay for ever. */
#define HTTP_NAMES_MAX_S 30L
#define HTTP_CONNECTION_MAX_S 600L

void httpopt_set(CURL *easy, const struct http_options *o)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, HTTP_BUFFER_BYTES);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, HTTP_BUFFER_BYTES);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, HTTP_IDLE_MAX_S);
	curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, HTTP_CONNECTION_MAX_S);
	curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, HTTP_NAMES_MAX_S);
	curl_easy_setopt(easy, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
			 1L); /* a cancelled request does not wait for its name lookup */
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (o->direct)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (o->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, o->ca_file);
	if (o->user_agent)
		curl_easy_setopt(easy, CURLOPT_USERAGENT, o->user_agent);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
}

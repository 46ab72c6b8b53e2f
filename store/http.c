/* SPDX-License-Identifier: Apache-2.0 */
/* A job (store/httpq.h) belongs to the network thread while it is queued and under way, but for `cancelled`; slots and the multi handle always do. */
#include "store/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include "store/aimd.h"
#include "store/httperr.h"
#include "store/httpopt.h"
#include "store/httpq.h"
#include "store/httpsock.h"
#include "store/httpxfer.h"

#define HTTP_STACK_BYTES (1024 * 1024)
#define HTTP_CHECK_MS 1000

struct http_job {
	struct httpq_job queued; /* first: see job_of */
	struct httpxfer xfer;
	struct curl_slist *headers;
	CURLcode result;
	long status, proxy_status;
	unsigned attempts; /* connections on which the request was begun */
	bool reused;	   /* the last of them had served another before */
	int socket_error;  /* errno of the last socket that could not be had, 0: it could */
	enum httplimit_verdict verdict;
	char message[CURL_ERROR_SIZE];
};

struct http_slot {
	struct http *http;
	CURL *easy;
	struct http_job *job; /* NULL: idle */
	int64_t begun_ns;
	struct httplimit_watch watch;
	int socket; /* of the connection at hand, -1: not known */
};

struct http {
	struct http_options options;
	CURLM *multi;
	struct httpsock sockets;
	struct aimd aimd;
	unsigned running; /* slots that have a job */
	int64_t checked_ms;
	struct curl_slist *resolve;
	struct metric *allowed, *busy_answers;
	pthread_t thread;
	struct httpq queue;
	atomic_bool stop;
	struct http_slot *slots;
};

static struct http_job *job_of(struct httpq_job *queued)
{
	return (struct http_job *)queued;
}

/* ---- callbacks of libcurl, on the network thread ---- */

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
	return httpxfer_read(&((struct http_job *)arg)->xfer, out, size * count);
}

static bool may_have_arrived(const struct http_job *job)
{
	const struct http_request *r = job->xfer.request;

	return r->has_body && (job->xfer.body_begun || httpxfer_body_bytes(r) == 0);
}

/*
 * libcurl makes a request again by itself where a reused connection dies before any answer. A
 * write whose body was under way may have been carried out: it must not be.
 */
static int on_prerequest(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct http_slot *slot = arg;
	bool again = slot->job->attempts++ > 0;

	slot->socket = httpsock_find(&slot->http->sockets, local_ip, local_port);
	return again && may_have_arrived(slot->job) ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	httpxfer_header(&((struct http_job *)arg)->xfer, line, size * count);
	return size * count;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct http_slot *slot = arg;
	long status = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!httpxfer_write(&slot->job->xfer, (int)status, data, size * count))
		return CURL_WRITEFUNC_ERROR;
	httpq_arrived(&slot->http->queue, &slot->job->queued, slot->job->xfer.dst_done);
	return size * count;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_slot *slot = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	if (fd >= 0 && httpsock_add(&slot->http->sockets, fd) < 0) {
		close(fd); /* errno stays ENOMEM */
		fd = CURL_SOCKET_BAD;
	}
	slot->job->socket_error = fd < 0 ? errno : 0;
	return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
	httpsock_remove(&((struct http *)arg)->sockets, fd);
	return close(fd);
}

/* ---- the network thread ---- */

static void set_request_options(struct http_slot *slot)
{
	struct http_job *job = slot->job;
	const struct http_request *r = job->xfer.request;
	uint64_t body_bytes = httpxfer_body_bytes(r);
	CURL *easy = slot->easy;

	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
			 (long)httplimit_request_ms(slot->http->options.request_timeout_ms,
						    body_bytes + r->dst_cap));
	curl_easy_setopt(easy, CURLOPT_URL, r->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->headers);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job->message);
	if (r->has_body) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_bytes);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(easy, CURLOPT_READDATA, job);
	} else if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_prerequest);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, slot);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, job);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot);
}

static void job_finish(struct http *h, struct http_job *job, CURLcode result, long status)
{
	job->result = result;
	job->status = status;
	httpq_finish(&h->queue, &job->queued);
}

/* What the answer says of the store's load. */
static void note_load(struct http *h, const struct http_slot *slot, CURLcode result, long status)
{
	if (status == 429 || status == 503) {
		metric_add(h->busy_answers, 1);
		aimd_busy(&h->aimd, slot->begun_ns, clock_elapsed_ns(h->options.clock));
	} else if (result == CURLE_OK && status < 500) {
		aimd_fine(&h->aimd);
	}
	metric_set(h->allowed, aimd_limit(&h->aimd));
}

static void slot_finish(struct http *h, struct http_slot *slot, CURLcode result)
{
	struct http_job *job = slot->job;
	long status = 0, made = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(slot->easy, CURLINFO_HTTP_CONNECTCODE, &job->proxy_status);
	curl_easy_getinfo(slot->easy, CURLINFO_NUM_CONNECTS, &made);
	job->reused = job->attempts > 0 && made == 0;
	curl_multi_remove_handle(h->multi, slot->easy);
	slot->job = NULL;
	h->running--;
	note_load(h, slot, result, status);
	job_finish(h, job, result, status);
}

static void slot_start(struct http *h, struct http_slot *slot, struct http_job *job)
{
	CURL *easy = slot->easy ? slot->easy : curl_easy_init();

	if (!easy) {
		job_finish(h, job, CURLE_OUT_OF_MEMORY, 0);
		return;
	}
	*slot = (struct http_slot){ .http = h,
				    .easy = easy,
				    .job = job,
				    .begun_ns = clock_elapsed_ns(h->options.clock),
				    .socket = -1 };
	curl_easy_reset(slot->easy);
	httpopt_set(slot->easy, &h->options);
	curl_easy_setopt(slot->easy, CURLOPT_RESOLVE, h->resolve);
	curl_easy_setopt(slot->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(slot->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(slot->easy, CURLOPT_CLOSESOCKETDATA, h);
	curl_easy_setopt(slot->easy, CURLOPT_OPENSOCKETDATA, slot);
	set_request_options(slot);
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	if (curl_multi_add_handle(h->multi, slot->easy) != CURLM_OK) {
		slot->job = NULL;
		job_finish(h, job, CURLE_OUT_OF_MEMORY, 0);
		return;
	}
	h->running++;
}

static struct http_slot *idle_slot(struct http *h)
{
	for (unsigned i = 0; i < h->options.connections; i++) {
		if (!h->slots[i].job)
			return &h->slots[i];
	}
	return NULL;
}

static void start_queued(struct http *h)
{
	struct http_slot *slot;
	struct httpq_job *job;

	while (h->running < aimd_limit(&h->aimd) && (slot = idle_slot(h)) &&
	       (job = httpq_take(&h->queue)))
		slot_start(h, slot, job_of(job));
}

/* Whether any slot became idle. */
static bool reap_finished(struct http *h)
{
	bool any = false;
	int left;
	CURLMsg *m;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		CURLcode result = m->data.result;
		char *slot = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &slot);
		slot_finish(h, (struct http_slot *)(void *)slot, result);
		any = true;
	}
	return any;
}

static void drop_cancelled(struct http *h)
{
	struct httpq_job *job;

	while ((job = httpq_take_cancelled(&h->queue)))
		job_finish(h, job_of(job), CURLE_ABORTED_BY_CALLBACK, 0);
	for (unsigned i = 0; i < h->options.connections; i++) {
		if (h->slots[i].job && h->slots[i].job->queued.cancelled)
			slot_finish(h, &h->slots[i], CURLE_ABORTED_BY_CALLBACK);
	}
}

static struct httplimit_seen look_at(const struct http_slot *slot)
{
	const struct http_job *job = slot->job;
	uint64_t unacknowledged = httpsock_unacknowledged(slot->socket);
	curl_off_t sent = 0, received = 0;
	long head = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	curl_easy_getinfo(slot->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	curl_easy_getinfo(slot->easy, CURLINFO_HEADER_SIZE, &head);
	return (struct httplimit_seen){
		.connected = job->attempts > 0,
		.all_sent = (uint64_t)sent == httpxfer_body_bytes(job->xfer.request) &&
			    unacknowledged == 0,
		.sent_bytes = (uint64_t)sent - MIN_OF(unacknowledged, (uint64_t)sent),
		.received_bytes = (uint64_t)received + (uint64_t)head,
	};
}

static struct httplimit limits_of(const struct http *h)
{
	return (struct httplimit){ h->options.first_byte_timeout_ms, h->options.stall_timeout_ms };
}

static int check_every_ms(const struct http *h)
{
	int shortest = MIN_OF(h->options.first_byte_timeout_ms, h->options.stall_timeout_ms);

	return MIN_OF(MAX_OF(shortest / 8, 5), HTTP_CHECK_MS);
}

/* Ends what does not live any more. */
static void check_limits(struct http *h)
{
	struct httplimit limit = limits_of(h);
	int64_t now_ms = clock_elapsed_ms(h->options.clock);

	if (now_ms < h->checked_ms + check_every_ms(h))
		return;
	h->checked_ms = now_ms;
	for (unsigned i = 0; i < h->options.connections; i++) {
		struct http_slot *slot = &h->slots[i];
		struct httplimit_seen seen;

		if (!slot->job)
			continue;
		seen = look_at(slot);
		slot->job->verdict = httplimit_check(&limit, &slot->watch, &seen, now_ms);
		if (slot->job->verdict != HTTPLIMIT_ALIVE)
			slot_finish(h, slot, CURLE_OPERATION_TIMEDOUT);
	}
}

static void *network_thread(void *arg)
{
	struct http *h = arg;
	int running;

	while (!h->stop) {
		drop_cancelled(h);
		start_queued(h);
		curl_multi_perform(h->multi, &running);
		check_limits(h);
		if (!reap_finished(h))
			curl_multi_poll(h->multi, NULL, 0,
					h->running ? check_every_ms(h) : HTTP_CHECK_MS, NULL);
	}
	return NULL;
}

/* ---- callers ---- */

static int job_init(struct http_job *job, const struct http_request *request)
{
	struct curl_slist *list = NULL, *longer;

	*job = (struct http_job){ .xfer.request = request };
	for (size_t i = 0; i < request->header_count; i++) {
		longer = curl_slist_append(list, request->headers[i]);
		if (!longer)
			goto nomem;
		list = longer;
	}
	longer = curl_slist_append(list, "Expect:"); /* not sent: no 100-continue round trip */
	if (!longer)
		goto nomem;
	job->headers = longer;
	httpq_job_init(&job->queued);
	job->queued.arrived = request->progress;
	job->queued.ctx = request->progress_ctx;
	return 0;
nomem:
	curl_slist_free_all(list);
	return -ENOMEM;
}

static void job_deinit(struct http_job *job)
{
	curl_slist_free_all(job->headers);
	httpq_job_deinit(&job->queued);
}

/* What libcurl says of such a proxy holds its URL, with the password. */
static bool is_bad_proxy(const struct http_job *job)
{
	return strstr(job->message, "Unsupported proxy") || strchr(job->message, '@');
}

static enum httperr_what what_failed(const struct http_job *job)
{
	if (job->queued.cancelled)
		return HTTPERR_CANCELLED;
	if (job->xfer.too_long)
		return HTTPERR_TOO_LONG;
	if (is_bad_proxy(job))
		return HTTPERR_PROXY_URL;
	if (job->xfer.no_memory || job->result == CURLE_OUT_OF_MEMORY)
		return HTTPERR_MEMORY;
	switch (job->result) {
	case CURLE_OPERATION_TIMEDOUT:
		return HTTPERR_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return HTTPERR_CERTIFICATE;
	case CURLE_ABORTED_BY_CALLBACK: /* of on_prerequest */
	case CURLE_SEND_FAIL_REWIND:
		return HTTPERR_CLOSED;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PARTIAL_FILE:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return HTTPERR_NETWORK;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		/* Bytes that follow the answer before this one, and come too late to be seen there, are taken for this one. */
		return job->reused ? HTTPERR_NETWORK : HTTPERR_OTHER;
	default:
		return HTTPERR_OTHER;
	}
}

static int explain(const struct http *h, const struct http_job *job, struct err *e)
{
	return httperr_set(e, &(struct httperr){
				      .what = what_failed(job),
				      .verdict = job->verdict,
				      .limit = limits_of(h),
				      .connected = job->attempts > 0,
				      .may_have_arrived = may_have_arrived(job),
				      .is_range = job->status == 206,
				      .proxy_status = job->proxy_status,
				      .socket_error = job->socket_error,
				      .text = job->message[0] ? job->message
							      : curl_easy_strerror(job->result),
			      });
}

int http_perform(struct http *h, const struct http_request *request, struct http_answer *ret,
		 const struct cancel *cancel, struct err *e)
{
	struct http_job job;
	int r = 0;

	if (cancel_is_set(cancel))
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	if (job_init(&job, request) < 0)
		return err_nomem(e);
	httpq_wait(&h->queue, &job.queued, cancel);
	if (job.xfer.sink_chosen && job.xfer.sink == HTTP_SINK_REFUSE)
		r = HTTP_REFUSED;
	else if (job.result != CURLE_OK)
		r = explain(h, &job, e);
	if (r >= 0)
		*ret = (struct http_answer){ .status = (int)job.status,
					     .dst_bytes = job.xfer.dst_done };
	job_deinit(&job);
	return r;
}

static void wake(void *ctx)
{
	curl_multi_wakeup(((struct http *)ctx)->multi);
}

static int start_thread(struct http *h)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, HTTP_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&h->thread, &attr, network_thread, h);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r)
		return -r;
	pthread_setname_np(h->thread, "ssfs-network");
	return 0;
}

static void release(struct http *h)
{
	for (unsigned i = 0; h->slots && i < h->options.connections; i++)
		curl_easy_cleanup(h->slots[i].easy);
	if (h->multi)
		curl_multi_cleanup(h->multi);
	httpq_deinit(&h->queue);
	httpsock_deinit(&h->sockets);
	curl_slist_free_all(h->resolve);
	free(h->slots);
	free(h);
	curl_global_cleanup();
}

static void fill_options(struct http *h, const struct http_options *options)
{
	struct http_options *o = &h->options;

	*o = *options;
	o->connections = MIN_OF(MAX_OF(o->connections, 1U), (unsigned)HTTP_CONNECTIONS_MAX);
	if (!o->clock)
		o->clock = clock_system();
	if (!o->first_byte_timeout_ms)
		o->first_byte_timeout_ms = o->stall_timeout_ms;
	aimd_init(&h->aimd, o->connections);
	if (!o->metrics)
		return;
	h->allowed = metrics_counter(
		o->metrics, "store_requests_allowed",
		"Requests that may be under way at once; fewer after the store said that it is busy");
	h->busy_answers = metrics_counter(o->metrics, "store_busy_answers_total",
					  "Answers 429 and 503, by which a store asks for less");
	metric_set(h->allowed, o->connections);
}

/* What needs h->options. -ENOMEM: release what there is. */
static int make_parts(struct http *h)
{
	h->slots = calloc(h->options.connections, sizeof(*h->slots));
	h->multi = curl_multi_init();
	if (h->options.resolve)
		h->resolve = curl_slist_append(NULL, h->options.resolve);
	if (!h->slots || !h->multi || (h->options.resolve && !h->resolve))
		return -ENOMEM;
	curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)h->options.connections);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->options.connections);
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	return 0;
}

int http_new(const struct http_options *options, struct http **ret, struct err *e)
{
	struct http *h;
	int r;

	if (options->ca_file && access(options->ca_file, R_OK) < 0)
		return err_set(e, ERR_USAGE, -EINVAL, "cannot read the CA file %s: %s",
			       options->ca_file, strerrordesc_np(errno));
	/* Counted and safe in several threads, in every libcurl that the build accepts. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_nomem(e);
	h = calloc(1, sizeof(*h));
	if (!h) {
		curl_global_cleanup();
		return err_nomem(e);
	}
	fill_options(h, options);
	httpq_init(&h->queue, wake, h);
	if (make_parts(h) < 0) {
		release(h);
		return err_nomem(e);
	}
	r = start_thread(h);
	if (r < 0) {
		release(h);
		return err_errno(e, r, "cannot start the network thread");
	}
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	h->stop = true;
	wake(h);
	pthread_join(h->thread, NULL);
	release(h);
}

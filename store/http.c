/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job (store/httpq.h) belongs to the network thread while it is queued and under way, but for
 * `cancelled`; slots and the multi handle always do.
 */
#include "store/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include "store/httphdr.h"
#include "store/httpq.h"

#define HTTP_BUFFER_BYTES (256L * 1024)
#define HTTP_STACK_BYTES (1024 * 1024)
#define HTTP_IDLE_MAX_S 30L /* an older idle connection has often been closed by the other side */

struct http_job {
	struct httpq_job queued; /* first: see job_of */
	const struct http_request *request;
	struct curl_slist *headers;
	CURLcode result;
	long status;
	unsigned attempts; /* connections on which the request was begun */
	bool body_begun, in_headers, sink_chosen, too_long;
	enum http_sink sink;
	int iov;
	size_t iov_offset, dst_done;
	char message[CURL_ERROR_SIZE];
};

struct http_slot {
	CURL *easy;
	struct http_job *job; /* NULL: idle */
};

struct http {
	struct http_options options;
	CURLM *multi;
	pthread_t thread;
	struct httpq queue;
	atomic_bool stop;
	struct http_slot *slots;
};

static struct http_job *job_of(struct httpq_job *queued)
{
	return (struct http_job *)queued;
}

static uint64_t body_length(const struct http_request *r)
{
	uint64_t sum = 0;

	for (int i = 0; i < r->body_count; i++)
		sum += r->body[i].iov_len;
	return sum;
}

/* ---- callbacks of libcurl, on the network thread ---- */

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
	struct http_job *job = arg;
	const struct http_request *r = job->request;
	size_t room = size * count, done = 0;

	job->body_begun = true;
	while (done < room && job->iov < r->body_count) {
		const struct iovec *v = &r->body[job->iov];
		size_t n = MIN_OF(room - done, v->iov_len - job->iov_offset);

		if (n)
			memcpy(out + done, (const char *)v->iov_base + job->iov_offset, n);
		done += n;
		job->iov_offset += n;
		if (job->iov_offset == v->iov_len) {
			job->iov++;
			job->iov_offset = 0;
		}
	}
	return done;
}

/*
 * libcurl makes a request again by itself where a reused connection dies before any answer. A
 * write whose body was under way may have been carried out: it must not be.
 */
static int on_prerequest(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct http_job *job = arg;
	bool again = job->attempts++ > 0;

	if (again && job->request->has_body && (job->body_begun || body_length(job->request) == 0))
		return CURL_PREREQFUNC_ABORT;
	return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct http_job *job = arg;
	const struct http_request *r = job->request;
	size_t len = size * count;
	char name[HTTPHDR_NAME_MAX], value[HTTPHDR_VALUE_MAX];

	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		const char *blank = memchr(line, ' ', len);

		/* libcurl has checked the line. An interim answer (1xx) says nothing of the object. */
		job->in_headers = blank && blank + 1 < line + len && blank[1] != '1';
		return len;
	}
	if (len <= 2)
		job->in_headers = false; /* so that trailers after a body are not listened to */
	if (job->in_headers && r->header && httphdr_split(line, len, name, value))
		r->header(r->ctx, name, value);
	return len;
}

static size_t write_dst(struct http_job *job, const char *data, size_t len)
{
	const struct http_request *r = job->request;

	if (len > r->dst_cap - job->dst_done) {
		job->too_long = true;
		return 0;
	}
	memcpy((char *)r->dst + job->dst_done, data, len);
	job->dst_done += len;
	if (r->progress)
		r->progress(r->progress_ctx, job->dst_done);
	return len;
}

static size_t write_text(struct http_job *job, const char *data, size_t len, long status)
{
	struct wbuf *text = job->request->text;
	size_t room = text ? text->max - text->len : 0;

	if (len > room && status < 300) {
		job->too_long = true;
		return 0;
	}
	if (text)
		wbuf_put(text, data, MIN_OF(len, room));
	return text && wbuf_error(text) ? 0 : len;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct http_slot *slot = arg;
	struct http_job *job = slot->job;
	const struct http_request *r = job->request;
	long status = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!job->sink_chosen) {
		job->sink = r->sink ? r->sink(r->ctx, (int)status) : HTTP_SINK_TEXT;
		job->sink_chosen = true;
	}
	switch (job->sink) {
	case HTTP_SINK_DST:
		return write_dst(job, data, size * count);
	case HTTP_SINK_TEXT:
		return write_text(job, data, size * count, status);
	case HTTP_SINK_REFUSE:
		break;
	}
	return CURL_WRITEFUNC_ERROR;
}

/* ---- the network thread ---- */

static void set_connection_options(const struct http *h, CURL *easy)
{
	const struct http_options *o = &h->options;

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, HTTP_BUFFER_BYTES);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, HTTP_BUFFER_BYTES);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, HTTP_IDLE_MAX_S);
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
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)o->request_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)(o->stall_timeout_ms + 999) / 1000);
}

static void set_request_options(struct http_slot *slot)
{
	struct http_job *job = slot->job;
	const struct http_request *r = job->request;
	CURL *easy = slot->easy;

	curl_easy_setopt(easy, CURLOPT_URL, r->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->headers);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, job->message);
	if (r->has_body) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_length(r));
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(easy, CURLOPT_READDATA, job);
	} else if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_prerequest);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, job);
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

static void slot_finish(struct http *h, struct http_slot *slot, CURLcode result)
{
	struct http_job *job = slot->job;
	long status = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(h->multi, slot->easy);
	slot->job = NULL;
	job_finish(h, job, result, status);
}

static void slot_start(struct http *h, struct http_slot *slot, struct http_job *job)
{
	if (!slot->easy)
		slot->easy = curl_easy_init();
	if (!slot->easy) {
		job_finish(h, job, CURLE_OUT_OF_MEMORY, 0);
		return;
	}
	slot->job = job;
	curl_easy_reset(slot->easy);
	set_connection_options(h, slot->easy);
	set_request_options(slot);
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	if (curl_multi_add_handle(h->multi, slot->easy) != CURLM_OK) {
		slot->job = NULL;
		job_finish(h, job, CURLE_OUT_OF_MEMORY, 0);
	}
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

	while ((slot = idle_slot(h)) && (job = httpq_take(&h->queue)))
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

static void *network_thread(void *arg)
{
	struct http *h = arg;
	int running;

	while (!h->stop) {
		drop_cancelled(h);
		start_queued(h);
		curl_multi_perform(h->multi, &running);
		if (!reap_finished(h))
			curl_multi_poll(h->multi, NULL, 0, 1000, NULL);
	}
	return NULL;
}

/* ---- callers ---- */

static int job_init(struct http_job *job, const struct http_request *request)
{
	struct curl_slist *list = NULL, *longer;

	*job = (struct http_job){ .request = request };
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

static bool is_tls_refusal(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
	       code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR ||
	       code == CURLE_SSL_INVALIDCERTSTATUS;
}

static bool is_retryable(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PARTIAL_FILE:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_ABORTED_BY_CALLBACK: /* of on_prerequest */
		return true;
	default:
		return false;
	}
}

static int explain(const struct http_job *job, struct err *e)
{
	const char *text = job->message[0] ? job->message : curl_easy_strerror(job->result);
	int r;

	if (job->queued.cancelled)
		r = err_set(e, ERR_IO, -ECANCELED, "interrupted");
	else if (job->result == CURLE_OUT_OF_MEMORY)
		r = err_nomem(e);
	else if (job->too_long)
		r = err_set(e, ERR_STORE, -EIO, "the body of the answer is longer than it may be");
	else if (job->result == CURLE_OPERATION_TIMEDOUT)
		r = err_set(e, ERR_STORE, -ETIMEDOUT, "no answer in time: %s", text);
	else if (is_tls_refusal(job->result))
		r = err_set(
			e, ERR_STORE, -EIO,
			"the server's certificate is not trusted: %s (ca= names the authority to trust)",
			text);
	else if (job->result == CURLE_ABORTED_BY_CALLBACK || job->result == CURLE_SEND_FAIL_REWIND)
		r = err_set(e, ERR_STORE, -EIO, "the connection was closed before the answer");
	else if (job->attempts == 0 && is_retryable(job->result))
		r = err_set(e, ERR_STORE, -EIO, "the store cannot be reached: %s", text);
	else
		r = err_set(e, ERR_STORE, -EIO, "no usable answer: %s", text);
	if (e) {
		e->retryable = !job->queued.cancelled && is_retryable(job->result);
		e->outcome_unknown = job->request->has_body && job->attempts > 0 &&
				     (job->body_begun || body_length(job->request) == 0);
	}
	return r;
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
	if (job.sink_chosen && job.sink == HTTP_SINK_REFUSE)
		r = HTTP_REFUSED;
	else if (job.result != CURLE_OK)
		r = explain(&job, e);
	if (r >= 0)
		*ret = (struct http_answer){ .status = (int)job.status, .dst_bytes = job.dst_done };
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
	free(h->slots);
	free(h);
	curl_global_cleanup();
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
	h->options = *options;
	h->options.connections =
		MIN_OF(MAX_OF(options->connections, 1U), (unsigned)HTTP_CONNECTIONS_MAX);
	httpq_init(&h->queue, wake, h);
	h->slots = calloc(h->options.connections, sizeof(*h->slots));
	h->multi = curl_multi_init();
	if (!h->slots || !h->multi) {
		release(h);
		return err_nomem(e);
	}
	curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)h->options.connections);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->options.connections);
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
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

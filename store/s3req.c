/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3req.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/s3err.h"
#include "store/s3send.h"
#include "store/s3xml.h"

static struct s3xml_error error_document(const struct s3req_reply *reply)
{
	struct s3xml_error doc;

	if (s3xml_parse_error(reply->text.data, reply->text.len, &doc) < 0)
		return (struct s3xml_error){ 0 };
	return doc;
}

/* What to do about an answer; the region that it names. */
static enum s3follow_action decide(const struct s3req_reply *reply,
				   const struct s3follow_tried *tried,
				   char region[S3ADDR_REGION_MAX])
{
	struct s3xml_error doc = error_document(reply);
	struct s3follow_answer a = {
		.status = reply->status,
		.code = doc.code,
		.message = doc.message,
		.region = reply->region[0] ? reply->region : doc.region,
		.location = reply->location,
		.date_ns = reply->date_ns,
		.signed_ns = reply->signed_ns,
	};

	s3follow_region(&a, region);
	return s3follow_decide(&a, reply->place->region, tried);
}

struct following {
	struct s3follow_tried tried;
	bool tried_plainly;	       /* without a checksum */
	struct s3follow_target target; /* of a redirect */
	bool elsewhere;
};

/* Whether the answer says how to ask again; then *f is ready for it. */
static bool follow(const struct s3req_client *client, const struct s3req_reply *reply,
		   struct following *f)
{
	const struct s3addr *from = &reply->place->addr;
	char region[S3ADDR_REGION_MAX];

	switch (decide(reply, &f->tried, region)) {
	case S3FOLLOW_REGION:
		f->tried.region = true;
		f->elsewhere = false;
		return s3site_learn_region(client->site, reply->place, region);
	case S3FOLLOW_CLOCK:
		f->tried.clock = true;
		s3site_learn_clock(client->site, reply->date_ns);
		return true;
	case S3FOLLOW_ELSEWHERE:
		f->tried.redirects++;
		s3follow_target_deinit(&f->target);
		f->elsewhere = s3follow_location(reply->location, from, &f->target) == 0;
		return f->elsewhere;
	case S3FOLLOW_NOT:
		break;
	}
	return false;
}

static enum s3sum_verdict judge(const struct s3req_reply *reply)
{
	char code[64] = "";

	if (reply->status >= 300)
		s3req_error_code(reply, code);
	return s3sum_judge(&(struct s3sum_answer){ .way = reply->way,
						   .status = reply->status,
						   .code = code,
						   .sent = reply->sum_sent,
						   .received = reply->sum_received });
}

/* Whether the body is to be sent again, as the server does not take it that way; and what was learned of the server. */
static bool follow_sum(const struct s3req_client *client, const struct s3req_reply *reply,
		       struct following *f)
{
	switch (judge(reply)) {
	case S3SUM_CHECKED:
		if (!f->elsewhere)
			s3site_learn_trust(client->site, S3SUM_CHECKS);
		return false;
	case S3SUM_REFUSED:
		if (f->tried_plainly)
			return false;
		f->tried_plainly = true;
		s3site_learn_trust(client->site, S3SUM_REFUSES);
		return true;
	case S3SUM_DAMAGED:
	case S3SUM_NOTHING:
		break;
	}
	return false;
}

/* What holds for the server does not hold for one that a redirect leads to. */
static enum s3sum_trust trust_for(const struct s3req_client *client, const struct following *f)
{
	enum s3sum_trust trust = s3site_trust(client->site);

	return f->elsewhere && trust == S3SUM_CHECKS ? S3SUM_UNKNOWN : trust;
}

static int foreign_answer(const struct s3req_call *call, const struct s3req_reply *reply,
			  struct err *e)
{
	int r;

	if (reply->is_web_page)
		r = err_set(
			e, ERR_STORE, -EIO,
			"%s answers with a web page: a captive portal, a proxy or a load balancer is in between, or the URL is not that of an S3 server",
			reply->place->addr.origin);
	else
		r = err_set(
			e, ERR_STORE, -EIO,
			"the answer of %s was compressed on its way (Content-Encoding): a proxy in between changes answers",
			reply->place->addr.origin);
	if (e) {
		e->http_status = reply->status;
		e->outcome_unknown = call->is_put;
	}
	return r;
}

/* As s3req_perform, with the same credentials; used: as s3send's. */
static int perform(const struct s3req_client *client, const struct s3req_call *call,
		   struct s3req_reply *ret, struct creds_value *used, const struct cancel *cancel,
		   struct err *e)
{
	struct following f = { 0 };
	struct s3req_reply reply;
	bool again;
	int rc;

	do {
		struct s3send_aim aim = { .place = s3site_place(client->site),
					  .elsewhere = f.elsewhere ? &f.target : NULL,
					  .trust = trust_for(client, &f),
					  .now_ns = s3site_wall_ns(client->site) };

		rc = s3send(client, &aim, call, &reply, used, cancel, e);
		again = rc == 0 && (follow_sum(client, &reply, &f) ||
				    (reply.status >= 300 && follow(client, &reply, &f)));
		if (again)
			s3req_reply_deinit(&reply);
	} while (again);
	s3follow_target_deinit(&f.target);
	if (rc >= 0 && reply.status < 300 && s3send_is_foreign(&reply)) {
		rc = foreign_answer(call, &reply, e);
		s3req_reply_deinit(&reply);
	}
	if (rc >= 0)
		*ret = reply;
	return rc;
}

/*
 * Whether the answer may be about the credentials and not about what was asked; *ret_sure: it says
 * so. The answer to a HEAD has no body to say it.
 */
static bool refuses_credentials(const struct s3req_call *call, const struct s3req_reply *reply,
				bool *ret_sure)
{
	char code[64];

	if (reply->status != 400 && reply->status != 401 && reply->status != 403)
		return false;
	s3req_error_code(reply, code);
	*ret_sure = s3err_is_about_credentials(code);
	return *ret_sure || (!code[0] && strcmp(call->method, "HEAD") == 0);
}

/* A refused request was not carried out: it is made again, once, where there are other credentials by now. */
int s3req_perform(const struct s3req_client *client, const struct s3req_call *call,
		  struct s3req_reply *ret, const struct cancel *cancel, struct err *e)
{
	struct creds_value used;
	struct s3req_reply reply;
	bool sure;
	int rc = perform(client, call, &reply, &used, cancel, e), renewed;

	if (rc == 0 && refuses_credentials(call, &reply, &sure)) {
		renewed = creds_renew(client->creds, &used, sure, cancel, e);
		if (renewed <= 0)
			s3req_reply_deinit(&reply);
		if (renewed == 0)
			rc = perform(client, call, &reply, &used, cancel, e);
		else if (renewed < 0)
			rc = err_wrap(e, renewed,
				      "%s refuses the credentials, and others cannot be had",
				      s3site_place(client->site)->addr.origin);
	}
	creds_value_wipe(&used);
	if (rc >= 0)
		*ret = reply;
	return rc;
}

void s3req_reply_deinit(struct s3req_reply *reply)
{
	wbuf_deinit(&reply->text);
}

void s3req_error_code(const struct s3req_reply *reply, char code[64])
{
	struct s3xml_error doc = error_document(reply);

	memcpy(code, doc.code, 64);
}

/* Whole seconds that the server's clock is ahead; Date has no finer unit, and a request takes time. */
static int64_t clock_skew_s(const struct s3req_client *client, const struct s3req_reply *reply)
{
	return reply->date_ns ? (reply->date_ns - clock_wall_ns(client->clock)) / 1000000000 : 0;
}

int s3req_fail(const struct s3req_client *client, const struct s3req_call *call,
	       const struct s3req_reply *reply, struct err *e)
{
	struct s3xml_error doc = error_document(reply);

	return s3err_set(e, &(struct s3err_answer){
				    .status = reply->status,
				    .code = doc.code,
				    .message = doc.message,
				    .region = reply->region[0] ? reply->region : doc.region,
				    .bucket = client->bucket,
				    .origin = reply->place->addr.origin,
				    .location = reply->location,
				    .request_id = reply->request_id,
				    .retry_after_ms = reply->retry_after_ms,
				    .skew_s = clock_skew_s(client, reply),
				    .is_put = call->is_put,
			    });
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/creds_chain.h"
#include "store/creds_container.h"
#include "store/creds_imds.h"
#include "store/creds_process.h"
#include "store/creds_sts.h"

/* The profiles on the way to the one at hand, so that a cycle is seen. */
struct way {
	struct creds_attempt *attempt;
	const struct creds_files *files;
	const char *names[CREDS_PROFILE_CHAIN_MAX];
	size_t count;
};

static int resolve(struct way *way, const struct creds_profile *p, struct creds_found *ret,
		   struct err *e);

static const char *path_of(const struct creds_files *f, bool config)
{
	return config || !f->credentials ? f->config : f->credentials;
}

/* ---- keys ---- */

static bool has_keys(const struct creds_profile *p)
{
	return p->text[CREDS_ACCESS_KEY] || p->text[CREDS_SECRET_KEY];
}

static int take_keys(const struct way *way, const struct creds_profile *p, struct creds_found *ret,
		     struct err *e)
{
	const char *path = path_of(way->files, p->keys_in_config);
	const char *token = p->text[CREDS_SESSION_TOKEN];
	struct creds_value *v = &ret->value;
	int r;

	if (!p->text[CREDS_ACCESS_KEY] || !p->text[CREDS_SECRET_KEY])
		return err_set(
			e, ERR_CREDENTIALS, -ENOENT,
			"profile [%s] of the credentials file %s lacks aws_access_key_id or aws_secret_access_key",
			p->name, path);
	r = creds_link_keep(v->access_key, sizeof(v->access_key), p->text[CREDS_ACCESS_KEY],
			    "aws_access_key_id", e);
	if (r == 0)
		r = creds_link_keep(v->secret_key, sizeof(v->secret_key), p->text[CREDS_SECRET_KEY],
				    "aws_secret_access_key", e);
	if (r == 0)
		r = creds_link_keep(v->session_token, sizeof(v->session_token), token ? token : "",
				    "aws_session_token", e);
	if (r < 0)
		return err_wrap(e, r, "credentials file %s, profile [%s]", path, p->name);
	ret->expires_ns = 0;
	snprintf(ret->source, sizeof(ret->source), "profile [%s] of %s", p->name, path);
	return 0;
}

/* ---- roles ---- */

static struct creds_sts_role role_of(const struct creds_profile *p)
{
	return (struct creds_sts_role){
		.arn = p->text[CREDS_ROLE_ARN],
		.session_name = p->text[CREDS_ROLE_SESSION_NAME],
		.external_id = p->text[CREDS_EXTERNAL_ID],
		.duration_seconds = p->text[CREDS_DURATION_SECONDS],
		.region = p->text[CREDS_REGION],
	};
}

/* The source of a role's keys. Only here keys come before a role, as in the SDKs: a profile may be its own source. */
static int from_source_profile(struct way *way, const char *name, struct creds_found *ret,
			       struct err *e)
{
	_cleanup_(creds_profile_deinit) struct creds_profile p = { .name = NULL };
	bool cycle = false;
	int r = creds_files_profile(way->files, name, &p, e);

	if (r < 0)
		return r;
	if (!p.seen)
		return err_set(e, ERR_CREDENTIALS, -ENOENT,
			       "its source_profile [%s] does not exist", name);
	if (has_keys(&p))
		return take_keys(way, &p, ret, e);
	for (size_t i = 0; i < way->count; i++)
		cycle |= strcmp(way->names[i], name) == 0;
	if (cycle)
		return err_set(e, ERR_CREDENTIALS, -ELOOP,
			       "source_profile leads in a circle, back to [%s]", name);
	if (way->count == CREDS_PROFILE_CHAIN_MAX)
		return err_set(e, ERR_CREDENTIALS, -ELOOP,
			       "source_profile leads over more than %d profiles",
			       CREDS_PROFILE_CHAIN_MAX);
	r = resolve(way, &p, ret, e);
	return r > 0 ? err_set(e, ERR_CREDENTIALS, -ENOENT,
			       "its source_profile [%s] says nothing of credentials", name)
		     : r;
}

static int from_credential_source(struct way *way, const char *name, struct creds_found *ret,
				  struct err *e)
{
	static const struct {
		const char *name;
		creds_link_fn *fetch;
	} sources[] = {
		{ "Environment", creds_chain_environment },
		{ "EcsContainer", creds_container_fetch },
		{ "Ec2InstanceMetadata", creds_imds_fetch },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		int r;

		if (strcmp(name, sources[i].name) != 0)
			continue;
		r = sources[i].fetch(way->attempt, ret, e);
		return r > 0 ? err_set(e, ERR_CREDENTIALS, -ENOENT,
				       "its credential_source %s has none: %s", name,
				       way->attempt->trail)
			     : r;
	}
	return err_set(
		e, ERR_CREDENTIALS, -EINVAL,
		"its credential_source is none of Environment, EcsContainer and Ec2InstanceMetadata");
}

static int assume(struct way *way, const struct creds_profile *p, struct creds_found *ret,
		  struct err *e)
{
	const char *profile = p->text[CREDS_SOURCE_PROFILE],
		   *source = p->text[CREDS_CREDENTIAL_SOURCE];
	struct creds_sts_role role = role_of(p);
	struct creds_found signer = { .expires_ns = 0 };
	int r;

	if (p->text[CREDS_MFA_SERIAL])
		return err_set(
			e, ERR_CREDENTIALS, -EINVAL,
			"its mfa_serial asks for a code that nobody is here to type: let credential_process fetch them");
	if (!profile == !source)
		return err_set(
			e, ERR_CREDENTIALS, -EINVAL,
			"its role_arn needs one of source_profile, credential_source and web_identity_token_file");
	r = profile ? from_source_profile(way, profile, &signer, e)
		    : from_credential_source(way, source, &signer, e);
	if (r == 0)
		r = creds_sts_assume(way->attempt, &role, &signer.value, ret, e);
	if (r == 0)
		snprintf(ret->source, sizeof(ret->source),
			 "role %.160s of profile [%.60s], by %.200s", role.arn, p->name,
			 signer.source);
	creds_value_wipe(&signer.value);
	return r;
}

static int from_web_identity(struct way *way, const struct creds_profile *p,
			     struct creds_found *ret, struct err *e)
{
	struct creds_sts_role role = role_of(p);

	snprintf(ret->source, sizeof(ret->source),
		 "role %.160s of profile [%.60s], by web identity", role.arn, p->name);
	return creds_sts_web_identity(way->attempt, &role, p->text[CREDS_WEB_IDENTITY_TOKEN_FILE],
				      ret, e);
}

/* ---- the profile ---- */

/* CREDS_LINK_ABSENT, without a note: it says nothing of credentials. */
static int choose(struct way *way, const struct creds_profile *p, struct creds_found *ret,
		  struct err *e)
{
	if (p->text[CREDS_ROLE_ARN])
		return p->text[CREDS_WEB_IDENTITY_TOKEN_FILE] ? from_web_identity(way, p, ret, e)
							      : assume(way, p, ret, e);
	if (has_keys(p))
		return take_keys(way, p, ret, e);
	if (p->text[CREDS_PROCESS]) {
		int r = creds_process_fetch(way->attempt, p->text[CREDS_PROCESS], ret, e);

		snprintf(ret->source, sizeof(ret->source), "credential_process of profile [%.60s]",
			 p->name);
		return r < 0 ? err_wrap(e, r, "credential_process") : r;
	}
	if (p->text[CREDS_SSO_SESSION] || p->text[CREDS_SSO_START_URL])
		return err_set(
			e, ERR_CREDENTIALS, -EOPNOTSUPP,
			"it uses SSO, which sstablefs does not: credential_process = aws configure export-credentials --profile … does");
	return CREDS_LINK_ABSENT;
}

static int resolve(struct way *way, const struct creds_profile *p, struct creds_found *ret,
		   struct err *e)
{
	int r;

	way->names[way->count++] = p->name;
	r = choose(way, p, ret, e);
	way->count--;
	/* What is wrong with the keys of a file names the file already. */
	return r < 0 && !has_keys(p) ? err_wrap(e, r, "profile [%s]", p->name) : r;
}

static int absent(struct creds_attempt *a, const struct creds_files *f, const char *name, bool seen,
		  bool must, struct err *e)
{
	const char *first = f->credentials ? f->credentials : f->config;
	struct creds_file_state state = creds_files_look(f);
	bool there = state.credentials.inode || state.config.inode;
	char text[600];

	if (!first)
		snprintf(text, sizeof(text), "there is no home directory with .aws/credentials");
	else if (seen)
		snprintf(text, sizeof(text), "it says nothing of credentials");
	else if (!there && !f->config)
		snprintf(text, sizeof(text), "the credentials file %s does not exist", first);
	else if (!there)
		snprintf(text, sizeof(text), "neither %s nor %s exists", first, f->config);
	else if (!f->config)
		snprintf(text, sizeof(text), "the credentials file %s has no profile [%s]", first,
			 name);
	else
		snprintf(text, sizeof(text), "%s and %s have no profile [%s]", first, f->config,
			 name);
	if (must)
		return err_set(e, ERR_CREDENTIALS, -ENOENT, "profile [%s]: %s", name, text);
	return creds_link_absent(a, "shared files", "%s", text);
}

int creds_profile_fetch(struct creds_attempt *a, const struct creds_files *files, const char *name,
			bool must_exist, bool must_give, struct creds_found *ret, struct err *e)
{
	_cleanup_(creds_profile_deinit) struct creds_profile p = { .name = NULL };
	struct way way = { .attempt = a, .files = files };
	int r = creds_files_profile(files, name, &p, e);

	if (r < 0)
		return r;
	r = p.seen ? resolve(&way, &p, ret, e) : CREDS_LINK_ABSENT;
	if (r <= 0)
		return r;
	return absent(a, files, name, p.seen, p.seen ? must_give : must_exist, e);
}

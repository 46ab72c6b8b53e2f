/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_chain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/creds_container.h"
#include "store/creds_imds.h"
#include "store/creds_profile.h"
#include "store/creds_sts.h"

/* ---- links that are nothing but variables ---- */

int creds_chain_environment(struct creds_attempt *a, struct creds_found *ret, struct err *e)
{
	const struct creds_world *w = a->world;
	const char *access_key = creds_link_variable(w, "AWS_ACCESS_KEY_ID"),
		   *secret_key = creds_link_variable(w, "AWS_SECRET_ACCESS_KEY"),
		   *token = creds_link_variable(w, "AWS_SESSION_TOKEN");
	struct creds_value *v = &ret->value;
	int r;

	if (!access_key && !secret_key)
		return creds_link_absent(a, "environment",
					 "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
	if (!access_key || !secret_key)
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "%s is set in the environment, but %s is not",
			       access_key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			       access_key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	r = creds_link_keep(v->access_key, sizeof(v->access_key), access_key, "AWS_ACCESS_KEY_ID",
			    e);
	if (r == 0)
		r = creds_link_keep(v->secret_key, sizeof(v->secret_key), secret_key,
				    "AWS_SECRET_ACCESS_KEY", e);
	if (r == 0)
		r = creds_link_keep(v->session_token, sizeof(v->session_token), token ? token : "",
				    "AWS_SESSION_TOKEN", e);
	ret->expires_ns = 0;
	snprintf(ret->source, sizeof(ret->source), "the environment");
	return r;
}

static int web_identity(struct creds_attempt *a, struct creds_found *ret, struct err *e)
{
	const struct creds_world *w = a->world;
	const char *path = creds_link_variable(w, "AWS_WEB_IDENTITY_TOKEN_FILE");
	struct creds_sts_role role = {
		.arn = creds_link_variable(w, "AWS_ROLE_ARN"),
		.session_name = creds_link_variable(w, "AWS_ROLE_SESSION_NAME"),
	};

	if (!path)
		return creds_link_absent(a, "web identity",
					 "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	if (!role.arn)
		return err_set(
			e, ERR_CREDENTIALS, -EINVAL,
			"AWS_WEB_IDENTITY_TOKEN_FILE is set in the environment, but AWS_ROLE_ARN is not");
	snprintf(ret->source, sizeof(ret->source), "role %.200s, by the web identity in %.200s",
		 role.arn, path);
	return creds_sts_web_identity(a, &role, path, ret, e);
}

/* ---- the chain ---- */

bool creds_chain_uses_environment(const struct creds_world *w)
{
	return !w->credentials_file && !w->profile;
}

static int shared_files(struct creds_attempt *a, const struct creds_files *files,
			struct creds_found *ret, struct err *e)
{
	const struct creds_world *w = a->world;
	const char *from_env = creds_link_variable(w, "AWS_PROFILE");
	const char *name = w->profile ? w->profile : from_env ? from_env : "default";
	bool alone = !creds_chain_uses_environment(w);

	return creds_profile_fetch(a, files, name, alone || from_env, alone, ret, e);
}

/* Links behind one that is set up here are not asked, whatever it says. */
static int walk(struct creds_attempt *a, const struct creds_files *files, struct creds_found *ret,
		struct err *e)
{
	static creds_link_fn *const links[] = { web_identity, creds_container_fetch,
						creds_imds_fetch };
	int r = shared_files(a, files, ret, e);

	for (size_t i = 0; r > 0 && i < ARRAY_SIZE(links); i++)
		r = links[i](a, ret, e);
	return r;
}

int creds_chain_fetch(struct creds_attempt *a, const struct creds_files *files,
		      struct creds_found *ret, struct err *e)
{
	struct creds_found found = { .expires_ns = 0 };
	int r = walk(a, files, &found, e);

	if (r == 0)
		*ret = found;
	creds_value_wipe(&found.value);
	if (r > 0)
		return err_set(e, ERR_CREDENTIALS, -ENOENT, "no credentials: %s", a->trail);
	if (r < 0 && r != -ECANCELED && r != -ENOMEM && e && a->trail[0]) {
		size_t len = strlen(e->message);

		snprintf(e->message + len, sizeof(e->message) - len, "; looked before: %s",
			 a->trail);
	}
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_file.h"

#include <errno.h>
#include <string.h>
#include "base/ini.h"

static const char *const key_names[CREDS_FILE_KEYS] = {
	[CREDS_ACCESS_KEY] = "aws_access_key_id",
	[CREDS_SECRET_KEY] = "aws_secret_access_key",
	[CREDS_SESSION_TOKEN] = "aws_session_token",
	[CREDS_ROLE_ARN] = "role_arn",
	[CREDS_SOURCE_PROFILE] = "source_profile",
	[CREDS_CREDENTIAL_SOURCE] = "credential_source",
	[CREDS_WEB_IDENTITY_TOKEN_FILE] = "web_identity_token_file",
	[CREDS_ROLE_SESSION_NAME] = "role_session_name",
	[CREDS_EXTERNAL_ID] = "external_id",
	[CREDS_DURATION_SECONDS] = "duration_seconds",
	[CREDS_MFA_SERIAL] = "mfa_serial",
	[CREDS_PROCESS] = "credential_process",
	[CREDS_REGION] = "region",
	[CREDS_SSO_SESSION] = "sso_session",
	[CREDS_SSO_START_URL] = "sso_start_url",
};

/* ---- the files ---- */

/* 0 or -ENOMEM; *ret stays NULL where there is no home. */
static int find(const struct creds_world *w, const char *variable, const char *name, char **ret)
{
	const char *path = creds_link_variable(w, variable), *home = creds_link_variable(w, "HOME");

	if (!path && !home)
		return 0;
	*ret = path ? strdup(path) : util_printf("%s/.aws/%s", home, name);
	return *ret ? 0 : -ENOMEM;
}

int creds_files_init(struct creds_files *f, const struct creds_world *w)
{
	int r = 0;

	*f = (struct creds_files){ NULL, NULL };
	if (w->credentials_file) {
		f->credentials = strdup(w->credentials_file);
		return f->credentials ? 0 : -ENOMEM;
	}
	r = find(w, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &f->credentials);
	if (r == 0)
		r = find(w, "AWS_CONFIG_FILE", "config", &f->config);
	if (r < 0)
		creds_files_deinit(f);
	return r;
}

void creds_files_deinit(struct creds_files *f)
{
	free(f->credentials);
	free(f->config);
	*f = (struct creds_files){ NULL, NULL };
}

static struct creds_file_stamp stamp_of(const char *path)
{
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return (struct creds_file_stamp){ .inode = 0 };
	return (struct creds_file_stamp){ st.st_mtim, st.st_size, st.st_ino };
}

struct creds_file_state creds_files_look(const struct creds_files *f)
{
	return (struct creds_file_state){ stamp_of(f->credentials), stamp_of(f->config) };
}

static bool same_stamp(const struct creds_file_stamp *a, const struct creds_file_stamp *b)
{
	return a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
	       a->size == b->size && a->inode == b->inode;
}

bool creds_files_same(const struct creds_file_state *a, const struct creds_file_state *b)
{
	return same_stamp(&a->credentials, &b->credentials) && same_stamp(&a->config, &b->config);
}

/* ---- a profile ---- */

struct section {
	const char *profile;
	bool is_config;
	struct creds_profile *into;
};

/* The credentials file says [NAME]; the configuration says [profile NAME], and [default]. */
static bool is_section_of(const struct section *s, const char *section)
{
	static const char word[] = "profile";

	if (!s->is_config || strcmp(section, "default") == 0)
		return strcmp(section, s->profile) == 0;
	if (strncmp(section, word, sizeof(word) - 1) != 0)
		return false;
	section += sizeof(word) - 1;
	return (*section == ' ' || *section == '\t') &&
	       strcmp(section + strspn(section, " \t"), s->profile) == 0;
}

/* A section whose name is too long to be known. Tools name profiles after roles and accounts: only who asks for such a one is told. */
static int pass_over(const struct section *s, int line, struct err *e)
{
	size_t max = INI_NAME_BYTES_MAX - (s->is_config ? strlen("profile ") : 0);

	if (strlen(s->profile) <= max)
		return 0;
	return err_set(e, ERR_CREDENTIALS, -EINVAL,
		       "line %d: names of profiles longer than %zu bytes are not read: shorten it",
		       line, max);
}

static void set_secret(char **at, char *text)
{
	creds_link_free_secret(at);
	*at = text;
}

static int on_entry(void *ctx, const char *section, const char *key, const char *value, int line,
		    struct err *e)
{
	struct section *s = ctx;

	if (!section)
		return pass_over(s, line, e);
	if (!is_section_of(s, section))
		return 0;
	s->into->seen = true;
	for (size_t i = 0; i < CREDS_FILE_KEYS; i++) {
		if (strcasecmp(key, key_names[i]) != 0)
			continue;
		set_secret(&s->into->text[i], *value ? strdup(value) : NULL);
		if (*value && !s->into->text[i])
			return err_nomem(e);
	}
	return 0;
}

static bool has_keys(const struct creds_profile *p)
{
	return p->text[CREDS_ACCESS_KEY] || p->text[CREDS_SECRET_KEY] ||
	       p->text[CREDS_SESSION_TOKEN];
}

/* Who may do what to the file. A device or pipe is nobody's to judge. */
static int check_mode(const char *path, bool holds_secrets, const struct stat *st, struct err *e)
{
	if (!S_ISREG(st->st_mode))
		return 0;
	if (holds_secrets && st->st_mode & S_IRWXO)
		return err_set(
			e, ERR_USAGE, -EPERM,
			"every user can read the credentials file %s: chmod o= makes it private",
			path);
	if (st->st_mode & S_IWOTH)
		return err_set(
			e, ERR_USAGE, -EPERM,
			"every user can write the file %s, which may name programs to run: chmod o-w",
			path);
	return 0;
}

/* The file's own part of the profile. > 0: there is no such file. */
static int read_part(const char *path, const char *name, bool is_config, struct creds_profile *part,
		     struct err *e)
{
	struct section section = { name, is_config, part };
	struct stat st;
	int r;

	if (!path)
		return 1;
	if (stat(path, &st) < 0) {
		r = -errno;
		if (r == -ENOENT || r == -ENOTDIR)
			return 1;
		return err_set(e, ERR_CREDENTIALS, r, "cannot read the credentials file %s: %s",
			       path, strerrordesc_np(-r));
	}
	r = check_mode(path, !is_config, &st, e);
	if (r < 0)
		return r;
	r = ini_read_file(path, NULL, on_entry, &section, e);
	if (r == -ENOENT)
		return 1; /* it went away just now */
	if (r < 0) {
		if (e && r != -ENOMEM)
			e->kind = ERR_CREDENTIALS;
		return err_wrap(e, r, "credentials file %s", path);
	}
	return check_mode(path, !is_config || has_keys(part), &st, e);
}

/* What `over` says wins over what is in `p`. */
static void merge(struct creds_profile *p, struct creds_profile *over)
{
	bool keys = has_keys(over);

	p->seen |= over->seen;
	p->keys_in_config = !keys;
	for (size_t i = 0; i < CREDS_FILE_KEYS; i++) {
		if (over->text[i] || (keys && i <= CREDS_SESSION_TOKEN))
			set_secret(&p->text[i], steal_pointer(&over->text[i]));
	}
}

int creds_files_profile(const struct creds_files *f, const char *name, struct creds_profile *ret,
			struct err *e)
{
	_cleanup_(creds_profile_deinit) struct creds_profile p = { .name = strdup(name) };
	_cleanup_(creds_profile_deinit) struct creds_profile over = { .name = NULL };
	int r;

	if (!p.name)
		return err_nomem(e);
	r = read_part(f->config, name, true, &p, e);
	if (r >= 0)
		r = read_part(f->credentials, name, false, &over, e);
	if (r < 0)
		return r;
	merge(&p, &over);
	*ret = p;
	p = (struct creds_profile){ .name = NULL };
	return 0;
}

void creds_profile_deinit(struct creds_profile *p)
{
	for (size_t i = 0; i < CREDS_FILE_KEYS; i++)
		creds_link_free_secret(&p->text[i]);
	free(p->name);
	*p = (struct creds_profile){ .name = NULL };
}

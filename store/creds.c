/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include "base/ini.h"

/* What tells two states of a file apart. */
struct stamp {
	struct timespec mtime;
	off_t size;
	ino_t inode;
	bool valid;
};

struct creds {
	char *credentials_file, *profile;
	const char *(*getenv)(void *ctx, const char *name);
	void *getenv_ctx;
	pthread_mutex_t lock; /* protects what follows; not held while a file is read */
	struct stamp stamp;
	struct creds_value value; /* of the file with that stamp */
};

static const char *process_getenv(void *ctx, const char *name)
{
	return getenv(name);
}

struct creds *creds_new(const struct creds_options *options)
{
	struct creds *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	c->getenv = options->getenv ? options->getenv : process_getenv;
	c->getenv_ctx = options->getenv_ctx;
	if (options->credentials_file)
		c->credentials_file = strdup(options->credentials_file);
	if (options->profile)
		c->profile = strdup(options->profile);
	if ((options->credentials_file && !c->credentials_file) ||
	    (options->profile && !c->profile)) {
		creds_free(c);
		return NULL;
	}
	return c;
}

void creds_value_wipe(struct creds_value *v)
{
	explicit_bzero(v, sizeof(*v));
}

void creds_free(struct creds *c)
{
	if (!c)
		return;
	creds_value_wipe(&c->value);
	pthread_mutex_destroy(&c->lock);
	free(c->credentials_file);
	free(c->profile);
	free(c);
}

/* The variable, or NULL where it is not set or empty. */
static const char *variable(const struct creds *c, const char *name)
{
	const char *v = c->getenv(c->getenv_ctx, name);

	return v && *v ? v : NULL;
}

/* A header value is made of it: no control bytes, and never cut. */
static int keep(char *out, size_t size, const char *text, const char *what, struct err *e)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return err_set(e, ERR_CREDENTIALS, -EINVAL,
				       "%s holds a blank or control character", what);
	}
	if (len >= size)
		return err_set(e, ERR_CREDENTIALS, -EINVAL, "%s is longer than %zu bytes", what,
			       size - 1);
	memcpy(out, text, len + 1);
	return 0;
}

/* > 0: the environment holds none. */
static int from_environment(const struct creds *c, struct creds_value *v, struct err *e)
{
	const char *access_key = variable(c, "AWS_ACCESS_KEY_ID"),
		   *secret_key = variable(c, "AWS_SECRET_ACCESS_KEY");
	const char *token = variable(c, "AWS_SESSION_TOKEN");
	int r;

	if (!access_key && !secret_key)
		return 1;
	if (!access_key || !secret_key)
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "%s is set in the environment, but %s is not",
			       access_key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			       access_key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	r = keep(v->access_key, sizeof(v->access_key), access_key, "AWS_ACCESS_KEY_ID", e);
	if (r == 0)
		r = keep(v->secret_key, sizeof(v->secret_key), secret_key, "AWS_SECRET_ACCESS_KEY",
			 e);
	if (r == 0)
		r = keep(v->session_token, sizeof(v->session_token), token ? token : "",
			 "AWS_SESSION_TOKEN", e);
	return r;
}

struct file_reader {
	const char *profile;
	struct creds_value *value;
	bool seen_profile;
};

static int file_entry(void *ctx, const char *section, const char *key, const char *value, int line,
		      struct err *e)
{
	struct file_reader *f = ctx;
	struct creds_value *v = f->value;

	if (strcmp(section, f->profile) != 0)
		return 0;
	f->seen_profile = true;
	if (strcmp(key, "aws_access_key_id") == 0)
		return keep(v->access_key, sizeof(v->access_key), value, key, e);
	if (strcmp(key, "aws_secret_access_key") == 0)
		return keep(v->secret_key, sizeof(v->secret_key), value, key, e);
	if (strcmp(key, "aws_session_token") == 0)
		return keep(v->session_token, sizeof(v->session_token), value, key, e);
	return 0;
}

static int read_file(const char *path, const char *profile, struct creds_value *v, struct err *e)
{
	struct file_reader f = { .profile = profile, .value = v };
	int r = ini_read_file(path, file_entry, &f, e);

	if (r < 0) {
		if (e)
			e->kind = ERR_CREDENTIALS;
		return err_wrap(e, r, "credentials file %s", path);
	}
	if (!f.seen_profile)
		return err_set(e, ERR_CREDENTIALS, -ENOENT,
			       "the credentials file %s has no profile [%s]", path, profile);
	if (!v->access_key[0] || !v->secret_key[0])
		return err_set(
			e, ERR_CREDENTIALS, -ENOENT,
			"profile [%s] of the credentials file %s lacks aws_access_key_id or aws_secret_access_key",
			profile, path);
	return 0;
}

/* The stamp of a file that nobody else can read. > 0: it does not exist. */
static int look_at_file(const char *path, struct stamp *ret, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		int r = -errno;

		if (r == -ENOENT || r == -ENOTDIR)
			return 1;
		return err_set(e, ERR_CREDENTIALS, r, "cannot read the credentials file %s: %s",
			       path, strerrordesc_np(-r));
	}
	if (S_ISREG(st.st_mode) && st.st_mode & S_IRWXO)
		return err_set(
			e, ERR_USAGE, -EPERM,
			"every user can read the credentials file %s: chmod o= makes it private",
			path);
	*ret = (struct stamp){
		.mtime = st.st_mtim, .size = st.st_size, .inode = st.st_ino, .valid = true
	};
	return 0;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->valid && b->valid && a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec && a->size == b->size && a->inode == b->inode;
}

/* From the copy that is kept as long as the file does not change. > 0: no such file. */
static int from_file(struct creds *c, const char *path, const char *profile, struct creds_value *v,
		     struct err *e)
{
	struct stamp stamp = { 0 };
	bool known;
	int r = look_at_file(path, &stamp, e);

	if (r)
		return r;
	pthread_mutex_lock(&c->lock);
	known = same_stamp(&c->stamp, &stamp);
	if (known)
		*v = c->value;
	pthread_mutex_unlock(&c->lock);
	if (known)
		return 0;
	r = read_file(path, profile, v, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	c->value = *v;
	c->stamp = stamp;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static const char *profile_name(const struct creds *c)
{
	const char *from_env = variable(c, "AWS_PROFILE");

	return c->profile ? c->profile : from_env ? from_env : "default";
}

/*
 * New string: $AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials. NULL and 0 in *ret_error:
 * there is no home either.
 */
static char *shared_file(const struct creds *c, int *ret_error)
{
	const char *path = variable(c, "AWS_SHARED_CREDENTIALS_FILE"), *home = variable(c, "HOME");
	char *result = NULL;

	*ret_error = 0;
	if (!path && !home)
		return NULL;
	result = path ? strdup(path) : util_printf("%s/.aws/credentials", home);
	if (!result)
		*ret_error = -ENOMEM;
	return result;
}

static int from_shared_file(struct creds *c, struct creds_value *v, struct err *e)
{
	int r;
	_cleanup_free_ char *path = shared_file(c, &r);

	if (r < 0)
		return err_nomem(e);
	r = path ? from_file(c, path, profile_name(c), v, e) : 1;
	if (r <= 0)
		return r;
	return err_set(e, ERR_CREDENTIALS, -ENOENT, "no credentials: %s%s%s",
		       c->profile ? ""
				  : "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and ",
		       path ? path : "there is no home directory with .aws/credentials",
		       path ? " does not exist" : "");
}

static int choose(struct creds *c, struct creds_value *v, struct err *e)
{
	int r;

	if (c->credentials_file) {
		r = from_file(c, c->credentials_file, profile_name(c), v, e);
		if (r > 0)
			return err_set(e, ERR_CREDENTIALS, -ENOENT,
				       "the credentials file %s does not exist",
				       c->credentials_file);
		return r;
	}
	/* A profile that was asked for by name is not overridden by what lies in the environment. */
	r = c->profile ? 1 : from_environment(c, v, e);
	return r > 0 ? from_shared_file(c, v, e) : r;
}

int creds_get(struct creds *c, struct creds_value *ret, struct err *e)
{
	struct creds_value v = { 0 };
	int r = choose(c, &v, e);

	if (r == 0)
		*ret = v;
	creds_value_wipe(&v);
	return r;
}

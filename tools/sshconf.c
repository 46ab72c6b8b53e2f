/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/sshconf.h"

#include <string.h>

#define HOST_BYTES_MAX 300
#define TIMEOUT_S 600
#define CONNECT_TIMEOUT_S 30
#define KEEPALIVE_S 15
#define COMMAND_NOT_FOUND 127 /* of a shell */

static const char *setting(const struct cli *cli, const char *key)
{
	const char *value = config_get(cli->config, "ssh", key);

	return value && *value ? value : NULL;
}

static int seconds(const struct cli *cli, const char *key, uint64_t usual, uint64_t *ret,
		   struct err *e)
{
	const char *value = setting(cli, key);
	char what[64];

	*ret = usual;
	snprintf(what, sizeof(what), "[ssh] %s", key);
	return value ? cli_number(what, value, 1, 86400, ret, e) : 0;
}

/* Takes the word over. */
static int add(struct sshconf *c, char *word, struct err *e)
{
	if (!word)
		return err_nomem(e);
	c->fixed[c->fixed_count++] = word;
	return 0;
}

static int add_pair(struct sshconf *c, const char *option, const char *value, struct err *e)
{
	int r = value ? add(c, strdup(option), e) : 0;

	return r == 0 && value ? add(c, strdup(value), e) : r;
}

/* A relative one would depend on where the command is started. ssh itself knows "~/" and "%d/". */
static int check_file(const char *key, const char *path, struct err *e)
{
	return !path || strchr("/~%", *path)
		       ? 0
		       : err_set(e, ERR_USAGE, -EINVAL, "[ssh] %s = %s: a whole path is wanted",
				 key, path);
}

/* What is said here wins over ssh's own files, as everything on its command line does. */
static int add_settings(struct sshconf *c, const struct cli *cli, struct err *e)
{
	static const struct {
		const char *key, *option;
	} keys[] = { { "config", "-F" }, { "port", "-p" }, { "identity_file", "-i" } };
	static const char *const files[] = { "config", "identity_file", "certificate_file" };
	const char *certificate = setting(cli, "certificate_file"), *port = setting(cli, "port");
	uint64_t connect_s, keepalive_s, number;
	int r = port ? cli_number("[ssh] port", port, 1, 65535, &number, e) : 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = check_file(files[i], setting(cli, files[i]), e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++)
		r = add_pair(c, keys[i].option, setting(cli, keys[i].key), e);
	/* ssh takes an option's value apart at its blanks. */
	if (r == 0 && certificate && strchr(certificate, '"'))
		r = err_set(e, ERR_USAGE, -EINVAL,
			    "[ssh] certificate_file cannot have a '\"' in it");
	if (r == 0 && certificate)
		r = add(c, util_printf("-oCertificateFile=\"%s\"", certificate), e);
	if (r == 0)
		r = seconds(cli, "connect_timeout", CONNECT_TIMEOUT_S, &connect_s, e);
	if (r == 0)
		r = seconds(cli, "keepalive", KEEPALIVE_S, &keepalive_s, e);
	if (r == 0)
		r = add(c, util_printf("-oConnectTimeout=%llu", (unsigned long long)connect_s), e);
	if (r == 0)
		r = add(c,
			util_printf("-oServerAliveInterval=%llu", (unsigned long long)keepalive_s),
			e);
	return r;
}

int sshconf_init(struct sshconf *c, const struct cli *cli, struct err *e)
{
	static const char *const always[] = { "-T",
					      "-oBatchMode=yes",
					      "-oLogLevel=ERROR",
					      "-oClearAllForwardings=yes",
					      "-oControlMaster=no",
					      "-oRemoteCommand=none",
					      "-oServerAliveCountMax=4" };
	const char *program = setting(cli, "program"), *command = setting(cli, "command");
	uint64_t timeout_s;
	int r;

	*c = (struct sshconf){ .command = command ? command : "sstablefs",
			       .user = setting(cli, "user") };
	r = add(c, strdup(program ? program : "ssh"), e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(always); i++)
		r = add(c, strdup(always[i]), e);
	if (r == 0)
		r = add_settings(c, cli, e);
	if (r == 0)
		r = seconds(cli, "timeout", TIMEOUT_S, &timeout_s, e);
	if (r == 0)
		c->timeout_ms = (int)(timeout_s * 1000);
	return r;
}

void sshconf_deinit(struct sshconf *c)
{
	for (size_t i = 0; i < c->fixed_count; i++)
		free(c->fixed[i]);
	c->fixed_count = 0;
}

int sshconf_check_host(const char *host, struct err *e)
{
	static const char wanted[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:@%";
	char shown[64];

	if (*host && *host != '-' && *host != '@' && strlen(host) <= HOST_BYTES_MAX &&
	    strspn(host, wanted) == strlen(host))
		return 0;
	snprintf(shown, sizeof(shown), "%s", host);
	return err_set(e, ERR_USAGE, -EINVAL,
		       "'%s' is no host: a name or an address is wanted, or USER@HOST",
		       util_one_line(shown));
}

void sshconf_words(const struct sshconf *c, const char *host, const char *command, char **words)
{
	size_t count = 0;

	for (; count < c->fixed_count; count++)
		words[count] = c->fixed[count];
	if (c->user && !strchr(host, '@')) {
		words[count++] = (char *)(size_t) "-l";
		words[count++] = (char *)(size_t)c->user;
	}
	words[count++] = (char *)(size_t) "--";
	words[count++] = (char *)(size_t)host;
	words[count++] = (char *)(size_t)command;
	words[count] = NULL;
}

char *sshconf_quote(char *command, const char *word)
{
	_cleanup_free_ char *owned = command;
	char *longer = owned ? malloc(strlen(owned) + 4 * strlen(word) + 4) : NULL, *to = longer;

	if (!longer)
		return NULL;
	to = stpcpy(to, owned);
	*to++ = ' ';
	*to++ = '\'';
	for (; *word; word++) {
		if (*word == '\'')
			to = stpcpy(to, "'\\''");
		else
			*to++ = *word;
	}
	*to++ = '\'';
	*to = '\0';
	return longer;
}

const char *sshconf_hint(int exit_code, const char *said)
{
	static const struct {
		int exit_code;
		const char *part, *hint;
	} hints[] = {
		{ SSHCONF_LOST, "Permission denied",
		  ": nobody is asked for a password here; ssh to this host must work with a key or an agent ([ssh] user, identity_file)" },
		{ SSHCONF_LOST, "Host key verification failed",
		  ": its key is in no known_hosts, or is another one; connect once by hand and look at it" },
		{ SSHCONF_LOST, "REMOTE HOST IDENTIFICATION",
		  ": its key is another one than known_hosts has" },
		{ COMMAND_NOT_FOUND, "",
		  ": sstablefs is not there for that user; name it with command = under [ssh] of the configuration" },
		{ 1, "password is required",
		  ": sudo must not ask for a password (command = sudo -n …)" },
		{ 1, "have a tty", ": sudo must not ask for a terminal (!requiretty in sudoers)" },
		{ 2, "coordinated", ": its sstablefs is older than this one" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (hints[i].exit_code == exit_code && strstr(said, hints[i].part))
			return hints[i].hint;
	return "";
}

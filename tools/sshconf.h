/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How other hosts are reached: the program ssh, with its own configuration, agent and known_hosts, and what [ssh] of our configuration
 * adds. It never asks anything (BatchMode), and gets no secret as an argument.
 */
#ifndef SSTABLEFS_TOOLS_SSHCONF_H
#define SSTABLEFS_TOOLS_SSHCONF_H

#include "tools/cli.h"

#define SSHCONF_WORDS 40
#define SSHCONF_LOST 255 /* ssh's own exit code */
#define SSHCONF_NOT_RUN \
	126 /* of a shell, that and 127: the command cannot be run; beyond: what was run was killed */

struct sshconf { /* strings are borrowed from the configuration, but for the words that it made */
	const char *command;	    /* sstablefs on the other host, as its shell takes it */
	const char *user;	    /* of hosts that name none; NULL: ssh knows */
	int timeout_ms;		    /* how long a host may say nothing */
	char *fixed[SSHCONF_WORDS]; /* the program and its options */
	size_t fixed_count;
};

/* ERR_USAGE naming the key. */
int sshconf_init(struct sshconf *c, const struct cli *cli, struct err *e);
void sshconf_deinit(struct sshconf *c);
/* "HOST" or "USER@HOST", of characters that are nothing else to ssh or a shell. ERR_USAGE. */
int sshconf_check_host(const char *host, struct err *e);
/* The words of a call, which borrow: `words` has room for SSHCONF_WORDS. `command` is what the shell of the host runs. */
void sshconf_words(const struct sshconf *c, const char *host, const char *command, char **words);
/* Adds a blank and the word, quoted for any shell of the Bourne family. NULL: out of memory; frees `command`. */
char *sshconf_quote(char *command, const char *word);
/* What to look at, after what ssh or the other host's shell said at the end; "" where nothing is known. */
const char *sshconf_hint(int exit_code, const char *said);

#endif

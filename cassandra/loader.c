/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/loader.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define REASON_LINES 3 /* of an exception: what it is, and what it was caused by */

/* ---- what to run ---- */

struct list {
	const char **words;
	size_t count;
};

static void add(struct list *l, const char *option, const char *value)
{
	if (!value)
		return;
	l->words[l->count++] = option;
	l->words[l->count++] = value;
}

/*
 * Two throttles: whole SSTables, which is what is sent wherever it can be, do not count for the first one. Both are always said: with a cassandra.yaml the node's own, of 24 MiB/s by default, would count.
 */
void loader_words(const struct loader *l, struct loader_words *ret)
{
	struct list list = { ret->words, 0 };

	snprintf(ret->throttle, sizeof(ret->throttle), "%llu", (unsigned long long)l->throttle_mib);
	list.words[list.count++] = l->program;
	add(&list, "--nodes", l->hosts);
	add(&list, "--port", l->port);
	add(&list, "--conf-path", l->conf_path);
	add(&list, "--throttle-mib", ret->throttle);
	add(&list, "--entire-sstable-throttle-mib", ret->throttle);
	add(&list, "--target-keyspace", l->keyspace);
	add(&list, "--target-table", l->table);
	list.words[list.count++] = l->directory;
	list.words[list.count] = NULL;
}

/* ---- what it says ---- */

/* "   Total files transferred : 8         " */
static bool is_summary(const char *line, uint64_t *ret)
{
	unsigned long long files;

	if (sscanf(line, " Total files transferred : %llu", &files) != 1)
		return false;
	*ret = files;
	return true;
}

/* What tells why it failed; places in its code do not. */
static bool is_telling(const char *line)
{
	static const char *const words[] = { "xception", "Error",	 "rror:",	"ailed",
					     "ould not", "nable to",	 "nrecognized", "issing",
					     "nknown",	 "oes not exist" };

	if (strncmp(line, "\tat ", 4) == 0 || strncmp(line, "WARN", 4) == 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

static void keep(struct loader_said *s, const char *line)
{
	size_t used = strlen(s->reason);

	line += strspn(line, " \t");
	snprintf(s->reason + used, sizeof(s->reason) - used, "%s%s", used ? "; " : "", line);
	util_one_line(s->reason);
	s->lines++;
}

/* "Streaming relevant part of /x/nb-1-big-Data.db /x/nb-2-big-Data.db to [/10.0.0.1:7000]": 4.1 and 5.0 part them by blanks, 4.1 has one more. Only its end ends with a bracket. */
static bool is_list(struct loader_said *s, const char *line)
{
	static const char begin[] = "Streaming relevant part of ", name[] = "-Data.db ";
	size_t len = strlen(line);

	if (!s->listing && strncmp(line, begin, strlen(begin)) != 0)
		return false;
	s->listing = line[len - 1] != ']';
	while ((line = strstr(line, name))) {
		s->named++;
		line += strlen(name);
	}
	return true;
}

void loader_hear(struct loader_said *s, const char *line)
{
	if (is_list(s, line))
		return;
	if (is_summary(line, &s->files)) {
		s->summed_up = true;
	} else if (strstr(line, "Skipping file") || strstr(line, "Skipping temporary file")) {
		if (!s->skipped)
			*s->reason = '\0';
		if (!s->skipped)
			keep(s, line);
		s->skipped = true;
	} else if (!s->skipped && s->lines < REASON_LINES && is_telling(line)) {
		keep(s, line);
	}
}

int loader_judge(const struct loader_said *s, uint64_t sstables, int status, struct err *e)
{
	const char *reason = *s->reason ? s->reason : "it did not say why";

	if (WIFSIGNALED(status))
		return err_set(e, ERR_IO, -EIO, "sstableloader was ended by signal %d",
			       WTERMSIG(status));
	if (s->skipped)
		return err_set(e, ERR_IO, -EIO, "sstableloader passed files over: %s", reason);
	if (WEXITSTATUS(status) != 0)
		return err_set(e, ERR_IO, -EIO, "sstableloader ended with exit code %d: %s",
			       WEXITSTATUS(status), reason);
	if (!s->summed_up || s->files == 0)
		return err_set(e, ERR_IO, -EIO, "sstableloader ended with exit code 0, but %s",
			       s->summed_up ? "sent no file" : "without its summary");
	if (s->named < sstables)
		return err_set(
			e, ERR_IO, -EIO,
			"sstableloader passed over %llu of %llu SSTables without a word: it does not know their names, so that an sstableloader of the backup's version is wanted ([cassandra] sstableloader)",
			(unsigned long long)(sstables - s->named), (unsigned long long)sstables);
	return 0;
}

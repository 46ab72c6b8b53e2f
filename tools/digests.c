/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/digests.h"

#include <stdio.h>
#include <string.h>

json_t *digests_json(const struct record_digests *d)
{
	json_t *files;

	if (!d->known)
		return json_null();
	files = json_array();
	for (size_t i = 0; i < d->file_count; i++)
		json_array_append_new(files, json_text(d->files[i]));
	return json_pack("{s:I, s:I, s:I, s:o}", "checked", (json_int_t)d->checked, "unchecked",
			 (json_int_t)d->unchecked, "mismatched", (json_int_t)d->mismatched, "files",
			 files);
}

bool digests_warn(const struct cli *cli, const struct record_digests *d)
{
	for (size_t i = 0; i < d->file_count; i++) {
		_cleanup_free_ char *path = strdup(d->files[i]);

		fprintf(stderr, "sstablefs: backup: not what its Digest.crc32 says: %s\n",
			path ? util_one_line(path) : "");
	}
	if (d->mismatched > d->file_count)
		fprintf(stderr, "sstablefs: backup: and %llu more like these\n",
			(unsigned long long)(d->mismatched - d->file_count));
	if (d->mismatched > 0)
		fputs("sstablefs: backup: these files were damaged on this node's disk before they were read; they are in the backup as they are, and marked: nodetool verify, then scrub or repair the table\n",
		      stderr);
	if (d->unchecked > 0 && !cli->quiet)
		fprintf(stderr,
			"sstablefs: backup: %llu of %llu Data.db files have no usable Digest.crc32 beside them and could not be checked\n",
			(unsigned long long)d->unchecked,
			(unsigned long long)(d->checked + d->unchecked));
	return d->mismatched > 0;
}

int digests_print(const struct record_digests *d, struct err *e)
{
	int r;

	if (!d->known)
		return 0;
	r = cli_print_line(e, "  digests:  %llu of %llu Data.db checked, %llu damaged",
			   (unsigned long long)d->checked,
			   (unsigned long long)(d->checked + d->unchecked),
			   (unsigned long long)d->mismatched);
	for (size_t i = 0; r == 0 && i < d->file_count; i++)
		r = cli_print_line(e, "    damaged: %s", d->files[i]);
	return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verifyreport.h"

#include <stdio.h>
#include <string.h>

static void say(const struct cli *cli, const char *fmt, ...) _printf_(2, 3);

static void say(const struct cli *cli, const char *fmt, ...)
{
	char text[1400];
	va_list args;

	if (cli->quiet)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(stderr, "sstablefs: verify: %s\n", util_one_line(text));
}

void verifyreport_begin(const struct cli *cli, const struct verifyreport *v, const struct err *why)
{
	const struct verify_begin *b = v->begin;
	char text[1200], when[CLOCK_RFC3339_BYTES];

	if (why)
		say(cli, "nothing is remembered of this run, so it cannot be continued%s: %s",
		    v->slices > 1 ? ", and its slice was drawn by chance" : "",
		    err_describe(why, text, sizeof(text)));
	if (b->damaged)
		say(cli, "what was remembered of earlier runs is damaged: begun anew");
	if (b->too_old)
		say(cli,
		    "an earlier run that did not end was begun more than %d days ago, or its begin is not known: not continued",
		    (int)(VERIFY_CONTINUE_NS / INT64_C(86400000000000)));
	if (b->continued)
		say(cli,
		    "continuing the run of %s, which did not end: %llu objects were found whole by it",
		    clock_rfc3339(when, b->begun_ns, 0), (unsigned long long)b->objects);
	if (b->unremembered)
		say(cli, "another run reads the same just now: nothing is remembered of this one");
	if (v->slices > 1)
		say(cli, "slice %u of %u", v->slice + 1, v->slices);
}

void verifyreport_no_files(const struct cli *cli, const struct err *why)
{
	char text[1200];

	say(cli, "no local files are looked at (--data-dir names where they lie): %s",
	    err_describe(why, text, sizeof(text)));
}

/* ---- findings ---- */

static json_t *finding_json(const struct verify_finding *f)
{
	json_t *files = json_array();

	for (size_t i = 0; i < f->file_count; i++)
		json_array_append_new(files, json_text(f->files[i]));
	return json_pack("{s:o, s:o, s:o, s:I, s:o*}", "key", json_text(f->key), "reason",
			 json_text(f->reason), "files", files, "files_more",
			 (json_int_t)f->files_more, "not_repaired",
			 f->unrepaired ? json_text(f->unrepaired) : NULL);
}

static int print_finding(const struct verify_finding *f, struct err *e)
{
	int r = cli_print_line(e, "%s%s: %s: %s", f->repaired ? "repaired, was " : "",
			       f->missing ? "missing" : "damaged", f->key, f->reason);

	if (r == 0 && f->unrepaired)
		r = cli_print_line(e, "  not repaired: %s", f->unrepaired);

	for (size_t i = 0; i < f->file_count && r == 0; i++)
		r = cli_print_line(e, "  %s", f->files[i]);
	if (r == 0 && f->files_more > 0)
		r = cli_print_line(e, "  and %zu more", f->files_more);
	return r;
}

static int tell(struct cli *cli, const struct verify_finding *f, json_t *list, struct err *e)
{
	if (!cli->json)
		return print_finding(f, e);
	return json_array_append_new(list, finding_json(f)) < 0 ? err_nomem(e) : 0;
}

/* ---- what was damaged already when it was backed up ---- */

static json_t *mismatched_json(const struct record *r)
{
	json_t *files = json_array();

	for (size_t i = 0; i < r->digests.file_count; i++)
		json_array_append_new(files, json_text(r->digests.files[i]));
	return json_pack("{s:s, s:s, s:s, s:I, s:o}", "cluster", r->where.cluster, "node",
			 r->where.node, "name", r->backup, "mismatched",
			 (json_int_t)r->digests.mismatched, "files", files);
}

static int print_mismatched(const struct record *r, struct err *e)
{
	int q = 0;

	for (size_t i = 0; i < r->digests.file_count && q == 0; i++)
		q = cli_print_line(
			e,
			"note: did not match its Digest.crc32 when it was backed up: %s/nodes/%s/%s/%s",
			r->where.cluster, r->where.node, r->backup, r->digests.files[i]);
	if (q == 0 && r->digests.mismatched > r->digests.file_count)
		q = cli_print_line(
			e, "note: and %llu more of that backup",
			(unsigned long long)(r->digests.mismatched - r->digests.file_count));
	return q;
}

static int tell_mismatched(struct cli *cli, const struct verifyreport *v, json_t *list,
			   struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < v->record_count && r == 0; i++) {
		if (v->records[i]->digests.mismatched == 0)
			continue;
		if (!cli->json)
			r = print_mismatched(v->records[i], e);
		else if (json_array_append_new(list, mismatched_json(v->records[i])) < 0)
			r = err_nomem(e);
	}
	return r;
}

/* ---- all of it ---- */

static size_t count_repaired(const struct verify_result *r)
{
	size_t count = 0;

	for (size_t i = 0; i < r->finding_count; i++)
		count += r->findings[i].repaired;
	return count;
}

static json_t *document(const struct verifyreport *v, json_t *damaged, json_t *missing,
			json_t *repaired, json_t *mismatched)
{
	const struct verify_result *r = v->result;

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:O, s:O, s:O, s:O, s:I, s:I, s:I, s:I, s:I}",
		"objects_checked", (json_int_t)r->objects_checked, "bytes_checked",
		(json_int_t)r->bytes_checked, "objects_known", (json_int_t)r->objects_known,
		"objects_continued", (json_int_t)r->objects_continued, "sample_percent",
		v->sample_percent, "slice", (json_int_t)v->slice + 1, "slices",
		(json_int_t)v->slices, "damaged", damaged, "missing", missing, "repaired", repaired,
		"mismatched_digests", mismatched, "backups_deleted_meanwhile",
		(json_int_t)r->gone_count, "unreferenced_objects",
		(json_int_t)r->unreferenced_objects, "unreferenced_bytes",
		(json_int_t)r->unreferenced_bytes, "awaiting_objects",
		(json_int_t)r->awaiting_objects, "foreign_keys", (json_int_t)r->foreign_count);
}

static void print_end(const struct verifyreport *v)
{
	const struct verify_result *r = v->result;
	char bytes[32];

	if (r->gone_count > 0)
		printf("%zu backups were deleted meanwhile\n", r->gone_count);
	if (r->unreferenced_objects > 0)
		printf("note: %llu objects (%s) are needed by no backup: sstablefs gc --full frees them\n",
		       (unsigned long long)r->unreferenced_objects,
		       util_format_bytes(bytes, r->unreferenced_bytes));
	if (r->awaiting_objects > 0)
		printf("note: %llu objects await deletion by gc\n",
		       (unsigned long long)r->awaiting_objects);
	if (r->foreign_count > 0)
		printf("note: %llu keys are not of this program: sstablefs gc --full --dry-run names them\n",
		       (unsigned long long)r->foreign_count);
	if (r->objects_continued > 0)
		printf("%llu objects had been checked by the run that was continued\n",
		       (unsigned long long)r->objects_continued);
	printf("%llu objects checked, %s, %zu findings", (unsigned long long)r->objects_checked,
	       util_format_bytes(bytes, r->bytes_checked), r->finding_count);
	if (count_repaired(r) > 0)
		printf(", %zu of them repaired", count_repaired(r));
	printf("\n");
}

/* On stdout, after the findings. As cli_print_json. */
static int tell_end(struct cli *cli, const struct verifyreport *v, json_t *sums,
		    const struct err *failed)
{
	if (!cli->json && !cli->quiet)
		print_end(v);
	if (failed)
		return cli_fail_with(cli, failed, sums);
	return cli->json ? cli_print_json(cli, sums) : 0;
}

int verifyreport_end(struct cli *cli, const struct verifyreport *v, const struct err *failed)
{
	_cleanup_json_ json_t *damaged = json_array();
	_cleanup_json_ json_t *missing = json_array();
	_cleanup_json_ json_t *repaired = json_array();
	_cleanup_json_ json_t *mismatched = json_array();
	struct err e = ERR_INIT;
	int r = 0;

	for (size_t i = 0; i < v->result->finding_count && r == 0; i++) {
		const struct verify_finding *f = &v->result->findings[i];

		r = tell(cli, f, f->repaired ? repaired : f->missing ? missing : damaged, &e);
	}
	if (r == 0)
		r = tell_mismatched(cli, v, mismatched, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	r = tell_end(cli, v, cli->json ? document(v, damaged, missing, repaired, mismatched) : NULL,
		     failed);
	return r						      ? r
	       : v->result->finding_count > count_repaired(v->result) ? EXIT_FOUND
								      : EXIT_DONE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "store/s3xml.h"

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define LIST "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define ITEM(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

static int parse_list(const char *text, struct s3xml_page *page, struct s3xml_error *error)
{
	return s3xml_parse_list(text, strlen(text), page, error);
}

static void expect_page(const char *text, const char *const *keys, size_t count)
{
	_cleanup_(s3xml_page_deinit) struct s3xml_page page = { 0 };
	struct s3xml_error error;

	cr_assert_eq(parse_list(text, &page, &error), 0, "%s", text);
	cr_assert_eq(page.count, count);
	for (size_t i = 0; i < count; i++)
		cr_expect_str_eq(page.entries[i].key, keys[i]);
}

Test(s3xml, a_listing_gives_keys_sizes_etags_times_and_the_next_token)
{
	static const char text[] = XML LIST
		"<Name>bucket</Name><Prefix>a</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
		"<IsTruncated>true</IsTruncated><NextContinuationToken>t/+&amp;=</NextContinuationToken>"
		"<Contents><Key>a/1</Key><LastModified>2026-11-22T10:42:00.250Z</LastModified>"
		"<ETag>&quot;abc-2&quot;</ETag><Size>18446744073709551615</Size>"
		"<StorageClass>STANDARD</StorageClass><Owner><ID>x</ID></Owner></Contents>"
		"<Contents><Key>a/2</Key><ETag>bare</ETag><Size>0</Size></Contents></ListBucketResult>";
	_cleanup_(s3xml_page_deinit) struct s3xml_page page = { 0 };
	struct s3xml_error error;
	int64_t when;

	cr_assert_eq(parse_list(text, &page, &error), 0);
	cr_assert_eq(page.count, 2);
	cr_expect_str_eq(page.entries[0].key, "a/1");
	cr_expect_str_eq(page.entries[0].etag, "abc-2");
	cr_expect_eq(page.entries[0].size_bytes, UINT64_MAX);
	cr_assert_eq(clock_parse_rfc3339("2026-11-22T10:42:00.250Z", &when), 0);
	cr_expect_eq(page.entries[0].modified_ns, when);
	cr_expect_str_eq(page.entries[1].etag, "bare");
	cr_expect_not(page.entries[1].is_prefix);
	cr_expect(page.truncated);
	cr_expect_str_eq(page.token, "t/+&=");
}

Test(s3xml, keys_and_common_prefixes_become_one_sequence_in_order_of_bytes)
{
	static const char *const keys[] = { "a-", "a/", "a0", "b/", "\u00fc" };
	static const char text[] = XML LIST ITEM("a-") ITEM("a0") ITEM(
		"\u00fc") "<CommonPrefixes><Prefix>a/</Prefix>"
			  "</CommonPrefixes><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"
			  "<IsTruncated>false</IsTruncated></ListBucketResult>";

	expect_page(text, keys, ARRAY_SIZE(keys));
}

Test(s3xml, encoded_keys_are_decoded_wherever_the_encoding_is_declared)
{
	static const char *const decoded[] = { "a\x01%", "a b", "a+b" };
	static const char *const plain[] = { "a%2Bb" };
	static const char items[] = XML LIST ITEM("a+b") ITEM("a%2Bb") ITEM("a%01%25");
	char text[1024];

	snprintf(text, sizeof(text), "%s<EncodingType>url</EncodingType></ListBucketResult>",
		 items);
	expect_page(text, decoded, ARRAY_SIZE(decoded));
	expect_page(XML LIST ITEM("a%2Bb") "</ListBucketResult>", plain, 1);
}

Test(s3xml, an_empty_listing_is_a_listing)
{
	expect_page(XML LIST "</ListBucketResult>", NULL, 0);
	expect_page("<ListBucketResult/>", NULL, 0);
}

Test(s3xml, what_is_no_sound_listing_is_refused)
{
	static const char *const texts[] = {
		"",
		"no xml",
		XML "<html><body>hello</body></html>",
		XML LIST,
		XML LIST ITEM("a"),
		XML LIST "<Contents><Size>1</Size></Contents></ListBucketResult>",
		XML LIST "<Contents><Key>a</Key></Contents></ListBucketResult>",
		XML LIST "<Contents><Key></Key><Size>1</Size></Contents></ListBucketResult>",
		XML LIST
		"<Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents></ListBucketResult>",
		XML LIST "<Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
		XML LIST
		"<Contents><Key>a</Key><Size>18446744073709551616</Size></Contents></ListBucketResult>",
		XML LIST "<IsTruncated>true</IsTruncated></ListBucketResult>",
		XML LIST ITEM("%0") "<EncodingType>url</EncodingType></ListBucketResult>",
		XML LIST ITEM("%00") "<EncodingType>url</EncodingType></ListBucketResult>",
		XML LIST ITEM("%zz") "<EncodingType>url</EncodingType></ListBucketResult>",
		XML LIST ITEM("a") "</ListBucketResult>trailing",
		XML "<!DOCTYPE x [<!ENTITY a \"b\">]>" LIST "</ListBucketResult>",
		XML LIST
		"<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a></ListBucketResult>",
	};
	struct s3xml_page page;
	struct s3xml_error error;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cr_expect_eq(parse_list(texts[i], &page, &error), -EBADMSG, "%s", texts[i]);
}

Test(s3xml, a_key_that_is_too_long_is_refused_and_never_cut)
{
	char text[8192], key[4200];
	struct s3xml_page page = { 0 };
	struct s3xml_error error;

	memset(key, 'k', sizeof(key));
	for (int len = 4095; len <= 4097; len++) {
		snprintf(text, sizeof(text),
			 LIST
			 "<Contents><Key>%.*s</Key><Size>1</Size></Contents></ListBucketResult>",
			 len, key);
		cr_expect_eq(parse_list(text, &page, &error), len <= 4096 ? 0 : -EBADMSG);
		s3xml_page_deinit(&page);
	}
}

Test(s3xml, a_listing_of_more_entries_than_any_page_has_is_refused)
{
	_cleanup_wbuf_ struct wbuf text;
	struct s3xml_page page = { 0 };
	struct s3xml_error error;

	for (unsigned count = S3XML_ENTRIES_MAX; count <= S3XML_ENTRIES_MAX + 1; count++) {
		wbuf_init(&text, 8 * MIB);
		wbuf_put(&text, LIST, strlen(LIST));
		for (unsigned i = 0; i < count; i++)
			wbuf_put(&text, ITEM("k"), strlen(ITEM("k")));
		wbuf_put(&text, "</ListBucketResult>", strlen("</ListBucketResult>"));
		cr_assert_eq(wbuf_error(&text), 0);
		cr_expect_eq(s3xml_parse_list(text.data, text.len, &page, &error),
			     count <= S3XML_ENTRIES_MAX ? 0 : -EBADMSG);
		s3xml_page_deinit(&page);
		wbuf_deinit(&text);
	}
}

Test(s3xml, an_error_document_is_recognised_in_place_of_any_answer)
{
	static const char text[] = XML
		"<Error><Code>SlowDown</Code><Message>Please reduce your rate &lt;1&gt;</Message>"
		"<Region>eu-west-1</Region><Endpoint>b.s3.eu</Endpoint><HostId>x</HostId></Error>";
	struct s3xml_error error = { 0 };
	struct s3xml_page page;

	cr_assert_eq(s3xml_parse_error(text, strlen(text), &error), 0);
	cr_expect_str_eq(error.code, "SlowDown");
	cr_expect_str_eq(error.message, "Please reduce your rate <1>");
	cr_expect_str_eq(error.region, "eu-west-1");
	cr_expect_str_eq(error.endpoint, "b.s3.eu");
	error = (struct s3xml_error){ 0 };
	cr_expect_eq(parse_list(text, &page, &error), S3XML_ERROR_DOCUMENT);
	cr_expect_str_eq(error.code, "SlowDown");
	error = (struct s3xml_error){ 0 };
	cr_expect_eq(s3xml_parse_delete(text, strlen(text), NULL, NULL, &error),
		     S3XML_ERROR_DOCUMENT);
	cr_expect_str_eq(error.code, "SlowDown");
	cr_expect_eq(s3xml_parse_error("<html/>", 7, &error), -EBADMSG);
}

static void collect(void *ctx, const struct s3xml_delete_error *error)
{
	struct wbuf *out = ctx;
	char line[256];
	int n = snprintf(line, sizeof(line), "%s|%s|%s\n", error->key, error->code, error->message);

	wbuf_put(out, line, (size_t)n);
}

Test(s3xml, a_delete_result_names_the_keys_that_stayed)
{
	static const char text[] = XML
		"<DeleteResult><Deleted><Key>gone</Key></Deleted>"
		"<Error><Key>a &amp; b</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
		"<Error><Code>InternalError</Code><Key>c</Key></Error></DeleteResult>";
	_cleanup_wbuf_ struct wbuf out;
	struct s3xml_error error;

	wbuf_init(&out, KIB);
	cr_assert_eq(s3xml_parse_delete(text, strlen(text), collect, &out, &error), 0);
	wbuf_u8(&out, 0);
	cr_expect_str_eq((const char *)out.data,
			 "a & b|AccessDenied|Access Denied\nc|InternalError|\n");
	cr_expect_eq(s3xml_parse_delete("<DeleteResult/>", 15, collect, &out, &error), 0);
	cr_expect_eq(s3xml_parse_delete("", 0, collect, &out, &error), -EBADMSG);
	cr_expect_eq(
		s3xml_parse_delete("<DeleteResult><Error><Code>x</Code></Error></DeleteResult>", 59,
				   collect, &out, &error),
		-EBADMSG);
}

Test(s3xml, the_request_to_delete_escapes_its_keys)
{
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, KIB);
	s3xml_delete_begin(&out);
	s3xml_delete_key(&out, "pre/", "a<b>&c d+%#\u00fc");
	s3xml_delete_end(&out);
	wbuf_u8(&out, 0);
	cr_expect_str_eq(
		(const char *)out.data,
		"<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet><Object><Key>"
		"pre/a&lt;b&gt;&amp;c d+%#\u00fc</Key></Object></Delete>");
	cr_expect(s3xml_can_hold("a b\u00fc"));
	cr_expect_not(s3xml_can_hold("a\x01"));
	cr_expect_not(s3xml_can_hold("a\n"));
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include "cassandra/cqlsh.h"

Test(cqlsh, a_login_that_is_refused_is_not_one_that_cannot_be_looked_up_yet)
{
	static const struct {
		const char *said;
		int outcome;
	} cases[] = {
		{ "a warning of Python\nConnection error: ('Unable to connect to any servers', "
		  "{'127.0.0.1:9042': AuthenticationFailed('Failed to authenticate to "
		  "127.0.0.1:9042: Error from server: code=0100 [Bad credentials] "
		  "message=\"Provided username x and/or password are incorrect\"')})",
		  -EACCES },
		{ "AuthenticationFailed('Remote end requires authentication.')", -EACCES },
		{ "AuthenticationFailed('code=0100 [Bad credentials] message=\"Unable to perform "
		  "authentication: Operation timed out\"')",
		  -EAGAIN },
		{ "<stdin>:1:NoHostAvailable: Unavailable('Error from server: code=1000 "
		  "[Unavailable exception] message=\"Cannot achieve consistency level ONE\"')",
		  -EAGAIN },
		{ "Connection refused", -EIO },
		{ "", -EIO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		cr_expect_eq(cqlsh_outcome(cases[i].said), cases[i].outcome, "%s", cases[i].said);
}

Test(cqlsh, a_long_statement_comes_on_one_line)
{
	static const struct {
		const char *statement, *line;
	} cases[] = {
		{ "CREATE TABLE a.b (\n    id int,  -- the key\n    PRIMARY KEY (id)\n) WITH c = 1.5;\n",
		  "CREATE TABLE a.b ( id int, PRIMARY KEY (id) ) WITH c = 1.5;\n" },
		{ "SELECT \"a  \n\"\n, 'b \n''c' FROM t",
		  "SELECT \"a  \n\" , 'b \n''c' FROM t;\n" },
		{ "it does 'not\nend", "it does 'not\nend;\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_wbuf_ struct wbuf out;

		wbuf_init(&out, 1000);
		cqlsh_put_line(cases[i].statement, &out);
		wbuf_u8(&out, 0);
		cr_expect_str_eq((char *)out.data, cases[i].line);
	}
}

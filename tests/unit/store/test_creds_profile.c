/* SPDX-License-Identifier: Apache-2.0 */
/* What the shared files say of a profile, roles that lead to each other, and programs. */
#include <signal.h>
#include <sys/wait.h>
#include "store/creds_process.h"
#include "tests/unit/store/creds_help.h"

#define KEYS(id) "aws_access_key_id = " id "\naws_secret_access_key = HUSH\n"

Test(creds_profile, the_credentials_file_wins_and_keys_are_never_mixed)
{
	struct help h;
	struct creds_value v;

	help_init(&h);
	help_file(
		&h, "config",
		"[default]\n" KEYS("C1") "aws_session_token = OLD\n[profile p]\n" KEYS(
			"C2") "aws_session_token = T2\n"
			      "[profile]\n" KEYS("X") "[profilep2]\n" KEYS("X") "[p3]\n" KEYS("X"));
	help_file(&h, "credentials", "[default]\n" KEYS("A1") "[profile p]\n" KEYS("X"));
	help_open(&h);
	cr_assert_eq(help_get(&h, &v), 0, "%s", h.err.message);
	cr_expect_str_eq(v.access_key, "A1");
	cr_expect_str_eq(v.session_token, "", "that of the other file");
	help_expect_source(&h, "/credentials");
	help_set(&h, "AWS_PROFILE", "p");
	help_file(&h, "credentials", "[default]\n" KEYS("A2"));
	cr_assert_eq(help_get(&h, &v), 0, "%s", h.err.message);
	cr_expect_str_eq(v.access_key, "C2");
	cr_expect_str_eq(v.session_token, "T2");
	help_expect_source(&h, "profile [p] of ");
	help_expect_source(&h, "/config");
	help_deinit(&h);
}

/* With these files, what comes of the profile p. */
static void fails(const char *config, const char *says)
{
	struct help h;

	help_init(&h);
	help_set(&h, "AWS_PROFILE", "p");
	help_set(&h, "AWS_ENDPOINT_URL", "http://127.0.0.1:1");
	help_file(&h, "config", "%s", config);
	help_open(&h);
	help_expect_error(&h, says);
	cr_expect_eq(h.err.kind, ERR_CREDENTIALS, "%s", h.err.message);
	help_deinit(&h);
}

#define ROLE "role_arn = arn:r\n"

Test(creds_profile, what_is_wrong_with_a_profile_is_said)
{
	char chain[4096] = "[profile p]\n" ROLE "source_profile = p1\n";

	fails("[profile q]\n" KEYS("A"), "no profile [p]");
	fails("[profile p]\n" ROLE, "needs one of source_profile");
	fails("[profile p]\n" ROLE "source_profile = q\n", "source_profile [q] does not exist");
	fails("[profile p]\n" ROLE "source_profile = q\n[profile q]\nregion = x\n",
	      "source_profile [q] says nothing");
	fails("[profile p]\n" ROLE "source_profile = q\ncredential_source = Environment\n",
	      "needs one of source_profile");
	fails("[profile p]\n" ROLE "source_profile = q\nmfa_serial = m\n", "mfa_serial");
	fails("[profile p]\n" ROLE "credential_source = Elsewhere\n",
	      "credential_source is none of");
	fails("[profile p]\n" ROLE "credential_source = Environment\n",
	      "credential_source Environment has none");
	fails("[profile p]\nsso_session = s\n", "SSO");
	fails("[profile p]\n" ROLE "source_profile = p\n", "in a circle, back to [p]");
	fails("[profile p]\n" ROLE "source_profile = q\n[profile q]\n" ROLE "source_profile = p\n",
	      "in a circle, back to [p]");
	for (int i = 1; i < 12; i++)
		snprintf(chain + strlen(chain), sizeof(chain) - strlen(chain),
			 "[profile p%d]\n" ROLE "source_profile = p%d\n", i, i + 1);
	fails(chain, "more than 8 profiles");
}

Test(creds_profile, keys_are_read_in_either_case)
{
	struct help h;

	help_init(&h);
	help_file(&h, "credentials",
		  "[default]\nAWS_ACCESS_KEY_ID = AKIA1\nAws_Secret_Access_Key = HUSH\n");
	help_open(&h);
	help_expect(&h, "AKIA1");
	help_deinit(&h);
}

/* "aws configure sso" names a profile after its role and account. */
#define LONG_PROFILE "AdministratorAccessForPlatforms-123456789012"

Test(creds_profile, profiles_of_long_names_do_not_stand_in_the_way_of_others)
{
	struct help h;

	help_init(&h);
	help_file(&h, "config",
		  "[profile " LONG_PROFILE "]\nsso_start_url = https://x\n[default]\n" KEYS("A"));
	help_open(&h);
	help_expect(&h, "A");
	help_set(&h, "AWS_PROFILE", LONG_PROFILE);
	creds_free(h.creds);
	help_open(&h);
	help_expect_error(&h, "longer than 40 bytes");
	help_deinit(&h);
}

Test(creds_profile, a_default_profile_without_credentials_is_passed_over)
{
	struct help h;

	help_init(&h);
	help_file(
		&h, "config",
		"[default]\nregion = eu-west-1\noutput = json\ns3 =\n  addressing_style = path\n");
	help_open(&h);
	help_expect_error(&h, "shared files (it says nothing of credentials); web identity");
	help_deinit(&h);
}

Test(creds_profile, a_file_that_others_can_write_or_that_shows_them_secrets_is_refused)
{
	struct help h;
	char path[128];

	help_init(&h);
	snprintf(path, sizeof(path), "%s/config", h.dir);
	help_file(&h, "config", "[default]\n" KEYS("A"));
	help_open(&h);
	chmod(path, 0644);
	help_expect_error(&h, "every user can read");
	cr_expect_eq(h.err.kind, ERR_USAGE);
	help_file(&h, "config", "[default]\ncredential_process = /bin/true\n");
	chmod(path, 0646);
	help_expect_error(&h, "every user can write");
	chmod(path, 0644);
	help_expect_error(&h, "not valid JSON");
	help_deinit(&h);
}

/* ---- programs ---- */

static void program_open(struct help *h, const char *script)
{
	help_init(h);
	help_file(h, "program", "#!/bin/sh\n%s", script);
	help_file(h, "config", "[default]\ncredential_process = '%s/program' \"a b\" $HOME ; #\n",
		  h->dir);
	help_open(h);
}

#define PRINT \
	"echo '{\"Version\":1,\"AccessKeyId\":\"P1\",\"SecretAccessKey\":\"HUSH\",\"SessionToken\":null}'\n"

Test(creds_profile, a_program_is_run_without_a_shell_and_without_what_is_ours)
{
	struct help h;
	_cleanup_free_ char *seen = NULL;
	char path[128];
	size_t len;
	/* An open descriptor that a child could get at, and blocked and ignored signals. */
	_cleanup_close_ int fd = open("/etc/passwd", O_RDONLY);
	sigset_t set;

	cr_assert_geq(dup2(fd, 77), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	program_open(
		&h,
		"cd \"$(dirname \"$0\")\"\n"
		"{ for a in \"$@\"; do echo \"[$a]\"; done; ls /proc/self/fd | tr '\\n' ' '; echo\n"
		"readlink /proc/$$/fd/0 /proc/$$/fd/2; grep -E 'SigBlk|SigIgn' /proc/self/status\n"
		"ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo own session; } > seen\n"
		"echo HUSH >&2\n" PRINT);
	help_expect(&h, "P1");
	help_expect_source(&h, "credential_process of profile [default]");
	snprintf(path, sizeof(path), "%s/seen", h.dir);
	cr_assert_eq(io_read_file(AT_FDCWD, path, 10000, &seen, &len), 0);
	cr_expect(strstr(seen, "[a b]\n[$HOME]\n[;]\n[#]\n"), "%s", seen);
	cr_expect(strstr(seen, "/dev/null\n/dev/null\n"), "%s", seen);
	cr_expect_null(strstr(seen, "77"), "%s", seen);
	cr_expect(strstr(seen, "SigBlk:\t0000000000000000"), "%s", seen);
	cr_expect(strstr(seen, "80000000\n") || strstr(seen, "SigIgn:\t0000000000000000\n"), "%s",
		  seen);
	cr_expect(strstr(seen, "own session"), "%s", seen);
	close(77);
	help_deinit(&h);
}

static void program_fails(const char *script, const char *says)
{
	struct help h;

	program_open(&h, script);
	help_expect_error(&h, says);
	cr_expect_eq(h.err.kind, ERR_CREDENTIALS, "%s", h.err.message);
	cr_expect_lt(waitpid(-1, NULL, WNOHANG), 0, "a child was left");
	help_deinit(&h);
}

Test(creds_profile, what_is_wrong_with_a_program_is_said_without_what_it_printed)
{
	program_fails("echo HUSH; echo HUSH >&2; exit 3\n", "ended with exit code 3");
	program_fails("kill -9 $$\n", "ended by signal 9");
	program_fails("echo HUSH\n", "not valid JSON");
	program_fails("echo '{\"AccessKeyId\":\"HUSH\"}'\n", "\"Version\": 1");
	program_fails("echo '{\"Version\":2}'\n", "\"Version\": 1");
	program_fails("yes HUSH\n", "printed more than 65536 bytes");
}

Test(creds_profile, a_program_that_does_not_end_is_killed_with_its_children)
{
	struct help h;
	_cleanup_free_ char *text = NULL;
	char path[128];
	size_t len;

	program_open(&h, "cd \"$(dirname \"$0\")\"; sleep 1000 & echo $! > pid; wait\n");
	help_expect_error(&h, "did not end within 2 s");
	snprintf(path, sizeof(path), "%s/pid", h.dir);
	cr_assert_eq(io_read_file(AT_FDCWD, path, 100, &text, &len), 0);
	/* Killed, though perhaps not yet reaped by init. */
	for (int i = 0; i < 1000 && kill(atoi(text), 0) == 0; i++) {
		char stat[64], state[256] = "";
		FILE *f;

		snprintf(stat, sizeof(stat), "/proc/%d/stat", atoi(text));
		f = fopen(stat, "re");
		if (f && fgets(state, sizeof(state), f) && strstr(state, ") Z")) {
			fclose(f);
			break;
		}
		if (f)
			fclose(f);
		cr_assert_lt(i, 999, "%s lives", text);
		usleep(10000);
	}
	help_deinit(&h);
}

Test(creds_profile, a_program_whose_child_keeps_the_pipe_open_is_not_waited_for)
{
	struct help h;

	program_open(&h, "sleep 1000 &\n" PRINT);
	help_expect(&h, "P1");
	help_deinit(&h);
}

Test(creds_profile, a_program_is_waited_for_also_where_sigchld_is_ignored)
{
	struct help h;

	signal(SIGCHLD, SIG_IGN);
	program_open(&h, PRINT);
	help_expect(&h, "P1");
	signal(SIGCHLD, SIG_DFL);
	help_deinit(&h);
}

Test(creds_profile, a_program_that_is_not_there_is_said)
{
	struct help h;

	help_init(&h);
	help_file(&h, "config", "[default]\ncredential_process = /nowhere/program\n");
	help_open(&h);
	help_expect_error(&h, "cannot be run: No such file");
	help_file(&h, "config", "[default]\ncredential_process = 'open\n");
	help_expect_error(&h, "no command");
	help_deinit(&h);
}

# SPDX-License-Identifier: Apache-2.0
"""restore-node as root, in directories of Cassandra's user, who leads it elsewhere: by symbolic links, by directories and journals of his own, by hard
links, by a cassandra.yaml that names other people's directories. Nothing outside is written, moved, removed, given to him or read for him."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

import pytest

from harness import FAILED, wait_until
from hook import Hook
from host import OWN, Host, files, refused

CASSANDRA = 12345
OTHER = 12347
SECRET = b"root's alone\n"


def give(*paths):
    for path in paths:
        for below in (path, *path.rglob("*")):
            os.chown(below, CASSANDRA, CASSANDRA, follow_symlinks=False)


def seen(top):
    """{path: (content, owner, group, mode)}"""
    found = {}
    for path in (top, *sorted(top.rglob("*"))):
        st = path.lstat()
        found[str(path)] = (path.read_bytes() if path.is_file() else None, st.st_uid, st.st_gid, st.st_mode)
    return found


@pytest.fixture
def host(program):
    host = Host(program).fill().start()
    give(*host.places)
    yield host
    host.kill()


@pytest.fixture
def stored(repository, host):
    repository("--config", host.configuration, "backup", "--name", "b")
    repository.before = {path: data for path, data in files(host.content()).items() if path.startswith("data")}
    host.spoil()
    give(*host.places)
    repository.spoilt = host.content()
    return repository


@pytest.fixture
def foreign(tmp_path):
    """What the user may not touch, made so that each step would find there what it looks for."""
    top = tmp_path / "etc"
    for path in ("backups/new/shop", "backups/old/shop", "backups/undone/shop", "shop", "new", OWN + "/backups/old"):
        (top / path).mkdir(parents=True)
        (top / path / "secret").write_bytes(SECRET)
    (top / "journal.json").write_bytes(SECRET)
    (top / "unfinished.db").write_bytes(SECRET)
    top.chmod(0o700)
    return top


def run(stored, host, *arguments, code=FAILED, **environment):
    return stored("--config", host.configuration, "restore-node", *arguments, code=code, environment=environment)


ALL = (["b", "--in-place", "--plan"], ["b", "--in-place", "--yes"], ["b", "--in-place", "--no-stage", "--yes"], ["b", "--only", "shop", "--yes"], ["--abort"],
       ["--finish"])


@pytest.mark.parametrize("kind", ["link", "directory"])
def test_a_staging_directory_that_the_user_planted_is_refused(stored, host, foreign, kind):
    """His journal would say that all of a foreign directory is what the node had before."""
    run(stored, host, "b", "--in-place", "--yes", code=0)
    own = host.data[0] / OWN
    if kind == "link":
        text = (own / "journal.json").read_text()
        shutil.rmtree(own)
        own.symlink_to(foreign)
        (foreign / "journal.json").write_text(text)
    else:
        give(own)
    was, content = seen(foreign), host.content()
    for arguments in ALL:
        refused(run(stored, host, *arguments), *(["is no directory"] if kind == "link" else [f"belongs to user {CASSANDRA}", "run it as that user", "chown root it, its backups and backups/*, journal.json and lock"]))
        assert seen(foreign) == was and host.content() == content and host.running


def test_a_journal_that_is_the_users_is_not_believed(stored, host):
    own = host.data[0] / OWN
    run(stored, host, "b", "--in-place", "--yes", code=0)
    os.chown(own / "journal.json", CASSANDRA, CASSANDRA)
    refused(run(stored, host, "--finish"), "is not believed", f"user {CASSANDRA}")
    assert (own / "journal.json").exists()


def stop_that(host, script):
    """The moment between the fetch and the renames."""
    (host.directory / "really-stop").write_text((host.directory / "stop").read_text().replace("Path(sys.argv[0]).name", '"stop"'))
    (host.directory / "really-stop").chmod(0o755)
    (host.directory / "stop").write_text(f"#!/bin/sh\n{host.directory}/really-stop\n{script}\n")


LEADS = {"staging": "mv {own} {own}-away; ln -s {foreign} {own}",
         "his own staging": "mv {own} {own}-away; cp -r {own}-away {own}; chown -R 12345 {own}; rm -r {own}/backups/new; ln -s {foreign} {own}/backups/new",
         "a place": "mv {hints} {hints}-away; ln -s {foreign} {hints}"}


@pytest.mark.parametrize("options", [[], ["--no-stage"]], ids=["staged", "not-staged"])
@pytest.mark.parametrize("lead", LEADS)
def test_what_is_exchanged_while_it_works_leads_nowhere(stored, host, foreign, lead, options):
    stop_that(host, LEADS[lead].format(own=host.data[0] / OWN, foreign=foreign, hints=host.beside["hints"]))
    was = seen(foreign)
    answer = run(stored, host, "b", "--in-place", *options, "--yes")
    assert any(word in answer.err for word in ("symbolic link", f"belongs to user {CASSANDRA}")), answer.err
    assert seen(foreign) == was


def test_a_table_that_is_exchanged_under_an_import_leads_nowhere(stored, host, foreign):
    nodetool = host.directory / "nodetool"
    (host.directory / "real").write_text(nodetool.read_text().replace("Path(sys.argv[0]).name", '"nodetool"'))
    (host.directory / "real").chmod(0o755)
    new = host.old(host.data[0]).with_name("new")
    nodetool.write_text(f'#!/bin/sh\n{host.directory}/real "$@"; status=$?\n'
                        f"case $* in *import*) if [ -d {new}/shop ] && [ ! -L {new}/shop ]; then\n"
                        f"  for table in {new}/shop/*; do mkdir {foreign}/shop/${{table##*/}}; echo x > {foreign}/shop/${{table##*/}}/secret; done\n"
                        f"  mv {new}/shop {new}/away; ln -s {foreign}/shop {new}/shop; ls {foreign}/shop > {host.directory}/there; fi;; esac\nexit $status\n")
    run(stored, host, "b", "--only", "shop", "--yes", code=None)
    there = (host.directory / "there").read_text().split()
    assert len(there) > 1 and sorted(path.name for path in (foreign / "shop").iterdir()) == sorted(there)
    assert all((foreign / "shop" / name / "secret").exists() for name in there if name != "secret")


def test_nothing_foreign_is_given_to_the_user(stored, host, foreign):
    """While the backup is copied into his directories he makes names in them for what is root's, and would be given it."""
    secret = foreign / "shop/secret"
    hook = Hook(stored.program, "n", below=host.data[0] / OWN / "journal.json")
    process = stored.start("--config", host.configuration, "restore-node", "b", "--in-place", "--no-stage", "--yes",
                           environment={**hook.environment(6), "CRASH_PAUSE": "1"})
    stat = Path("/proc", str(process.pid), "stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 30, "the pause")
    assert host.journal()["old_data"] == "removed"
    planted = host.data[0] / "planted/t-1"
    planted.mkdir(parents=True)
    give(host.data[0] / "planted")
    os.link(secret, planted / "hard")
    (planted / "soft").symlink_to(foreign)
    (host.data[0] / "lost+found").mkdir()
    was = seen(foreign)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert seen(foreign) == was and (planted / "soft").is_symlink()
    assert (host.data[0] / "lost+found").stat().st_uid == 0
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(planted.parent)
    (host.data[0] / "lost+found").rmdir()
    assert files(host.content()) == stored.before
    for place in host.data:
        for path in place.rglob("*"):
            assert path.lstat().st_uid == CASSANDRA, path


def test_what_is_staged_cannot_be_exchanged_by_the_user(stored, host):
    """Neither the directories of ours, nor the entries that are renamed into place; what is in them is his, as it is about to be."""
    host.fail("stop", first="not now")
    run(stored, host, "b", "--in-place", "--yes")
    for place in host.places:
        for path in (place / OWN, *(place / OWN).glob("backups"), *(place / OWN).glob("backups/*")):
            st = path.stat()
            assert st.st_uid == 0 and st.st_mode & 0o7777 == 0o755, path
    assert (host.data[0] / OWN / "lock").stat().st_mode & 0o777 == 0o600, "who can open the lock can keep root out"


def test_a_cassandra_yaml_of_the_users_names_no_directory_but_his_own(stored, host, foreign):
    give(host.yaml.parent)
    was, (hints, _) = seen(foreign), (host.beside["hints"], shutil.rmtree(host.beside["hints"]))
    for named in (foreign, hints):
        host.write_yaml(hints_directory=named)
        give(host.yaml.parent)
        if named == hints:
            hints.symlink_to(foreign)
        refused(run(stored, host, "b", "--in-place", "--yes"), "nothing was done", "belongs to user 0", host.yaml)
        assert seen(foreign) == was
    os.chown(host.yaml, 0, 0)
    refused(run(stored, host, "b", "--in-place", "--yes"), "nothing was done", "belongs to user 0", "put another one there")
    os.chown(host.yaml.parent, 0, 0)
    refused(run(stored, host, "b", "--in-place", "--yes"), "belong to different users")
    host.yaml.chmod(0o666)
    refused(run(stored, host, "b", "--in-place", "--yes"), "can write")
    assert seen(foreign) == was


def config_map(host):
    """As Kubernetes mounts one: a directory of root's that all may write to, and two links in it."""
    conf = host.yaml.parent
    (conf / "..2026_11_22").mkdir()
    host.yaml.rename(conf / "..2026_11_22/cassandra.yaml")
    (conf / "..data").symlink_to("..2026_11_22")
    host.yaml.symlink_to("..data/cassandra.yaml")
    conf.chmod(0o777)


def link_of_roots(host):
    there = host.yaml.parent.with_name("cassandra.yaml.d")
    there.mkdir()
    host.yaml.rename(there / "node.yaml")
    host.yaml.symlink_to(there / "node.yaml")


SET_UPS = {"the user's": lambda host: give(host.yaml.parent), "root's in the user's directory": lambda host: os.chown(host.yaml.parent, CASSANDRA, CASSANDRA),
           "the user's in root's directory": lambda host: os.chown(host.yaml, CASSANDRA, CASSANDRA), "root's, of a group": lambda host: host.yaml.chmod(0o664),
           "a link of root's": link_of_roots, "a ConfigMap": config_map}


@pytest.mark.parametrize("set_up", SET_UPS)
def test_a_cassandra_yaml_that_root_or_the_user_wrote_is_taken(stored, host, set_up):
    SET_UPS[set_up](host)
    run(stored, host, "b", "--in-place", "--plan", code=0)


def test_a_cassandra_yaml_of_a_third_user_is_not_roots_to_follow_and_it_says_who_may(stored, host):
    """As of one who deploys: he could name the directories of any user on the host. Who has no more than those directories may follow it."""
    os.chown(host.yaml, OTHER, OTHER)
    refused(run(stored, host, "b", "--in-place", "--yes"), "nothing was done", f"belongs to user {CASSANDRA}", host.yaml, f"or run restore-node as user {CASSANDRA}")


def test_a_relative_path_of_cassandra_yaml_is_refused_as_later_runs_have_another_directory(stored, host):
    text = host.configuration.read_text()
    host.configuration.write_text(text.replace(f"yaml = {host.yaml}", f"yaml = {os.path.relpath(host.yaml, stored.program.directory)}"))
    refused(run(stored, host, "b", "--in-place", "--yes"), "nothing was done", "is no absolute path: write it from / on")


def test_a_cassandra_yaml_of_roots_that_the_user_links_to_is_neither_believed_nor_edited(stored, host, tmp_path):
    """It is of another node on this machine, whose directories are another user's."""
    host.kill()
    foreign = tmp_path / "etc"
    foreign.mkdir()
    conf = host.yaml.parent
    host.yaml.rename(foreign / "cassandra.yaml")
    give(conf)
    host.yaml.symlink_to(foreign / "cassandra.yaml")
    for place in host.places:
        for path in (place, *place.rglob("*")):
            os.chown(path, OTHER, OTHER)
    was, content = seen(foreign), host.content()
    refused(run(stored, host, "b", "--in-place", "--yes"), "nothing was done", f"belongs to user {OTHER}", "put another one there")
    give(*host.places)
    refused(run(stored, host, "b", "--remote", "--node", "n1", "--yes"), "nothing was done", "cassandra.yaml, which belongs to user 0", "may have made it lead there")
    assert seen(foreign) == was and host.content() == content and host.yaml.is_symlink()


@pytest.mark.parametrize("options", [[], ["--no-stage"]], ids=["staged", "not-staged"])
@pytest.mark.parametrize("user", ["another's", "his own"])
def test_a_directory_that_a_group_puts_in_the_place_of_one_that_was_looked_at_is_not_touched(stored, host, user, options):
    """Who can write to the directory above them, as by its group, exchanges two directories without any link, while Cassandra is stopped."""
    os.chown(host.node_directory, 0, 4711)
    host.node_directory.chmod(0o775)
    foreign = host.node_directory / "foreign"
    (foreign / "shop").mkdir(parents=True)
    (foreign / "shop/secret").write_bytes(SECRET)
    for path in (foreign, *foreign.rglob("*")):
        os.chown(path, OTHER if user == "another's" else CASSANDRA, OTHER)
    was = {path.replace("/foreign", "/hints"): what for path, what in seen(foreign).items()}
    stop_that(host, f"mv {host.beside['hints']} {host.beside['hints']}-away; mv {foreign} {host.beside['hints']}")
    refused(run(stored, host, "b", "--in-place", *options, "--yes"), host.beside["hints"], "is not the directory that was looked at")
    assert seen(host.beside["hints"]) == was


def test_a_directory_of_another_user_is_not_touched_by_a_later_run_either(stored, host):
    host.fail("start", first="not now")
    run(stored, host, "b", "--in-place", "--yes")
    host.heal()
    assert {place["owner"] for place in host.journal()["places"]} == {CASSANDRA}
    os.chown(host.beside["hints"], OTHER, OTHER)
    for arguments in (["b", "--in-place", "--yes"], ["--abort"]):
        refused(run(stored, host, *arguments), host.beside["hints"], f"of user {OTHER} now", f"chown {CASSANDRA} it", "run the same command again, or --abort")
    os.chown(host.beside["hints"], CASSANDRA, CASSANDRA)
    run(stored, host, "--abort", code=0)


@pytest.mark.parametrize("words", [["b", "--in-place", "--yes"], ["--abort"]], ids=["goes-on", "abort"])
def test_after_a_chown_of_all_the_restore_goes_on_by_what_is_said(stored, host, words):
    """As a container's entrypoint does it, or who takes a start that failed for one of permissions."""
    host.fail("start", first="not now")
    run(stored, host, "b", "--in-place", "--yes")
    host.heal()
    for place in host.places:
        give(place)
    refused(run(stored, host, *words), f"belongs to user {CASSANDRA}", "chown root it, its backups and backups/*, journal.json and lock")
    for own in (place / OWN for place in host.places):
        for path in (own, own / "backups", *(own / "backups").iterdir(), own / "journal.json", own / "lock"):
            if path.exists():
                os.chown(path, 0, 0)
    run(stored, host, *words, code=0)
    assert files(host.content()) == (files(stored.spoilt) if words == ["--abort"] else stored.before)


@pytest.mark.parametrize("words", [["b", "--in-place", "--yes"], ["--abort"]], ids=["goes-on", "abort"])
def test_a_restore_that_an_older_sstablefs_began_goes_on_by_what_is_said(stored, host, words):
    """That one gave `new` with all in it to Cassandra's user."""
    host.fail("start", first="not now")
    run(stored, host, "b", "--in-place", "--yes")
    host.heal()
    news = [host.old(place).with_name("new") for place in host.data]
    give(*news)
    refused(run(stored, host, *words), news[0], f"belongs to user {CASSANDRA}", "an sstablefs of before", "chown it to root", "do not remove it")
    for new in news:
        os.chown(new, 0, 0)
    run(stored, host, *words, code=0)
    assert files(host.content()) == (files(stored.spoilt) if words == ["--abort"] else stored.before)


def linked(host, place, target):
    shutil.rmtree(place)
    place.symlink_to(target)
    os.chown(place, CASSANDRA, CASSANDRA, follow_symlinks=False)


def foreign_places(top, places):
    for number, place in enumerate(places):
        (top / str(number)).mkdir(parents=True)
        (top / str(number) / "secret").write_bytes(SECRET)
        yield place, top / str(number)


@pytest.mark.parametrize("journal", [False, True], ids=["nothing-begun", "a-restore-of-roots"])
def test_links_that_were_planted_before_anything_was_looked_at_lead_nowhere(stored, host, tmp_path, journal):
    """All his places, in his own directory, are links to directories of root, and cassandra.yaml is root's: it names what he has made of it. Cassandra is stopped."""
    host.kill()
    os.chown(host.node_directory, CASSANDRA, CASSANDRA)
    for place, target in foreign_places(tmp_path / "etc", host.places):
        linked(host, place, target)
    if journal:
        (tmp_path / "etc/0" / OWN).mkdir()
        (tmp_path / "etc/0" / OWN / "journal.json").write_bytes(SECRET)
    was = seen(tmp_path / "etc")
    for arguments in ALL:
        refused(run(stored, host, *arguments), tmp_path / "etc/0", "belongs to user 0", f"of user {CASSANDRA}, who may have made it lead there")
        assert seen(tmp_path / "etc") == was


@pytest.mark.parametrize("options", [[], ["--no-stage"]], ids=["staged", "not-staged"])
def test_a_link_that_was_planted_beside_the_data_leads_nowhere(stored, host, foreign, options):
    """A Cassandra of root's, one of whose directories is found through a link of somebody else's."""
    host.kill()
    for place in host.places:
        for path in (place, *place.rglob("*")):
            os.chown(path, 0, 0)
    linked(host, host.beside["hints"], foreign)
    was, content = seen(foreign), host.content()
    refused(run(stored, host, "b", "--in-place", *options, "--yes"), "nothing was done", "hints_directory", "may have made it lead there")
    assert seen(foreign) == was and host.content() == content


def test_a_link_of_roots_to_a_larger_disk_is_followed(stored, host):
    host.kill()
    big = host.directory / "big"
    host.node_directory.rename(big)
    host.node_directory.symlink_to(big)
    os.chown(big, CASSANDRA, CASSANDRA)
    host.start()
    run(stored, host, "b", "--in-place", "--yes", code=0)
    assert {path: data for path, data in files(host.content()).items() if path.startswith("data")} == stored.before
    run(stored, host, "--finish", code=0)
    assert not list(big.rglob(OWN))

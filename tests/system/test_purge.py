# SPDX-License-Identifier: Apache-2.0
"""purge: the policy against a model of a few lines, what is kept whatever it says, and that what goes is collected."""

import os
import random
from datetime import datetime, timedelta, timezone

import pytest

from fleet import Fleet
from front import Front, error
from harness import ABSENT, CLUSTER, FAILED, FOUND, LONG, STORE, USAGE, is_sentence
from trees import describe_snapshot, describe_tree, reseal

SEED = int(os.environ.get("SSTABLEFS_SEED") or random.SystemRandom().randrange(10**6))
RULES = ("last", "daily", "weekly", "monthly")
KEYS = {"daily": lambda t: (t.year, t.month, t.day), "weekly": lambda t: t.isocalendar()[:2], "monthly": lambda t: (t.year, t.month)}
ROUNDS = 400 if LONG else 12


# ---- the model ----

def keep_of_node(backups, rules):
    """Names that the rules keep; backups: [(time, name)] of one node, newest first."""
    kept = set()
    for rule, number in rules.items():
        buckets = []
        for position, (when, name) in enumerate(backups):
            bucket = position if rule == "last" else KEYS[rule](when)
            if bucket not in buckets and len(buckets) < number:
                buckets.append(bucket)
                kept.add(name)
    return kept


def complete_names(nodes, expected):
    names = {name for backups in nodes.values() for _, name in backups}
    return {name for name in names if sum(any(n == name for _, n in backups) for backups in nodes.values()) >= expected}


def model(nodes, rules, age, now, expected, force=False):
    """Names that stay on all nodes that have them. nodes: {node: [(time, name)]}; expected: how many nodes a complete backup is on."""
    complete = complete_names(nodes, expected)
    kept = set()
    for backups in nodes.values():
        newest = sorted(backups, reverse=True)
        whole = [b for b in newest if b[1] in complete]
        kept |= keep_of_node(newest, rules) | keep_of_node(whole, rules)
        if age is not None:
            kept |= {name for when, name in newest if now - when <= age}
        if not force:
            kept |= {name for _, name in (whole or newest)[:1]}
    return kept


# ---- the policy ----

def draw_repository(fleet, rng, now):
    """Records at moments where days, weeks, months and years turn; not all nodes have all of them. What the model needs of it."""
    nodes, expected = {}, rng.choice([0, 0, 2, 3])
    names = [f"b{i}" for i in range(rng.randrange(1, 30))]
    span = rng.choice([3, 40, 800])
    begin = {name: now - timedelta(days=rng.randrange(span), seconds=rng.choice([1, 3600, 43200, 86399])) for name in names}
    for node in ("n1", "n10", "n2")[:rng.randrange(1, 4)]:
        # The moment at which a node began; two never share one, which the model could not order.
        mine = {}
        for name in rng.sample(names, rng.randrange(1, len(names) + 1)):
            when = begin[name] + timedelta(seconds=rng.randrange(7200))
            while when in mine:
                when += timedelta(seconds=1)
            mine[when] = name
            fleet.record(node, name, when, peers=expected or None)
        nodes[node] = sorted(mine.items())
    return nodes, expected


def options_of(rules, age):
    words = [word for rule, number in rules.items() for word in (f"--keep-{rule}", number)]
    return words + (["--older-than", f"{int(age.total_seconds())}s"] if age else [])


@pytest.mark.parametrize("number", range(ROUNDS))
def test_any_policy_keeps_what_the_model_keeps(program, number):
    rng = random.Random(SEED * 1000 + number)
    print(f"SSTABLEFS_SEED={SEED} round {number}")
    repository = program.repository()
    now = datetime.now(timezone.utc).replace(microsecond=0)
    nodes, expected = draw_repository(Fleet(repository.path), rng, now)
    for _ in range(4):
        rules = {rule: rng.randrange(1, 9) for rule in rng.sample(RULES, rng.randrange(0, 4))}
        # No backup is of an age near to it: what is meanwhile older by a second would be judged otherwise than by the model.
        age = timedelta(days=rng.randrange(1, 500), seconds=20000) if not rules or rng.random() < 0.4 else None
        force = rng.random() < 0.3
        answer = repository.json("purge", "--dry-run", *options_of(rules, age), *(["--force"] if force else []))
        kept = model(nodes, rules, age, now, expected, force)
        said = {(p["node"], p["name"]): p["action"] for p in answer["plan"]}
        assert said == {(node, name): "keep" if name in kept else "remove" for node, backups in nodes.items() for _, name in backups}, (rules, age, force)
        assert set(answer["removed_backups"]) == {name for (_, name), action in said.items() if action == "remove"}


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.fixture
def records(program):
    """(repository, its Fleet)"""
    repository = program.repository()
    return repository, Fleet(repository.path)


def plan(repository, *options, **keywords):
    """{(node, name): reasons, or "remove"}"""
    answer = repository.json("purge", "--dry-run", *options, **keywords)
    return {(p["node"], p["name"]): p["reasons"] if p["action"] == "keep" else "remove" for p in answer["plan"]}


def test_reasons_name_their_day_week_and_month(records):
    repository, fleet = records
    for name, when in (("a", "2025-12-28T23:59:59"), ("b", "2025-12-29T00:00:00"), ("c", "2026-01-01T12:00:00"), ("d", "2026-03-01T00:00:00"),
                       ("e", "2026-03-01T23:59:59")):
        fleet.record("n1", name, at(when))
    said = plan(repository, "--keep-daily", 4, "--keep-weekly", 9, "--keep-monthly", 9, "--keep-last", 1)
    assert said == {("n1", "e"): ["last", "daily 2026-03-01", "weekly 2026-W09", "monthly 2026-03", "newest complete"], ("n1", "d"): "remove",
                    ("n1", "c"): ["daily 2026-01-01", "weekly 2026-W01", "monthly 2026-01"],
                    ("n1", "b"): ["daily 2025-12-29", "monthly 2025-12"], ("n1", "a"): ["daily 2025-12-28", "weekly 2025-W52"]}
    text = repository("purge", "--dry-run", "--keep-daily", 4).out
    assert any(line.split() == ["d", "2026-03-01T00:00:00Z", "n1", "remove"] for line in text.splitlines())
    assert "keep daily 2026-03-01" in text


def test_a_name_that_is_kept_on_one_node_is_kept_on_all(records):
    repository, fleet = records
    for day in range(1, 5):
        fleet.record("n1", f"b{day}", at(f"2026-03-0{day}"))
    fleet.record("n2", "b2", at("2026-03-02"))
    fleet.record("n10", "b2", at("2026-03-02"))
    fleet.record("n10", "b4", at("2026-03-04"))
    said = plan(repository, "--keep-last", 1)
    assert said["n1", "b2"] == ["kept on another node"] and said["n1", "b1"] == "remove" and said["n1", "b3"] == "remove"
    assert said["n2", "b2"] == ["last", "newest complete"] and said["n10", "b2"] == ["kept on another node"]
    # Nor is it otherwise where one node is named, and n1 is not n10.
    said = plan(repository, "--keep-last", 1, "--node", "n1")
    assert [key for key, what in said.items() if what == "remove"] == [("n1", "b3"), ("n1", "b1")]


def test_rules_protect_what_is_old_enough(records):
    repository, fleet = records
    now = datetime.now(timezone.utc)
    for days in (0, 3, 9, 10, 11):
        fleet.record("n1", f"d{days}", now - timedelta(days=days, hours=1))
    assert [n for (_, n), what in plan(repository, "--older-than", "9d").items() if what == "remove"] == ["d9", "d10", "d11"]
    assert [n for (_, n), what in plan(repository, "--older-than", "9d", "--keep-last", 4).items() if what == "remove"] == ["d11"]
    assert plan(repository, "--older-than", "1h")["n1", "d0"] == ["newest complete"]
    assert set(plan(repository, "--older-than", "1m", "--force").values()) == {"remove"}


def test_a_decommissioned_node_is_judged_as_the_others(records):
    """n9 and the name that n1 had before have no new backups: theirs go by age; their newest complete one takes --force."""
    repository, fleet = records
    now = datetime.now(timezone.utc)
    for days in (400, 380, 360):
        for node in ("n9", "n1.old"):
            fleet.record(node, f"d{days}", now - timedelta(days=days))
    fleet.record("n1", "today", now - timedelta(hours=2))
    said = plan(repository, "--older-than", "365d")
    assert {key for key, what in said.items() if what == "remove"} == {(node, name) for node in ("n9", "n1.old") for name in ("d400", "d380")}
    said = plan(repository, "--older-than", "30d", "--node", "n9", "--force")
    assert {key for key, what in said.items() if what == "remove"} == {("n9", name) for name in ("d400", "d380", "d360")}


def test_a_backup_that_failed_on_a_node_takes_nobodys_place(records):
    repository, fleet = records
    for day in range(1, 6):
        fleet.record("n1", f"b{day}", at(f"2026-03-0{day}"), peers=2)
        if day < 4:
            fleet.record("n2", f"b{day}", at(f"2026-03-0{day}"), peers=2)
    said = plan(repository, "--keep-last", 2)
    assert said["n1", "b3"] == ["last", "newest complete"] and said["n1", "b2"] == ["last"] and said["n1", "b5"] == ["last"]
    assert said["n1", "b1"] == said["n2", "b1"] == "remove"


@pytest.mark.parametrize("modified", [0, -7200])
def test_what_has_no_time_is_kept_and_named(records, modified):
    repository, fleet = records
    for day in range(1, 4):
        fleet.record("n1", f"b{day}", at(f"2026-03-0{day}"))
    path = fleet.record("n1", "timeless", None)
    os.utime(path, (modified, modified))  # what the record does not say is looked for here
    answer = repository("--json", "purge", "--dry-run", "--keep-last", 1, "--older-than", "1d", "--force", code=FOUND)
    assert [(p["name"], p["action"]) for p in answer.json["plan"] if p["action"] == "keep"] == [("b3", "keep"), ("timeless", "keep")]
    assert "timeless of node n1 is kept" in answer.err


@pytest.mark.parametrize("when", ["1969-12-31T23:00:00", "1970-01-01T00:00:00"])
def test_a_record_that_says_a_time_before_1970_is_damaged_and_nothing_goes(records, when):
    repository, fleet = records
    for day in range(1, 4):
        fleet.record("n1", f"b{day}", at(f"2026-03-0{day}"))
    fleet.record("n1", "old", at(when))
    answer = repository("--json", "purge", "--dry-run", "--keep-last", 1, "--force", code=FOUND)
    assert answer.json["removed_backups"] == [] and "/records/old/" in answer.err


def test_the_same_in_the_configuration(records, program):
    repository, fleet = records
    for day in range(1, 6):
        fleet.record("n1", f"b{day}", at(f"2026-03-0{day}"))
    configuration = program.directory / "purge.conf"
    configuration.write_text("[purge]\nkeep_last = 2\n")

    def kept(*options):
        answer = repository.json("--config", configuration, "purge", "--dry-run", *options)
        return [p["name"] for p in answer["plan"] if p["action"] == "keep"]

    assert kept() == ["b5", "b4"] and kept("--keep-last", 4) == ["b5", "b4", "b3", "b2"] and kept("--keep-daily", 3) == ["b5", "b4", "b3"]
    for line in ("keep_last = some", "older_than = 30", "keep_yearly = 1"):
        configuration.write_text(f"[purge]\n{line}\n")
        assert line.split()[0] in repository("--config", configuration, "purge", "--dry-run", code=USAGE).err


@pytest.mark.parametrize("options, words", [
    ([], ["--keep-last", "[purge]"]), (["--keep-last", 0], ["keeps nothing", "--force"]), (["--keep-daily", 0, "--keep-last", 0], ["keeps nothing"]),
    (["--older-than", "30"], ["--older-than", "30"]), (["--older-than", "0d"], ["--older-than"]), (["--keep-last", "-1"], ["--keep-last"]),
    (["--keep-last", "x"], ["--keep-last"]), (["--keep-last", 1, "b1"], ["b1", "delete"]), (["--force"], ["--keep-last"]),
])
def test_a_policy_that_says_nothing_or_keeps_nothing_is_refused(records, options, words):
    repository, fleet = records
    fleet.record("n1", "b1", at("2026-03-01"))
    answer = repository("purge", *options, code=USAGE)
    assert is_sentence(answer.err) and all(word in answer.err for word in words), answer.err
    assert repository.json("list")["backups"][0]["complete"]


def test_several_clusters_must_be_told_apart(records):
    repository, fleet = records
    for cluster in ("one", "two"):
        for day in (1, 2):
            fleet.record("n1", f"b{day}", at(f"2026-03-0{day}"), cluster=cluster)
    answer = repository("purge", "--keep-last", 1, "--dry-run", code=USAGE)
    assert "one" in answer.err and "two" in answer.err
    assert plan(repository, "--keep-last", 1, "--cluster", "two") == {("n1", "b2"): ["last", "newest complete"], ("n1", "b1"): "remove"}
    assert "three" in repository("purge", "--keep-last", 1, "--cluster", "three", "--dry-run", code=ABSENT).err


# ---- carried out ----

def committed(repository, node="n1"):
    answer = repository("--json", "list", "--node", node, code=None)
    return [b["name"] for b in answer.json["backups"] if b["nodes"][0]["state"] == "committed"]


@pytest.fixture
def five(any_repository, small_node):
    for day in range(1, 6):
        small_node.write(small_node.table("shop", "t"), "t1", "nb-1-big-Data.db", small_node.bytes(200_000))
        any_repository.backup(small_node.data, "t1", f"b{day}")
    return any_repository


def test_what_goes_is_collected_and_what_stays_is_whole(five, small_node, program):
    answer = five.json("purge", "--keep-last", 2)
    assert answer["removed_backups"] == ["b1", "b2", "b3"] and answer["waiting_for"] == []
    assert answer["deleted_objects"] > 0 and answer["deleted_bytes"] > 400_000
    assert committed(five) == ["b5", "b4"]
    five("verify")
    five("restore", "b5", program.directory / "restored")
    assert describe_tree(program.directory / "restored") == describe_snapshot(small_node.data, "t1")
    # Again: there is nothing left to do.
    again = five.json("purge", "--keep-last", 2)
    assert again["removed_backups"] == [] and again["deleted_objects"] == 0
    assert five.json("gc", "--full")["deleted_objects"] == 0


def test_the_only_backup_takes_force(repository, small_node):
    repository.backup(small_node.data, "t1", "only")
    for options in (["--older-than", "1s"], ["--keep-daily", 1]):
        assert repository.json("purge", *options)["removed_backups"] == []
    repository("purge", "--keep-last", 0, code=USAGE)
    assert repository.json("purge", "--keep-last", 0, "--force")["removed_backups"] == ["only"]
    assert repository.json("list")["backups"] == []


def test_a_dry_run_writes_nothing(five):
    if hasattr(five, "path") and os.path.isdir(five.url):
        before = describe_tree(five.path)
        assert five.json("purge", "--keep-last", 1, "--dry-run")["removed_backups"] == ["b4", "b3", "b2", "b1"]
        assert describe_tree(five.path) == before
    assert committed(five) == ["b5", "b4", "b3", "b2", "b1"]


@pytest.mark.parametrize("how", ["cut", "newer", "feature"])
def test_of_a_node_with_a_record_that_cannot_be_read_nothing_goes(repository, small_node, how):
    for node in ("n1", "n2"):
        for day in range(1, 5):
            repository.backup(small_node.data, "t1", f"b{day}", node=node)
    (path,) = (repository.path / f"nodes/{CLUSTER}/n2/records/b1").iterdir()
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        reseal(path, **({"format": 2} if how == "newer" else {"features": {"read": [], "write": [], "collect": ["of-later"]}}))
    before = describe_tree(repository.path / f"nodes/{CLUSTER}/n2")
    answer = repository("--json", "purge", "--keep-last", 1, code=FOUND)
    assert answer.json["removed_backups"] == ["b1", "b2", "b3"]
    assert "b1" in answer.err and "n2" in answer.err
    assert committed(repository, "n1") == ["b4"]
    assert {"b4", "b3", "b2"} <= set(committed(repository, "n2"))
    after = describe_tree(repository.path / f"nodes/{CLUSTER}/n2")
    assert {k: v for k, v in after.items() if not k.startswith(("condemned/", "probe/"))} == before


def test_a_run_that_was_cut_off_is_continued(program, minio_server, small_node):
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()
        for day in range(1, 7):
            repository.backup(small_node.data, "t1", f"b{day}")
        front.rules.append(lambda r: error(403, "AccessDenied") if r.method == "PUT" and "/records/b2/" in r.path else None)
        answer = repository("--json", "purge", "--keep-last", 1, "--connections", 1, code=None)
        assert answer.code in (FAILED, FOUND, STORE) and "b2" in answer.err
        assert "b2" not in answer.json["removed_backups"] and "b2" in committed(repository)
        front.rules.clear()
        assert "b2" in repository.json("purge", "--keep-last", 1)["removed_backups"]
        assert committed(repository) == ["b6"]


def test_credentials_that_may_not_delete_remove_but_do_not_collect(program, minio_server, small_node):
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()
        for day in range(1, 4):
            small_node.write(small_node.table("shop", "t"), "t1", "nb-1-big-Data.db", small_node.bytes(200_000))
            repository.backup(small_node.data, "t1", f"b{day}")
        front.rules.append(lambda r: error(403, "AccessDenied") if r.method in ("POST", "DELETE") else None)
        answer = repository("--json", "purge", "--keep-last", 1, code=STORE)
        assert answer.json["removed_backups"] == ["b1", "b2"] and answer.json["error"]["kind"] == "credentials"
        front.rules.clear()
        assert repository.json("gc")["deleted_objects"] > 0


def test_a_node_that_cannot_be_collected_hides_nothing_of_the_others(program, minio_server, small_node):
    """Nothing to remove any more, and the deletes of the first node are refused: what was freed of the second is told beside the error."""
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()
        for node in ("a1", "b2"):
            for name in ("x", "y", "z"):
                small_node.add_sstable(small_node.table("shop", "orders"), "t1", f"{node}{name}", 1_200_000)
                repository.backup(small_node.data, "t1", name, node=node)
                for component in ("Data.db", "Index.db"):
                    small_node.path(small_node.table("shop", "orders"), "t1", f"nb-{node}{name}-big-{component}").unlink()
        front.rules.append(lambda r: error(403, "AccessDenied") if r.method == "POST" and b"/a1/objects/" in r.body else None)
        repository("delete", "x")
        answer = repository("--json", "purge", "--keep-last", 2, code=STORE)
        assert answer.json["error"]["kind"] == "credentials" and answer.json["removed_backups"] == [] and answer.json["deleted_objects"] > 0
        repository("delete", "y")
        answer = repository("purge", "--keep-last", 2, code=STORE)
        assert "node b2: " in answer.out and "node a1" in answer.err
        front.rules.clear()
        assert repository.json("purge", "--keep-last", 2)["deleted_objects"] > 0

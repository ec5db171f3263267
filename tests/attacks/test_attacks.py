"""All attackers in one course with honest students, graded by both commands: what each gets, and what nobody gets."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dlcourse.grading.collect import student_id

from .arena import (
    CANARY,
    ENTRIES,
    HONEST,
    Arena,
    Listener,
    adopt,
    hidden_numbers,
    left_running,
    traces,
)
from .case import FAMILIES, KEPT, ROOT, Attack, attacks

# A regular expression: only the attacks whose names it finds.
CHOSEN = tuple(a for a in attacks() if re.search(os.environ.get("DLCOURSE_ATTACKS", ""), a.name))

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not on this machine")
pytestmark = [needs_bwrap, pytest.mark.sandbox, pytest.mark.slow]
# What these show is not always the same: /proc/keys lists the kernel's keyrings; a thread prints what was last.
_VARYING = ("stealing_files", "stealing_later_output")
_ADDRESS = re.compile(r"\b(?:0x)?7f[0-9a-f]{10}\b")  # of an object, where a student prints one
SHARED = tuple(map(Path, ("/tmp", "/dev/shm", "/var/tmp", "/run", str(Path.home()))))


class Battle:
    """The same course twice for each command, with and without the attackers."""

    def __init__(self, root: Path):
        adopt()
        self.word = f"trace-{secrets.token_hex(6)}"
        self.listener = Listener(self.word)
        self.start = time.time()
        self.core_pattern = Path("/proc/sys/kernel/core_pattern").read_bytes()
        seeds = {entry: secrets.randbits(62) for entry in ENTRIES}
        self.quiet = {entry: Arena(root / entry / "quiet", entry, seeds[entry], self.word) for entry in ENTRIES}
        self.loud = {entry: Arena(root / entry / "loud", entry, seeds[entry], self.word) for entry in ENTRIES}
        words = {"MARK": self.word, "PORT": str(self.listener.port)}
        for arena in (*self.quiet.values(), *self.loud.values()):
            arena.hand_in_honest()
        for arena in self.loud.values():
            for attack in CHOSEN:
                arena.hand_in(attack, words)
        self.untouched = {entry: arena.untouched() for entry, arena in self.loud.items()}
        with ThreadPoolExecutor(len(ENTRIES)) as pool:
            list(pool.map(self._grade, ENTRIES))
        self.running = left_running()
        self.listener.close()

    def _grade(self, entry: str) -> None:
        for arena in (self.quiet[entry], self.loud[entry]):
            for assignment in KEPT:
                arena.grade(assignment)


@pytest.fixture(scope="module")
def battle(tmp_path_factory) -> Battle:
    return Battle(tmp_path_factory.mktemp("battle"))


def named(attack: Attack) -> str:
    return attack.name


each_entry = pytest.mark.parametrize("entry", ENTRIES)
each_attack = pytest.mark.parametrize("attack", CHOSEN, ids=named)


def test_the_suite_is_large_and_of_all_families():
    assert len(attacks()) >= 50
    assert {attack.family for attack in attacks()} == set(FAMILIES)


@each_entry
@each_attack
def test_it_gets_what_it_has_earned(battle, entry, attack):
    row = battle.loud[entry].row(attack.assignment, student_id(os.fsdecode(attack.folder)))
    assert row is not None, "the gradebook has no row for it"
    if attack.refused:
        assert attack.refused in row.refused
        assert not any(row.points.values())
        return
    assert not row.refused
    # The verdicts of nbgrader's notebooks are those on the public cases; points are decided by the secret ones, in
    # another run. So they agree only where the attack comes out the same in every run.
    public_only = entry == "nbgrader" and attack.name == "forging_public_table"
    for id, verdict in row.verdicts.items():
        assert attack.allowed(id, verdict) or (public_only and verdict == "right"), f"{id}: {verdict}"
        assert attack.allowed(id, "right") or not row.points[id], f"{row.points[id]:g} points for {id}"
        two_runs = entry == "nbgrader" and not attack.settled(id)
        assert (row.points[id] > 0) == (verdict == "right") or public_only or two_runs
    assert set(row.verdicts) == set(row.points)
    for text in attack.shown:
        assert text in row.outputs
    for text in attack.absent:
        assert text not in row.outputs


@each_entry
def test_the_batch_goes_on_to_its_end(battle, entry):
    for arena in (battle.quiet[entry], battle.loud[entry]):
        assert "Traceback" not in arena.said
        assert len(arena.statuses) == len(KEPT) * len(arena.commands("02_backprop")) and not any(arena.statuses)


@each_entry
def test_honest_students_get_the_same_bytes_as_without_attackers(battle, entry):
    quiet, loud = battle.quiet[entry].honest(), battle.loud[entry].honest()
    assert len(quiet) > len(HONEST) * len(KEPT) * 2
    assert quiet == loud
    points = battle.loud[entry].row("02_backprop", "ada").points
    assert sum(points.values()) == 23


@each_entry
def test_the_gradebook_and_the_course_keep_what_they_had(battle, entry):
    assert battle.loud[entry].untouched() == battle.untouched[entry]


@each_entry
def test_students_see_no_secret(battle, entry):
    arena = battle.loud[entry]
    numbers = hidden_numbers(arena.seed)
    assert len(numbers) > 1000
    seen = 0
    for path, text in arena.visible():
        seen += 1
        own = {"ada"} & set(path.relative_to(arena.course).parts) or path.stem == "ada"
        shown = text.replace(arena.canary("answer"), "") if own else text
        assert CANARY not in shown, path
        assert str(arena.seed) not in text, path
        assert str(arena.course) not in shown.replace(f"{arena.course}'", "") or _wrote_path(text, arena), path
        for source in ("BEGIN SOLUTION", "### END", "x.T @ dout, dout.sum(axis=0)"):
            assert source not in text or own or "linear_backward(dout" in text, (path, source)
        found = numbers & set(re.findall(r"-?\d+\.\d+(?:e[+-]\d+)?", text))
        assert not found, (path, sorted(found)[:3])
    assert seen > len(CHOSEN)


def _wrote_path(text: str, arena: Arena) -> bool:
    """Whether the course's folder stands in the student's own source, where the test has put it."""
    return str(arena.course) in text


def test_what_students_see_does_not_depend_on_the_secret_seed(battle):
    """The two commands grade with different seeds, and what cells put out is the same."""
    ours, theirs = (battle.loud[entry] for entry in ENTRIES)
    assert ours.seed != theirs.seed
    for attack in CHOSEN:
        comparable = all(attack.settled(id) for id in KEPT[attack.assignment]) and attack.name not in _VARYING
        if attack.family in ("stealing", "forging") and not attack.refused and comparable:
            student = student_id(os.fsdecode(attack.folder))
            mine, yours = (arena.row(attack.assignment, student) for arena in (ours, theirs))
            said, again = (_ADDRESS.sub("address", each.outputs) for each in (mine, yours))
            again = again.replace(str(theirs.course), str(ours.course))
            assert sorted(said.splitlines()) == sorted(again.splitlines()), attack.name  # threads print in any order


def test_nobody_got_through_to_the_network(battle):
    assert battle.listener.heard == []


def test_no_process_is_left(battle):
    assert battle.running == []


def test_nothing_is_left_on_the_machine(battle):
    for arena in (*battle.loud.values(), *battle.quiet.values()):
        assert sorted(path.name for path in arena.temporary.iterdir()) == ["key"]
    elsewhere = [arena.temporary for arena in battle.loud.values()] + [arena.home for arena in battle.loud.values()]
    packages = Path(pytest.__file__).parent.parent
    found = traces(battle.word, battle.start, (*SHARED, *elsewhere, ROOT / "dlcourse", packages))
    submissions = [str(arena.root) for arena in (*battle.loud.values(), *battle.quiet.values())]
    planted = ("key",)
    assert [f for f in found if not (f.startswith(tuple(submissions)) and _expected(f, planted))] == []
    assert Path("/proc/sys/kernel/core_pattern").read_bytes() == battle.core_pattern


def _expected(path: str, planted: tuple[str, ...]) -> bool:
    return "/course/" in path or Path(path).name in planted


class _Page(HTMLParser):
    """What a page could make a browser do: scripts, addresses and event handlers."""

    def __init__(self):
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        self.handlers += [name for name in values if name.startswith("on")]
        self.addresses += [values[n] for n in ("src", "href", "action", "data", "srcset", "poster") if n in values]
        if tag == "meta" and values.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = values.get("content", "")
        elif tag == "meta":
            assert values.get("http-equiv", "").lower() != "refresh"

    handle_startendtag = handle_starttag


@each_entry
def test_pages_hold_nothing_that_a_browser_would_run_or_fetch(battle, entry):
    pages = [(path, text) for path, text in battle.loud[entry].visible() if path.suffix == ".html"]
    assert len(pages) > len(CHOSEN) / 2
    for path, text in pages:
        page = _Page()
        page.feed(text)
        assert "default-src 'none'" in page.policy, path
        assert "script" not in page.policy.replace("script-src 'none'", ""), path
        assert not {"script", "iframe", "object", "embed", "base", "form", "link", "svg"} & set(page.tags), path
        assert not page.handlers, path
        allowed = ("#", "data:image/png;base64,", "data:image/jpeg;base64,", "http://", "https://", "mailto:")
        assert [a for a in page.addresses if not a.startswith(allowed)] == [], path

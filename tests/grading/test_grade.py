"""``grade`` on real submissions in the real sandbox: points where they are due, verdicts with names elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import json
import time

import psutil
import pytest

from dlcourse.grading import feedback, warm
from dlcourse.grading.grade import grade

from .conftest import RIGHT, SECRET_SEED, needs_bwrap, notebook

pytestmark = [needs_bwrap, pytest.mark.sandbox]

INSIDE = "# exercise: conv.both\ndef both(x, y):\n    {}\n    return x @ y, x.sum()"


def verdicts(result) -> dict[str, str]:
    return {entry.exercise_id: entry.verdict for entry in result.entries}


def test_a_right_answer_gets_its_points(assignment, limits):
    result = grade(notebook(), assignment, SECRET_SEED, limits)
    assert (result.score, result.max_score) == (3, 3)
    assert verdicts(result) == {"conv.both": "right", "conv.number": "right"}


def test_the_same_bytes_and_seed_give_the_same_result(assignment, limits):
    once, again = (grade(notebook(both="def both(x, y): return x"), assignment, 5, limits) for _ in range(2))
    pages = [feedback.page(assignment, "ada", result) for result in (once, again)]
    assert pages[0] == pages[1] and once.notebook == again.notebook


# Each costs the exercise that it happens in, and nothing else.
LOST = {
    "endless cell": ("while True: pass", "time limit"),
    "endless function": (INSIDE.format("while True: pass"), "time limit"),
    "exit in a function": (INSIDE.format("import os; os._exit(0)"), "crashed"),
    "exit in a cell": ("import os; os._exit(1)", "crashed"),
    "sys.exit": ("import sys; sys.exit(0)", "not written"),
    "syntax error": ("def both(x, y:", "not written"),
    "prints without end": ("while True: print('x' * 1000)", "output limit"),
    "wrong": (INSIDE.format("x = x + 1"), "wrong"),
    "raises": (INSIDE.format("raise RuntimeError('no')"), "wrong"),
    "not a number": (INSIDE.format("return float('nan'), 1"), "wrong"),
    "an object": (INSIDE.format("return object()"), "wrong"),
    "equal to everything": (
        "class Yes(float):\n    __eq__ = lambda *a: True\n# exercise: conv.both\ndef both(x, y): return Yes(0), Yes(0)",
        "wrong",
    ),
    "a withheld function of a library": (
        INSIDE.format("from scipy.signal import correlate2d; correlate2d(x, y)"),
        "withheld",
    ),
    "a withheld function of ours": (INSIDE.format("import dlcourse.conv; dlcourse.conv.im2col(x)"), "withheld"),
    "looks for the specification": (INSIDE.format("import dlcourse.exercises.conv"), "wrong"),
    "looks for the network": (INSIDE.format("import socket; socket.create_connection(('1.1.1.1', 53), 1)"), "wrong"),
}


@pytest.mark.parametrize("name", LOST)
def test_a_wrong_answer_loses_its_points_and_no_others(name, assignment, limits):
    source, verdict = LOST[name]
    result = grade(notebook(both=source), assignment, SECRET_SEED, limits)
    assert verdicts(result) == {"conv.both": verdict, "conv.number": "right"}


def test_a_fork_bomb_ends_at_one_of_the_limits(assignment, limits):
    result = grade(notebook(both="import os\nwhile True: os.fork()"), assignment, SECRET_SEED, limits)
    assert verdicts(result)["conv.both"] in ("process limit", "memory limit", "time limit")
    assert verdicts(result)["conv.number"] == "right"


def test_memory_is_limited(assignment, limits):
    small = dataclasses.replace(limits, memory=400 << 20, cell_seconds=20)
    greedy = "hoard = [bytearray(b'x' * 50_000_000) for _ in range(100)]"
    result = grade(notebook(both=greedy), assignment, SECRET_SEED, small)
    assert verdicts(result) == {"conv.both": "memory limit", "conv.number": "right"}


def test_a_known_mistake_is_recognised_in_the_feedback(assignment, limits):
    result = grade(notebook(both="def both(x, y): return x @ y, x.mean()"), assignment, SECRET_SEED, limits)
    assert result.entries[0].mistake == "mean_for_sum"
    assert "The second result is a sum." in feedback.page(assignment, "ada", result)


def test_an_answer_fitted_to_the_public_cases_gets_nothing(assignment, limits):
    exercise = assignment.exercises[0]
    public = [case.calls[0].args for case in exercise.make_cases(0)]
    fitted = {repr(x.tolist()): [v.tolist() for v in exercise.reference(x, y)] for x, y in public}
    source = f"table = {fitted!r}\ndef both(x, y): return tuple(table[repr(x.tolist())])"
    result = grade(notebook(both=source), assignment, SECRET_SEED, limits)
    assert result.entries[0].public.passed and result.entries[0].points == 0
    assert "fits only the cases" in result.entries[0].note


def test_hidden_inputs_do_not_come_out(assignment, limits):
    """A student's cell that prints what its function was given shows the public inputs, never the secret ones."""
    spying = "seen = []\ndef both(x, y):\n    seen.append(x); raise ValueError(str(x))"
    tell = {"cell_type": "code", "id": "tell", "metadata": {}, "source": "print(seen); raise ValueError(seen)"}
    tell |= {"outputs": [], "execution_count": None}
    result = grade(notebook(both=spying, extra=[tell]), assignment, SECRET_SEED, limits)
    visible = feedback.page(assignment, "ada", result) + json.dumps(result.notebook)
    secret = [case.calls[0].args[0] for case in assignment.exercises[0].make_cases(SECRET_SEED)]
    public = [case.calls[0].args[0] for case in assignment.exercises[0].make_cases(0)]

    def printed(x):
        return [f"{abs(number):.8f}"[:-2] for number in x.ravel()]

    assert any(digits in visible for digits in printed(public[0]))
    assert not any(digits in visible for x in secret for digits in printed(x))
    assert str(SECRET_SEED) not in visible


def test_student_html_is_escaped_in_the_feedback(assignment, limits):
    page_of = "from IPython.display import HTML\nHTML('<script>alert(1)</script>')\n# <script>alert(2)</script>"
    result = grade(notebook(both=page_of), assignment, SECRET_SEED, limits)
    page = feedback.page(assignment, "<script>alert(3)</script>", result)
    assert "<script" not in page and "default-src 'none'" in html.unescape(page)


def test_the_sandbox_sees_no_other_files_and_leaves_no_process(assignment, limits, tmp_path):
    (tmp_path / "other-student.txt").write_text("secret of another student")
    look = f"import pathlib\nprint('found', list(pathlib.Path({str(tmp_path)!r}).glob('*')))"
    sources = [look, "print(open('/etc/passwd').read())", "print(open('/proc/1/environ').read())"]
    cells = [{"cell_type": "code", "metadata": {}, "source": source} for source in sources]
    result = grade(notebook(extra=cells), assignment, SECRET_SEED, limits)
    assert "found []" in json.dumps(result.notebook)
    assert result.score == 3
    assert "other-student" not in json.dumps(result.notebook) and "root:" not in json.dumps(result.notebook)
    warm.close()
    until = time.monotonic() + 30
    while (left := _sandboxes()) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left


def _sandboxes() -> list[psutil.Process]:
    left = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "bwrap" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
    return left


def test_names_that_students_shadow_do_no_harm(assignment, limits):
    shadow = RIGHT + "\nlist = dict = str = open = print = sum = 3\ndlcourse = numpy = None"
    assert grade(notebook(both=shadow), assignment, SECRET_SEED, limits).score == 3


def test_warnings_and_prints_cost_nothing(assignment, limits):
    chatty = "import warnings, sys\n" + INSIDE.format("warnings.warn('careful'); print(x); print(y, file=sys.stderr)")
    assert grade(notebook(both=chatty), assignment, SECRET_SEED, limits).score == 3


def test_refused_files_are_a_result_with_a_reason(assignment, limits):
    result = grade(b"not a notebook", assignment, SECRET_SEED, limits)
    assert result.refused and result.score == 0 and not result.entries


def test_without_the_sandbox_the_points_are_the_same(assignment, limits):
    walled = grade(notebook(both="def both(x, y): return 1"), assignment, SECRET_SEED, limits)
    trusted = grade(notebook(both="def both(x, y): return 1"), assignment, SECRET_SEED, limits, walled=False)
    assert verdicts(walled) == verdicts(trusted)

"""Correct code keeps its points in the sandbox, however it behaves meanwhile and in whatever form it answers."""

from __future__ import annotations

import ast
import dataclasses
import sys
from pathlib import Path

import nbformat
import pytest

from dlcourse.exercises import ASSIGNMENTS
from dlcourse.grading.course import Course
from dlcourse.grading.grade import grade
from dlcourse.grading.limits import Limits

from .conftest import RIGHT, SECRET_SEED, cell, needs_bwrap, notebook

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [needs_bwrap, pytest.mark.sandbox]

FIRST = "# exercise: conv.both\nimport sys, warnings, logging, time, os\nimport numpy as np\n"
BODY = FIRST + "def both(x, y):\n    {}\n    return x @ y, x.sum()"
RESULT = FIRST + "def both(x, y):\n    out, total = x @ y, x.sum()\n    return {}"

BEHAVES = {
    "prints": "print(x, y)",
    "prints to stderr": "print('careful', file=sys.stderr, flush=True)",
    "writes bytes": "sys.stdout.buffer.write(b'raw'); sys.stdout.flush()",
    "writes to the descriptors": "os.write(1, b'raw'); os.write(2, b'raw')",
    "asks about its output": "sys.stdout.isatty(); sys.stdout.encoding; sys.stdout.writable(); sys.stderr.fileno()",
    "runs a program": "import subprocess; subprocess.run(['echo', 'hello'], check=True)",
    "warns": "warnings.warn('careful'); warnings.warn('old', DeprecationWarning)",
    "divides by zero": "np.zeros(3) / np.zeros(3); np.exp(np.array([1e4])); np.log(np.zeros(1))",
    "logs": "logging.basicConfig(level=0); logging.error('something'); logging.debug(x)",
    "is slow": "time.sleep(1)",
    "shows a progress bar": "from tqdm.auto import tqdm; [i for i in tqdm(range(10))]",
    "displays": "from IPython.display import display; display(x)",
    "draws": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
    "writes a file": "import tempfile; np.save(tempfile.mkdtemp() + '/x.npy', x)",
    "starts threads": "from concurrent.futures import ThreadPoolExecutor as T; list(T(4).map(abs, range(9)))",
    "starts a process": (
        "import multiprocessing as m; p = m.get_context('fork').Process(target=abs, args=(1,)); p.start(); p.join()"
    ),
    "seeds the global generators": "np.random.seed(1); import random, torch; random.seed(1); torch.manual_seed(1)",
    "changes torch's defaults": "import torch; torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)",
    "is strict with floats": "np.seterr(all='raise')",
    "is strict with warnings": "warnings.simplefilter('error')",
    "prints short arrays": "np.set_printoptions(precision=1, threshold=2)",
    "uses all cores": "import torch; torch.set_num_threads(4); torch.ones(300, 300) @ torch.ones(300, 300)",
    "catches errors": "\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        pass",
    "spoils its inputs later": "x, y = x.copy(), y.copy(); import gc; gc.disable()",
    "goes deep": "f = lambda n: n and f(n - 1); f(500)",
    "leaves a thread running": "import threading; threading.Thread(target=time.sleep, args=(1,), daemon=True).start()",
    "sets a handler": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
}
ANSWERS = {
    "float32": "out.astype(np.float32), np.float32(total)",
    "a list": "[out, total]",
    "nested lists": "[out.tolist(), float(total)]",
    "a named tuple": "__import__('collections').namedtuple('Both', 'out total')(out, total)",
    "Fortran order": "np.asfortranarray(out), total",
    "a transposed copy": "np.ascontiguousarray(out.T).T, total",
    "a strided view": "np.repeat(out, 2, axis=1)[:, ::2], total",
    "a view from behind": "out[::-1].copy()[::-1], total",
    "other byte order": "out.astype('>f8'), total",
    "long doubles": "out.astype(np.longdouble), np.longdouble(total)",
    "a read-only array": "np.broadcast_to(out, out.shape), total",
    "a matrix": "np.matrix(out), total",
    "an unmasked array": "np.ma.masked_array(out), np.array(total)",
    "tensors": "__import__('torch').from_numpy(out), __import__('torch').tensor(total)",
    "recorded tensors": "__import__('torch').tensor(out, requires_grad=True) * 1, total",
    "float32 tensors": "__import__('torch').tensor(out).float(), __import__('torch').tensor(total).float()",
    "a parameter": "__import__('torch').nn.Parameter(__import__('torch').tensor(out)), total",
}


@pytest.fixture
def assignment(assignment):
    """The small assignment with torch imported beforehand, as in the real ones."""
    setup = cell("setup", "import numpy as np\nimport torch")
    return dataclasses.replace(
        assignment, template={**assignment.template, "cells": [setup, *assignment.template["cells"]]}
    )


def score(source: str, assignment, limits, **more) -> tuple[float, list[str]]:
    result = grade(notebook(both=source, **more), assignment, SECRET_SEED, limits)
    return result.score, [f"{entry.verdict} {entry.note} {entry.public}" for entry in result.entries]


@pytest.mark.parametrize("name", BEHAVES)
def test_how_code_behaves_costs_no_point(name, assignment, limits):
    points, said = score(BODY.format(BEHAVES[name]), assignment, limits)
    assert points == 3, said


@pytest.mark.parametrize("name", ANSWERS)
def test_how_an_answer_is_laid_out_costs_no_point(name, assignment, limits):
    points, said = score(RESULT.format(ANSWERS[name]), assignment, limits)
    assert points == 3, said


@pytest.mark.parametrize(
    "source",
    [
        "both = lambda x, y: (x @ y, x.sum())",
        "class Both:\n    def __call__(self, x, y):\n        return x @ y, x.sum()\nboth = Both()",
        "import functools\ndef three(z, x, y):\n    return x @ y, x.sum()\nboth = functools.partial(three, 0)",
        "def outer():\n    def both(x, y):\n        return x @ y, x.sum()\n    return both\nboth = outer()",
        "%matplotlib inline\n!true\n%time 1 + 1\n" + RIGHT,
        "from __future__ import annotations\n" + RIGHT + "\nboth(np.ones((2, 2)), np.ones((2, 2)))",
        "def both(x, y):\n    raise ValueError\n" + RIGHT,
        RIGHT + "\nassert False, 'a check of my own that fails after the answer is there'",
        RIGHT + "\nprint('x' * 100_000)\nimport warnings; warnings.warn('careful')",
        "both = None\n" + RIGHT + "\ncheck('conv.both')",
    ],
    ids=[
        "lambda",
        "object",
        "partial",
        "closure",
        "magics",
        "future",
        "defined twice",
        "assert",
        "long output",
        "check",
    ],
)
def test_how_an_answer_is_written_costs_no_point(source, assignment, limits):
    points, said = score("# exercise: conv.both\nimport numpy as np\n" + source, assignment, limits)
    assert points == 3, said


def test_practice_cells_that_fail_cost_no_point(assignment, limits):
    sources = ["1 / 0", "def broken(", "%no_such_magic", "raise SystemExit", "import no_such_module", "\x00"]
    extra = [{"cell_type": "code", "metadata": {}, "source": source} for source in sources]
    points, said = score(RIGHT, assignment, limits, extra=extra)
    assert points == 3, said


# --- Whole assignments --------------------------------------------------------------------------------------------

MANNERED = """
import functools, logging, sys, time, warnings

def _mannered(function):
    @functools.wraps(function)
    def answer(*args, **kwargs):
        print("working", file=sys.stderr)
        print("on it")
        warnings.warn("this takes a while")
        logging.error("still here")
        time.sleep(0.002)
        return function(*args, **kwargs)
    return answer

if isinstance({name}, type):
    {name}.__init__ = _mannered({name}.__init__)
elif callable({name}):
    {name} = _mannered({name})
"""


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_alternatives_with_manners_get_full_marks(name, which):
    """The first or the last of each exercise's alternatives, noisy and slow, in one notebook."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from make_samples import Maker
    finally:
        sys.path.pop(0)
    maker = Maker(name)
    table = maker.others.by_name["ALTERNATIVES"].value
    listed = {ast.literal_eval(key): answers for key, answers in zip(table.keys, table.values, strict=True)}

    def answer(i, exercise):
        expression = listed[exercise.id].elts[which]
        source = f"# exercise: {exercise.id}\n{maker.others.closure(expression)}\n"
        source += f"{exercise.name} = {ast.unparse(expression)}\n"
        return source + MANNERED.format(name=exercise.name)

    data = nbformat.writes(nbformat.from_dict(maker.filled(answer))).encode()
    result = grade(data, Course(ROOT).assignment(name), SECRET_SEED, Limits())
    assert result.score == result.max_score, [str(entry.public) for entry in result.entries if not entry.points]

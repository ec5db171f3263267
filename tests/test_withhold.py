"""What an exercise withholds: found in the text, refused in the process, under whatever name it goes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dlcourse import exercises
from dlcourse.check.withhold import uses

NAMES = ("torch.nn.functional.conv2d", "scipy.signal.convolve2d")
WRITTEN = {
    "import as": "import torch.nn.functional as F\nF.conv2d(1)",
    "full name": "import torch\ntorch.nn.functional.conv2d(1)",
    "from import": "from torch.nn.functional import conv2d",
    "under another name": "from torch.nn import functional\ng = functional\ng.conv2d",
    "getattr": "import torch\ngetattr(torch.nn.functional, 'conv2d')",
    "import_module": "import importlib\nimportlib.import_module('torch.nn.functional').conv2d",
    "__import__": "__import__('torch.nn.functional').conv2d",
    "inside a function that nobody calls": "import torch\ndef f():\n    return torch.nn.functional.conv2d",
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_withheld_name_is_found_in_the_text(how):
    found = uses([WRITTEN[how]], NAMES)
    assert {name for name, _, _ in found} == {"torch.nn.functional.conv2d"}
    assert found[-1][2] == WRITTEN[how].count("\n") + 1


def test_imports_of_one_cell_hold_in_the_next():
    assert uses(["from scipy import signal", "x = 1\nsignal.convolve2d(x)"], NAMES) == [(NAMES[1], 1, 2)]


@pytest.mark.parametrize(
    "code", ["import torch\ntorch.nn.functional.relu(1)", "conv2d = 3\nconv2d", "def broken(", "\x00"]
)
def test_other_code_is_not_accused(code):
    assert uses([code], NAMES) == []


REFUSED = {
    "the name itself": "import scipy.signal; scipy.signal.convolve2d(x, w)",
    "the module it comes from": "from scipy.signal import _signaltools; _signaltools.convolve2d(x, w)",
    "what the module calls": "from scipy.signal import _sigtools; _sigtools._convolve2d(x, w, 1, 2, 0, 0)",
    "torch": "import torch; torch.conv2d(t, t)",
    "a layer": "import torch; torch.nn.Conv2d(1, 1, 3)(t)",
    "an operator": "import torch; torch.ops.aten.conv2d(t, t)",
    "its overload": "import torch; torch.ops.aten.conv2d.default(t, t)",
    "a method": "import torch; torch.ones(1, requires_grad=True).backward()",
    "torch's own table": "import torch; torch._C._VariableFunctions.conv2d(t, t)",
}


@pytest.mark.parametrize("early", [True, False], ids=["imported before", "imported later"])
def test_a_withheld_function_is_refused_by_all_its_names(early):
    withhold = ["scipy.signal.convolve2d", "scipy.signal._sigtools._convolve2d", "torch.conv2d"]
    withhold += ["torch.ops.aten.conv2d", "torch.ops.aten.convolution", "torch.Tensor.backward", "torch.Tensor.grad_fn"]
    tries = "\n".join(f"attempt({how!r}, lambda: exec({code!r}, globals()))" for how, code in REFUSED.items())
    program = f"""
import numpy as np
from dlcourse.check.withhold import Withheld, forever
x = w = np.ones((3, 3))
{"import torch, scipy.signal" if early else ""}
forever({withhold!r})
import torch
t = torch.ones(1, 1, 3, 3)
def attempt(how, call):
    try:
        call()
    except Withheld:
        print("refused:", how)
{tries}
assert (torch.ones(1, requires_grad=True) * 2).grad_fn is None and "2." in repr(torch.ones(1, requires_grad=True) * 2)
assert (t @ t).sum() == 27 and torch.sigmoid(t).shape == t.shape
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"refused: {how}" for how in REFUSED]


def test_what_a_topic_takes_from_another_is_withheld_at_home_too():
    names = exercises.withheld(exercises.assignment("02_backprop"))
    assert {"dlcourse.mlp.sigmoid_forward", "dlcourse.activations.sigmoid_forward"} <= set(names)


LIBRARY = """
import torch
from dlcourse.check.withhold import Withheld, forever
forever(["torch.nn.LSTM", "torch.nn.GRU", "torch.nn.MultiheadAttention"])
import torch.ao.nn.quantizable  # it inherits from what is withheld
assert not isinstance(torch.nn.Linear(1, 1), torch.nn.LSTM)
class Mine(torch.nn.LSTM):
    def __init__(self): pass
for make in (Mine, torch.nn.LSTM, torch.nn.modules.rnn.GRU, lambda: torch.nn.MultiheadAttention(4, 1)):
    try:
        make()
    except Withheld as refused:
        print(refused)
"""


def test_a_withheld_class_can_be_inherited_from_and_not_be_used():
    """torch imports parts of itself in the middle of an innocent answer; they must not stumble over a refusal."""
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["torch.nn.LSTM", "torch.nn.LSTM", "torch.nn.GRU", "torch.nn.MultiheadAttention"]

"""No assignment goes untested: each has a class that inherits the contract."""

from __future__ import annotations

import importlib

import pytest

from dlcourse.exercises import ASSIGNMENTS

from .common import Contract


@pytest.mark.parametrize(("assignment", "topic"), ASSIGNMENTS.items())
def test_every_assignment_keeps_to_the_contract(assignment, topic):
    module = importlib.import_module(f"{__package__}.test_{topic}")
    classes = [
        c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Contract) and c is not Contract
    ]
    assert [c.assignment for c in classes if c.__name__.startswith("Test")] == [assignment]
    assert classes[0].alternatives.__name__.endswith(f"alternatives_{topic}")

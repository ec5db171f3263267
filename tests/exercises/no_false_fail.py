"""No correct solution loses a point, whatever the seed, the form of its results or the manners of its code.

Part of the ``Contract``, so every assignment is covered as it comes. The long run, for more seeds and the trained
exercises too: ``python benchmarks/false_fail.py``.
"""

from __future__ import annotations

import warnings

import numpy as np

from dlcourse.exercises.compare import AtLeast, Holds
from dlcourse.exercises.spec import PUBLIC_SEED

from .forms import FORMS, MANNERS, mannered
from .right import Round, reformed, right_answers, tally, wrong_answers

# All of them where that takes no more than these seconds, else as many as it allows, but these at least. Training takes
# seconds a seed. The long run has them all.
SEEDS, SECONDS, LEAST, LEAST_TRAINED = range(200), 5.0, 40, 2
FEW_SEEDS = (0, 7, 20260)


def manners(exercise):
    """Trained answers take long: one run with all manners at once."""
    return ["all together"] if exercise.kind == "trained" else list(MANNERS)


def tried(exercise, wrong):
    """Rounds of a few seeds, and in each what the right or the wrong answers gave."""
    listed = wrong_answers(exercise) if wrong else right_answers(exercise)
    for seed in FEW_SEEDS[: 1 if exercise.kind == "trained" else 3 if wrong else 2]:
        round = Round(exercise, seed)
        for name, answer in listed.items():
            yield round, name, round.outcomes(answer)


class NoFalseFail:
    """Inherited by ``Contract``, which supplies ``exercise`` and ``manner``."""

    def test_right_answers_pass_under_every_seed(self, exercise):
        least = LEAST_TRAINED if exercise.kind == "trained" else LEAST
        counted = tally(exercise, SEEDS, SECONDS, least)
        assert counted.gradings >= least * len(right_answers(exercise))
        assert not counted.failures, "\n".join(counted.failures[:10])
        # What passes by a hair under 200 seeds fails under some other.
        assert counted.strain < 0.5

    def test_right_answers_pass_in_every_form(self, exercise):
        failed = []
        for round, name, outcomes in tried(exercise, wrong=False):
            for form, change in FORMS.items():
                said = round.says(reformed(outcomes, change))
                if said is not None:
                    failed.append(f"{name}, {form}, seed {round.seed}, {said}")
        assert not failed, "\n".join(failed[:10])

    def test_wrong_answers_fail_in_every_form(self, exercise):
        passed = []
        for round, name, outcomes in tried(exercise, wrong=True):
            for form, change in FORMS.items():
                # Every failure has a sentence.
                if not round.says(reformed(outcomes, change)):
                    passed.append(f"{name}, {form}, seed {round.seed}")
        assert not passed

    def test_manners_change_no_verdict(self, exercise, manner, capsys):
        round = Round(exercise, PUBLIC_SEED)
        for wrong in (False, True):
            listed = wrong_answers(exercise) if wrong else right_answers(exercise)
            for name, answer in listed.items():
                with warnings.catch_warnings(record=True), np.errstate(all="warn"):
                    warnings.simplefilter("always")
                    said = round.says(round.outcomes(mannered(answer, manner)))
                assert bool(said) == wrong, f"{name}: {said}"
        if manner == "noisy" and exercise.kind != "number":
            said = capsys.readouterr()
            assert "100 of 100 points" in said.out and "careful" in said.err

    def test_what_is_judged_by_chance_states_its_rate(self, exercise):
        if isinstance(exercise.compare, Holds | AtLeast):
            assert exercise.compare.false_fail.rate <= 1e-6
            assert len(exercise.compare.false_fail.why) > 40
        else:
            assert not hasattr(exercise.compare, "false_fail")

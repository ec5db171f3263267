"""The pond: the environment, what is known of it, and what is learnt."""

import math
import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from dlcourse import pond

angles = st.floats(-math.pi, math.pi)


def simulated(r, gap, heading, ratio, length, pieces=2000):
    """The same way in many small pieces, by the angles' differential equation."""
    x, y = r, 0.0
    for _ in range(pieces):
        nx, ny = x + length / pieces * math.cos(heading), y + length / pieces * math.sin(heading)
        gap += math.atan2(x * ny - y * nx, x * nx + y * ny) - ratio * length / pieces
        x, y = nx, ny
    return math.hypot(x, y), gap


def test_the_environment_is_one_of_gymnasium():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(pond.Pond())
        check_env(pond.Pond(4.5, limit=3))


def test_the_critical_ratios_are_the_published_ones():
    assert pond.critical_ratio() == pytest.approx(4.6033388, abs=1e-6)
    assert pond.critical_ratio(pond.radial_margin) == pytest.approx(math.pi + 1)


@pytest.mark.parametrize("ratio", [1.5, 3.0, 4.3])
def test_no_straight_dash_leaves_more_than_the_tangent(ratio):
    """Headings other than the tangent, tried numerically from (1 / ratio, π)."""
    margins = []
    for heading in np.linspace(0, math.pi / 2, 91):
        moved = pond.move(1 / ratio, math.pi, heading, ratio, step=3.0)
        assert moved.landed
        margins.append(float(moved.margin))
    assert np.argmax(margins) == 90
    assert margins[90] == pytest.approx(pond.tangent_margin(ratio))
    assert margins[0] == pytest.approx(pond.radial_margin(ratio))


@given(st.floats(0.05, 0.9), st.floats(0.5, math.pi - 0.5), angles, st.floats(1.0, 5.0))
def test_a_step_is_the_sum_of_many_small_ones(r, gap, heading, ratio):
    moved = pond.move(r, gap, heading, ratio, step=0.02)
    if not moved.landed:
        wanted = simulated(r, gap, heading, ratio, 0.02, pieces=50)
        np.testing.assert_allclose((moved.r, moved.margin), wanted, atol=1e-9)


@given(st.floats(0, 1), st.floats(0, math.pi), angles, st.floats(1.0, 6.0), st.floats(1e-3, 0.3))
def test_states_stay_in_the_pond(r, gap, heading, ratio, step):
    moved = pond.move(r, gap, heading, ratio, step)
    assert 0 <= moved.r <= 1 and 0 <= moved.gap <= math.pi
    if moved.landed:
        assert moved.r == 1


def test_a_cat_that_arrived_stays():
    moved = pond.move(0.5, 0.01, 0.0, 4.0)
    assert moved.gap == 0 and moved.margin < 0
    through = pond.move(0.01, 0.2, -math.pi / 2, 4.0)  # past the cat's direction: it turns round
    assert through.passed and float(through.gap) == pytest.approx(math.atan2(0.03, 0.01) - 0.2 - 0.12)
    behind = pond.move(0.1, math.pi - 0.01, math.pi / 2, 4.0)  # the mouse turns faster: the cat's other side is shorter
    assert behind.passed and behind.gap < math.pi


@pytest.mark.parametrize("ratio", [2.0, 4.0, 4.59, 4.62])
@pytest.mark.parametrize("heading", ["tangent", "radial"])
def test_a_dash_in_the_environment_leaves_what_the_formula_says(ratio, heading):
    played = pond.play(ratio, pond.dash(ratio, heading), (1 / ratio, math.pi))
    margin = {"tangent": pond.tangent_margin, "radial": pond.radial_margin}[heading](ratio)
    assert played.escaped == (margin > 0)
    if margin > 0:
        assert played.margin == pytest.approx(margin, abs=1e-5)
    assert np.hypot(*played.mouse[-1]) == pytest.approx(1)


def test_what_info_tells_is_where_they_are():
    env = pond.Pond(3.0)
    env.reset(options={"state": (0.3, 2.0)})
    rng = np.random.default_rng(0)
    place, cat = np.array([0.3, 0.0]), -2.0
    for _ in range(40):
        heading = rng.uniform(-1, 1)
        seen, _, over, _, info = env.step(np.array([heading]))
        gap = math.remainder(info["cat"] - math.atan2(*info["mouse"][::-1]), 2 * math.pi)
        assert abs(gap) == pytest.approx(seen[1], abs=1e-5)
        assert np.hypot(*(info["mouse"] - place)) == pytest.approx(pond.STEP, abs=1e-9) or over
        assert abs(math.remainder(info["cat"] - cat, 2 * math.pi)) <= 3.0 * pond.STEP + 1e-9
        place, cat = info["mouse"], info["cat"]
        if over:
            break


def test_an_episode_is_cut_off_and_rewards_are_signs():
    env = pond.Pond(4.0, limit=5)
    env.reset(seed=0)
    assert [env.step(np.array([0.0]))[3] for _ in range(5)] == [False] * 4 + [True]
    for gap, reward in ((3.0, 1.0), (0.0, -1.0)):
        env.reset(options={"state": (0.99, gap)})
        assert env.step(np.array([0.0]))[1:3] == (reward, True)


@given(st.floats(0, 1), st.floats(0, math.pi))
def test_corners_read_a_plane_exactly(r, gap):
    places, shares = pond.corners(r, gap, 7, 9)
    i, j = np.divmod(places, 9)
    assert shares.min() >= 0 and shares.sum() == pytest.approx(1)
    assert (shares * i).sum() == pytest.approx(6 * r) and (shares * j).sum() == pytest.approx(8 * gap / math.pi)


def test_values_are_a_fixed_point_and_the_rim_is_known():
    table = pond.value_iteration(4.0, 11, 8, step=0.1, tol=1e-10)
    np.testing.assert_allclose(table.values[-1], np.linspace(0, np.pi, 11))
    ahead = pond.move(0.5, np.pi * 0.7, table.headings, 4.0, 0.1)
    places, shares = pond.corners(ahead.r, ahead.gap, 11, 11)
    later = table.discount * (shares * table.values.ravel()[places]).sum(axis=0)
    assert table.values[5, 7] == pytest.approx(np.where(ahead.landed, np.maximum(ahead.margin, 0), later).max())


def test_the_learnt_ratio_is_near_the_known_one_and_not_above():
    found = pond.highest_ratio(lambda k: pond.greedy(pond.value_iteration(k)), 4.0, 5.0, tol=0.02)
    assert 4.5 < found <= pond.critical_ratio() + 0.02


def test_what_is_learnt_from_random_steps_escapes():
    q = pond.q_learning(3.2, np.random.default_rng(0), size=21, headings=16, rounds=60, tries=10_000)
    assert q.values.shape == (21, 21, 16)
    assert pond.play(3.2, pond.greedy(q)).escaped
    assert not pond.play(5.0, pond.greedy(q)).escaped


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pond.Pond(0.5), "ratio is 0.5"),
        (lambda: pond.Pond(step=0), "step is 0"),
        (lambda: pond.Pond().reset(options={"state": (1.5, 0)}), "state is"),
        (lambda: pond.dash(4.0, "left"), "heading is 'left'"),
        (lambda: pond.value_iteration(4.0, size=2), "size is 2"),
        (lambda: pond.highest_ratio(pond.dash, 5.0, 6.0), "does not escape"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Levitation: physics against SciPy's solver and by energy, the environment, the controllers."""

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from dlcourse import levitation, policy

REST = np.array([[levitation.TARGET, 0.0]])


def test_the_environment_is_one_of_gymnasium():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(levitation.Levitation())


def test_the_holding_current_holds():
    assert 0.8 < levitation.HOLD < 0.9
    np.testing.assert_allclose(levitation.acceleration(REST, np.array([levitation.HOLD])), 0, atol=1e-12)
    np.testing.assert_allclose(levitation.advance(REST, np.array([levitation.HOLD]), 0.01), REST, atol=1e-12)


def test_without_a_current_it_falls_freely():
    found = levitation.advance(REST, np.zeros(1), 0.02, substeps=3)
    np.testing.assert_allclose(found[0], [6e-3 + 9.81 * 0.02**2 / 2, 9.81 * 0.02])


@given(st.floats(4e-3, 9e-3), st.floats(-0.2, 0.2), st.floats(0.4, 1.4))
def test_a_tick_is_scipy_s(x, speed, current):
    found = levitation.advance(np.array([[x, speed]]), np.array([current]))[0]
    exact = solve_ivp(
        lambda t, s: levitation.acceleration(s[None], np.array([current]))[0], (0, levitation.TICK), [x, speed],
        rtol=1e-10, atol=1e-13,
    ).y[:, -1]  # fmt: skip
    np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-6)


def test_it_is_unstable_with_the_time_constant_of_the_formula():
    rate = np.sqrt(2 * levitation.GRAVITY / levitation.TARGET)  # 57 / s
    start = REST + np.array([[1e-7, 1e-7 * rate]])  # along the growing direction
    after = levitation.advance(start, np.array([levitation.HOLD]), 0.03, 60)
    assert np.log((after - REST)[0, 0] / 1e-7) / 0.03 == pytest.approx(rate, rel=0.01)
    assert not levitation.outcome(lambda s: np.full(len(s), levitation.HOLD), np.add(start, [[1e-5, 0]])).held.any()


def test_the_current_is_limited():
    for asked, given_ in ((-1.0, 0.0), (9.0, levitation.MOST)):
        one, other = (levitation.advance(REST, np.array([i])) for i in (asked, given_))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("frequency", [40.0, 80.0])
def test_the_gains_give_the_spring_that_was_asked_for(frequency):
    """Poles of the closed loop, by finite differences: damping 1 puts both at -frequency."""
    control = levitation.pd_controller(frequency, 1.0)

    def slope(state):
        return levitation.acceleration(state, control(state))[0]

    steps = np.diag([1e-8, 1e-6])
    matrix = np.stack([(slope(REST + d) - slope(REST - d)) / (2 * d.max()) for d in steps], axis=1)
    np.testing.assert_allclose(np.linalg.eigvals(matrix).real, -frequency, rtol=1e-3)


def test_pd_holds_all_that_can_be_held():
    states = levitation.starts(np.random.default_rng(0), 300)
    lost = levitation.hopeless(states)
    found = levitation.outcome(levitation.pd_controller(), states)
    assert 0 < lost.mean() < 0.15
    np.testing.assert_array_equal(found.held, ~lost)
    assert np.isnan(found.error[lost]).all() and found.error[~lost].max() < 5
    assert np.abs(found.path[-1, ~lost] - levitation.TARGET).max() < 1e-5


def test_what_is_hopeless_falls_whatever_one_does():
    states = levitation.starts(np.random.default_rng(1), 400)
    lost = states[levitation.hopeless(states)]
    for frequency in (30, 100, 200):
        assert not levitation.outcome(levitation.pd_controller(frequency, 1.4), lost).held.any()


def test_the_environment_and_the_batch_agree():
    env = levitation.Levitation(limit=20)
    seen, _ = env.reset(options={"state": (7e-3, -0.05)})
    np.testing.assert_allclose(levitation.unscaled(seen[None]), [[7e-3, -0.05]], rtol=1e-6)
    state, rng = levitation.scaled(np.array([[7e-3, -0.05]])), np.random.default_rng(0)
    for _ in range(20):
        action = rng.uniform(-0.2, 0.2)
        state, reward, over = levitation.step(state, np.array([2 * action]))
        seen, got, fell, late, _ = env.step(np.array([action]))
        np.testing.assert_allclose(seen, state[0], rtol=1e-5, atol=1e-6)
        assert got == pytest.approx(reward[0]) and fell == over[0]
        if fell:
            break
    assert fell or late
    assert reward[0] == (-10 if over[0] else 1 - 3 * state[0, 0] ** 2)


def test_reinforce_learns_to_hold():
    rng = np.random.default_rng(0)
    agent = policy.GaussianPolicy(2, 16, rng)
    states = levitation.starts(np.random.default_rng(9), 200)
    before = levitation.outcome(levitation.of_policy(agent.mean), states).held.mean()
    run = policy.reinforce(levitation.step, levitation.starts, agent, 30, rng=rng, episodes=32, length=100)
    after = levitation.outcome(levitation.of_policy(agent.mean), states).held.mean()
    assert before == 0 and after > 0.6
    assert run.lengths[-1] > 2 * run.lengths[0]


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="frequency is 0"):
        levitation.pd_controller(0)

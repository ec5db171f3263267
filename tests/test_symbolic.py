"""Symbolic regression: known laws come back out of noisy data, and the trees mean what they say."""

import numpy as np
import pytest

from dlcourse import symbolic

A = np.array([0.387, 0.723, 1, 1.524, 5.203, 9.537, 19.191, 30.07])  # planets: distance, in that of the earth
T = np.array([0.241, 0.615, 1, 1.881, 11.86, 29.46, 84.02, 164.8])  # year, in that of the earth


def test_kepler_s_third_law():
    found = symbolic.search({"a": A}, T, 4)[-1]
    np.testing.assert_allclose(symbolic.values(found.tree, {"a": A}), A**1.5)
    assert found.scale == pytest.approx(1, abs=0.002) and found.error < 0.001
    assert symbolic.text(found.tree) == "(a * sqrt(a))"
    assert found(a=np.array([4.0])) == pytest.approx(8, abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_kinetic_energy_through_noise_and_a_variable_too_many(seed):
    rng = np.random.default_rng(seed)
    m, v, h = rng.uniform(1, 3, (3, 60))
    found = symbolic.search({"m": m, "v": v, "h": h}, 0.5 * m * v**2 * (1 + 0.02 * rng.normal(size=60)), 4)[-1]
    assert symbolic.text(found.tree) == "(m * square(v))"
    assert found.scale == pytest.approx(0.5, abs=0.02)


def test_the_front_trades_size_for_error():
    front = symbolic.search({"a": A}, T, 4)
    sizes, errors = [f.size for f in front], [f.error for f in front]
    assert sizes == sorted(set(sizes)) and errors == sorted(errors, reverse=True)
    for f in front:
        assert np.sqrt(np.mean((T - f(a=A)) ** 2)) / T.std() == pytest.approx(f.error, rel=1e-6)


def test_expressions_are_worth_what_their_trees_are_and_none_comes_twice():
    x, y = np.random.default_rng(0).uniform(0.5, 2, (2, 7))
    listed = list(symbolic.expressions({"x": x, "y": y}, 4))
    for tree, _, given in listed:
        np.testing.assert_allclose(symbolic.values(tree, {"x": x, "y": y}), given)
    distinct = {tuple(np.round(given, 7)) for *_, given in listed}
    assert len(distinct) == len(listed) > 300
    assert {k for _, k, _ in listed} == {1, 2, 3, 4}
    texts = [symbolic.text(tree) for tree, *_ in listed]
    assert texts[:4] == ["x", "y", "1", "2"] and "(x * y)" in texts and "(y * x)" not in texts
    assert "(x - y)" in texts and "(y - x)" in texts


def test_what_is_not_finite_is_left_out():
    listed = symbolic.expressions({"x": np.array([-1.0, 0.0, 3.0])}, 2)
    texts = [symbolic.text(tree) for tree, *_ in listed]
    assert "log(x)" not in texts and "sqrt(x)" not in texts and "exp(x)" in texts


@pytest.mark.parametrize(
    ("variables", "target", "size", "said"),
    [
        ({}, A, 2, "variables"),
        ({"a": A, "b": A[:2]}, A, 2, "variables have shapes|target has shape"),
        ({"a": A}, A[:3], 2, "target has shape"),
        ({"a": A}, np.ones(8), 2, "must vary"),
        ({"a": A}, T, 0, "size is 0"),
    ],
)
def test_wrong_input_is_said(variables, target, size, said):
    with pytest.raises(ValueError, match=said):
        symbolic.search(variables, target, size)

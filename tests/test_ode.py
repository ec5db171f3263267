"""Neural ODEs: outputs and gradients against torchdiffeq and small differences, order, memory."""

import tracemalloc

import numpy as np
import pytest
import torch
import torchdiffeq
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import ode

BACK = (ode.adjoint_backward, ode.steps_backward)


class Net(torch.nn.Module):
    def __init__(self, field):
        super().__init__()
        self.p = torch.nn.ParameterList([torch.tensor(p) for p in field.parameters])
        self.cubed = field.cubed

    def forward(self, t, y):
        return torch.tanh((y**3 if self.cubed else y) @ self.p[0] + self.p[1]) @ self.p[2] + self.p[3]


def problem(seed, cubed=False, N=4, D=2, times=5):
    rng = np.random.default_rng(seed)
    field = ode.Field(D, 7, rng, cubed=cubed, scale=1.0)
    return field, rng.normal(size=(N, D)), np.sort(rng.uniform(0, 1.5, times)), rng.normal(size=(times, N, D))


def theirs(solve, field, y0, times, dys, **settings):
    net, start = Net(field), torch.tensor(y0, requires_grad=True)
    ys = solve(net, start, torch.tensor(times), **settings)
    ys.backward(torch.tensor(dys))
    return [ys.detach().numpy(), start.grad.numpy(), *(p.grad.numpy() for p in net.p)]


def ours(back, field, y0, times, dys, **settings):
    ys, cache = ode.odeint_forward(field, y0, times, **settings)
    dy0, gradients = back(dys, cache)
    return [ys, dy0, *gradients]


def close(some, others, atol):
    for a, b in zip(some, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cubed", [False, True])
def test_outputs_and_gradients_are_torchdiffeq_s(seed, cubed):
    given_ = problem(seed, cubed)
    close(
        ours(ode.adjoint_backward, *given_, rule="three eighths"),
        theirs(torchdiffeq.odeint_adjoint, *given_, method="rk4"), 1e-10,
    )  # fmt: skip
    close(
        ours(ode.steps_backward, *given_, rule="three eighths"),
        theirs(torchdiffeq.odeint, *given_, method="rk4"),
        1e-10,
    )
    close(ours(ode.steps_backward, *given_, rule="euler"), theirs(torchdiffeq.odeint, *given_, method="euler"), 1e-10)
    exact = theirs(torchdiffeq.odeint_adjoint, *given_, method="dopri5", rtol=1e-10, atol=1e-11)
    for back in BACK:
        close(ours(back, *given_, steps=50), exact, 1e-6)


@pytest.mark.parametrize("rule", ode.RULES)
def test_the_gradient_through_the_steps_is_that_of_small_differences(rule):
    field, y0, times, dys = problem(5, True)
    _, dy0, *gradients = ours(ode.steps_backward, field, y0, times, dys, steps=2, rule=rule)

    def loss():
        return np.sum(dys * ode.odeint_forward(field, y0, times, 2, rule)[0])

    for array, gradient in zip((y0, *field.parameters), (dy0, *gradients), strict=True):
        for place in np.ndindex(array.shape):
            kept, values = array[place], []
            for e in (1e-6, -1e-6):
                array[place] = kept + e
                values.append(loss())
            array[place] = kept
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradient[place], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("rule", "order"), [("euler", 1), ("classical", 4), ("three eighths", 4)])
def test_errors_shrink_with_the_order_of_the_rule(rule, order):
    class Growth:
        parameters = []  # noqa: RUF012

        def forward(self, t, y):
            return y * np.cos(t), ()

    errors = []
    for steps in (16, 32):
        ys, _ = ode.odeint_forward(Growth(), np.ones((1, 1)), np.array([0.0, 2.0]), steps, rule)
        errors.append(abs(ys[-1, 0, 0] - np.exp(np.sin(2.0))))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


def test_the_two_gradients_meet_as_steps_get_small():
    given_ = problem(1, True)
    gaps = []
    for steps in (1, 2, 4):
        one, other = (ours(back, *given_, steps=steps) for back in BACK)
        gaps.append(max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)))
    assert gaps[0] > 8 * gaps[1] > 64 * gaps[2] > 0


def peak(back, steps):
    rng = np.random.default_rng(0)
    field = ode.Field(2, 32, rng)
    ys, cache = ode.odeint_forward(field, rng.normal(size=(50, 2)), np.array([0.0, 1.0]), steps)
    tracemalloc.start()
    back(np.ones_like(ys), cache)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_the_adjoint_s_memory_does_not_grow_with_the_steps():
    assert peak(ode.adjoint_backward, 200) < 1.2 * peak(ode.adjoint_backward, 10)
    assert peak(ode.steps_backward, 200) > 10 * peak(ode.steps_backward, 10)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(2, 4),
    st.integers(1, 3),
    st.sampled_from([np.float32, np.float64]),
)
def test_shapes_and_dtypes(N, D, T, steps, dtype):
    rng = np.random.default_rng(N)
    field = ode.Field(D, 3, rng)
    field.parameters = [p.astype(dtype) for p in field.parameters]
    ys, cache = ode.odeint_forward(field, rng.normal(size=(N, D)).astype(dtype), np.arange(T), steps)
    assert ys.shape == (T, N, D) and ys.dtype == dtype
    for back in BACK:
        dy0, gradients = back(np.ones_like(ys), cache)
        assert dy0.shape == (N, D) and dy0.dtype == dtype
        assert [g.shape for g in gradients] == [p.shape for p in field.parameters]
        assert {g.dtype for g in gradients} == {np.dtype(dtype)}


def test_backwards_in_time_undoes_forwards():
    field, y0, _, _ = problem(0)
    there, _ = ode.odeint_forward(field, y0, np.array([0.0, 1.0]), 50)
    back, _ = ode.odeint_forward(field, there[-1], np.array([1.0, 0.0]), 50)
    np.testing.assert_allclose(back[-1], y0, atol=1e-8)


def test_the_spiral_is_that_of_the_paper():
    times, tracks = ode.spiral(np.random.default_rng(0), count=2, points=30)
    net = lambda t, y: y**3 @ torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=torch.float64)  # noqa: E731
    wanted = torchdiffeq.odeint(net, torch.tensor(tracks[0]), torch.tensor(times), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(tracks, wanted.numpy(), atol=1e-4)
    np.testing.assert_allclose(tracks[0, 0], [2, 0])
    noisy = ode.spiral(np.random.default_rng(0), count=2, points=30, noise=0.1)[1]
    assert 0.08 < (noisy - tracks).std() < 0.12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y0": np.ones(2)}, "y0 has shape"),
        ({"y0": np.ones((1, 2), int)}, "y0 has dtype"),
        ({"times": np.array([0.0])}, "times is"),
        ({"times": np.array([0.0, 1.0, 0.5])}, "times is"),
        ({"steps": 0}, "steps is 0"),
        ({"rule": "rk45"}, "rule 'rk45'"),
    ],
)
def test_wrong_input_is_named(change, message):
    field = ode.Field(2, 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        ode.odeint_forward(field, **{"y0": np.ones((1, 2)), "times": np.array([0.0, 1.0])} | change)


def test_a_gradient_of_another_shape_is_named():
    field = ode.Field(2, 3, np.random.default_rng(0))
    _, cache = ode.odeint_forward(field, np.ones((1, 2)), np.array([0.0, 1.0]))
    for back in BACK:
        with pytest.raises(ValueError, match="dout has shape"):
            back(np.ones((1, 2)), cache)

"""dlcourse.optim against torch.optim and its schedulers, and what it says about wrong input."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from dlcourse import optim

STEPS = 200
TOLERANCE = 1e-10

# our name and settings, torch's class and settings
SETTINGS = [
    ("SGD", {"lr": 0.01}, torch.optim.SGD, {}),
    ("SGD", {"lr": 0.003, "weight_decay": 0.1}, torch.optim.SGD, {}),
    ("SGD", {"lr": 0.002, "momentum": 0.9}, torch.optim.SGD, {}),
    ("SGD", {"lr": 0.004, "momentum": 0.5, "weight_decay": 0.02}, torch.optim.SGD, {}),
    ("SGD", {"lr": 0.002, "momentum": 0.9, "nesterov": True}, torch.optim.SGD, {}),
    ("SGD", {"lr": 0.001, "momentum": 0.99, "nesterov": True, "weight_decay": 0.3}, torch.optim.SGD, {}),
    ("Adagrad", {}, torch.optim.Adagrad, {}),
    ("Adagrad", {"lr": 0.5, "lr_decay": 0.1}, torch.optim.Adagrad, {}),
    ("Adagrad", {"lr": 0.1, "eps": 0.01, "weight_decay": 0.2}, torch.optim.Adagrad, {}),
    ("AdaDelta", {}, torch.optim.Adadelta, {}),
    ("AdaDelta", {"lr": 0.3, "rho": 0.99}, torch.optim.Adadelta, {}),
    ("AdaDelta", {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.2}, torch.optim.Adadelta, {}),
    ("RMSProp", {}, torch.optim.RMSprop, {}),
    ("RMSProp", {"lr": 0.003, "alpha": 0.9, "eps": 1e-3}, torch.optim.RMSprop, {}),
    ("RMSProp", {"momentum": 0.8, "weight_decay": 0.1}, torch.optim.RMSprop, {}),
    ("RMSProp", {"centered": True, "alpha": 0.95}, torch.optim.RMSprop, {}),
    ("RMSProp", {"centered": True, "momentum": 0.5, "eps": 1e-4}, torch.optim.RMSprop, {}),
    ("Adam", {}, torch.optim.Adam, {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.99)}, torch.optim.Adam, {}),
    ("Adam", {"lr": 0.1, "eps": 1e-2, "weight_decay": 0.1}, torch.optim.Adam, {}),
    ("Adam", {"lr": 0.02, "betas": (0.0, 0.999)}, torch.optim.Adam, {}),
    ("AdamW", {}, torch.optim.AdamW, {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.5}, torch.optim.AdamW, {}),
    ("AdamW", {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.0}, torch.optim.AdamW, {}),
]


def problem(seed):
    """A smooth, non-convex function of a matrix and a vector, and its gradient, by hand, with the noise of step t.

    Without noise, rules that divide by the gradient's size never settle, and magnify the last digit without end.
    """
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(5, 3)), rng.normal(size=(4, 5)), rng.normal(size=4)
    start = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    noise = [rng.normal(size=(STEPS, 3, 4)), rng.normal(size=(STEPS, 4))]

    def gradients(t, w, v):  # of Σ log cosh(a w b + c) + Σ v⁴/4 + Σ (Σ w)² v²/2
        inner = np.tanh(a @ w @ b + c[:, None].mean())
        total = w.sum(axis=0)
        return [a.T @ inner @ b.T + total * v**2 + noise[0][t], v**3 + total**2 * v + noise[1][t]]

    return start, gradients


def relative(got, expected):
    return float(np.abs(got - expected).max() / max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(("name", "settings", "theirs", "more"), SETTINGS)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_torch_at_every_one_of_200_steps(name, settings, theirs, more, seed):
    start, gradients = problem(seed)
    ours = [p.copy() for p in start]
    tensors = [torch.tensor(p, requires_grad=True) for p in start]
    optimiser, reference = optim.OPTIMISERS[name](ours, **settings), theirs(tensors, **settings, **more)
    for step in range(STEPS):
        optimiser.step(gradients(step, *ours))
        for tensor, g in zip(tensors, gradients(step, *(t.detach().numpy() for t in tensors)), strict=True):
            tensor.grad = torch.tensor(g)
        reference.step()
        for p, tensor in zip(ours, tensors, strict=True):
            assert relative(p, tensor.detach().numpy()) < TOLERANCE, step
    assert max(np.abs(p - q).max() for p, q in zip(ours, start, strict=True)) > 1e-3  # it went somewhere


def test_sparse_gradients_leave_no_nan():
    for name, optimiser in optim.OPTIMISERS.items():
        p = np.array([1.0, 2.0])
        rule = optimiser([p], lr=0.1)
        for _ in range(3):
            rule.step([np.array([0.0, 1.0])])
        assert np.isfinite(p).all() and p[1] < 2, name


SCHEDULES = [
    ("inverse time", lambda t: optim.inverse_time(t, 0.3, 0.1), lr_scheduler.LambdaLR,
     {"lr_lambda": lambda t: 1 / (1 + 0.1 * t)}),
    ("step", lambda t: optim.step_decay(t, 0.3, 30), lr_scheduler.StepLR, {"step_size": 30}),
    ("step, half", lambda t: optim.step_decay(t, 0.3, 7, 0.5), lr_scheduler.StepLR, {"step_size": 7, "gamma": 0.5}),
    ("exponential", lambda t: optim.exponential(t, 0.3, 0.97), lr_scheduler.ExponentialLR, {"gamma": 0.97}),
    ("exponential, growing", lambda t: optim.exponential(t, 0.3, 1.02), lr_scheduler.ExponentialLR, {"gamma": 1.02}),
    ("cosine", lambda t: optim.cosine(t, 0.3, 200), lr_scheduler.CosineAnnealingLR, {"T_max": 200}),
    ("cosine, lowest", lambda t: optim.cosine(t, 0.3, 201, 0.01), lr_scheduler.CosineAnnealingLR,
     {"T_max": 201, "eta_min": 0.01}),
    ("warm-up", lambda t: optim.warm_up(t, 0.3, 20, 0.03), lr_scheduler.LinearLR,
     {"start_factor": 0.1, "total_iters": 20}),
    ("warm-up, long", lambda t: optim.warm_up(t, 0.3, 150, 0.001), lr_scheduler.LinearLR,
     {"start_factor": 0.01 / 3, "total_iters": 150}),
    ("cyclic", lambda t: optim.cyclic(t, 0.01, 0.3, 20), lr_scheduler.CyclicLR,
     {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 20, "cycle_momentum": False}),
    ("cyclic, halved", lambda t: optim.cyclic(t, 0.01, 0.3, 13, "triangular2"), lr_scheduler.CyclicLR,
     {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 13, "mode": "triangular2", "cycle_momentum": False}),
    ("cyclic, shrinking", lambda t: optim.cyclic(t, 0.01, 0.3, 7, "exp_range", 0.99), lr_scheduler.CyclicLR,
     {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 7, "mode": "exp_range", "gamma": 0.99, "cycle_momentum": False}),
    ("one cycle", lambda t: optim.one_cycle(t, 0.3, 201), lr_scheduler.OneCycleLR, {"max_lr": 0.3, "total_steps": 201}),
    ("one cycle, early top", lambda t: optim.one_cycle(t, 0.3, 205, 0.1, 0.1, 0.01), lr_scheduler.OneCycleLR,
     {"max_lr": 0.3, "total_steps": 205, "pct_start": 0.1, "div_factor": 10, "final_div_factor": 10}),
]  # fmt: skip


def torch_rates(scheduler, options, momentum=0.9):
    sgd = torch.optim.SGD([torch.zeros(1, dtype=torch.float64, requires_grad=True)], lr=0.3, momentum=momentum)
    schedule, rates = scheduler(sgd, **options), []
    for _ in range(STEPS + 1):
        rates.append((sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]))
        sgd.step()
        if len(rates) <= STEPS:
            schedule.step()
    return np.array(rates).T


@pytest.mark.parametrize(("name", "ours", "theirs", "options"), SCHEDULES, ids=[s[0] for s in SCHEDULES])
def test_schedules_equal_torch_over_200_steps(name, ours, theirs, options):
    rates, _ = torch_rates(theirs, options)
    t = np.arange(STEPS + 1)
    assert np.abs(ours(t) - rates).max() < TOLERANCE
    assert np.allclose(ours(t), [ours(int(i)) for i in t], rtol=1e-14, atol=0)  # an array of times or one at a time


def test_warm_up_then_cosine_equals_torch():
    def sequence(sgd):
        first = lr_scheduler.LinearLR(sgd, 0.01, total_iters=30)
        return lr_scheduler.SequentialLR(sgd, [first, lr_scheduler.CosineAnnealingLR(sgd, 171, 0.002)], [30])

    rates, _ = torch_rates(lambda sgd: sequence(sgd), {})
    ours = optim.warm_up_cosine(np.arange(STEPS + 1), 0.3, 30, 201, 0.003, 0.002)
    assert np.abs(ours - rates).max() < TOLERANCE


def test_momentum_of_one_cycle_runs_the_other_way():
    _, momenta = torch_rates(lr_scheduler.OneCycleLR, {"max_lr": 0.3, "total_steps": 201})
    ours = optim.one_cycle(np.arange(STEPS + 1), 0.85, 201, start=0.95 / 0.85, end=0.95 / 0.85)
    assert np.abs(ours - momenta).max() < TOLERANCE


def test_schedules_at_their_landmarks():
    assert optim.step_decay(np.array([0, 9, 10, 19, 20]), 1.0, 10) == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert optim.cosine(np.array([0, 50, 100, 150]), 2.0, 100) == pytest.approx([2, 1, 0, 0])
    assert optim.warm_up(np.array([0, 5, 10, 99]), 2.0, 10) == pytest.approx([0, 1, 2, 2])
    assert optim.cyclic(np.array([0, 5, 10, 15, 20]), 1.0, 2.0, 10) == pytest.approx([1, 1.5, 2, 1.5, 1])
    assert optim.one_cycle(np.array([0, 29, 99, 500]), 1.0, 100) == pytest.approx([0.04, 1, 4e-6, 4e-6])
    assert optim.warm_up_cosine(np.array([0, 5, 10, 55, 100]), 2.0, 10, 100) == pytest.approx([0, 1, 2, 1, 0])


@pytest.mark.parametrize("limit", [0.01, 1.0, 3.0, 1e6])
def test_clipping_equals_torch(limit):
    rng = np.random.default_rng(0)
    gradients = [rng.normal(size=s) for s in ((3, 4), (5,), ())]

    def tensors():
        made = [torch.zeros(np.shape(g), dtype=torch.float64, requires_grad=True) for g in gradients]
        for t, g in zip(made, gradients, strict=True):
            t.grad = torch.tensor(g)
        return made

    by_norm, by_value = tensors(), tensors()
    their_norm = torch.nn.utils.clip_grad_norm_(by_norm, limit)
    torch.nn.utils.clip_grad_value_(by_value, limit)
    clipped, norm = optim.clip_norm(gradients, limit)
    assert norm == pytest.approx(their_norm.item(), rel=1e-12)
    for ours, theirs in zip(clipped, by_norm, strict=True):
        assert np.abs(ours - theirs.grad.numpy()).max() < 1e-12
    for ours, theirs in zip(optim.clip_value(gradients, limit), by_value, strict=True):
        assert np.array_equal(ours, theirs.grad.numpy())


def test_clipping_of_a_silent_or_infinite_gradient():
    (clipped,), norm = optim.clip_norm([np.zeros(3)], 1.0)
    assert norm == 0 and np.array_equal(clipped, np.zeros(3))
    assert np.array_equal(optim.clip_value([np.array([np.inf, -np.inf])], 1.0)[0], [1, -1])


# --------------------------------------------------------------------------------------------------- what is said of it

RULES = {
    "sgd": (optim.sgd_step, {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (optim.sgd_step, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adagrad": (optim.adagrad_step, {}),
    "rmsprop": (optim.rmsprop_step, {"momentum": 0.5, "centered": True}),
    "adadelta": (optim.adadelta_step, {}),
    "adam": (optim.adam_step, {}),
    "adamw": (optim.adamw_step, {}),
}


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=25, deadline=None)
@given(
    shape=st.lists(st.integers(0, 4), max_size=3),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_rules_are_pure_and_keep_shape_and_dtype(name, shape, dtype, seed):
    rule, settings_ = RULES[name]
    rng = np.random.default_rng(seed)
    p, memory = np.asarray(rng.normal(size=shape), dtype), {}
    for _ in range(3):
        g = np.asarray(rng.normal(size=shape), dtype)
        before = p.copy(), g.copy(), copy.deepcopy(memory)
        moved, after = rule(p, g, memory, **settings_)
        again, _ = rule(p, g, memory, **settings_)
        assert np.array_equal(p, before[0]) and np.array_equal(g, before[1])
        assert memory.keys() == before[2].keys()
        assert all(np.array_equal(memory[key], before[2][key]) for key in memory)
        assert np.array_equal(moved, again) and np.shape(moved) == tuple(shape)
        if shape:
            assert moved.dtype == dtype
        p, memory = np.asarray(moved, dtype), after


@pytest.mark.parametrize("name", ["adam", "rmsprop", "adagrad"])
def test_adaptive_rules_ignore_the_gradient_s_scale(name):
    rule = {"adam": optim.adam_step, "rmsprop": optim.rmsprop_step, "adagrad": optim.adagrad_step}[name]
    rng = np.random.default_rng(0)
    small = large = np.zeros(4)
    one, other = {}, {}
    for _ in range(20):
        g = rng.normal(size=4)
        small, one = rule(small, g, one, lr=0.1, eps=0.0)
        large, other = rule(large, 1000 * g, other, lr=0.1, eps=0.0)
    assert large == pytest.approx(small, rel=1e-9)


def test_adam_s_first_step_has_the_size_of_the_learning_rate():
    g = np.array([1e-3, -1.0, 1e3])
    p, _ = optim.adam_step(np.zeros(3), g, {}, lr=0.01)
    assert p == pytest.approx(-0.01 * np.sign(g), rel=1e-4)
    p, _ = optim.rmsprop_step(np.zeros(3), g, {}, lr=0.01)  # without the correction it is ten times too long
    assert p == pytest.approx(-0.1 * np.sign(g), rel=1e-3)


def test_momentum_multiplies_a_constant_gradient():
    p, memory = np.zeros(1), {}
    for _ in range(300):
        before = p
        p, memory = optim.sgd_step(p, np.ones(1), memory, lr=0.1, momentum=0.9)
    assert before - p == pytest.approx([0.1 / (1 - 0.9)])


def test_nesterov_is_the_gradient_at_the_point_where_momentum_leads():
    surface = optim.SURFACES["Rosenbrock"]
    lr, mu = 1e-3, 0.9
    p = optim.descend(surface, optim.sgd_step, 60, lr=lr, momentum=mu, nesterov=True)
    x, v = surface.start, np.zeros(2)
    ahead = [x]
    for _ in range(60):  # as in Sutskever et al. (2013)
        v = mu * v - lr * surface.gradient(x + mu * v)
        x = x + v
        ahead.append(x + mu * v)
    assert np.abs(p - ahead).max() < 1e-12


def test_weight_decay_shrinks_all_weights_alike_in_adamw_only():
    p = np.array([1.0, 1.0])
    g = np.array([0.001, 100.0]) * np.array([[1.0], [-1.0]])  # its mean is 0, its size is not
    ends = {}
    for rule in (optim.adam_step, optim.adamw_step):
        q, memory = p, {}
        for t in range(2000):
            q, memory = rule(q, g[t % 2], memory, lr=1e-3, weight_decay=0.1)
        ends[rule.__name__] = q
    assert ends["adamw_step"] == pytest.approx([np.exp(-0.2)] * 2, rel=0.01)
    assert ends["adam_step"][0] < 0.1 and ends["adam_step"][1] > 0.9


# ------------------------------------------------------------------------------------------------------------- surfaces


@pytest.mark.parametrize("name", optim.SURFACES)
def test_surfaces(name):
    surface = optim.SURFACES[name]
    left, right, bottom, top = surface.box
    points = np.random.default_rng(0).uniform((left, bottom), (right, top), (50, 2))
    gradient, h = surface.gradient(points), 1e-6
    for i in range(2):
        shift = np.eye(2)[i] * h
        numerical = (surface.f(points + shift) - surface.f(points - shift)) / (2 * h)
        assert np.abs(gradient[:, i] - numerical).max() < 1e-5 * max(1, np.abs(numerical).max())
    assert np.abs(surface.gradient(surface.minima)).max() < 1e-12
    assert surface.f(surface.minima) == pytest.approx(surface.lowest)
    assert (surface.f(points) >= surface.lowest).all() and surface.f(surface.start) > surface.lowest
    for x, y in [surface.start, *surface.minima]:
        assert left <= x <= right and bottom <= y <= top


def test_paths():
    surface = optim.SURFACES["saddle"]
    path = optim.descend(surface, optim.adam_step, 5, lr=0.1)
    assert path.shape == (6, 2) and np.array_equal(path[0], surface.start)
    many = optim.descend(surface, optim.adam_step, 5, start=np.array([surface.start, [1.0, 1.0]]), lr=0.1)
    assert many.shape == (6, 2, 2) and np.allclose(many[:, 0], path)
    steep = optim.SURFACES["Rosenbrock"]
    gone = optim.descend(steep, optim.sgd_step, 50, start=np.array([steep.start, [1.0, 1.0]]), lr=1.0)
    assert np.isfinite(gone).all() and np.abs(gone[-1, 0]).max() > 1e6 and np.array_equal(gone[-1, 1], [1, 1])
    assert np.array_equal(gone[-1], gone[-2])


# ----------------------------------------------------------------------------------------------------------------- XOR


@pytest.mark.parametrize(
    ("loss", "activation", "bipolar"),
    list(itertools.product(["squared", "cross-entropy"], ["sigmoid", "tanh"], [False, True])),
)
def test_xor_gradients_equal_torch(loss, activation, bipolar):
    parameters = optim.xor_networks(3, hidden=4, scale=0.7, seed=5)
    error, gradients = optim.xor_gradients(parameters, loss, activation, bipolar)
    x, t = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64), torch.tensor([[0.0], [1], [1], [0]])
    x, act = (2 * x - 1 if bipolar else x), {"sigmoid": torch.sigmoid, "tanh": torch.tanh}[activation]
    for s in range(3):
        w1, b1, w2, b2 = tensors = [torch.tensor(p[s], requires_grad=True) for p in parameters]
        y = torch.sigmoid(act(x @ w1 + b1) @ w2 + b2)
        t = t.double()
        squared = ((y - t) ** 2).mean()
        (squared if loss == "squared" else torch.nn.functional.binary_cross_entropy(y, t)).backward()
        assert error[s] == pytest.approx(squared.item(), rel=1e-12)
        for g, tensor in zip(gradients, tensors, strict=True):
            assert np.abs(g[s] - tensor.grad.numpy()).max() < 1e-13


def test_xor_trial_counts_epochs_and_censors():
    start = optim.xor_networks(40, hidden=2)
    kept = copy.deepcopy(start)
    together = optim.xor_trial(optim.sgd_step, start, lr=3.0, momentum=0.9)
    assert all(np.array_equal(p, q) for p, q in zip(start, kept, strict=True))
    assert 5 < np.isinf(together.epochs).sum() < 20 and np.isfinite(together.epochs[0])  # some never get there
    alone = optim.xor_trial(optim.sgd_step, [p[:1] for p in start], lr=3.0, momentum=0.9)
    assert alone.epochs[0] == together.epochs[0]
    reached = int(together.epochs[0])
    errors = [
        optim.xor_trial(optim.sgd_step, [p[:1] for p in start], cap=n, lr=3.0, momentum=0.9).error[0]
        for n in (reached - 1, reached)
    ]
    assert errors[1] < 0.01 <= errors[0]
    short = optim.xor_trial(optim.sgd_step, start, cap=reached - 1, lr=3.0, momentum=0.9)
    assert np.isinf(short.epochs[0])
    assert (optim.xor_trial(optim.sgd_step, together.parameters, cap=0, lr=1.0).error == together.error).all()


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.sgd_step(np.zeros(2), np.zeros(3), {}, lr=1), r"g has shape \(3,\); expected that of p, \(2,\)"),
        (lambda: optim.adam_step(np.zeros(2, int), np.zeros(2), {}), "p has dtype int64; expected a float"),
        (lambda: optim.adam_step(np.zeros(2), [1, 2], {}), "g has dtype int64; expected a float"),
        (lambda: optim.SGD([np.zeros(2)]), "lr is missing; SGD has no usual learning rate"),
        (lambda: optim.SGD([np.zeros(2)], -1.0), "lr is -1.0; expected a finite number, at least 0"),
        (lambda: optim.SGD([np.zeros(2)], 1.0, momentum=1.0), "momentum is 1.0; .* at least 0 and below 1"),
        (lambda: optim.SGD([np.zeros(2)], 1.0, nesterov=True), "nesterov is True, momentum 0"),
        (lambda: optim.Adam([np.zeros(2)], betas=(0.9, 1.0)), r"betas\[1\] is 1.0"),
        (lambda: optim.Adam([np.zeros(2)], momentum=0.9), "Adam has no setting momentum; it has lr, betas, eps"),
        (lambda: optim.RMSProp([np.zeros(2)], alpha=-0.1), "alpha is -0.1"),
        (lambda: optim.AdaDelta([np.zeros(2)], rho=2), "rho is 2"),
        (lambda: optim.Adagrad([np.zeros(2)], lr=float("nan")), "lr is nan; expected a finite number"),
        (lambda: optim.AdamW([np.zeros(2)], weight_decay=-1), "weight_decay is -1"),
        (lambda: optim.Adam([np.zeros(2)]).step([np.zeros(3)]), r"gradients has shapes \[\(3,\)\]; expected"),
        (lambda: optim.Adam([np.zeros(2)]).load_state_dict({"lr": 1, "memories": []}), "0 memories, expected 1"),
        (lambda: optim.clip_norm([np.ones(2)], 0), "limit is 0; expected a positive number"),
        (lambda: optim.clip_value([np.ones(2)], -1), "limit is -1; expected a positive number"),
        (lambda: optim.cosine(-1, 1.0, 10), "t is -1; expected the number of updates done, 0 or more"),
        (lambda: optim.cosine(1, 1.0, 0), "total is 0; expected a positive number"),
        (lambda: optim.step_decay(1, 1.0, 0), "every is 0"),
        (lambda: optim.exponential(1, 1.0, -0.5), "factor is -0.5"),
        (lambda: optim.inverse_time(1, 1.0, -1), "decay is -1"),
        (lambda: optim.warm_up(1, 1.0, 0), "steps is 0"),
        (lambda: optim.warm_up_cosine(1, 1.0, 10, 10), "steps is 10 and total 10; expected 0 < steps < total"),
        (lambda: optim.cyclic(1, 0.0, 1.0, 5, "square"), "mode is 'square'; expected one of triangular,"),
        (lambda: optim.cyclic(1, 0.0, 1.0, 0), "half is 0"),
        (lambda: optim.xor_gradients(optim.xor_networks(1), "hinge"), "loss is 'hinge'; expected 'squared' or"),
        (lambda: optim.xor_gradients(optim.xor_networks(1), activation="relu"), "activation is 'relu'; expected"),
        (lambda: optim.one_cycle(1, 1.0, 3), "rise is 0.3 of total 3; expected at least one update"),
    ],
)
def test_wrong_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

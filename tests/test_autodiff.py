"""Automatic differentiation against torch.autograd, against differences, and against itself in another mode."""

from __future__ import annotations

import gc
import re
import shutil
import time
import weakref

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcourse import autodiff, plot
from dlcourse.autodiff import Dual, Tensor, Value, grad

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")


def wanted(*arrays) -> list[Tensor]:
    return [Tensor(np.asarray(a, dtype=float), requires_grad=True) for a in arrays]


def close(got, want, tolerance=1e-10):
    got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0.0) <= tolerance * (1 + np.abs(want).max(initial=0.0))


# --- Random expression graphs ---------------------------------------------------------------------------------------

UNARY = {
    "exp": lambda x: x.exp(),
    "log": lambda x: (x * x + 1.0).log(),
    "sqrt": lambda x: (x * x + 0.5).sqrt(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "relu": lambda x: x.relu(),
    "negate": lambda x: -x,
    "square": lambda x: x**2,
    "cube": lambda x: x**3,
    "reciprocal": lambda x: 1.5 / (x**2 + 1.0) - 0.5,
    "power": lambda x: (x * x + 1.0) ** -1.5,
    "affine": lambda x: 2.0 - 3.0 * x + x / 4.0,
}
BINARY = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (y * y + 1.0),
}
# The axis is counted from the end; torch calls its maximum over an axis amax.
ARRAYS = {
    "sum": lambda x: x.sum(-1),
    "sum_kept": lambda x: x.sum(0, keepdims=True),
    "mean": lambda x: x.mean(0),
    "mean_all": lambda x: x * x.mean(),
    "max": lambda x: x.amax(-1) if isinstance(x, torch.Tensor) else x.max(-1),
    "flat": lambda x: x.reshape(-1),
    "abs": lambda x: x.abs(),
    "turned": lambda x: x.swapaxes(0, -1),
    "slice": lambda x: x[..., :2],
    "picked": lambda x: x[[0, -1, 0]],
    "reversed": lambda x: x[[*range(x.shape[0])][::-1]],
    "gram": lambda x: x.reshape(x.shape[0], -1) @ x.reshape(x.shape[0], -1).swapaxes(0, 1),
    "wide": lambda x: x.broadcast_to((2, *x.shape)),
}
SHAPES = [(3,), (1,), (2, 3), (4, 1), (1, 3), (2, 1, 3), (3, 2, 2)]


def run(program, leaves, arrays: bool):
    """Take the steps on any engine; the pool of results grows by one each step. One number comes out."""
    pool = list(leaves)
    for kind, name, i, j in program:
        x, y = pool[-1 - i % len(pool)], pool[j % len(pool)]
        if kind == "binary":
            pool.append(BINARY[name](x, y))
        else:
            pool.append((UNARY | ARRAYS)[name](x))
    if not arrays:
        return pool[-1] + pool[len(pool) // 2]
    return pool[-1].sum() + (pool[len(pool) // 2] * 0.5).sum()


@st.composite
def programs(draw, arrays: bool):
    """Steps that are possible and stay finite, tried on NumPy arrays while they are drawn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = (
        draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4)) if arrays else [()] * draw(st.integers(1, 4))
    )
    leaves = [rng.normal(size=shape) for shape in shapes]
    pool, program = [torch.from_numpy(np.array(x)) for x in leaves], []
    names = st.sampled_from([*UNARY, *BINARY, *BINARY, *(ARRAYS if arrays else ())])
    for _ in range(draw(st.integers(2, 14))):
        name, i, j = draw(names), draw(st.integers(0, 5)), draw(st.integers(0, 20))
        kind = "binary" if name in BINARY else "unary"
        x, y = pool[-1 - i % len(pool)], pool[j % len(pool)]
        try:
            out = BINARY[name](x, y) if kind == "binary" else (UNARY | ARRAYS)[name](x)
        except (RuntimeError, IndexError):  # shapes that do not fit
            continue
        if out.numel() > 300 or (out.ndim == 0 and arrays) or not torch.isfinite(out).all() or out.abs().max() > 50:
            continue
        pool.append(out)
        program.append((kind, name, i, j))
    return program, leaves


every = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
some = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def torch_leaves(leaves):
    return [torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True) for x in leaves]


@every
@given(programs(arrays=True))
def test_tensor_gradients_are_torchs(made):
    program, leaves = made
    ours, theirs = wanted(*leaves), torch_leaves(leaves)
    out, want = run(program, ours, True), run(program, theirs, True)
    close(out.item(), want.item())
    if not want.requires_grad:
        return
    out.backward()
    want.backward()
    for x, t in zip(ours, theirs, strict=True):
        assert (x.grad is None) == (t.grad is None)
        if t.grad is not None:
            close(x.grad, t.grad)


@every
@given(programs(arrays=False))
def test_value_gradients_are_torchs(made):
    program, leaves = made
    ours, theirs = [Value(x) for x in leaves], torch_leaves(leaves)
    out, want = run(program, ours, False), run(program, theirs, False)
    close(out.data, want.item())
    out.backward()
    want.backward()
    for x, t in zip(ours, theirs, strict=True):
        close(x.grad, 0.0 if t.grad is None else t.grad)


@some
@given(programs(arrays=False))
def test_forward_mode_gives_what_reverse_mode_gives(made):
    program, leaves = made
    ours = [Value(x) for x in leaves]
    run(program, ours, False).backward()
    for i, x in enumerate(ours):
        duals = [Dual(float(v), float(i == k)) for k, v in enumerate(leaves)]
        close(run(program, duals, False).tangent, x.grad)


@some
@given(programs(arrays=True))
def test_second_derivatives_are_torchs(made):
    """The gradient of a function of the gradient: the Hessian times a vector."""
    program, leaves = made
    ours, theirs = wanted(*leaves), torch_leaves(leaves)
    first = grad(run(program, ours, True), ours, create_graph=True)
    second = grad(sum((g * g.sin()).sum() for g in first), ours)
    options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    want = torch.autograd.grad(run(program, theirs, True), theirs, **options)
    # torch refuses a second derivative of what is constant.
    loss = sum((g * g.sin()).sum() for g in want) + sum(0.0 * t.sum() for t in theirs)
    for got, expected in zip(second, torch.autograd.grad(loss, theirs, **options), strict=True):
        close(got.data, expected.detach())


# --- By hand ----------------------------------------------------------------------------------------------------------


def test_the_lectures_example():
    for number in (Value, lambda x: Tensor(x, requires_grad=True)):
        a, b = number(2.0), number(1.0)
        e = (a + b) * (b + 1)
        e.backward()
        assert (float(np.asarray(e.data)), float(a.grad), float(b.grad)) == (6, 2, 5)
    assert ((Dual(2.0, 1.0) + 1.0) * 2.0).tangent == 2
    assert ((2.0 + Dual(1.0, 1.0)) * (Dual(1.0, 1.0) + 1)).tangent == 5


def test_second_derivatives_of_a_polynomial():
    (x,) = wanted(3.0)
    first = grad(x**4, x, create_graph=True)
    second = grad(first, x, create_graph=True)
    third = grad(second, x)
    assert (first.item(), second.item(), third.item()) == (108, 108, 72)
    assert grad(third, x).item() == 0


def test_the_hessian_of_rosenbrock():
    (x,) = wanted([-1.2, 1.0])
    g = grad((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, x, create_graph=True)
    hessian = np.stack([grad(g[i], x).data for i in range(2)])
    np.testing.assert_allclose(hessian, [[1330, 480], [480, 200]], rtol=1e-12)


def test_nested_duals_give_second_derivatives():
    x = Dual(Dual(0.7, 1.0), Dual(1.0, 0.0))
    out = autodiff.exp(autodiff.sin(x)) * x**3
    t = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    first = torch.autograd.grad(torch.exp(torch.sin(t)) * t**3, t, create_graph=True)[0]
    close(out.tangent.tangent, torch.autograd.grad(first, t)[0].item())


def test_jvp_is_the_jacobian_times_a_direction():
    rng = np.random.default_rng(0)
    w, x, v = rng.normal(size=(4, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    value, tangent = autodiff.jvp(lambda x: autodiff.tanh(x @ w).sum(axis=1), x, v)
    want = torch.func.jvp(lambda x: torch.tanh(x @ torch.tensor(w)).sum(1), (torch.tensor(x),), (torch.tensor(v),))
    close(value, want[0])
    close(tangent, want[1])
    assert autodiff.jvp(lambda x: 5.0, x, v)[1] == 0
    with pytest.raises(ValueError, match=r"v has shape \(4,\), expected that of x, \(2, 4\)"):
        autodiff.jvp(autodiff.exp, x, v[0])


def test_one_function_serves_all_engines():
    for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu"):
        f = getattr(autodiff, name)
        want = float(f(0.3))
        for x in (Value(0.3), Tensor(0.3), Dual(0.3), np.array(0.3)):
            out = f(x)
            got = getattr(out, "data", getattr(out, "value", out))
            assert abs(float(np.asarray(got)) - want) < 1e-15, (name, x)


def test_gradients_add_up_over_calls_and_over_uses():
    (x,) = wanted([1.0, 2.0])
    (x * x).sum().backward()
    (3 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [5, 7])
    v = Value(2.0)
    (v * v).backward()
    (v + v).backward()
    assert v.grad == 6


def test_a_gradient_belongs_to_its_tensor_alone():
    a, b = wanted([1.0, 2.0], [3.0, 4.0])
    (a + b).sum().backward()
    a.grad *= 10
    np.testing.assert_array_equal(b.grad, [1, 1])


def test_a_result_of_constants_is_a_constant():
    out = Tensor([1.0, 2.0]) * 3
    assert not out.requires_grad and out.inputs == ()
    a, c = Tensor(2.0, requires_grad=True), Tensor(5.0)
    (a * c).backward()
    assert a.grad == 5 and c.grad is None


def test_grad_leaves_no_trace_and_gives_zeros_for_what_is_not_used():
    a, b = wanted(2.0, [1.0, 1.0])
    ga, gb = grad(a * 3, [a, b])
    assert ga.item() == 3 and a.grad is None
    np.testing.assert_array_equal(gb.data, [0, 0])
    h = a * 3
    assert grad(h * h, h).item() == 12, "results on the way may be asked for too"


def test_backward_from_an_array_with_a_gradient():
    (x,) = wanted([[1.0, 2.0], [3.0, 4.0]])
    (x * x).backward([[1, 0], [0, 10]])
    np.testing.assert_array_equal(x.grad, [[2, 0], [0, 80]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    x = Tensor(np.arange(6).reshape(2, 3).astype(dtype), requires_grad=True)
    out = ((2.5 - x) / 3 * np.float64(2) + x**2).tanh().mean(0).max() + x.sum() * x.sigmoid().relu().sqrt().abs().mean()
    assert out.dtype == dtype
    out.backward()
    assert x.grad.dtype == dtype
    assert grad((x * x).sum(), x, create_graph=True).dtype == dtype
    assert Tensor([1, 2]).dtype == np.float64


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2), (1, 1)])
def test_empty_and_size_one_axes(shape):
    x, y = Tensor(np.ones(shape), requires_grad=True), Tensor(np.ones(shape[-1]), requires_grad=True)
    (x * y + y).sum().backward()
    assert x.grad.shape == shape and y.grad.shape == (shape[-1],)
    assert (y.grad == 2 * np.prod(shape[:-1])).all()


# --- Shapes -----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=4), st.data())
def test_unbroadcast_is_the_transpose_of_broadcasting(wide, data):
    """⟨broadcast(x), g⟩ = ⟨x, unbroadcast(g)⟩ for all x and g."""
    shape = tuple(data.draw(st.sampled_from([1, n])) for n in wide[data.draw(st.integers(0, len(wide))) :])
    rng = np.random.default_rng(0)
    x, g = rng.integers(-5, 6, shape), rng.integers(-5, 6, tuple(wide))
    back = autodiff.unbroadcast(g, shape)
    assert back.shape == shape
    assert (np.broadcast_to(x, tuple(wide)) * g).sum() == (x * back).sum()


def test_unbroadcast_refuses_what_does_not_broadcast():
    for shape in [(2,), (3, 4), (1, 3)]:
        with pytest.raises(ValueError, match=r"g has shape \(3,\); expected one that"):
            autodiff.unbroadcast(np.ones(3), shape)


@pytest.mark.parametrize("left", [(2, 3), (4, 2, 3), (1, 2, 3), (5, 1, 2, 3)])
@pytest.mark.parametrize("right", [(3, 2), (4, 3, 1), (1, 3, 5)])
def test_stacks_of_matrices(left, right):
    rng = np.random.default_rng(1)
    arrays = rng.normal(size=left), rng.normal(size=right)
    ours, theirs = wanted(*arrays), torch_leaves(arrays)
    (ours[0] @ ours[1]).sin().sum().backward()
    torch.sin(theirs[0] @ theirs[1]).sum().backward()
    for x, t in zip(ours, theirs, strict=True):
        close(x.grad, t.grad)


def test_arrays_on_the_left():
    (x,) = wanted([[1.0, 2.0]])
    ones = np.ones((3, 1))
    for out in (ones + x, ones - x, ones * x, ones / x, ones @ x):
        assert isinstance(out, Tensor) and out.shape == (3, 2)


def test_transposes_with_named_axes():
    rng = np.random.default_rng(2)
    (x,) = wanted(rng.normal(size=(2, 3, 4)))
    weights = rng.normal(size=(4, 2, 3))
    (x.transpose((-1, 0, 1)) * weights).sum().backward()
    np.testing.assert_array_equal(x.grad, weights.transpose(1, 2, 0))


def test_equal_largest_numbers_share():
    (x,) = wanted([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    x.max(axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad, [[0, 0.5, 0.5], [1, 0, 0]])


# --- Errors -----------------------------------------------------------------------------------------------------------


def cycle_of(number):
    a = number(1.0)
    b = a * 2.0
    c = b + a
    b.inputs = (c, b.inputs[1])
    return c * 3.0


@pytest.mark.parametrize("number", [Value, lambda x: Tensor(x, requires_grad=True)], ids=["Value", "Tensor"])
def test_a_cycle_is_refused(number):
    with pytest.raises(ValueError, match="the graph has a cycle"):
        cycle_of(number).backward()
    own = number(1.0) + 1.0
    own.inputs = (own, own)
    with pytest.raises(ValueError, match="the graph has a cycle"):
        own.backward()


def test_backward_from_an_array_is_refused():
    (x,) = wanted([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"a tensor of shape \(3,\) is asked for, expected a single number; sum\(\)"):
        (x * x).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(2,\), expected the tensor's shape \(3,\)"):
        (x * x).backward([1.0, 2.0])
    x[0:1].backward()  # one number, whatever its axes
    np.testing.assert_array_equal(x.grad, [1, 0, 0])


SAVED = {  # what was used -> whether the gradient needs its value
    "x * y": (lambda x, y: x * y, True),
    "y / x": (lambda x, y: y / x, True),
    "x**2": (lambda x, y: x**2 * y, True),
    "x @ y": (lambda x, y: (x.reshape(1, 2) * 1.0) @ y.reshape(2, 1) + x * x, True),
    "log": (lambda x, y: x.log() * y, True),
    "sin": (lambda x, y: x.sin(), True),
    "cos": (lambda x, y: x.cos(), True),
    "abs": (lambda x, y: x.abs(), True),
    "max": (lambda x, y: x.max(), True),
    "x + y": (lambda x, y: x + y, False),
    "x - y": (lambda x, y: x - y, False),
    "exp": (lambda x, y: x.exp(), False),
    "tanh": (lambda x, y: x.tanh(), False),
    "sigmoid": (lambda x, y: x.sigmoid(), False),
    "sqrt": (lambda x, y: x.sqrt(), False),
    "relu": (lambda x, y: x.relu(), False),
    "x / y": (lambda x, y: x / y, False),
    "sum": (lambda x, y: x.sum(), False),
    "[ ]": (lambda x, y: x[[0, 0]], False),
    "reshape": (lambda x, y: x.reshape(2, 1) + x.T.broadcast_to((3, 2)).sum(0), False),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_change_in_place_is_refused_where_the_old_value_is_needed_and_harmless_elsewhere(name):
    function, needed = SAVED[name]
    before, other, after = np.array([0.5, 2.0]), np.array([3.0, 4.0]), np.array([7.0, 0.1])
    x, y = wanted(before, other)
    out = function(x, y).sum()
    x[...] = after
    if needed:
        with pytest.raises(ValueError, match=r"of shape \(2,\) was changed in place after .* had used it"):
            out.backward()
        return
    out.backward()
    fresh, y = wanted(before, other)
    function(fresh, y).sum().backward()
    np.testing.assert_array_equal(x.grad, fresh.grad)


def test_what_was_changed_before_it_is_used_is_fine():
    (x,) = wanted([1.0, 2.0])
    x[0] = 5.0
    x.assign(x.data + 1)
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [12, 6])


def test_a_view_of_a_changed_tensor_keeps_its_numbers():
    (x,) = wanted([1.0, 2.0])
    view = x.reshape(2, 1)
    x[...] = 0.0
    (view * view).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_nobody_changes_a_tensor_unseen():
    given = np.array([1.0, 2.0])
    x = Tensor(given, requires_grad=True)
    given[0] = 100
    assert x.data[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 3
    with pytest.raises(ValueError, match=r"was computed \(by ×\) and cannot be changed in place"):
        (x * 2)[0] = 1
    with pytest.raises(ValueError, match=r"data has shape \(3,\), expected the tensor's shape \(2,\)"):
        x.assign(np.ones(3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Tensor("text"), "expected real numbers"),
        (lambda: Tensor(1j), "dtype complex128; expected real numbers"),
        (lambda: Tensor(Tensor(1.0)), r"data is a Tensor, expected numbers; detach\(\)"),
        (lambda: Tensor(1.0).backward(), "nothing to differentiate: expected a result of tensors with requires_grad"),
        (lambda: grad(Tensor(1.0, requires_grad=True), Tensor(1.0)), "xs holds a tensor without gradient"),
        (lambda: Tensor(np.ones(3, np.float32)) * Tensor(np.ones(3)), "dtype float64 meets one of dtype float32"),
        (lambda: Tensor(1.0) + "text", "a Tensor meets str"),
        (lambda: Tensor(1.0) * Value(1.0), "a Tensor meets a Value; expected one engine at a time"),
        (lambda: Tensor(2.0) ** Tensor(2.0), r"the exponent is a Tensor, expected a number; x\*\*y is exp"),
        (lambda: Value(2.0) ** Value(2.0), "the exponent is a Value, expected a number"),
        (lambda: Tensor(np.ones((2, 3))) @ Tensor(np.ones((2, 3))), r"a @ b has shapes \(2, 3\) @ \(2, 3\); expected"),
        (lambda: Tensor(np.ones(3)) @ Tensor(np.ones(3)), r"a @ b has shapes \(3,\) @ \(3,\)"),
        (lambda: Tensor(np.ones(3)) + Tensor(np.ones(4)), "could not be broadcast"),
    ],
)
def test_messages(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


# --- Size and memory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [Value, lambda x: Tensor(x, requires_grad=True)], ids=["Value", "Tensor"])
def test_a_chain_of_100_000_nodes(number):
    x = number(1.0)
    out = x
    for _ in range(100_000):
        out = out + 1.0
    out.backward()
    assert x.grad == 1
    del out  # freeing it must not overflow either


def test_a_long_chain_differentiated_twice():
    (x,) = wanted(1.0)
    out = x
    for _ in range(20_000):
        out = out * 1.0001
    first = grad(out * out, x, create_graph=True)
    close(grad(first, x).item(), 2 * 1.0001**40_000, 1e-8)


def test_a_graph_is_freed_without_the_collector():
    x = Tensor(np.ones(3), requires_grad=True)

    class Watched(np.ndarray):
        pass

    gc.disable()
    try:
        out = (x * 2).exp()
        held = np.ones(3).view(Watched)
        out._data = held  # an array can be watched, a node with slots cannot
        gone = weakref.ref(held)
        loss = (out * out).sum()
        loss.backward()
        del out, held, loss
        assert gone() is None
    finally:
        gc.enable()


def test_work_grows_with_the_graph_and_not_with_its_paths():
    """60 doublings: 2⁶⁰ paths, 60 nodes."""
    v = Value(1.0)
    out = v
    for _ in range(60):
        out = out + out
    start = time.process_time()
    out.backward()
    assert v.grad == 2**60
    assert time.process_time() - start < 1


# --- Checking gradients -----------------------------------------------------------------------------------------------


def test_numerical_gradient_of_a_known_function():
    x = np.array([[0.3, -1.0], [2.0, 0.5]])
    close(autodiff.numerical_gradient(lambda x: np.sin(x).sum(), x), np.cos(x), 1e-9)
    assert x[0, 0] == 0.3


def test_gradient_check_passes_what_is_right_and_finds_what_is_not(monkeypatch):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 3)), rng.normal(size=(3, 2))

    def loss(x, w):
        return (x @ w).tanh().sum() + w.sigmoid().mean()

    assert autodiff.gradient_check(loss, x, w) < 1e-8
    monkeypatch.setattr(autodiff, "TANH", autodiff.TANH._replace(rules=(lambda g, out, x: g * (1 - out),)))
    assert autodiff.gradient_check(loss, x, w) > 0.1
    assert autodiff.gradient_check(lambda x: (x * 0.0).sum(), x) == 0


# --- Seeing a graph ---------------------------------------------------------------------------------------------------


def example():
    a, b = Value(2.0), Value(1.0)
    e = (a + b) * (b + 1)
    e.backward()
    return e, {a: "a", b: "b", e: "e"}


def test_the_tape_of_the_example():
    e, names = example()
    lines = autodiff.tape(e, names)
    assert {"a = 2", "b = 1"} < set(lines)
    assert lines[-1] in ("e = v1 × v2 = 6", "e = v2 × v1 = 6")
    assert {re.sub(r"^v\d = ", "", line) for line in lines if line.startswith("v")} == {"a + b = 3", "b + 1 = 2"}
    place = {line.split(" = ")[0]: i for i, line in enumerate(lines)}
    assert max(place["a"], place["b"]) < min(place["v1"], place["v2"]) < place["e"]


def test_the_tape_of_tensors_gives_shapes():
    x, w = Tensor(np.ones((5, 3))), Tensor(np.ones((3, 2)), requires_grad=True)
    lines = autodiff.tape(((x @ w) ** 2).sum(), {x: "x", w: "w"})
    assert lines == ["x = (5, 3)", "w = (3, 2)", "v1 = x @ w = (5, 2)", "v2 = ^2(v1) = (5, 2)", "v3 = sum(v2) = 90"]


@needs_dot
def test_a_drawing_is_an_svg_that_takes_the_pages_colours():
    e, names = example()
    picture = autodiff.draw(e, names, gradients=True)
    assert isinstance(picture, plot.Picture)
    svg = picture._repr_html_()
    assert svg.startswith('<svg role="img" aria-label="Computational graph: ')
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"a", "b", "e", "2", "grad 5", "×"} <= set(words)
    assert svg.count("<ellipse") == 3 and svg.count("<path") == 6
    assert "currentColor" in svg and not re.search(r'(fill|stroke)="(black|#0)', svg)
    assert " id=" not in svg and "<!--" not in svg and "<title>" not in svg
    assert autodiff.draw(e, names).svg != svg
    assert autodiff.draw(e, names, gradients=True).svg == svg, "the same bytes each time"


@needs_dot
def test_a_drawing_escapes_names():
    a = Value(2.0)
    svg = autodiff.draw(a * 1.5, {a: '<script>"&'}, alt='three "words" <b> here').svg
    assert "<script" not in svg and "&lt;script&gt;" in svg and 'aria-label="three &quot;words&quot; &lt;b&gt;' in svg


@pytest.mark.parametrize("missing", ["package", "program"])
def test_without_graphviz_the_graph_is_a_list_that_says_what_to_install(monkeypatch, missing):
    if missing == "package":
        monkeypatch.setitem(__import__("sys").modules, "graphviz", None)
    else:
        pytest.importorskip("graphviz")
        monkeypatch.setenv("PATH", "")
    e, names = example()
    shown = autodiff.draw(e, names)._repr_html_()
    assert "e = v" in shown and "× v" in shown
    assert ("pip install graphviz" if missing == "package" else "apt-get install graphviz") in shown

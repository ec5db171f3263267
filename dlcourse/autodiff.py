"""Chapter 03: automatic differentiation, three times.

``Value``
    Reverse mode for single numbers, in about a hundred lines: the engine that the lecture builds.
``Tensor``
    Reverse mode for arrays, with broadcasting: the engine that is used. ``grad(..., create_graph=True)`` gives
    gradients that are tensors themselves, so that they can be differentiated again.
``Dual``
    Forward mode, by dual numbers.

    a, b = Value(2.0), Value(1.0)
    e = (a + b) * (b + 1)
    e.backward()                                   # a.grad is 2, b.grad is 5

Whatever is computed makes a new node that knows its inputs; together they are the computational graph. No node knows
who uses it, so there are no reference cycles, and a graph is freed as soon as its last node is. ``backward`` walks the
graph from the result to the inputs, each node after all nodes that use it, without recursion.

The functions ``exp, log, sqrt, sin, cos, tanh, sigmoid, relu`` take any of the three, arrays and numbers too, so that
one Python function serves all engines.

Sources
-------
Wengert, "A simple automatic derivative evaluation program", Communications of the ACM 7 (1964), 463-464 (forward mode).
Linnainmaa, "Taylor expansion of the accumulated rounding error", BIT 16 (1976), 146-160 (reverse mode).
Griewank and Walther, Evaluating Derivatives, 2nd edition, SIAM (2008), chapters 2 and 3.
Baydin et al., "Automatic differentiation in machine learning: a survey", JMLR 18 (2018), 1-43.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dlcourse.activations import sigmoid_forward

__all__ = [
    "Dual",
    "Op",
    "Tensor",
    "Value",
    "cos",
    "draw",
    "exp",
    "grad",
    "gradient_check",
    "jvp",
    "log",
    "numerical_gradient",
    "relu",
    "sigmoid",
    "sin",
    "sqrt",
    "tanh",
    "tape",
    "topological_order",
    "unbroadcast",
]


def topological_order(root) -> list:
    """All nodes that ``root`` was computed from, ``root`` first, every node before its inputs.

    Counts for each node how many others use it. A node is ready when all of them have had their turn (Kahn,
    Communications of the ACM 5 (1962), 558-562). Without recursion, so that no graph is too deep.

    Parameters
    ----------
    root : any object with ``inputs``, a sequence of objects of the same kind.

    Raises
    ------
    ValueError
        The graph has a cycle: some node was computed from itself.
    """
    uses, found = {root: 0}, [root]
    while found:
        for node in found.pop().inputs:
            if node not in uses:
                uses[node] = 0
                found.append(node)
            uses[node] += 1
    order, ready = [], [] if uses[root] else [root]
    while ready:
        order.append(ready.pop())
        for node in order[-1].inputs:
            uses[node] -= 1
            if not uses[node]:
                ready.append(node)
    if len(order) < len(uses):
        raise ValueError(
            f"the graph has a cycle: {len(uses) - len(order)} of its {len(uses)} nodes were computed from themselves; "
            "expected that `inputs` hold earlier results only"
        )
    return order


# ------------------------------------------------------------------------------------ reverse mode, number by number


class Value:
    """A number that remembers how it was computed.

    Each operation makes a new ``Value`` with its inputs and its slopes, the derivatives of the result with respect to
    each input, worked out at once. ``backward`` multiplies slopes along the paths and adds up over paths.

    Attributes
    ----------
    data : the number, a float.
    grad : the derivative of the result with respect to it, added up over all calls of ``backward``.
    inputs, slopes : tuples of the same length; empty for a number that was given.
    op : what made it, for drawings.
    """

    __slots__ = ("data", "grad", "inputs", "op", "slopes")

    def __init__(self, data: float, inputs: tuple = (), slopes: tuple = (), op: str = ""):
        self.data, self.grad = float(data), 0.0
        self.inputs, self.slopes, self.op = inputs, slopes, op

    def backward(self) -> None:
        """Add to every ``grad`` in the graph the derivative of this number: dself/dself = 1, then the chain rule.

        Raises
        ------
        ValueError
            The graph has a cycle.
        """
        order = topological_order(self)
        gradient = dict.fromkeys(order, 0.0)
        gradient[self] = 1.0
        for node in order:
            g = gradient[node]
            node.grad += g
            for x, slope in zip(node.inputs, node.slopes, strict=True):
                gradient[x] += g * slope

    def __add__(self, other):
        other = _value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = _value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data), "×")

    def __sub__(self, other):
        other = _value(other)
        return Value(self.data - other.data, (self, other), (1.0, -1.0), "−")

    def __truediv__(self, other):
        other = _value(other)
        out = self.data / other.data
        return Value(out, (self, other), (1 / other.data, -out / other.data), "÷")

    def __pow__(self, p: float):
        if isinstance(p, Value):
            raise ValueError("the exponent is a Value, expected a number; x**y is exp(y * log(x))")
        return Value(self.data**p, (self,), (p * self.data ** (p - 1) if p else 0.0,), f"^{p:g}")

    def __neg__(self):
        return Value(-self.data, (self,), (-1.0,), "−")

    def __radd__(self, other):
        return _value(other) + self

    def __rmul__(self, other):
        return _value(other) * self

    def __rsub__(self, other):
        return _value(other) - self

    def __rtruediv__(self, other):
        return _value(other) / self

    def exp(self):
        out = math.exp(self.data)
        return Value(out, (self,), (out,), "exp")

    def log(self):
        return Value(math.log(self.data), (self,), (1 / self.data,), "log")

    def sqrt(self):
        return self**0.5

    def sin(self):
        return Value(math.sin(self.data), (self,), (math.cos(self.data),), "sin")

    def cos(self):
        return Value(math.cos(self.data), (self,), (-math.sin(self.data),), "cos")

    def tanh(self):
        out = math.tanh(self.data)
        return Value(out, (self,), (1 - out * out,), "tanh")

    def sigmoid(self):
        out = float(sigmoid_forward(self.data)[0])
        return Value(out, (self,), (out * (1 - out),), "sigmoid")

    def relu(self):
        return Value(max(self.data, 0.0), (self,), (1.0 if self.data > 0 else 0.0,), "relu")

    def __repr__(self) -> str:
        return f"Value({self.data:g})"


def _value(x) -> Value:
    return x if isinstance(x, Value) else Value(x)


# --------------------------------------------------------------------------------------------- the rules of operators


class Op(NamedTuple):
    """An operator: how to compute it, and for each input how to go back through it.

    Attributes
    ----------
    name : for drawings and messages.
    forward : ``forward(*arrays, *options) -> array``.
    rules : one for each input, ``rule(g, out, *inputs, *options)``: from g, the gradient of the loss with respect to
        ``out``, to the gradient with respect to that input. What a smaller input was broadcast to, the engine adds up.
        Rules use only what arrays and tensors both have, so that gradients of gradients need no second table.
    saves : the numbers of the inputs whose values the rules read.
    """

    name: str
    forward: Callable
    rules: tuple[Callable, ...]
    saves: tuple[int, ...] = ()


ADD = Op("+", np.add, (lambda g, out, a, b: g, lambda g, out, a, b: g))
SUBTRACT = Op("−", np.subtract, (lambda g, out, a, b: g, lambda g, out, a, b: -g))
MULTIPLY = Op("×", np.multiply, (lambda g, out, a, b: g * b, lambda g, out, a, b: g * a), (0, 1))
DIVIDE = Op("÷", np.divide, (lambda g, out, a, b: g / b, lambda g, out, a, b: -g * out / b), (1,))
NEGATE = Op("−", np.negative, (lambda g, out, x: -g,))
POWER = Op("power", lambda x, p: x**p, (lambda g, out, x, p: g * (p * x ** (p - 1)) if p else g * 0.0,), (0,))
MATMUL = Op("@", np.matmul, (lambda g, out, a, b: g @ _t(b), lambda g, out, a, b: _t(a) @ g), (0, 1))

EXP = Op("exp", np.exp, (lambda g, out, x: g * out,))
LOG = Op("log", np.log, (lambda g, out, x: g / x,), (0,))
SQRT = Op("sqrt", np.sqrt, (lambda g, out, x: g / (2 * out),))
SIN = Op("sin", np.sin, (lambda g, out, x: g * cos(x),), (0,))
COS = Op("cos", np.cos, (lambda g, out, x: -g * sin(x),), (0,))
TANH = Op("tanh", np.tanh, (lambda g, out, x: g * (1 - out * out),))
SIGMOID = Op("sigmoid", lambda x: sigmoid_forward(x)[0], (lambda g, out, x: g * (out * (1 - out)),))
RELU = Op("relu", lambda x: np.maximum(x, 0), (lambda g, out, x: g * (out > 0),))
ABS = Op("abs", np.abs, (lambda g, out, x: g * np.sign(_array(x)),), (0,))

SUM = Op("sum", lambda x, axis, keep: x.sum(axis=axis, keepdims=keep), (lambda g, out, x, *how: _spread(g, x, *how),))
MAX = Op("max", lambda x, axis, keep: x.max(axis=axis, keepdims=keep), (lambda *given: _to_the_largest(*given),), (0,))
BROADCAST = Op("broadcast", np.broadcast_to, (lambda g, out, x, shape: g,))
RESHAPE = Op("reshape", np.reshape, (lambda g, out, x, shape: g.reshape(x.shape),))
TRANSPOSE = Op("transpose", np.transpose, (lambda g, out, x, axes: g.transpose(tuple(np.argsort(axes).tolist())),))
SELECT = Op("[ ]", lambda x, key: x[key], (lambda g, out, x, key: _put(g, key, x.shape),))
PUT = Op("put", lambda g, key, shape: _put(g, key, shape), (lambda g, out, x, key, shape: g[key],))


def unbroadcast(g, shape: tuple[int, ...]):
    """Broadcasting in reverse: add ``g`` up over the axes along which an array of ``shape`` was repeated.

    A number that was copied to many places receives the sum of what comes back from all of them.

    Parameters
    ----------
    g : array or tensor, the gradient with respect to the broadcast array.
    shape : of the array before it was broadcast.

    Returns
    -------
    Gradient of the given shape.

    Raises
    ------
    ValueError
        An array of ``shape`` does not broadcast to the shape of ``g``.
    """
    if g.shape == shape:
        return g
    new = len(g.shape) - len(shape)
    if g.shape[new:] == shape:  # the commonest: a bias
        return g.sum(axis=tuple(range(new)))
    if new < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[max(new, 0) :], strict=True)):
        raise ValueError(f"g has shape {g.shape}; expected one that an array of shape {shape} broadcasts to")
    axes = (*range(new), *(new + i for i, n in enumerate(shape) if n == 1))
    return g.sum(axis=axes).reshape(shape)


def _t(x):
    """The matrix transposed; of a stack, each."""
    return x.swapaxes(-1, -2)


def _array(x) -> np.ndarray:
    return x._data if isinstance(x, Tensor) else x


def _spread(g, x, axis, keep):
    """What a sum gives back: the same to each number that went into it."""
    if not keep and axis is not None:
        g = g.reshape(_kept_shape(x.shape, axis))
    if isinstance(g, Tensor):
        return g.broadcast_to(x.shape)
    out = np.empty(x.shape, g.dtype)
    out[...] = g
    return out


def _to_the_largest(g, out, x, axis, keep):
    """What a maximum gives back: all to the largest number, in equal shares where several are largest."""
    winners = _array(x) == np.reshape(_array(out), _kept_shape(x.shape, axis))
    shares = winners / winners.sum(axis=axis, keepdims=True)
    return _spread(g, x, axis, keep) * shares.astype(_array(x).dtype)


def _kept_shape(shape, axis):
    axes = range(len(shape)) if axis is None else {a % len(shape) for a in np.atleast_1d(axis)}
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _put(g, key, shape):
    """Zeros of ``shape`` with ``g`` added at ``key``, which may name a place more than once."""
    if isinstance(g, Tensor):
        return _apply(PUT, (g,), key, shape)
    out = np.zeros(shape, g.dtype)
    np.add.at(out, key, g)
    return out


# ------------------------------------------------------------------------------------------- reverse mode for arrays


class Tensor:
    """An array that remembers how it was computed.

    Parameters
    ----------
    data : numbers; copied, so that nobody else can change them. Whole numbers become float64, float dtypes are kept.
    requires_grad : whether gradients are wanted. What is computed from such a tensor wants them too; of the others
        nothing is recorded.

    Attributes
    ----------
    data : the array, read-only. To change a tensor that was given, use ``assign`` or ``x[...] = numbers``.
    grad : of a tensor that was given: the gradient array, added up over all calls of ``backward``; None before.
    inputs, op, options : how it was computed; ``inputs`` is empty where it was given.

    Notes
    -----
    Operators broadcast as NumPy does. Both sides have the same dtype; a plain number takes on the tensor's.
    """

    __slots__ = ("_data", "_when", "grad", "inputs", "op", "options", "requires_grad")
    __array_ufunc__ = None  # an array on the left leaves the operation to the tensor on the right

    def __init__(self, data, requires_grad: bool = False):
        if isinstance(data, Tensor):
            raise ValueError("data is a Tensor, expected numbers; detach() gives a copy that is not connected")
        array = np.array(data)
        if array.dtype.kind in "iub":
            array = array.astype(np.float64)
        if array.dtype.kind != "f":
            raise ValueError(f"data has dtype {array.dtype}; expected real numbers")
        self._data, self.grad, self.requires_grad = array, None, requires_grad
        self.inputs, self.op, self.options, self._when = (), None, (), 0

    # What it is

    @property
    def data(self) -> np.ndarray:
        view = np.asarray(self._data).view()
        view.flags.writeable = False
        return view

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    def __len__(self) -> int:
        return len(self._data)

    def item(self) -> float:
        """The single number that it holds."""
        return self._data.item()

    def detach(self) -> Tensor:
        """A copy of the numbers, without the graph."""
        return Tensor(self._data)

    def __repr__(self) -> str:
        made = f", made by {self.op.name}" if self.inputs else ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({np.array2string(np.asarray(self._data), precision=4, prefix='Tensor(', threshold=20)}{made})"

    # Changing it

    def assign(self, data) -> None:
        """Put new numbers of the same shape into a tensor that was given: an optimiser's step.

        Raises
        ------
        ValueError
            The tensor was computed, or the shapes differ. Where the old numbers were needed for a gradient,
            ``backward`` says so.
        """
        array = np.array(_array(data), dtype=self.dtype)
        if array.shape != self.shape:
            raise ValueError(f"data has shape {array.shape}, expected the tensor's shape {self.shape}")
        if self.inputs:
            raise ValueError(
                f"this tensor was computed (by {self.op.name}) and cannot be changed in place: its gradient would be "
                "wrong. Make a new one, or detach() it first"
            )
        # Another array, not other numbers in the old one: results may be views of that.
        global _changes
        _changes += 1
        self._data, self._when = array, _changes

    def __setitem__(self, key, numbers) -> None:
        array = np.array(self._data)
        array[key] = _array(numbers)
        self.assign(array)

    # The way back

    def backward(self, gradient=None) -> None:
        """Add to the ``grad`` of every given tensor that wants it the gradient of this number.

        Parameters
        ----------
        gradient : of the loss with respect to this tensor, where this is not the loss itself.

        Raises
        ------
        ValueError
            The tensor is not a single number and no ``gradient`` is given; it does not depend on a tensor that wants
            gradients; a value that is needed was changed in place; or the graph has a cycle.
        """
        if not self.requires_grad:
            raise ValueError("there is nothing to differentiate: expected a result of tensors with requires_grad=True")
        for x, g in _gradients(self, _start(self, gradient), ()).items():
            x.grad = np.array(g, x.dtype) if x.grad is None else x.grad + g

    # Operators

    def __add__(self, other):
        return _apply(ADD, (self, _like(other, self)))

    def __radd__(self, other):
        return _apply(ADD, (_like(other, self), self))

    def __sub__(self, other):
        return _apply(SUBTRACT, (self, _like(other, self)))

    def __rsub__(self, other):
        return _apply(SUBTRACT, (_like(other, self), self))

    def __mul__(self, other):
        return _apply(MULTIPLY, (self, _like(other, self)))

    def __rmul__(self, other):
        return _apply(MULTIPLY, (_like(other, self), self))

    def __truediv__(self, other):
        return _apply(DIVIDE, (self, _like(other, self)))

    def __rtruediv__(self, other):
        return _apply(DIVIDE, (_like(other, self), self))

    def __matmul__(self, other):
        return _matmul(self, _like(other, self))

    def __rmatmul__(self, other):
        return _matmul(_like(other, self), self)

    def __neg__(self):
        return _apply(NEGATE, (self,))

    def __pow__(self, p: float):
        if not isinstance(p, int | float):
            raise ValueError(f"the exponent is a {type(p).__name__}, expected a number; x**y is exp(y * log(x))")
        return _apply(POWER, (self,), p)

    # Comparisons have no slope: they give plain arrays.

    def __gt__(self, other):
        return self._data > _array(other)

    def __lt__(self, other):
        return self._data < _array(other)

    def __ge__(self, other):
        return self._data >= _array(other)

    def __le__(self, other):
        return self._data <= _array(other)

    # Functions

    def exp(self):
        return _apply(EXP, (self,))

    def log(self):
        return _apply(LOG, (self,))

    def sqrt(self):
        return _apply(SQRT, (self,))

    def sin(self):
        return _apply(SIN, (self,))

    def cos(self):
        return _apply(COS, (self,))

    def tanh(self):
        return _apply(TANH, (self,))

    def sigmoid(self):
        return _apply(SIGMOID, (self,))

    def relu(self):
        return _apply(RELU, (self,))

    def abs(self):
        return _apply(ABS, (self,))

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False):
        return _apply(SUM, (self,), axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False):
        count = self.size if axis is None else math.prod(self.shape[a] for a in np.atleast_1d(axis))
        return self.sum(axis, keepdims) / count

    def max(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False):
        return _apply(MAX, (self,), axis, keepdims)

    # Shapes

    def reshape(self, *shape):
        return _apply(RESHAPE, (self,), shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape)

    def transpose(self, axes: tuple[int, ...] | None = None):
        order = tuple(range(self.ndim))[::-1] if axes is None else tuple(a % self.ndim for a in axes)
        return _apply(TRANSPOSE, (self,), order)

    @property
    def T(self):
        return self.transpose()

    def swapaxes(self, i: int, j: int):
        order = list(range(self.ndim))
        order[i], order[j] = order[j], order[i]
        return _apply(TRANSPOSE, (self,), tuple(order))

    def broadcast_to(self, shape: tuple[int, ...]):
        return _apply(BROADCAST, (self,), shape)

    def __getitem__(self, key):
        return _apply(SELECT, (self,), key)


def grad(y: Tensor, xs: Tensor | Sequence[Tensor], gradient=None, *, create_graph: bool = False):
    """The gradients of ``y`` with respect to ``xs``; unlike ``backward`` it leaves no trace in them.

    Parameters
    ----------
    y : a single number; or any tensor together with ``gradient``, that of the loss with respect to it.
    xs : a tensor, or several.
    create_graph : record the way back too, so that the gradients can be differentiated again.

    Returns
    -------
    A tensor shaped like ``xs``, or a list of them; zeros for what ``y`` does not depend on.

    Raises
    ------
    ValueError
        As :meth:`Tensor.backward`; or one of ``xs`` does not want gradients.
    """
    several = not isinstance(xs, Tensor)
    wanted = list(xs) if several else [xs]
    for x in wanted:
        if not x.requires_grad:
            raise ValueError("xs holds a tensor without gradient; expected tensors with requires_grad=True")
    found = {}
    if y.requires_grad:
        start = _start(y, gradient)
        found = _gradients(y, _like(start, y) if create_graph else start, wanted)
    made = [found.get(x, np.zeros(x.shape, x.dtype)) for x in wanted]
    made = [g if isinstance(g, Tensor) else Tensor(g) for g in made]
    return made if several else made[0]


def _gradients(root: Tensor, g, wanted: Sequence[Tensor]) -> dict[Tensor, Any]:
    """The gradients of the tensors that were given, and of those that are wanted. Where ``g`` is a tensor, so are they,
    and the rules record what they do."""
    record, grads, kept = isinstance(g, Tensor), {root: g}, {}
    for node in topological_order(root):
        if not node.requires_grad:
            continue
        g = grads.pop(node)
        if not node.inputs or node in wanted:
            kept[node] = g
        if not node.inputs:
            continue
        for i in node.op.saves:
            if node.inputs[i]._when > node._when:
                raise ValueError(
                    f"a tensor of shape {node.inputs[i].shape} was changed in place after {node.op.name} had used it, "
                    "and the gradient needs its old value; compute the result again, then call backward"
                )
        out, inputs = (node, node.inputs) if record else (node._data, [x._data for x in node.inputs])
        for x, rule in zip(node.inputs, node.op.rules, strict=True):
            if x.requires_grad:
                g_x = rule(g, out, *inputs, *node.options)
                if g_x.shape != x.shape:
                    g_x = unbroadcast(g_x, x.shape)
                grads[x] = grads[x] + g_x if x in grads else g_x
    return kept


# How often tensors have been changed in place, anywhere: a clock. A tensor keeps when it was made or last changed, so
# what is newer than a result that was computed from it has been changed since.
_changes = 0


def _apply(op: Op, inputs: tuple[Tensor, ...], *options) -> Tensor:
    """Compute, and record how if gradients are wanted."""
    out = Tensor.__new__(Tensor)
    out._data = op.forward(*[x._data for x in inputs], *options)
    out.op, out.options, out.grad, out._when = op, options, None, _changes
    for x in inputs:
        if x.requires_grad:
            out.requires_grad, out.inputs = True, inputs
            return out
    out.requires_grad, out.inputs = False, ()
    return out


def _start(y: Tensor, gradient) -> np.ndarray:
    """The gradient with respect to ``y`` that the way back begins with."""
    if gradient is None:
        if y.size != 1:
            raise ValueError(
                f"the gradient of a tensor of shape {y.shape} is asked for, expected a single number; sum() or mean() "
                "makes one, or give `gradient`, that of the loss with respect to this tensor"
            )
        return np.ones(y.shape, y.dtype)
    gradient = np.array(_array(gradient), dtype=y.dtype)
    if gradient.shape != y.shape:
        raise ValueError(f"gradient has shape {gradient.shape}, expected the tensor's shape {y.shape}")
    return gradient


def _like(x, like: Tensor) -> Tensor:
    """The other side of an operator as a tensor."""
    if type(x) is Tensor:
        if x._data.dtype != like._data.dtype:
            raise ValueError(f"a tensor of dtype {x.dtype} meets one of dtype {like.dtype}; expected the same")
        return x
    if type(x) is float or type(x) is int:
        return _constant(np.array(x, like._data.dtype))
    if isinstance(x, Dual | Value):
        raise ValueError(f"a Tensor meets a {type(x).__name__}; expected one engine at a time")
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"a Tensor meets {type(x).__name__} of dtype {array.dtype}; expected numbers")
    if array.ndim and array.dtype.kind == "f" and array.dtype != like._data.dtype:
        raise ValueError(f"an array of dtype {array.dtype} meets a tensor of dtype {like.dtype}; expected the same")
    return _constant(np.array(array, like._data.dtype))


def _constant(array: np.ndarray) -> Tensor:
    """A tensor that keeps ``array`` itself."""
    out = Tensor.__new__(Tensor)
    out._data, out.grad, out.requires_grad = array, None, False
    out.inputs, out.op, out.options, out._when = (), None, (), 0
    return out


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"a @ b has shapes {a.shape} @ {b.shape}; expected (..., N, D) @ (..., D, M)")
    return _apply(MATMUL, (a, b))


# ------------------------------------------------------------------------------------------------------ forward mode


class Dual:
    """A dual number, value + tangent · ε with ε² = 0: arithmetic that carries a derivative along.

    The tangent is the derivative of the value in one direction of the inputs, the one that their tangents name. Value
    and tangent are numbers, or arrays of one shape.

    Source: Griewank and Walther (2008), section 3.1; Clifford (1873) for the numbers.
    """

    __slots__ = ("tangent", "value")
    __array_ufunc__ = None

    def __init__(self, value, tangent=0.0):
        self.value, self.tangent = value, tangent

    def __repr__(self) -> str:
        return f"Dual({self.value}, {self.tangent})"

    def __add__(self, other):
        other = _dual(other)
        return Dual(self.value + other.value, self.tangent + other.tangent)

    def __sub__(self, other):
        other = _dual(other)
        return Dual(self.value - other.value, self.tangent - other.tangent)

    def __mul__(self, other):
        other = _dual(other)
        return Dual(self.value * other.value, self.tangent * other.value + self.value * other.tangent)

    def __truediv__(self, other):
        other = _dual(other)
        out = self.value / other.value
        return Dual(out, (self.tangent - out * other.tangent) / other.value)

    def __matmul__(self, other):
        if not isinstance(other, Dual):
            return Dual(self.value @ other, self.tangent @ other)
        return Dual(self.value @ other.value, self.tangent @ other.value + self.value @ other.tangent)

    def __rmatmul__(self, other):
        return Dual(other @ self.value, other @ self.tangent)

    def __radd__(self, other):
        return _dual(other) + self

    def __rsub__(self, other):
        return _dual(other) - self

    def __rmul__(self, other):
        return _dual(other) * self

    def __rtruediv__(self, other):
        return _dual(other) / self

    def __neg__(self):
        return Dual(-self.value, -self.tangent)

    def __pow__(self, p: float):
        return Dual(self.value**p, self.tangent * (p * self.value ** (p - 1)) if p else self.tangent * 0.0)

    def __gt__(self, other):
        return self.value > other

    def __getitem__(self, key):
        return Dual(self.value[key], self.tangent[key])

    def sum(self, axis=None, keepdims: bool = False):
        return Dual(self.value.sum(axis=axis, keepdims=keepdims), self.tangent.sum(axis=axis, keepdims=keepdims))

    def _through(self, op: Op):
        # The slope of a function of one number is a factor, the same forwards and backwards.
        out = _function(self.value, op)
        return Dual(out, op.rules[0](self.tangent, out, self.value))

    def exp(self):
        return self._through(EXP)

    def log(self):
        return self._through(LOG)

    def sqrt(self):
        return self._through(SQRT)

    def sin(self):
        return self._through(SIN)

    def cos(self):
        return self._through(COS)

    def tanh(self):
        return self._through(TANH)

    def sigmoid(self):
        return self._through(SIGMOID)

    def relu(self):
        return self._through(RELU)


def _dual(x) -> Dual:
    return x if isinstance(x, Dual) else Dual(x)


def jvp(f: Callable, x, v) -> tuple:
    """Forward mode: the value of ``f`` at ``x`` and its derivative in the direction ``v``, the Jacobian times ``v``.

    Parameters
    ----------
    f : a function of one argument, written with the operators and functions of this module.
    x, v : arrays of one shape.

    Returns
    -------
    value, tangent : of the shape of ``f(x)``.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    x, v = np.asarray(x, dtype=float), np.asarray(v, dtype=float)
    if x.shape != v.shape:
        raise ValueError(f"v has shape {v.shape}, expected that of x, {x.shape}")
    out = _dual(f(Dual(x, v)))
    return out.value, out.tangent + np.zeros(np.shape(out.value))


# ------------------------------------------------------------------------------------------ functions for all engines


def _function(x, op: Op):
    return getattr(x, op.name)() if isinstance(x, Tensor | Dual | Value) else op.forward(x)


def exp(x):
    """eˣ, of a Tensor, a Dual, a Value, an array or a number."""
    return _function(x, EXP)


def log(x):
    """The natural logarithm, of a Tensor, a Dual, a Value, an array or a number."""
    return _function(x, LOG)


def sqrt(x):
    """The square root, of a Tensor, a Dual, a Value, an array or a number."""
    return _function(x, SQRT)


def sin(x):
    """The sine, of a Tensor, a Dual, a Value, an array or a number."""
    return _function(x, SIN)


def cos(x):
    """The cosine, of a Tensor, a Dual, a Value, an array or a number."""
    return _function(x, COS)


def tanh(x):
    """The hyperbolic tangent, of a Tensor, a Dual, a Value, an array or a number."""
    return _function(x, TANH)


def sigmoid(x):
    """1 / (1 + e⁻ˣ), of a Tensor, a Dual, a Value, an array or a number."""
    return _function(x, SIGMOID)


def relu(x):
    """max(x, 0), of a Tensor, a Dual, a Value, an array or a number. At 0 the slope is taken to be 0."""
    return _function(x, RELU)


# ------------------------------------------------------------------------------------------------- checking gradients


def numerical_gradient(f: Callable[[np.ndarray], float], x, h: float = 1e-6) -> np.ndarray:
    """The gradient by central differences, (f(x + h eᵢ) − f(x − h eᵢ)) / 2h, one input at a time.

    The error of the formula falls like h², that of rounding grows like 1/h: in float64 about 1e-10 at h = 1e-5 to 1e-6.

    Parameters
    ----------
    f : from an array shaped like ``x`` to a number.
    x : array; computed with in float64.
    h : the step.
    """
    x = np.array(x, dtype=np.float64)
    out = np.empty_like(x)
    for i in np.ndindex(x.shape):
        before = x[i]
        x[i] = before + h
        above = float(f(x))
        x[i] = before - h
        out[i] = (above - float(f(x))) / (2 * h)
        x[i] = before
    return out


def gradient_check(f: Callable[..., Tensor], *arrays, h: float = 1e-6) -> float:
    """The largest difference between the engine's gradients and numerical ones, relative to the largest gradient.

    Parameters
    ----------
    f : a function of as many tensors as there are ``arrays``, which gives a single number.
    arrays : where to check.

    Returns
    -------
    About 1e-9 where the gradients are right; about 1 where a term is missing.
    """
    tensors = [Tensor(np.asarray(a, dtype=np.float64), requires_grad=True) for a in arrays]
    exact = grad(f(*tensors), tensors)
    worst, size = 0.0, 0.0
    for i, g in enumerate(exact):

        def of_one(changed, i=i):
            return f(*[Tensor(changed) if j == i else t for j, t in enumerate(tensors)]).item()

        measured = numerical_gradient(of_one, tensors[i]._data, h)
        worst = max(worst, np.abs(measured - g._data).max(initial=0.0))
        size = max(size, np.abs(measured).max(initial=0.0), np.abs(g._data).max(initial=0.0))
    return float(worst / size) if size else 0.0


# ------------------------------------------------------------------------------------------------------ seeing a graph


def tape(root: Value | Tensor, names: Mapping | None = None) -> list[str]:
    """The computation as a list of single operations in their order, a Wengert list: ``v1 = a + b = 3``.

    Parameters
    ----------
    root : the result.
    names : node -> name, for the nodes that have one; the others are called v1, v2, ...
    """
    order = topological_order(root)[::-1]
    called = _names(order, names or {})
    lines = []
    for node in order:
        if node.inputs:
            what, parts = _op_name(node), [called[x] for x in node.inputs]
            made = f" {what} ".join(parts) if len(parts) == 2 else f"{what}({parts[0]})"
            lines.append(f"{called[node]} = {made} = {_shown(node)}")
        elif called[node] != _shown(node):
            lines.append(f"{called[node]} = {_shown(node)}")
    return lines


def draw(
    root: Value | Tensor,
    names: Mapping | None = None,
    *,
    gradients: bool = False,
    alt: str | None = None,
    direction: str = "TB",
):
    """A picture of the computational graph: boxes for what was given, ellipses for what was computed.

    Drawn by Graphviz: the Python package ``graphviz`` and the program ``dot``. Where one of them is missing, the
    picture is the list that :func:`tape` gives, and says what to install.

    Parameters
    ----------
    root : the result.
    names : node -> name.
    gradients : write the gradients too, after ``backward``.
    alt : what the picture shows, in words; by default, the list of operations.
    direction : "TB", from top to bottom, or "LR", from left to right.

    Returns
    -------
    A ``dlcourse.plot.Picture``.
    """
    import html

    from dlcourse.plot import Picture

    lines = tape(root, names)
    alt = alt or "Computational graph: " + "; ".join(lines) + "."
    try:
        svg = _svg(root, names or {}, gradients, direction)
    except _NoGraphviz as missing:
        listed = html.escape("\n".join(lines))
        return Picture(f"<pre>{listed}</pre><p>The graph as a list, because {html.escape(str(missing))}</p>", alt)
    label = html.escape(alt, quote=True)
    return Picture(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1), alt)


class _NoGraphviz(RuntimeError):
    """Graphviz cannot draw here; the message says what to install."""


def _svg(root, names: Mapping, gradients: bool, direction: str) -> str:
    import re

    try:
        import graphviz
    except ImportError:
        raise _NoGraphviz("the Python package graphviz is missing: pip install graphviz draws it.") from None
    ink, order = "#010203", topological_order(root)[::-1]  # ink stands for the colour of the text around
    called = _names(order, names)
    style = {"color": ink, "fontcolor": ink, "fontname": "Helvetica,Arial,sans-serif", "fontsize": "12"}
    dot = graphviz.Digraph(
        graph_attr={"rankdir": direction, "bgcolor": "transparent", "ranksep": "0.3", "nodesep": "0.2"},
        node_attr={**style, "height": "0.3", "margin": "0.08,0.04"},
        edge_attr={"color": ink, "arrowsize": "0.6"},
    )
    number = {node: f"n{i}" for i, node in enumerate(order)}
    for node in order:
        lines = [_op_name(node)] if node.inputs else []
        if node in names or not node.inputs:
            lines.insert(0, called[node])
        if _shown(node) not in lines:
            lines.append(_shown(node))
        if gradients and node.grad is not None:
            lines.append(f"grad {_numbers(node.grad)}")
        dot.node(number[node], graphviz.escape("\n".join(lines)), shape="ellipse" if node.inputs else "box")
        for x in node.inputs:
            dot.edge(number[x], number[node])
    try:
        svg = dot.pipe(format="svg", encoding="utf-8")
    except graphviz.ExecutableNotFound:
        raise _NoGraphviz("the program dot is missing: apt-get install graphviz (or conda, brew) draws it.") from None
    width = float(re.search(r'width="([\d.]+)pt"', svg).group(1)) * 4 / 3
    svg = re.sub(r"<!--.*?-->|<title>.*?</title>| id=\"[^\"]*\"", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    style = f"display:block;margin:0 auto;width:100%;max-width:{width:.0f}px;height:auto"
    svg = re.sub(r'<svg width="[\d.]+pt" height="[\d.]+pt"', f'<svg style="{style}"', svg, count=1)
    return svg.replace(ink, "currentColor")


def _names(order: Sequence, names: Mapping) -> dict:
    """A name for every node, inputs first; a number that was given and has no name is called by its value."""
    called, computed = {}, 0
    for node in order:
        computed += bool(node.inputs) and node not in names
        called[node] = names.get(node) or (f"v{computed}" if node.inputs else _shown(node))
    return called


def _op_name(node) -> str:
    if isinstance(node, Value):
        return node.op
    return f"^{node.options[0]:g}" if node.op is POWER else node.op.name


def _shown(node) -> str:
    """A number; of an array, its shape."""
    return _numbers(node.data)


def _numbers(x) -> str:
    return f"{np.asarray(x).item():.4g}" if np.size(x) == 1 else str(np.shape(x))

"""The exercises of ``09_cnn``: pooling forward and backward, receptive fields, and the arithmetic of whole networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlcourse import conv, pooling
from dlcourse.exercises.compare import Close
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD, POOLING
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

_MAXIMUM = tuple(f"dlcourse.pooling.max_pool2d_{part}" for part in ("loops", "loops_backward", "forward", "backward"))
_ADAPTIVE = tuple(f"dlcourse.pooling.{name}" for name in ("adaptive_avg_pool2d_forward", "bins"))


# --- A number: the parameters of C3 ----------------------------------------------------------------------------------

c3_number = Exercise(
    id="cnn.c3_number",
    title="How many parameters has C3?",
    name="c3",
    kind="number",
    points=1,
    reference=1516,
    cases=lambda rng: [Case("LeNet-5's third layer")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("all_connected", 2416, "this is right where every map sees all six; here most maps see three or four."),
        Mistake("no_biases", 1500, "these are the weights. Each map has a bias too."),
        Mistake(
            "bias_for_each_pair", 1560, "a map adds up all that it sees, and then adds one bias, not one for each."
        ),
        Mistake("units", 151_600, "the weights of a map are shared by all its places."),
    ),
    hints=(
        "Count the pairs: a map of C3 and a map of S2 that it sees.",
        "6 maps see 3, 9 maps see 4, 1 map sees 6. Each pair has one 5×5 kernel.",
        "(6·3 + 9·4 + 1·6) · 25 weights, and one bias for each of the 16 maps.",
    ),
    difficulty=1,
    importance=3,
    minutes=6,
)


# --- max-pooling, forward --------------------------------------------------------------------------------------------


def _max_pool(x, kernel, stride):
    return pooling.max_pool2d_forward(np.asarray(x), kernel, stride=stride)[0]


def _max_pool_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand", np.array([[[[1.0, 2, 5, 0], [4, 3, 1, 6]]]]), 2, 2)
    yield case("all negative", -1 - rng.random((1, 2, 4, 4)), 2, 2)
    yield case("windows that overlap", rng.normal(size=(1, 1, 5, 7)), 3, 2)
    yield case("pixels left over", rng.normal(size=(2, 3, 5, 8)), 2, 2)
    yield case("stride 1", rng.normal(size=(1, 2, 4, 3)), 2, 1)
    yield case("a stride longer than the window", rng.normal(size=(1, 2, 9, 8)), 2, 3)
    yield case("one window", rng.normal(size=(2, 1, 4, 4)), 4, 4)
    yield case("windows of one pixel", rng.normal(size=(1, 2, 3, 5)), 1, 2)
    kernel, stride = (int(n) for n in rng.integers(2, 5, 2))
    yield case("drawn at random", rng.normal(size=(2, 4, *rng.integers(8, 14, 2))), kernel, stride)
    yield case("float32", rng.normal(size=(3, 2, 8, 6)).astype(np.float32), 2, 2)


def _max_pool_of(windows):
    """Max-pooling with ``windows(size, kernel, stride)`` of them along an axis; slices end where the image does."""

    def pool(x, kernel, stride):
        rows, columns = (windows(n, kernel, stride) for n in x.shape[2:])
        out = np.zeros((*x.shape[:2], rows, columns), x.dtype)
        for p, q in np.ndindex(rows, columns):
            window = x[:, :, p * stride : p * stride + kernel, q * stride : q * stride + kernel]
            out[:, :, p, q] = window.max(axis=(2, 3))
        return out

    return pool


max_pool = Exercise(
    id="cnn.max_pool",
    title="Max-pooling",
    name="max_pool",
    kind="function",
    points=2,
    reference=_max_pool,
    cases=_max_pool_cases,
    compare=Close(rtol=1e-6, atol=1e-9),
    mistakes=(
        Mistake(
            "average",
            lambda x, kernel, stride: pooling.avg_pool2d_forward(x, kernel, stride=stride)[0],
            "these are the windows' means; the largest values were asked for.",
        ),
        Mistake(
            "started_at_zero",
            lambda x, kernel, stride: np.maximum(_max_pool(x, kernel, stride), 0),
            "positive values are right. Where all of a window is negative you answer 0, which is not in the window.",
        ),
        Mistake(
            "stride_is_kernel",
            lambda x, kernel, stride: _max_pool(x, kernel, kernel),
            "windows side by side are right; the stride may be another number than the kernel.",
        ),
        Mistake(
            "channels_mixed",
            lambda x, kernel, stride: _max_pool(x.max(axis=1, keepdims=True), kernel, stride),
            "pooling leaves the channels apart: each map is pooled by itself.",
        ),
        Mistake(
            "largest_in_size",
            lambda x, kernel, stride: np.where(
                _max_pool(x, kernel, stride) >= _max_pool(-x, kernel, stride),
                _max_pool(x, kernel, stride),
                -_max_pool(-x, kernel, stride),
            ),
            "a large negative value is not a large value: no absolute values.",
        ),
        Mistake(
            "rounded_up",
            _max_pool_of(lambda n, kernel, stride: -((kernel - n) // stride) + 1),
            "right where the windows fit. Windows that would hang over the edge are left out; yours are cut off there.",
        ),
        Mistake(
            "size_over_stride",
            _max_pool_of(lambda n, kernel, stride: n // stride),
            "right where kernel and stride are equal. How many windows fit depends on the kernel too.",
        ),
        Mistake(
            "first_place_forgotten",
            _max_pool_of(lambda n, kernel, stride: (n - kernel) // stride),
            "you count the window's steps. It stands in one more place than it takes steps.",
        ),
    ),
    withhold=(*_MAXIMUM, *POOLING),
    hints=(
        "How many windows fit in a row? Then: which rows and columns does window (p, q) cover?",
        "Window (p, q) covers rows p·stride to p·stride + kernel - 1. A column has (H - kernel) // stride + 1 of them.",
        "out[:, :, p, q] = x[:, :, p*stride : p*stride + kernel, q*stride : q*stride + kernel].max(axis=(2, 3)).",
    ),
    difficulty=1,
    importance=5,
    minutes=12,
)


# --- max-pooling, backward -------------------------------------------------------------------------------------------


def _max_pool_backward(dout, x, kernel, stride):
    _, cache = pooling.max_pool2d_forward(np.asarray(x), kernel, stride=stride)
    return pooling.max_pool2d_backward(np.asarray(dout), cache)


def _max_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    def made(name, x, kernel, stride):
        out = [conv.output_size(n, kernel, stride) for n in x.shape[2:]]
        # Whole numbers other than 0: sums of them are exact in float32, and none vanishes.
        dout = rng.integers(1, 9, (*x.shape[:2], *out)).astype(float)
        return case(name, dout, x, kernel, stride)

    x = np.array([[[[1.0, 2, 5, 0], [4, 3, 1, 6]]]])
    yield case("by hand", np.array([[[[10.0, 20.0]]]]), x, 2, 2)
    yield case("by hand, with a tie", np.array([[[[8.0]]]]), np.array([[[[1.0, 3], [3, 3]]]]), 2, 2)
    shuffled = rng.permutation(5 * 7).reshape(1, 1, 5, 7).astype(float)
    shuffled[0, 0, 2, 2] = 100  # wins in four windows
    yield made("one pixel wins in several windows", shuffled, 3, 2)
    yield made("pixels left over", rng.permutation(2 * 2 * 5 * 6).reshape(2, 2, 5, 6) - 60.0, 2, 2)
    yield made("many ties", rng.integers(0, 3, (2, 3, 6, 6)).astype(float), 2, 2)
    yield made("many ties, windows that overlap", rng.integers(0, 3, (2, 2, 7, 6)).astype(float), 3, 1)
    yield made("a stride longer than the window", rng.normal(size=(1, 2, 8, 9)), 2, 3)
    kernel, stride = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    yield made("drawn at random", rng.normal(size=(2, 3, *rng.integers(7, 11, 2))), kernel, stride)


def _backward_by(share, overwrite=False):
    """A backward pass in which ``share(window) -> weights`` splits each gradient."""

    def backward(dout, x, kernel, stride):
        dx = np.zeros(x.shape)
        for n, c, p, q in np.ndindex(*dout.shape):
            rows = slice(p * stride, p * stride + kernel)
            columns = slice(q * stride, q * stride + kernel)
            part = dout[n, c, p, q] * share(x[n, c, rows, columns])
            if overwrite:
                dx[n, c, rows, columns] = np.where(part != 0, part, dx[n, c, rows, columns])
            else:
                dx[n, c, rows, columns] += part
        return dx

    return backward


def _first(window):
    return (np.arange(window.size) == window.argmax()).reshape(window.shape).astype(float)


max_pool_backward = Exercise(
    id="cnn.max_pool_backward",
    title="Who gets the gradient?",
    name="max_pool_backward",
    kind="function",
    points=4,
    reference=_max_pool_backward,
    cases=_max_backward_cases,
    compare=Close(rtol=1e-6, atol=1e-9),
    mistakes=(
        Mistake(
            "all_ties_get_all",
            _backward_by(lambda w: (w == w.max()).astype(float)),
            "right without ties. Where several pixels are largest, each of yours gets the whole gradient.",
        ),
        Mistake(
            "ties_share",
            _backward_by(lambda w: (w == w.max()) / (w == w.max()).sum()),
            "right without ties. Sharing among equals is fair, but the rule here is that the first takes all.",
        ),
        Mistake(
            "last_wins",
            _backward_by(lambda w: _first(w.ravel()[::-1]).reshape(w.shape)[::-1, ::-1]),
            "right without ties. Where several are largest, the first one counts, row by row.",
        ),
        Mistake(
            "column_by_column",
            _backward_by(lambda w: _first(w.T).T),
            "ties go to the first one down the columns; the rule here counts row by row.",
        ),
        Mistake(
            "overwritten",
            _backward_by(_first, overwrite=True),
            "a pixel that wins in two windows gets two gradients, and they add up.",
        ),
        Mistake(
            "spread_evenly",
            _backward_by(lambda w: np.full(w.shape, 1 / w.size)),
            "this is the backward pass of average pooling.",
        ),
    ),
    withhold=(*_MAXIMUM, *POOLING, *AUTOGRAD, *AUTODIFF),
    hints=(
        "Nudge one pixel of a window a little. The output moves only if that pixel is the largest.",
        "Loop over the outputs; find the place of the largest pixel in its window, and add dout there.",
        "i, j = np.unravel_index(window.argmax(), window.shape); "
        "dx[n, c, p*stride + i, q*stride + j] += dout[n, c, p, q].",
    ),
    difficulty=3,
    importance=4,
    minutes=25,
)


# --- adaptive average pooling ----------------------------------------------------------------------------------------


def _adaptive(x, rows, columns):
    return pooling.adaptive_avg_pool2d_forward(np.asarray(x), (rows, columns))[0]


def _adaptive_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand", np.array([[[[1.0, 2, 3, 4, 5]]]]), 1, 2)
    yield case("it divides", rng.normal(size=(1, 2, 6, 4)), 3, 2)
    yield case("to a single number a map: global", rng.normal(size=(2, 3, 4, 5)), 1, 1)
    yield case("to its own size", rng.normal(size=(1, 2, 3, 4)), 3, 4)
    yield case("windows that overlap", rng.normal(size=(1, 2, 7, 10)), 3, 4)
    yield case("more windows than pixels", rng.normal(size=(1, 1, 2, 3)), 3, 5)
    sizes = [int(n) for n in rng.integers(1, 7, 2)]
    yield case("drawn at random", rng.normal(size=(2, 2, *rng.integers(7, 14, 2))), *sizes)


def _mean(window):
    with np.errstate(invalid="ignore"):  # an empty window: 0 / 0
        return window.sum(axis=(2, 3)) / np.array(window.shape[2] * window.shape[3], float)


def _binned(edges, reduce=_mean):
    """Adaptive pooling with windows ``edges(size, out)``."""

    def pool(x, rows, columns):
        parts = [
            [reduce(x[:, :, slice(*r), slice(*c)]) for c in edges(x.shape[3], columns)] for r in edges(x.shape[2], rows)
        ]
        return np.array(parts).transpose(2, 3, 0, 1)

    return pool


def _right(size, out):
    return [(b.start, b.stop) for b in pooling.bins(size, out)]


adaptive = Exercise(
    id="cnn.adaptive",
    title="Whatever the size of the image",
    name="adaptive_avg_pool",
    kind="function",
    points=3,
    reference=_adaptive,
    cases=_adaptive_cases,
    compare=Close(rtol=1e-5, atol=1e-8),
    mistakes=(
        Mistake(
            "both_rounded_down",
            _binned(lambda n, m: [(p * n // m, (p + 1) * n // m) for p in range(m)]),
            "right where the sizes divide. A window's end is rounded up, so that neighbours may share a pixel.",
        ),
        Mistake(
            "same_length_for_all",
            _binned(lambda n, m: [(p * (n // m), (p + 1) * (n // m)) for p in range(m)]),
            "right where the sizes divide. Your windows are all of the same length, so some pixels are in none.",
        ),
        Mistake(
            "both_rounded_to_nearest",
            _binned(lambda n, m: [(round(p * n / m), round((p + 1) * n / m)) for p in range(m)]),
            "right where the sizes divide. A window's start is rounded down and its end up, not to the nearest.",
        ),
        Mistake(
            "sums",
            _binned(_right, lambda w: w.sum(axis=(2, 3))),
            "these are the windows' sums; the means were asked for.",
        ),
        Mistake(
            "largest",
            _binned(_right, lambda w: w.max(axis=(2, 3))),
            "the windows are right; you take the largest value of each, not the mean.",
        ),
        Mistake(
            "rows_for_columns",
            lambda x, rows, columns: _adaptive(x, columns, rows),
            "rows and columns are swapped.",
        ),
    ),
    withhold=(*_ADAPTIVE, *POOLING),
    hints=(
        "Work in one dimension first: which pixels belong to window p of `out`, on an axis of `size` pixels?",
        "From p·size/out, rounded down, to (p + 1)·size/out, rounded up. 5 pixels in 2 windows: 0 to 3, and 2 to 5.",
        "start, stop = p * H // rows, -(-(p + 1) * H // rows); the same for columns; then the mean of the slice.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- the receptive field ---------------------------------------------------------------------------------------------


def _field(layers) -> tuple[int, int]:
    field = pooling.receptive_field([tuple(int(n) for n in layer) for layer in layers])
    return field.size, field.jump


def _field_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("one 3×3", [[3, 1]])
    yield case("two 3×3", [[3, 1], [3, 1]])
    yield case("no layer", [])
    yield case("pool, then 3×3", [[2, 2], [3, 1]])
    yield case("3×3, then pool", [[3, 1], [2, 2]])
    yield case("the network of 1989", [[5, 2], [5, 2]])
    yield case("LeNet-5", [[5, 1], [2, 2], [5, 1], [2, 2], [5, 1]])
    yield case("strides only", [[1, 3], [1, 2]])
    layers = np.column_stack([rng.integers(1, 8, 6), rng.integers(1, 4, 6)])
    yield case("six layers drawn at random", layers.tolist())


def _field_by(rule):
    def field(layers):
        size, jump = 1, 1
        for kernel, stride in layers:
            size, jump = rule(size, jump, kernel, stride)
        return size, jump

    return field


receptive_field = Exercise(
    id="cnn.receptive_field",
    title="How far does a unit see?",
    name="receptive_field",
    kind="function",
    points=3,
    reference=_field,
    cases=_field_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "jump_forgotten",
            _field_by(lambda size, jump, kernel, stride: (size + kernel - 1, jump * stride)),
            "right where no stride comes before. After a stride of 2 a step of the kernel is two input pixels.",
        ),
        Mistake(
            "own_stride_first",
            _field_by(lambda size, jump, kernel, stride: (size + (kernel - 1) * jump * stride, jump * stride)),
            "a layer's own stride moves windows apart; it does not make them larger. First the size, then the jump.",
        ),
        Mistake(
            "kernels_multiplied",
            _field_by(lambda size, jump, kernel, stride: (size * kernel, jump * stride)),
            "two 3×3 layers see 5 pixels, not 9: neighbouring windows overlap.",
        ),
        Mistake(
            "kernel_not_less_one",
            _field_by(lambda size, jump, kernel, stride: (size + kernel * jump, jump * stride)),
            "a kernel of one pixel adds nothing. How much does a kernel of three add?",
        ),
        Mistake(
            "strides_added",
            _field_by(lambda size, jump, kernel, stride: (size + (kernel - 1) * jump, jump + stride - 1)),
            "strides multiply: two of 2 make a jump of 4.",
        ),
        Mistake(
            "last_stride_for_the_jump",
            _field_by(lambda size, jump, kernel, stride: (size + (kernel - 1) * jump, stride)),
            "your jump is the last layer's stride. All strides up to here multiply.",
        ),
        Mistake(
            "strides_summed",
            _field_by(lambda size, jump, kernel, stride: (size + (kernel - 1) * jump, jump + stride)),
            "each layer adds its stride to your jump, even a stride of 1. Strides multiply: two of 2 make a jump of 4.",
        ),
        Mistake("swapped", lambda layers: _field(layers)[::-1], "the two are swapped: the size first, then the jump."),
    ),
    withhold=("dlcourse.pooling.receptive_field", "dlcourse.pooling.ReceptiveField"),
    hints=(
        "Draw two 3×3 layers in one dimension. Which five inputs does one output depend on?",
        "Keep two numbers: the size so far, and the jump, how many input pixels apart neighbouring units are.",
        "For each layer: size = size + (kernel - 1) * jump, and then jump = jump * stride. Both start at 1.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- the bill of a network -------------------------------------------------------------------------------------------


def bill(shape, layers) -> list[list[int]]:
    """The reference: for each layer its output values and its parameters."""
    C, H, W = (int(n) for n in shape)
    rows = []
    for kind, *sizes in layers:
        if kind == "conv":
            filters, kernel, stride, padding = sizes
            count = kernel * kernel * C * filters + filters
            C, H, W = filters, *(conv.output_size(n, kernel, stride, padding) for n in (H, W))
        elif kind == "pool":
            kernel, stride = sizes
            H, W, count = *(conv.output_size(n, kernel, stride) for n in (H, W)), 0
        else:
            count = C * H * W * sizes[0] + sizes[0]
            C, H, W = sizes[0], 1, 1
        rows.append([C * H * W, count])
    return rows


def _bill_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("one convolution", [1, 5, 5], [["conv", 2, 3, 1, 0]])
    yield case("one full layer", [2, 3, 4], [["linear", 5]])
    yield case("pooling learns nothing", [3, 9, 5], [["pool", 2, 2]])
    lenet = [
        ["conv", 6, 5, 1, 2], ["pool", 2, 2], ["conv", 16, 5, 1, 0], ["pool", 2, 2],
        ["linear", 120], ["linear", 84], ["linear", 10],
    ]  # fmt: skip
    yield case("LeNet-5 as taught", [1, 28, 28], lenet)
    yield case("AlexNet's beginning", [3, 224, 224], [["conv", 96, 11, 4, 2], ["pool", 3, 2], ["conv", 256, 5, 1, 2]])
    yield case("a convolution after a full layer", [2, 3, 3], [["linear", 6], ["conv", 3, 1, 1, 0]])
    yield case("1×1, then everything", [8, 4, 9], [["conv", 3, 1, 1, 0], ["conv", 4, 3, 2, 1], ["linear", 2]])
    C, H, W = (int(n) for n in rng.integers((1, 12, 12), (5, 30, 30)))
    first, second = (int(n) for n in rng.integers(3, 9, 2))
    drawn = [["conv", first, 3, 2, 1], ["pool", 3, 1], ["conv", second, 2, 1, 0], ["linear", int(rng.integers(2, 9))]]
    yield case("drawn at random", [C, H, W], drawn)


def _walked(places=conv.output_size, pixels_after_linear=False):
    """The bill with another ``places(size, kernel, stride, padding)`` along an axis."""

    def wrong(shape, layers):
        (C, H, W), rows = shape, []
        for kind, *sizes in layers:
            count = 0
            if kind == "linear":
                count = (C * H * W + 1) * sizes[0]
                C, H, W = (sizes[0], H, W) if pixels_after_linear else (sizes[0], 1, 1)
            else:
                kernel, stride, padding = (*sizes, 0) if kind == "pool" else sizes[1:]
                if kind == "conv":
                    count = (kernel * kernel * C + 1) * sizes[0]
                    C = sizes[0]
                H, W = (places(n, kernel, stride, padding) for n in (H, W))
            rows.append([C * H * W, count])
        return rows

    return wrong


def _billed(change):
    """The bill with ``change(kind, C, H, W, sizes, row)`` applied to each row."""

    def wrong(shape, layers):
        rows, at = [], tuple(shape)
        for i, ((kind, *sizes), row) in enumerate(zip(layers, bill(shape, layers), strict=True)):
            rows.append(change(kind, at, sizes, list(row)))
            at = _shape_after(shape, layers[: i + 1])
        return rows

    return wrong


def _shape_after(shape, layers) -> tuple[int, int, int]:
    C, H, W = shape
    for kind, *sizes in layers:
        if kind == "linear":
            C, H, W = sizes[0], 1, 1
        else:
            kernel, stride, padding = (*sizes[-2:], 0) if kind == "pool" else sizes[1:]
            C = sizes[0] if kind == "conv" else C
            H, W = (conv.output_size(n, kernel, stride, padding) for n in (H, W))
    return C, H, W


network_bill = Exercise(
    id="cnn.bill",
    title="The bill of a network",
    name="bill",
    kind="function",
    points=3,
    reference=bill,
    cases=_bill_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "no_biases",
            _billed(lambda kind, at, sizes, row: [row[0], row[1] - (sizes[0] if kind != "pool" else 0)]),
            "the weights are counted, the biases are not: one for each filter, one for each unit.",
        ),
        Mistake(
            "one_channel",
            _billed(
                lambda kind, at, sizes, row: [row[0], sizes[1] ** 2 * sizes[0] + sizes[0] if kind == "conv" else row[1]]
            ),
            "a filter has a kernel for each channel below it.",
        ),
        Mistake(
            "channels_alone",
            _billed(lambda kind, at, sizes, row: [row[0], (at[0] + 1) * sizes[0] if kind == "linear" else row[1]]),
            "a full layer sees every value below it, all places of all maps, not one number a map.",
        ),
        Mistake(
            "pooling_learns",
            _billed(lambda kind, at, sizes, row: [row[0], row[1] if kind != "pool" else sizes[0] ** 2 * at[0]]),
            "pooling has nothing to learn: 0 parameters.",
        ),
        Mistake(
            "swapped",
            lambda shape, layers: [row[::-1] for row in bill(shape, layers)],
            "the two columns are swapped: values first, then parameters.",
        ),
        Mistake(
            "padding_at_one_end",
            _walked(lambda n, kernel, stride, padding: (n + padding - kernel) // stride + 1),
            "right without padding. Padding stands at both ends of an axis.",
        ),
        Mistake(
            "not_rounded",
            _walked(lambda n, kernel, stride, padding: (n + 2 * padding - kernel) / stride + 1),
            "a map has whole rows and columns: where the stride does not divide, round the size down.",
        ),
        Mistake(
            "size_kept",
            _walked(lambda n, kernel, stride, padding: n),
            "your maps keep their height and width. A convolution without padding and a pooling make them smaller.",
        ),
        Mistake(
            "pixels_after_a_full_layer",
            _walked(pixels_after_linear=True),
            "a full layer puts out one number a unit. What follows it sees units × 1 × 1.",
        ),
    ),
    withhold=("dlcourse.conv.conv2d_parameters", "dlcourse.conv.linear_parameters"),
    hints=(
        "Walk through the layers and keep three numbers: channels, height, width.",
        "A convolution: kernel² · channels · filters + filters parameters. A full layer: values below · units + units.",
        "New size: (n + 2·padding - kernel) // stride + 1. A pooling layer keeps the channels and has 0 parameters; "
        "after a full layer the shape is (units, 1, 1).",
    ),
    difficulty=2,
    importance=4,
    minutes=20,
)


# --- a layer that learns how to pool ---------------------------------------------------------------------------------


class Subsample:
    """The reference: LeNet-5's pooling, 2×2, as a layer that can be trained."""

    def __init__(self, w, b):
        self.w, self.b = np.array(w, float), np.array(b, float)

    def forward(self, x):
        out, self.cache = pooling.subsample2d_forward(np.asarray(x, float), self.w, self.b)
        return out

    def backward(self, dout):
        dx, self.dw, self.db = pooling.subsample2d_backward(np.asarray(dout, float), self.cache)
        return dx

    def step(self, lr):
        self.w = self.w - lr * self.dw
        self.b = self.b - lr * self.db


class _Means(Subsample):
    def forward(self, x):
        out = super().forward(x)
        return (out - self.b[:, None, None]) / 4 + self.b[:, None, None]

    def backward(self, dout):
        dx = super().backward(dout) / 4
        self.dw = self.dw / 4
        return dx


class _MeansForward(Subsample):
    """Means forward, and for dw; dx as for sums."""

    def forward(self, x):
        return (super().forward(x) - self.b[:, None, None]) / 4 + self.b[:, None, None]

    def backward(self, dout):
        dx = super().backward(dout)
        self.dw = self.dw / 4
        return dx


class _GradientShared(Subsample):
    def backward(self, dout):
        return super().backward(dout) / 4


class _AddsUp(Subsample):
    def backward(self, dout):
        old = (getattr(self, "dw", 0), getattr(self, "db", 0))
        dx = super().backward(dout)
        self.dw, self.db = old[0] + self.dw, old[1] + self.db
        return dx


class _BiasStays(Subsample):
    def step(self, lr):
        self.w = self.w - lr * self.dw


class _AveragedImages(Subsample):
    def backward(self, dout):
        dx = super().backward(dout)
        self.dw, self.db = self.dw / len(dout), self.db / len(dout)
        return dx


class _WeightForgotten(Subsample):
    def backward(self, dout):
        dx = super().backward(dout)
        one = pooling.avg_pool2d_backward(np.asarray(dout, float) * 4, self.cache[2])
        return np.zeros_like(dx) + one


class _MeanGradients(Subsample):
    def backward(self, dout):
        dx = super().backward(dout)
        count = dout.size / len(self.w)
        self.dw, self.db = self.dw / count, self.db / count
        return dx


class _Uphill(Subsample):
    def step(self, lr):
        super().step(-lr)


class _OneForAll(Subsample):
    """One coefficient for all maps."""

    def __init__(self, w, b):
        super().__init__(np.full(len(w), w[0]), np.full(len(b), b[0]))


def _subsample_cases(rng: np.random.Generator) -> Iterator[Case]:
    x = np.array([[[[1.0, 2], [3, 4]]]])
    one = np.array([[[[1.0]]]])
    yield steps(
        "by hand", (np.array([0.5]), np.array([10.0])), ("forward", x), ("backward", one), (".dw",), (".db",),
        ("step", 0.1), ("forward", x),
    )  # fmt: skip
    for name, shape in [("three maps", (2, 3, 4, 6)), ("a batch of five", (5, 2, 2, 4))]:
        w, b = rng.normal(size=shape[1]), rng.normal(size=shape[1])
        x, other = rng.normal(size=shape), rng.normal(size=shape)
        dout = rng.normal(size=(*shape[:2], shape[2] // 2, shape[3] // 2))
        yield steps(
            name, (w, b), ("forward", x), ("backward", dout), (".dw",), (".db",), ("step", 0.3), ("forward", other),
            ("backward", dout), (".dw",), ("step", 0.2), ("forward", x),
        )  # fmt: skip


subsample = Exercise(
    id="cnn.subsample",
    title="Pooling that learns",
    name="Subsample",
    kind="class",
    points=4,
    reference=Subsample,
    cases=_subsample_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "means", _Means, "your windows are averaged; LeNet-5 adds up, and leaves the scale to the coefficient."
        ),
        Mistake(
            "weight_forgotten",
            _WeightForgotten,
            "dw and db are right. On its way down to x the gradient passes the coefficient.",
        ),
        Mistake(
            "mean_gradients",
            _MeanGradients,
            "dx is right. dw and db are sums over all places of all images, not means.",
        ),
        Mistake(
            "means_forward",
            _MeansForward,
            "your windows are averaged; LeNet-5 adds up. dx is right already: each pixel counts in full.",
        ),
        Mistake(
            "gradient_shared",
            _GradientShared,
            "dw and db are right. Each pixel of a window goes into the sum in full, so each gets all of w · dout.",
        ),
        Mistake(
            "gradients_add_up",
            _AddsUp,
            "the first pass is right. self.dw and self.db are those of the last backward pass; yours add up.",
        ),
        Mistake("bias_stays", _BiasStays, "the coefficient learns, the bias does not. `step` moves both."),
        Mistake(
            "averaged_over_the_images",
            _AveragedImages,
            "dx is right. dw and db are sums over the images, not means: the 1/N of a mean loss is in dout already.",
        ),
        Mistake("uphill", _Uphill, "forward and backward are right; the step goes up the loss, not down."),
        Mistake("one_for_all", _OneForAll, "right for one map. Each map has a coefficient and a bias of its own."),
    ),
    withhold=(
        "dlcourse.pooling.subsample2d_forward",
        "dlcourse.pooling.subsample2d_backward",
        "dlcourse.pooling.avg_pool2d_forward",
        "dlcourse.pooling.avg_pool2d_backward",
        *POOLING,
        *AUTOGRAD,
        *AUTODIFF,
    ),
    hints=(
        "Call the window sums s. Forward is out = w·s + b, map by map. What are the derivatives by w, b and s?",
        "dw = Σ dout·s, db = Σ dout, both over images and places; ds = w·dout, and each pixel of a window gets ds.",
        "s = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]; "
        "dx = ds.repeat(2, axis=2).repeat(2, axis=3).",
    ),
    difficulty=3,
    importance=3,
    minutes=25,
)

essay = text_exercise("cnn.essay", "Ten kinds of flowers", points=3, difficulty=2, importance=4, minutes=15)

EXERCISES = (c3_number, max_pool, max_pool_backward, adaptive, receptive_field, network_bill, subsample, essay)

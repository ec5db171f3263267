"""Chapter 13: sequences by hand. Embeddings, causal convolution, RNN, LSTM, GRU through time, and additive attention.

    out, state, cache = lstm_forward(x, weights)            # x (T, N, D) -> out (T, N, H), state (h, c), each (N, H)
    dx, dweights, dstate = lstm_backward(dout, cache)

Weights are PyTorch's, so that ``Weights.of(torch.nn.LSTM(D, H))`` loads: the gates of a unit stand below each other,
i, f, g, o for an LSTM (g is the candidate, which some papers call z) and r, z, n for a GRU.

How the fast version works. The inputs of all moments go through one matrix product, before the loop; so do the
gradients of the weights, after it. In the loop there is one product with the state for all gates together. States are
columns, (H, N), so that each gate is a block of neighbouring rows. As ``σ(a) = (1 + tanh(a / 2)) / 2``, one call of
tanh serves all gates of an LSTM. ``rnn_step``, ``lstm_step`` and ``gru_step`` are the definitions, written to be read.

Sequences of several lengths stand in one array, filled up at the end; ``lengths`` says where each one ends. There the
output is 0, the state stays what it was, and no gradient arises, whatever the filling is. A sequence of length 0 keeps
its first state.

Sources: Elman, Finding structure in time, Cognitive Science 14 (1990); Hochreiter and Schmidhuber, Long short-term
memory, Neural Computation 9 (1997); Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP
(2014), arXiv:1406.1078; Chung et al., Empirical evaluation of gated recurrent neural networks, arXiv:1412.3555 (2014);
Bahdanau, Cho and Bengio, Neural machine translation by jointly learning to align and translate, ICLR (2015),
arXiv:1409.0473; Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML (2013).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from dlcourse.arrays import as_float, as_gradient
from dlcourse.conv import conv1d_backward, conv1d_forward

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
RESETS, UPDATES = ("after", "before"), ("old", "new")


class Weights(NamedTuple):
    """The weights of one recurrent layer with G gates, in PyTorch's layout. Gradients come in the same form."""

    w_ih: np.ndarray  # (G·H, D), for the input
    w_hh: np.ndarray  # (G·H, H), for the state
    b_ih: np.ndarray  # (G·H,)
    b_hh: np.ndarray  # (G·H,)

    @classmethod
    def of(cls, module: Any, layer: int = 0) -> Weights:
        """Those of a ``torch.nn.RNN``, ``LSTM`` or ``GRU``, as arrays that share its memory; 0 for missing biases."""
        w = {name: getattr(module, f"weight_{name}_l{layer}").detach().numpy() for name in ("ih", "hh")}
        biases = [
            getattr(module, f"bias_{name}_l{layer}").detach().numpy() if module.bias else np.zeros(len(a), a.dtype)
            for name, a in w.items()
        ]
        return cls(w["ih"], w["hh"], *biases)

    @classmethod
    def draw(cls, rng: np.random.Generator, kind: str, D: int, H: int, dtype=np.float64) -> Weights:
        """Uniform numbers on ±1/√H, as PyTorch starts. ``kind`` is ``rnn``, ``lstm`` or ``gru``.

        Raises
        ------
        ValueError
            There is no such kind.
        """
        if kind not in GATES:
            raise ValueError(f"kind is {kind!r}; expected one of {', '.join(GATES)}")
        rows, bound = GATES[kind] * H, 1 / math.sqrt(H)
        return cls(*(rng.uniform(-bound, bound, shape).astype(dtype) for shape in ((rows, D), (rows, H), rows, rows)))


# ----------------------------------------------------------------------------------------------------- embeddings


def embedding_forward(ids: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Look up a vector for each word: ``out[...] = w[ids[...]]``, which is a one-hot vector times ``w``.

    Parameters
    ----------
    ids : integers from 0 to V - 1, any shape
    w : (V, D), a row for each word of the vocabulary

    Returns
    -------
    out : ids' shape + (D,)
    cache : for :func:`embedding_backward`

    Raises
    ------
    ValueError
        ``ids`` are no integers or not in the vocabulary, or ``w`` is no float matrix.

    Source: Bengio et al., A neural probabilistic language model, JMLR 3 (2003), section 2.
    """
    ids, w = np.asarray(ids), as_float(w, "w")
    if w.ndim != 2:
        raise ValueError(f"w has shape {w.shape}; expected (V, D)")
    if ids.dtype.kind not in "iu":
        raise ValueError(f"ids has dtype {ids.dtype}; expected integers")
    if ids.size and not 0 <= ids.min() <= ids.max() < len(w):
        raise ValueError(f"ids lie from {ids.min()} to {ids.max()}; expected 0 to {len(w) - 1}, as w has {len(w)} rows")
    return w[ids], (ids, w.shape)


def embedding_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """``dw[v] = Σ dout over all places where the word v stands``; words that do not occur get 0.

    Sorted by word, each word's gradients are neighbours, and ``reduceat`` adds them up.

    Raises
    ------
    ValueError
        ``dout`` has not the output's shape.
    """
    ids, (V, D) = cache
    dout = as_gradient(dout, (*ids.shape, D))
    dw = np.zeros((V, D), dout.dtype)
    if ids.size:
        order = np.argsort(ids, axis=None, kind="stable")
        words, starts = np.unique(ids.ravel()[order], return_index=True)
        dw[words] = np.add.reduceat(dout.reshape(-1, D)[order], starts)
    return dw


# --------------------------------------------------------------------------------------------- temporal convolution


def causal_conv_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, *, dilation: int = 1
) -> tuple[np.ndarray, tuple]:
    """Convolution over time that looks back only.

    ``out[n, k, t] = b[k] + Σ_c Σ_i w[k, c, i] x[n, c, t - (F-1-i)·dilation]``

    Before the first moment there are zeros, so the output is as long as the input, and ``out[t]`` knows nothing of
    what comes after t. F·dilation - dilation + 1 moments are seen.

    Parameters
    ----------
    x : (N, C, T)
    w : (K, C, F)
    b : (K,) or None

    Returns
    -------
    out : (N, K, T)
    cache : for :func:`causal_conv_backward`

    Raises
    ------
    ValueError
        As :func:`dlcourse.conv.conv1d_forward`; or T is 0.

    Source: van den Oord et al., WaveNet (2016), arXiv:1609.03499, section 2.1.
    """
    x, w = as_float(x, "x"), np.asarray(w)
    if x.ndim != 3 or x.shape[2] == 0:
        raise ValueError(f"x has shape {x.shape}; expected (N, C, T) with at least one moment")
    before = max(w.shape[-1] - 1, 0) * dilation if w.ndim else 0
    padded = np.concatenate([np.zeros((*x.shape[:2], before), x.dtype), x], axis=2)
    out, cache = conv1d_forward(padded, w, b, dilation=dilation)
    return out, (cache, before)


def causal_conv_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of :func:`causal_conv_forward`: dx (N, C, T), dw (K, C, F), db (K,)."""
    dx, dw, db = conv1d_backward(dout, cache[0])
    return dx[:, :, cache[1] :], dw, db


# -------------------------------------------------------------------------------------------- one moment, to be read


def rnn_step(x: np.ndarray, h: np.ndarray, weights: Weights) -> np.ndarray:
    """One moment of an RNN: ``h_t = tanh(W h_{t-1} + U x_t + b)``. x is (N, D), h is (N, H).

    Source: Elman (1990).
    """
    w_ih, w_hh, b_ih, b_hh = weights
    return np.tanh(h @ w_hh.T + b_hh + x @ w_ih.T + b_ih)


def lstm_step(x: np.ndarray, h: np.ndarray, c: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """One moment of an LSTM. x is (N, D), h and c are (N, H); returns the next h and c.

    ``i, f, o = σ(...)``, ``z = tanh(...)``, each of ``W h_{t-1} + U x_t + b``;
    ``c_t = f ⊙ c_{t-1} + i ⊙ z``, ``h_t = o ⊙ tanh(c_t)``

    Source: Hochreiter and Schmidhuber (1997); the forget gate is of Gers, Schmidhuber and Cummins (2000).
    """
    w_ih, w_hh, b_ih, b_hh = weights
    i, f, z, o = np.split(h @ w_hh.T + b_hh + x @ w_ih.T + b_ih, 4, axis=1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(z)
    return _sigmoid(o) * np.tanh(c), c


def gru_step(
    x: np.ndarray, h: np.ndarray, weights: Weights, *, reset: str = "after", update: str = "old"
) -> np.ndarray:
    """One moment of a GRU. x is (N, D), h is (N, H); returns the next h.

    ``r = σ(...)`` and ``z = σ(...)`` of ``W h_{t-1} + U x_t + b``; the candidate n is

    - ``tanh(U x_t + b + r ⊙ (W h_{t-1} + b'))`` with ``reset="after"`` the product, as PyTorch has it;
    - ``tanh(U x_t + b + W (r ⊙ h_{t-1}) + b')`` with ``reset="before"`` it, as in the papers.

    ``h_t = z ⊙ h_{t-1} + (1 - z) ⊙ n`` with ``update="old"``, z the share of the old state (PyTorch; Cho et al.);
    ``h_t = (1 - z) ⊙ h_{t-1} + z ⊙ n`` with ``update="new"``, z the share of the new one (Chung et al.).

    Raises
    ------
    ValueError
        ``reset`` or ``update`` is another word.

    Source: Cho et al. (2014), section 2.3; Chung et al. (2014), section 3.2.
    """
    _check_gru(reset, update)
    w_ih, w_hh, b_ih, b_hh = weights
    xr, xz, xn = np.split(x @ w_ih.T + b_ih, 3, axis=1)
    wr, wz, wn = np.split(w_hh, 3)
    br, bz, bn = np.split(b_hh, 3)
    r, z = _sigmoid(xr + h @ wr.T + br), _sigmoid(xz + h @ wz.T + bz)
    n = np.tanh(xn + r * (h @ wn.T + bn)) if reset == "after" else np.tanh(xn + (r * h) @ wn.T + bn)
    return z * h + (1 - z) * n if update == "old" else (1 - z) * h + z * n


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh(0.5 * a) + 0.5


# ------------------------------------------------------------------------------------------- whole sequences: common


class _Sequence(NamedTuple):
    """A checked batch of sequences with the moments first, and what the input adds to each gate."""

    x: np.ndarray  # (T, N, D), zeros beyond each length
    weights: Weights
    valid: np.ndarray | None  # (T, N), where the sequences are; None: everywhere
    batch_first: bool

    @property
    def H(self) -> int:
        return self.weights.w_hh.shape[1]

    @property
    def rows(self) -> np.ndarray:
        """The inputs of all moments as one matrix (T·N, D)."""
        T, N, D = self.x.shape
        return self.x.reshape(T * N, D)

    def inputs(self, w_ih: np.ndarray, b: np.ndarray) -> np.ndarray:
        """U x_t + b for all moments in one product, (G·H, T, N)."""
        T, N, _ = self.x.shape
        out = w_ih @ self.rows.T
        out += b[:, None]
        return out.reshape(len(w_ih), T, N)

    def space(self, *rows: int) -> tuple[np.ndarray, ...]:
        """Arrays (T, rows, N), one for each number of rows."""
        T, N, _ = self.x.shape
        return tuple(np.empty((T, r, N), self.x.dtype) for r in rows)

    def states(self, h0: np.ndarray | None, name: str) -> np.ndarray:
        """(T + 1, H, N) with the first state at 0."""
        T, N, _ = self.x.shape
        states = np.empty((T + 1, self.H, N), self.x.dtype)
        states[0] = 0 if h0 is None else _state(h0, name, (N, self.H), self.x.dtype).T
        return states

    def columns(self, h0: np.ndarray | None, name: str) -> np.ndarray:
        """(T + 1, H + D + 1, N): at t the rows of h_{t-1}, x_t and 1, so that a step takes one product."""
        T, N, D = self.x.shape
        columns = np.zeros((T + 1, self.H + D + 1, N), self.x.dtype)
        columns[0, : self.H] = 0 if h0 is None else _state(h0, name, (N, self.H), self.x.dtype).T
        columns[:T, self.H : -1] = self.x.transpose(0, 2, 1)
        columns[:, -1] = 1
        return columns

    def hold(self, states: np.ndarray, t: int) -> None:
        """Where a sequence is over, the state stays what it was."""
        if self.valid is not None:
            np.copyto(states[t + 1], states[t], where=~self.valid[t])

    def out(self, hs: np.ndarray) -> np.ndarray:
        """The states as outputs (T, N, H), or (N, T, H); 0 where a sequence is over."""
        out = hs[1:].transpose(0, 2, 1)
        if self.valid is not None:
            out = np.where(self.valid[:, :, None], out, 0)
        return np.ascontiguousarray(out.swapaxes(0, 1) if self.batch_first else out)

    def douts(self, dout: np.ndarray) -> np.ndarray:
        """The outputs' gradient as columns (T, H, N); 0 where a sequence is over."""
        T, N, _ = self.x.shape
        shape = (N, T, self.H) if self.batch_first else (T, N, self.H)
        dout = as_gradient(dout, shape).astype(self.x.dtype, copy=False)
        columns = dout.transpose(1, 2, 0) if self.batch_first else dout.transpose(0, 2, 1)
        return columns if self.valid is None else np.where(self.valid[:, None, :], columns, 0)

    def dstate(self, dstate: np.ndarray | None, name: str) -> np.ndarray:
        """The last state's gradient as columns (H, N), a copy."""
        N = self.x.shape[1]
        if dstate is None:
            return np.zeros((self.H, N), self.x.dtype)
        return np.array(_state(dstate, name, (N, self.H), self.x.dtype).T)

    def dx(self, w_ih: np.ndarray, da: np.ndarray) -> np.ndarray:
        """The inputs' gradient from that of U x_t + b, da (G·H, T·N)."""
        T, N, D = self.x.shape
        dx = (da.T @ w_ih).reshape(T, N, D)
        return np.ascontiguousarray(dx.swapaxes(0, 1)) if self.batch_first else dx


def _enter(x, weights, gates, lengths, batch_first) -> _Sequence:
    x = as_float(x, "x")
    if x.ndim != 3:
        raise ValueError(f"x has shape {x.shape}; expected {'(N, T, D)' if batch_first else '(T, N, D)'}")
    weights = Weights(*(np.asarray(w) for w in weights))
    H = weights.w_hh.shape[1] if weights.w_hh.ndim == 2 else 0
    shapes = {"w_ih": (gates * H, x.shape[2]), "w_hh": (gates * H, H), "b_ih": (gates * H,), "b_hh": (gates * H,)}
    for name, w in weights._asdict().items():
        if w.shape != shapes[name] or H == 0:
            raise ValueError(f"{name} has shape {w.shape}; expected {shapes[name]}, as x is {x.shape} and H is {H}")
        if w.dtype != x.dtype:
            raise ValueError(f"{name} has dtype {w.dtype}, x has {x.dtype}; expected the same")
    x = x.swapaxes(0, 1) if batch_first else x
    valid = None
    if lengths is not None:
        valid = valid_moments(lengths, *x.shape[:2])
        x = np.where(valid[:, :, None], x, 0)
    return _Sequence(x, weights, valid, batch_first)


def valid_moments(lengths: np.ndarray, T: int, N: int) -> np.ndarray:
    """Where the sequences are: ``valid[t, n] = t < lengths[n]``, a mask (T, N).

    Raises
    ------
    ValueError
        ``lengths`` are not N integers from 0 to T.
    """
    lengths = np.asarray(lengths)
    if lengths.shape != (N,) or lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths has shape {lengths.shape} and dtype {lengths.dtype}; expected ({N},), integers")
    if N and not 0 <= lengths.min() <= lengths.max() <= T:
        raise ValueError(f"lengths lie from {lengths.min()} to {lengths.max()}; expected 0 to T = {T}")
    return np.arange(T)[:, None] < lengths


def _state(h, name, shape, dtype) -> np.ndarray:
    h = np.asarray(h)
    if h.shape != shape:
        raise ValueError(f"{name} has shape {h.shape}; expected (N, H) = {shape}")
    return h.astype(dtype, copy=False)


def _flat(a: np.ndarray) -> np.ndarray:
    """(T, R, N) as a matrix (R, T·N), so that a sum over moments and examples is one product."""
    T, R, N = a.shape
    return a.transpose(1, 0, 2).reshape(R, T * N)


# ---------------------------------------------------------------------------------------------------------------- RNN


def rnn_forward(
    x: np.ndarray, weights: Weights, h0: np.ndarray | None = None, *, lengths=None, batch_first: bool = False
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """A recurrent layer over whole sequences: ``h_t = tanh(W h_{t-1} + U x_t + b)``, :func:`rnn_step` again and again.

    Parameters
    ----------
    x : (T, N, D), or (N, T, D) with ``batch_first``
    weights : w_ih (H, D), w_hh (H, H), b_ih and b_hh (H,)
    h0 : (N, H), the first state; None for zeros
    lengths : (N,), of each sequence; None where all have T moments

    Returns
    -------
    out : (T, N, H), or (N, T, H): all states; 0 after a sequence's end
    state : (N, H), each sequence's last state; of a sequence without moments, the first
    cache : for :func:`rnn_backward`

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or a length is not from 0 to T.

    Source: Elman (1990).
    """
    seq = _enter(x, weights, 1, lengths, batch_first)
    _, u, b_ih, b_hh = seq.weights
    wx, hs = seq.inputs(seq.weights.w_ih, b_ih + b_hh), seq.states(h0, "h0")
    for t in range(len(seq.x)):
        np.matmul(u, hs[t], out=hs[t + 1])
        hs[t + 1] += wx[:, t]
        np.tanh(hs[t + 1], out=hs[t + 1])
        seq.hold(hs, t)
    return seq.out(hs), hs[-1].T.copy(), (seq, hs)


def rnn_backward(
    dout: np.ndarray, cache: tuple, dstate: np.ndarray | None = None
) -> tuple[np.ndarray, Weights, np.ndarray]:
    """Backpropagation through time. From the last moment to the first, with ``da_t`` the gradient inside the tanh:

    ``dh_t = dout_t + Wᵀ da_{t+1}``, ``da_t = (1 - h_t²) ⊙ dh_t``;
    ``dW = Σ_t da_t h_{t-1}ᵀ``, ``dU = Σ_t da_t x_tᵀ``, ``db = Σ_t da_t``, ``dx_t = Uᵀ da_t``

    The same W is used at every moment, so its gradient is a sum, and dh_t is multiplied by Wᵀ again and again.

    Parameters
    ----------
    dout : of the output's shape
    cache : from :func:`rnn_forward`
    dstate : (N, H), the gradient of the last state, where a loss uses it; else None

    Returns
    -------
    dx, dweights, dh0

    Raises
    ------
    ValueError
        ``dout`` or ``dstate`` has not the shape of what it is the gradient of.

    Source: Werbos, Backpropagation through time: what it does and how to do it, Proc. IEEE 78 (1990).
    """
    seq, hs = cache
    douts, dh = seq.douts(dout), seq.dstate(dstate, "dstate")
    (da,) = seq.space(seq.H)
    for t in reversed(range(len(da))):
        dh += douts[t]
        np.multiply(1 - hs[t + 1] ** 2, dh, out=da[t])
        dh = _back(seq, t, dh, da[t], seq.weights.w_hh.T)
    flat = _flat(da)
    dw_ih, db = flat @ seq.rows, flat.sum(axis=1)
    return seq.dx(seq.weights.w_ih, flat), Weights(dw_ih, flat @ _flat(hs[:-1]).T, db, db.copy()), dh.T.copy()


def _back(seq: _Sequence, t: int, dh: np.ndarray, da: np.ndarray, ut: np.ndarray) -> np.ndarray:
    """The gradient of the state before: through the step, and past it where the sequence is over."""
    if seq.valid is None:
        return ut @ da
    da *= seq.valid[t]
    return ut @ da + dh * ~seq.valid[t]


# --------------------------------------------------------------------------------------------------------------- LSTM


def lstm_forward(
    x: np.ndarray,
    weights: Weights,
    h0: np.ndarray | None = None,
    c0: np.ndarray | None = None,
    *,
    lengths=None,
    batch_first: bool = False,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], tuple]:
    """A layer of LSTM units over whole sequences: :func:`lstm_step` again and again.

    ``i, f, o = σ(W h_{t-1} + U x_t + b)``, ``z = tanh(W h_{t-1} + U x_t + b)``, each with weights of its own;
    ``c_t = f ⊙ c_{t-1} + i ⊙ z``, ``h_t = o ⊙ tanh(c_t)``

    Parameters
    ----------
    x : (T, N, D), or (N, T, D) with ``batch_first``
    weights : w_ih (4H, D), w_hh (4H, H), b_ih and b_hh (4H,), rows in the order i, f, z, o
    h0, c0 : (N, H), the first state and the first cell; None for zeros
    lengths : (N,), of each sequence; None where all have T moments

    Returns
    -------
    out : (T, N, H), or (N, T, H): all states; 0 after a sequence's end
    state : (h, c), each (N, H), at each sequence's end; of a sequence without moments, the first ones
    cache : for :func:`lstm_backward`

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or a length is not from 0 to T.

    Source: Hochreiter and Schmidhuber (1997); the forget gate is of Gers, Schmidhuber and Cummins (2000).
    """
    seq = _enter(x, weights, 4, lengths, batch_first)
    H, (w_ih, w_hh, b_ih, b_hh) = seq.H, seq.weights
    w = _for_one_tanh(np.concatenate([w_hh, w_ih, (b_ih + b_hh)[:, None]], axis=1), H)
    columns, cs = seq.columns(h0, "h0"), seq.states(c0, "c0")
    hs = columns[:, :H]
    gates, tanh_cs = seq.space(4 * H, H)
    for t in range(len(gates)):
        a, c = gates[t], cs[t + 1]
        np.matmul(w, columns[t], out=a)
        np.tanh(a, out=a)
        a[: 3 * H] *= 0.5
        a[: 3 * H] += 0.5
        i, f, o, z = a.reshape(4, H, -1)
        np.multiply(f, cs[t], out=c)
        c += i * z
        np.tanh(c, out=tanh_cs[t])
        np.multiply(o, tanh_cs[t], out=hs[t + 1])
        seq.hold(hs, t)
        seq.hold(cs, t)
    return seq.out(hs), (hs[-1].T.copy(), cs[-1].T.copy()), (seq, columns, cs, gates, tanh_cs)


def lstm_backward(
    dout: np.ndarray, cache: tuple, dstate: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
) -> tuple[np.ndarray, Weights, tuple[np.ndarray, np.ndarray]]:
    """Backpropagation through time in an LSTM. At each moment, from the last to the first:

    ``dc_t = dh_t ⊙ o ⊙ (1 - tanh²(c_t)) + f_{t+1} ⊙ dc_{t+1}``,
    ``do = dh ⊙ tanh(c)``, ``di = dc ⊙ z``, ``dz = dc ⊙ i``, ``df = dc ⊙ c_{t-1}``,

    each times the slope of its σ or tanh. From cell to cell the gradient is multiplied by f alone, by no matrix.

    Parameters
    ----------
    dout : of the output's shape
    cache : from :func:`lstm_forward`
    dstate : (dh, dc), the gradients of the last h and c, each (N, H) or None

    Returns
    -------
    dx, dweights, (dh0, dc0)

    Raises
    ------
    ValueError
        A gradient has not the shape of what it is the gradient of.

    Source: Hochreiter and Schmidhuber (1997), with the gradient not cut off.
    """
    seq, columns, cs, gates, tanh_cs = cache
    H, (T, N, D) = seq.H, seq.x.shape
    douts, dh, dc = seq.douts(dout), seq.dstate(dstate[0], "dstate[0]"), seq.dstate(dstate[1], "dstate[1]")
    ut = np.ascontiguousarray(_last_two_swapped(seq.weights.w_hh, H).T)
    da, slopes = np.empty((4 * H, N), seq.x.dtype), np.empty((3 * H, N), seq.x.dtype)
    through, slope = np.empty_like(dc), np.empty_like(dc)
    di, df, do, dz = da.reshape(4, H, N)  # in the order of the gates
    flat = np.empty((4 * H, T, N), seq.x.dtype)
    for t in reversed(range(T)):
        i, f, o, z = gates[t].reshape(4, H, N)
        dh += douts[t]
        np.multiply(dh, tanh_cs[t], out=do)
        np.multiply(dh, o, out=through)
        through *= _one_minus_square(tanh_cs[t], slope)
        through += dc
        np.multiply(through, z, out=di)
        np.multiply(through, cs[t], out=df)
        np.multiply(through, i, out=dz)
        np.subtract(1, gates[t, : 3 * H], out=slopes)
        slopes *= gates[t, : 3 * H]
        da[: 3 * H] *= slopes
        dz *= _one_minus_square(z, slope)
        through *= f
        np.copyto(dc, through, where=True if seq.valid is None else seq.valid[t])
        dh = _back(seq, t, dh, da, ut)
        flat[:, t] = da
    flat = flat.reshape(4 * H, T * N)
    rows = columns[:T].transpose(0, 2, 1).reshape(T * N, H + D + 1)
    dw_hh, dw_ih, db = np.split(_last_two_swapped(flat @ rows, H), [H, H + D], axis=1)
    dx = seq.dx(_last_two_swapped(seq.weights.w_ih, H), flat)
    dweights = Weights(*map(np.ascontiguousarray, (dw_ih, dw_hh)), db[:, 0].copy(), db[:, 0].copy())
    return dx, dweights, (dh.T.copy(), dc.T.copy())


def _one_minus_square(a: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.multiply(a, a, out=out)
    return np.subtract(1, out, out=out)


def _last_two_swapped(a: np.ndarray, H: int) -> np.ndarray:
    """Rows i, f, z, o as i, f, o, z, or back; a copy."""
    return np.concatenate([a[: 2 * H], a[3 * H :], a[2 * H : 3 * H]])


def _for_one_tanh(a: np.ndarray, H: int) -> np.ndarray:
    """Rows i, f, o, z, the first three halved, as σ(a) = (1 + tanh(a / 2)) / 2."""
    a = _last_two_swapped(a, H)
    a[: 3 * H] *= 0.5
    return a


# ---------------------------------------------------------------------------------------------------------------- GRU


def gru_forward(
    x: np.ndarray,
    weights: Weights,
    h0: np.ndarray | None = None,
    *,
    reset: str = "after",
    update: str = "old",
    lengths=None,
    batch_first: bool = False,
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """A layer of gated recurrent units over whole sequences: :func:`gru_step` again and again.

    ``reset="after", update="old"`` is PyTorch's; ``reset="before", update="new"`` that of Chung et al. (2014), and of
    the lecture this chapter follows. Between the two meanings of z there is only a sign: ``1 - σ(a) = σ(-a)``.

    Parameters
    ----------
    x : (T, N, D), or (N, T, D) with ``batch_first``
    weights : w_ih (3H, D), w_hh (3H, H), b_ih and b_hh (3H,), rows in the order r, z, n
    h0 : (N, H), the first state; None for zeros
    reset : whether r works before or after the product of the state and its weights
    update : whether z is the share of the old state or of the new one
    lengths : (N,), of each sequence; None where all have T moments

    Returns
    -------
    out : (T, N, H), or (N, T, H): all states; 0 after a sequence's end
    state : (N, H), each sequence's last state; of a sequence without moments, the first
    cache : for :func:`gru_backward`

    Raises
    ------
    ValueError
        A shape or dtype does not fit, a length is not from 0 to T, or ``reset`` or ``update`` is another word.

    Source: Cho et al. (2014), section 2.3; Chung et al. (2014), section 3.2.
    """
    _check_gru(reset, update)
    seq = _enter(x, weights, 3, lengths, batch_first)
    H, (_, u, b_ih, b_hh) = seq.H, seq.weights
    b, bn = b_ih.copy(), b_hh[2 * H :, None]
    b[: 2 * H] += b_hh[: 2 * H]
    wx, hs = seq.inputs(seq.weights.w_ih, b), seq.states(h0, "h0")
    gates, inner = seq.space(3 * H, H)  # inner: what r is multiplied with (after), or r times the state (before)
    for t in range(len(gates)):
        h, rz, n = hs[t], gates[t, : 2 * H], gates[t, 2 * H :]
        if reset == "after":
            np.matmul(u, h, out=gates[t])
            np.add(n, bn, out=inner[t])
        else:
            np.matmul(u[: 2 * H], h, out=rz)
        rz += wx[: 2 * H, t]
        rz[:] = _sigmoid(rz)
        r, z = rz[:H], rz[H:]
        if reset == "after":
            np.multiply(r, inner[t], out=n)
        else:
            np.multiply(r, h, out=inner[t])
            np.add(u[2 * H :] @ inner[t], bn, out=n)
        n += wx[2 * H :, t]
        np.tanh(n, out=n)
        np.add(n, z * (h - n), out=hs[t + 1]) if update == "old" else np.add(h, z * (n - h), out=hs[t + 1])
        seq.hold(hs, t)
    return seq.out(hs), hs[-1].T.copy(), (seq, hs, gates, inner, reset, update)


def gru_backward(
    dout: np.ndarray, cache: tuple, dstate: np.ndarray | None = None
) -> tuple[np.ndarray, Weights, np.ndarray]:
    """Backpropagation through time in a GRU. With ``update="old"``, from the last moment to the first:

    ``dn = (1 - z) ⊙ dh``, ``dz = (h_{t-1} - n) ⊙ dh``, and past all gates ``z ⊙ dh`` goes straight to ``h_{t-1}``;
    then through the slopes of tanh and σ, and back through the products with W.

    Parameters
    ----------
    dout : of the output's shape
    cache : from :func:`gru_forward`
    dstate : (N, H), the gradient of the last state, where a loss uses it; else None

    Returns
    -------
    dx, dweights, dh0

    Raises
    ------
    ValueError
        ``dout`` or ``dstate`` has not the shape of what it is the gradient of.

    Source: Cho et al. (2014), section 2.3, differentiated.
    """
    seq, hs, gates, inner, reset, update = cache
    H, u = seq.H, seq.weights.w_hh
    ut, unt = np.ascontiguousarray(u[: 2 * H].T), np.ascontiguousarray(u[2 * H :].T)
    douts, dh = seq.douts(dout), seq.dstate(dstate, "dstate")
    (da,) = seq.space(3 * H)  # inside the gates
    (dn_state,) = seq.space(H)  # of W h + b' (after), or da's rows of n (before)
    for t in reversed(range(len(da))):
        h, (r, z, n) = hs[t], gates[t].reshape(3, H, -1)
        dr, dz, dn = da[t].reshape(3, H, -1)
        dh += douts[t]
        live = dh if seq.valid is None else dh * seq.valid[t]
        share = z if update == "old" else 1 - z  # of the old state
        np.multiply(live, (h - n) if update == "old" else (n - h), out=dz)
        dz *= z * (1 - z)
        np.multiply(live, (1 - share) * (1 - n * n), out=dn)
        back = live * share
        if reset == "after":
            np.multiply(dn, inner[t], out=dr)
            np.multiply(dn, r, out=dn_state[t])
            back += unt @ dn_state[t]
        else:
            dn_state[t] = dn
            dinner = unt @ dn
            np.multiply(dinner, h, out=dr)
            back += dinner * r
        dr *= r * (1 - r)
        back += ut @ da[t, : 2 * H]
        dh = back if seq.valid is None else back + dh * ~seq.valid[t]
    flat, flat_n, states = _flat(da), _flat(dn_state), _flat(hs[:-1])
    dw_ih, db = flat @ seq.rows, flat.sum(axis=1)
    dw_n = flat_n @ (states if reset == "after" else _flat(inner)).T
    dw_hh = np.concatenate([flat[: 2 * H] @ states.T, dw_n])
    db_hh = np.concatenate([db[: 2 * H], flat_n.sum(axis=1)])
    return seq.dx(seq.weights.w_ih, flat), Weights(dw_ih, dw_hh, db, db_hh), dh.T.copy()


def _check_gru(reset: str, update: str) -> None:
    for name, value, known in (("reset", reset, RESETS), ("update", update, UPDATES)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}; expected one of {', '.join(known)}")


# ------------------------------------------------------------------------------------------------ gradients over time


def jacobians(hs: np.ndarray, w_hh: np.ndarray) -> np.ndarray:
    """How an RNN's last state depends on the earlier ones: ``∂h_T/∂h_{T-k} = Π diag(1 - h_t²) W``, k factors.

    Parameters
    ----------
    hs : (T, H), the states of one sequence, from :func:`rnn_forward`
    w_hh : (H, H)

    Returns
    -------
    products : (T, H, H); the first is the identity, for k = 0

    Raises
    ------
    ValueError
        The shapes do not fit.

    Source: Pascanu, Mikolov and Bengio (2013), section 2.1.
    """
    hs, w_hh = as_float(hs, "hs"), np.asarray(w_hh)
    if hs.ndim != 2 or w_hh.shape != (hs.shape[1], hs.shape[1]):
        raise ValueError(f"hs has shape {hs.shape}, w_hh {w_hh.shape}; expected (T, H) and (H, H)")
    products = [np.eye(hs.shape[1], dtype=hs.dtype)]
    for h in hs[:0:-1]:
        products.append(products[-1] @ ((1 - h * h)[:, None] * w_hh))
    return np.array(products)[: len(hs)]


# --------------------------------------------------------------------------------------------------------- attention


def additive_attention_forward(
    query: np.ndarray, keys: np.ndarray, w_q: np.ndarray, w_k: np.ndarray, v: np.ndarray, *, lengths=None
) -> tuple[np.ndarray, tuple]:
    """Bahdanau's attention: a small network scores each key beside the query; the scores become shares of a mean.

    ``e_j = v · tanh(w_q query + w_k key_j)``, ``α = softmax(e)``, ``context = Σ_j α_j key_j``

    Parameters
    ----------
    query : (N, Q), the decoder's state
    keys : (N, T, K), the encoder's states
    w_q : (A, Q); w_k : (A, K); v : (A,)
    lengths : (N,), how many keys each example has; None where all have T

    Returns
    -------
    context : (N, K); 0 for an example without keys
    cache : for :func:`additive_attention_backward`; ``cache[0]`` is α (N, T), 0 beyond the lengths

    Raises
    ------
    ValueError
        A shape or a length does not fit.

    Source: Bahdanau, Cho and Bengio (2015), section 3.1 and appendix A.1.2.
    """
    query, keys = as_float(query, "query"), as_float(keys, "keys")
    if query.ndim != 2 or keys.ndim != 3 or len(query) != len(keys):
        raise ValueError(f"query has shape {query.shape}, keys {keys.shape}; expected (N, Q) and (N, T, K)")
    A = len(v)
    if v.shape != (A,) or w_q.shape != (A, query.shape[1]) or w_k.shape != (A, keys.shape[2]):
        raise ValueError(
            f"w_q has shape {w_q.shape}, w_k {w_k.shape}, v {v.shape}; expected (A, {query.shape[1]}), "
            f"(A, {keys.shape[2]}) and (A,)"
        )
    N, T = keys.shape[:2]
    valid = np.ones((N, T), bool) if lengths is None else valid_moments(lengths, T, N).T
    keys = np.where(valid[:, :, None], keys, 0)
    hidden = np.tanh((query @ w_q.T)[:, None] + keys @ w_k.T)  # (N, T, A)
    scores = np.where(valid, hidden @ v, -np.inf)
    largest = scores.max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(np.isfinite(largest), largest, 0))
    total = weights.sum(axis=1, keepdims=True)
    alpha = weights / np.where(total > 0, total, 1)
    return np.einsum("nt,ntk->nk", alpha, keys), (alpha, query, keys, w_q, w_k, v, hidden)


def additive_attention_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients of :func:`additive_attention_forward`; that of the softmax is ``de = α ⊙ (dα - Σ_j α_j dα_j)``.

    Returns
    -------
    dquery, dkeys, dw_q, dw_k, dv

    Raises
    ------
    ValueError
        ``dout`` has not the context's shape.
    """
    alpha, query, keys, w_q, w_k, v, hidden = cache
    dout = as_gradient(dout, (len(keys), keys.shape[2]))
    dalpha = np.einsum("nk,ntk->nt", dout, keys)
    de = alpha * (dalpha - (alpha * dalpha).sum(axis=1, keepdims=True))
    dinside = de[:, :, None] * v * (1 - hidden**2)  # (N, T, A)
    per_query = dinside.sum(axis=1)
    dkeys = alpha[:, :, None] * dout[:, None] + dinside @ w_k
    dw_k = np.einsum("nta,ntk->ak", dinside, keys)
    return per_query @ w_q, dkeys, per_query.T @ query, dw_k, np.einsum("nt,nta->a", de, hidden)

"""Chapter 14: attention by hand: kernel smoothing, scaled dot products, many heads, positions, long inputs.

    out, cache = attention_forward(q, k, v, causal=True)           # q (..., T, D), k (..., S, D), v (..., S, E)
    dq, dk, dv = attention_backward(dout, cache)

    out, cache = multi_head_forward(x, w_in, b_in, w_out, b_out, heads)      # x (N, T, D)
    dx, dw_in, db_in, dw_out, db_out = multi_head_backward(dout, cache)

A mask holds True where a query may look at a key. A query that may look at none gets zeros, and passes on no gradient.
:func:`blockwise_attention_forward` gives the same numbers without ever holding all T·S weights;
:func:`performer_attention` gives nearly the same in time that grows with T + S, not with T·S.

Sources: Vaswani et al., Attention is all you need, NeurIPS (2017), arXiv:1706.03762; Tsai et al., Transformer
dissection, EMNLP (2019), arXiv:1908.11775; Milakov and Gimelshein, Online normalizer calculation for softmax,
arXiv:1805.02867 (2018); Dao et al., FlashAttention, NeurIPS (2022), arXiv:2205.14135; Choromanski et al., Rethinking
attention with Performers, ICLR (2021), arXiv:2009.14794.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from dlcourse.arrays import as_float, as_gradient
from dlcourse.init import orthogonal as orthogonal_matrix

# -------------------------------------------------------------------------------------- attention as kernel smoothing

Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]


def rbf_scores(queries: np.ndarray, keys: np.ndarray, theta: float = 1.0) -> np.ndarray:
    """The logarithm of the RBF kernel, ``-θ² ‖q - k‖²``: nothing is learned, near keys count.

    Parameters
    ----------
    queries : (T, D)
    keys : (S, D)

    Returns
    -------
    scores : (T, S)

    Source: Tsai et al. (2019), section 3.1.
    """
    return -(theta**2) * np.square(queries[:, None, :] - keys[None, :, :]).sum(axis=2)


def dot_scores(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The logarithm of the exponential kernel, ``q · k / √D``. It learns through what makes the queries and keys.

    Parameters
    ----------
    queries : (T, D)
    keys : (S, D)

    Returns
    -------
    scores : (T, S)

    Source: Vaswani et al. (2017), equation 1.
    """
    return queries @ keys.T / math.sqrt(queries.shape[1])


def smooth_one(query, keys, values, scores: Scores = dot_scores, allowed=None) -> tuple[np.ndarray, np.ndarray]:
    """One query's answer, key by key: ``Σ_k k(q, x_k) v_k / Σ_k k(q, x_k)`` with the kernel ``exp(scores)``.

    Parameters
    ----------
    query : (D,)
    keys : (S, D)
    values : (S, E)
    scores : of queries and keys, such as :func:`rbf_scores`
    allowed : the indices of the keys that the query may look at; by default all

    Returns
    -------
    out : (E,)
    weights : (S,), which sum to 1

    Raises
    ------
    ValueError
        ``allowed`` is empty.
    """
    allowed = range(len(keys)) if allowed is None else allowed
    if len(allowed) == 0:
        raise ValueError("allowed is empty; expected at least one key")
    score = {k: scores(query[None], keys[k][None])[0, 0] for k in allowed}
    largest = max(score.values())  # taken from all: the weights stay what they are, and exp cannot overflow
    kernel = {k: np.exp(s - largest) for k, s in score.items()}
    total = sum(kernel.values())
    weights, out = np.zeros(len(keys), values.dtype), np.zeros(values.shape[1], values.dtype)
    for k in allowed:
        weights[k] = kernel[k] / total
        out += weights[k] * values[k]
    return out, weights


def smooth(queries, keys, values, scores: Scores = dot_scores, mask=None) -> tuple[np.ndarray, np.ndarray]:
    """The same for all queries at once: ``softmax(scores) @ values``.

    Parameters
    ----------
    queries : (T, D)
    keys : (S, D)
    values : (S, E)
    mask : (T, S) of bool, True where a query may look; by default it may look everywhere

    Returns
    -------
    out : (T, E)
    weights : (T, S), rows that sum to 1, or that are 0 where the mask leaves nothing
    """
    weights = masked_softmax(scores(queries, keys), mask)
    return weights @ values, weights


def masked_softmax(scores: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Softmax along the last axis over the entries where ``mask`` is True; the others, and rows without any, get 0.

    The largest score is taken from all before the exponential, so that nothing overflows.

    Raises
    ------
    ValueError
        ``scores`` is not of a float dtype; ``mask`` is not of bool, or does not broadcast to ``scores``.
    """
    scores = as_float(scores, "scores")
    if mask is not None:
        scores = np.where(_mask(mask, scores.shape), scores, -np.inf)
    if scores.shape[-1] == 0:
        return scores.copy()
    return _softmax(scores.copy())


def _softmax(scores: np.ndarray) -> np.ndarray:
    """In place, along the last axis, where the masked scores are -inf."""
    largest = scores.max(axis=-1, keepdims=True)
    largest[~np.isfinite(largest)] = 0  # a row without keys
    scores -= largest
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    scores /= total
    return scores


# --------------------------------------------------------------------------------------------------------------- masks


def causal_mask(T: int, S: int | None = None) -> np.ndarray:
    """True where key s is not after query t: (T, S). With S > T the queries are the last T of S tokens."""
    S = T if S is None else S
    return np.tri(T, S, S - T, dtype=bool)


def local_mask(T: int, width: int) -> np.ndarray:
    """True where the key is at most ``width`` tokens from the query: (T, T), the context of a convolution."""
    places = np.arange(T)
    return np.abs(places[:, None] - places) <= width


def padding_mask(lengths: np.ndarray, T: int) -> np.ndarray:
    """True at the tokens that are there, False at padding: (N, 1, T), to be broadcast over the queries.

    Raises
    ------
    ValueError
        A length is below 0 or above T.
    """
    lengths = np.asarray(lengths)
    if lengths.size and (lengths.min() < 0 or lengths.max() > T):
        raise ValueError(f"lengths run from {lengths.min()} to {lengths.max()}; expected 0 to {T}")
    return np.arange(T) < lengths[:, None, None]


def _mask(mask, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise ValueError(f"mask has dtype {mask.dtype}; expected bool, True where a query may look")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"mask has shape {mask.shape}; expected one that broadcasts to {shape}") from None


# ---------------------------------------------------------------------------------------- scaled dot-product attention


class AttentionCache(NamedTuple):
    """What the backward pass needs; ``q``, ``k`` and ``v`` are not copied."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    weights: np.ndarray
    scale: float


def attention_forward(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None, *, causal: bool = False
) -> tuple[np.ndarray, AttentionCache]:
    """Scaled dot-product attention: ``out = softmax(q kᵀ / √D) v``, row by row over the keys that are allowed.

    Parameters
    ----------
    q : (..., T, D)
    k : (..., S, D)
    v : (..., S, E), with the same leading axes and dtype
    mask : of bool, broadcast to (..., T, S), True where a query may look at a key
    causal : no query looks at keys after itself; with S > T the queries are the last T tokens

    Returns
    -------
    out : (..., T, E). A query that may look at no key (S = 0 is such a case) gets zeros.
    cache : for :func:`attention_backward`; ``cache.weights`` (..., T, S) are the attention weights

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or D is 0.

    Source: Vaswani et al. (2017), equation 1.
    """
    q, k, v, mask = _checked(q, k, v, mask, causal)
    out = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    weights = np.empty((*q.shape[:-1], k.shape[-2]), q.dtype)
    scale = 1 / math.sqrt(q.shape[-1])
    for i in np.ndindex(q.shape[:-2]):  # one block of T·S scores at a time stays in the processor's cache
        np.matmul(q[i] * q.dtype.type(scale), k[i].T, out=weights[i])
        if mask is not None:
            np.copyto(weights[i], -np.inf, where=~mask[i])
        if k.shape[-2]:
            _softmax(weights[i])
        np.matmul(weights[i], v[i], out=out[i])
    return out, AttentionCache(q, k, v, weights, scale)


def attention_backward(dout: np.ndarray, cache: AttentionCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of attention. With weights P and scores S:

    ``dv = Pᵀ dout``, ``dP = dout vᵀ``, ``dS = P · (dP - rowsum(P · dP))``, ``dq = dS k / √D``, ``dk = dSᵀ q / √D``

    Parameters
    ----------
    dout : (..., T, E)
    cache : from :func:`attention_forward`

    Returns
    -------
    dq, dk, dv

    Raises
    ------
    ValueError
        ``dout`` has not the output's shape.
    """
    q, k, v, weights, scale = cache
    dout = as_gradient(dout, (*q.shape[:-1], v.shape[-1])).astype(q.dtype, copy=False)
    dq, dk, dv = (np.empty(a.shape, a.dtype) for a in (q, k, v))
    for i in np.ndindex(q.shape[:-2]):
        np.matmul(weights[i].T, dout[i], out=dv[i])
        ds = _score_gradient(weights[i], dout[i] @ v[i].T)
        ds *= q.dtype.type(scale)
        np.matmul(ds, k[i], out=dq[i])
        np.matmul(ds.T, q[i], out=dk[i])
    return dq, dk, dv


def _score_gradient(p: np.ndarray, dp: np.ndarray) -> np.ndarray:
    """Softmax backwards: ``p · (dp - rowsum(p · dp))``, in place of ``dp``."""
    dp -= np.einsum("ts,ts->t", p, dp)[:, None]
    dp *= p
    return dp


def _checked(q, k, v, mask, causal):
    q, k, v = as_float(q, "q"), as_float(k, "k"), as_float(v, "v")
    if q.ndim < 2 or q.shape[-1] == 0:
        raise ValueError(f"q has shape {q.shape}; expected (..., T, D) with D of at least 1")
    for name, a in (("k", k), ("v", v)):
        if a.dtype != q.dtype:
            raise ValueError(f"{name} has dtype {a.dtype}, q {q.dtype}; expected the same")
        if a.ndim != q.ndim or a.shape[:-2] != q.shape[:-2]:
            raise ValueError(f"{name} has shape {a.shape}; expected the leading axes of q, whose shape is {q.shape}")
    if k.shape[-1] != q.shape[-1]:
        raise ValueError(f"k has {k.shape[-1]} features, q {q.shape[-1]}; expected the same")
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(f"v has {v.shape[-2]} tokens, k {k.shape[-2]}; expected the same")
    shape = (*q.shape[:-1], k.shape[-2])
    mask = None if mask is None else _mask(mask, shape)
    if causal:
        triangle = causal_mask(*shape[-2:])
        mask = np.broadcast_to(triangle if mask is None else mask & triangle, shape)
    return q, k, v, mask


# ------------------------------------------------------------------------------------------------- block by block


class BlockCache(NamedTuple):
    """What the backward pass needs: no weights, only the logarithm of each row's sum, ``lse`` (..., T)."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    out: np.ndarray
    lse: np.ndarray
    causal: bool
    block: int


def blockwise_attention_forward(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, *, causal: bool = False, block: int = 128
) -> tuple[np.ndarray, BlockCache]:
    """Attention with at most block² weights at a time: the softmax is computed online, while the keys stream by.

    For each query keep the largest score m so far, the sum l of exp(score - m), and the sum o of exp(score - m) · v.
    A new block with largest score m' rescales what was gathered: ``l ← exp(m - m⁺) l + Σ exp(s - m⁺)``, and o alike,
    with ``m⁺ = max(m, m')``. In the end ``out = o / l``. Arguments and results as :func:`attention_forward`.

    Raises
    ------
    ValueError
        As there; or ``block`` is below 1.

    Source: Milakov and Gimelshein (2018), algorithm 3; Dao et al. (2022), algorithm 1.
    """
    q, k, v, _ = _checked(q, k, v, None, False)
    if block < 1:
        raise ValueError(f"block is {block}; expected at least 1")
    out, lse = np.zeros((*q.shape[:-1], v.shape[-1]), q.dtype), np.full(q.shape[:-1], -np.inf, q.dtype)
    for i in np.ndindex(q.shape[:-2]):
        for rows in _blocks(q.shape[-2], block):
            T = rows.stop - rows.start
            m, total = np.full(T, -np.inf, q.dtype), np.zeros(T, q.dtype)
            gathered = np.zeros((T, v.shape[-1]), q.dtype)
            for cols, s in _score_blocks(q[i], k[i], rows, block, causal):
                new = np.maximum(m, s.max(axis=1))
                finite = np.where(np.isfinite(new), new, 0)
                p, shrink = np.exp(s - finite[:, None]), np.exp(m - finite)
                total = total * shrink + p.sum(axis=1)
                gathered = gathered * shrink[:, None] + p @ v[i][cols]
                m = new
            seen = total > 0
            out[i][rows][seen] = gathered[seen] / total[seen, None]
            lse[i][rows][seen] = m[seen] + np.log(total[seen])
    return out, BlockCache(q, k, v, out, lse, causal, block)


def blockwise_attention_backward(dout: np.ndarray, cache: BlockCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients as :func:`attention_backward`; the weights ``exp(score - lse)`` are computed again, block by block.

    ``rowsum(P · dP)`` is ``rowsum(dout · out)``, so that it needs no weights.

    Source: Dao et al. (2022), appendix B.
    """
    q, k, v, out, lse, causal, block = cache
    dout = as_gradient(dout, out.shape).astype(q.dtype, copy=False)
    dq, dk, dv = (np.zeros(a.shape, a.dtype) for a in (q, k, v))
    scale = q.dtype.type(1 / math.sqrt(q.shape[-1]))
    for i in np.ndindex(q.shape[:-2]):
        along = np.einsum("te,te->t", dout[i], out[i])
        level = np.where(np.isfinite(lse[i]), lse[i], 0)
        for rows in _blocks(q.shape[-2], block):
            for cols, s in _score_blocks(q[i], k[i], rows, block, causal):
                p = np.exp(s - level[rows][:, None])
                dv[i][cols] += p.T @ dout[i][rows]
                ds = p * (dout[i][rows] @ v[i][cols].T - along[rows][:, None]) * scale
                dq[i][rows] += ds @ k[i][cols]
                dk[i][cols] += ds.T @ q[i][rows]
    return dq, dk, dv


def _blocks(length: int, block: int) -> Iterator[slice]:
    return (slice(start, min(start + block, length)) for start in range(0, length, block))


def _score_blocks(q, k, rows: slice, block: int, causal: bool) -> Iterator[tuple[slice, np.ndarray]]:
    """The scores of some queries, key block by key block; blocks that lie wholly after the queries are left out."""
    later = len(k) - len(q)  # query t stands at place t + later
    scale = q.dtype.type(1 / math.sqrt(q.shape[1]))
    for cols in _blocks(len(k), block):
        if causal and cols.start > rows.stop - 1 + later:
            return
        s = (q[rows] * scale) @ k[cols].T
        if causal:
            places = np.arange(rows.start, rows.stop)[:, None] + later
            s[np.arange(cols.start, cols.stop) > places] = -np.inf
        yield cols, s


# ---------------------------------------------------------------------------------------------------------- many heads


class MultiHeadCache(NamedTuple):
    """What the backward pass needs. ``weights`` (N, heads, T, T) are the attention weights."""

    x: np.ndarray
    w_in: np.ndarray
    w_out: np.ndarray
    qkv: np.ndarray
    joined: np.ndarray
    weights: np.ndarray


def multi_head_forward(
    x: np.ndarray,
    w_in: np.ndarray,
    b_in: np.ndarray,
    w_out: np.ndarray,
    b_out: np.ndarray,
    heads: int,
    mask: np.ndarray | None = None,
    *,
    causal: bool = False,
) -> tuple[np.ndarray, MultiHeadCache]:
    """Multi-head self-attention: ``[q, k, v] = x w_in + b_in``, ``out = [head 1, ..., head h] w_out + b_out``.

    Each head attends with its own D / heads columns of the queries, keys and values.

    Parameters
    ----------
    x : (N, T, D)
    w_in : (D, 3 D), the columns of the queries, then of the keys, then of the values; in each, head by head
    b_in : (3 D,)
    w_out : (D, D)
    b_out : (D,)
    heads : divides D
    mask : of bool, broadcast to (N, heads, T, T)
    causal : no token looks at later ones

    Returns
    -------
    out : (N, T, D)
    cache : for :func:`multi_head_backward`

    Raises
    ------
    ValueError
        A shape or dtype does not fit, or ``heads`` does not divide D.

    Source: Vaswani et al. (2017), section 3.2.2. ``torch.nn.MultiheadAttention`` stores both matrices transposed.
    """
    x = as_float(x, "x")
    if x.ndim != 3 or x.shape[2] == 0:
        raise ValueError(f"x has shape {x.shape}; expected (N, T, D) with D of at least 1")
    N, T, D = x.shape
    expected = {"w_in": (D, 3 * D), "b_in": (3 * D,), "w_out": (D, D), "b_out": (D,)}
    for (name, shape), a in zip(expected.items(), (w_in, b_in, w_out, b_out), strict=True):
        if a.shape != shape or a.dtype != x.dtype:
            raise ValueError(f"{name} has shape {a.shape} and dtype {a.dtype}; expected {shape} and {x.dtype}")
    if heads < 1 or D % heads:
        raise ValueError(f"heads is {heads}; expected a divisor of the {D} features of x")
    qkv = x.reshape(N * T, D) @ w_in
    qkv += b_in
    qkv = qkv.reshape(N, T, 3, heads, D // heads)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # each (N, heads, T, D / heads), views
    joined, weights = np.empty((N, T, heads, D // heads), x.dtype), np.empty((N, heads, T, T), x.dtype)
    mask = None if mask is None else _mask(mask, weights.shape)
    later = ~causal_mask(T) if causal else None
    scale = x.dtype.type((D // heads) ** -0.5)
    for n, h in np.ndindex(N, heads):
        p = weights[n, h]
        np.matmul(q[n, h] * scale, k[n, h].T, out=p)
        if mask is not None:
            np.copyto(p, -np.inf, where=~mask[n, h])
        if causal:
            np.copyto(p, -np.inf, where=later)
        if T:
            _softmax(p)
        joined[n, :, h] = p @ v[n, h]
    joined = joined.reshape(N * T, D)
    out = joined @ w_out
    out += b_out
    return out.reshape(N, T, D), MultiHeadCache(x, w_in, w_out, qkv, joined, weights)


def multi_head_backward(dout: np.ndarray, cache: MultiHeadCache) -> tuple[np.ndarray, ...]:
    """Gradients of multi-head attention.

    Parameters
    ----------
    dout : (N, T, D)
    cache : from :func:`multi_head_forward`

    Returns
    -------
    dx, dw_in, db_in, dw_out, db_out

    Raises
    ------
    ValueError
        ``dout`` has not the output's shape.
    """
    x, w_in, w_out, qkv, joined, weights = cache
    N, T, D = x.shape
    dout = as_gradient(dout, x.shape).astype(x.dtype, copy=False).reshape(N * T, D)
    heads = qkv.shape[3]
    djoined = (dout @ w_out.T).reshape(N, T, heads, D // heads)
    dqkv = np.empty_like(qkv)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)
    dq, dk, dv = dqkv.transpose(2, 0, 3, 1, 4)
    scale = x.dtype.type((D // heads) ** -0.5)
    for n, h in np.ndindex(N, heads):
        p, d = weights[n, h], djoined[n, :, h]
        dv[n, h] = p.T @ d
        ds = _score_gradient(p, d @ v[n, h].T)
        dq[n, h] = ds @ k[n, h]
        dq[n, h] *= scale
        dk[n, h] = ds.T @ q[n, h]
        dk[n, h] *= scale
    dqkv = dqkv.reshape(N * T, 3 * D)
    dx, dw_in = dqkv @ w_in.T, x.reshape(N * T, D).T @ dqkv
    return dx.reshape(x.shape), dw_in, dqkv.sum(axis=0), joined.T @ dout, dout.sum(axis=0)


# ----------------------------------------------------------------------------------------------------------- positions


def sinusoidal(T: int, D: int, *, base: float = 10_000.0, dtype=np.float64) -> np.ndarray:
    """Positions as waves, ``p[t, 2i] = sin(t / base^(2i/D))`` and ``p[t, 2i+1] = cos(t / base^(2i/D))``: (T, D).

    Each pair of columns is a point on a circle; to step one token on is to turn it by a fixed angle.

    Raises
    ------
    ValueError
        ``D`` is odd or below 2, ``T`` is below 0, or ``base`` is not above 1.

    Source: Vaswani et al. (2017), section 3.5.
    """
    if D < 2 or D % 2:
        raise ValueError(f"D is {D}; expected an even number, a sine and a cosine for each wave")
    if T < 0 or base <= 1:
        raise ValueError(f"T is {T} and base {base}; expected T of at least 0 and base above 1")
    angles = np.arange(T)[:, None] * base ** (-np.arange(0, D, 2) / D)
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(T, D).astype(dtype)


# ------------------------------------------------------------------------------------------------- Performer features


def random_directions(M: int, D: int, rng: np.random.Generator, *, orthogonal: bool = True) -> np.ndarray:
    """M random directions ω (M, D), each as if drawn from N(0, I); those of one block of D are at right angles.

    Source: Choromanski et al. (2021), section 2.4.
    """
    gaussian = rng.normal(size=(M, D))
    if not orthogonal:
        return gaussian
    blocks = [orthogonal_matrix(rng, (D, D)) for _ in range(-(-M // D))]
    lengths = np.linalg.norm(gaussian, axis=1, keepdims=True)
    return np.concatenate([*blocks, np.empty((0, D))])[:M] * lengths


def positive_features(x: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """Features whose products have the exponential kernel as their mean: ``φ(x) = exp(ω x - ‖x‖²/2) / √M``.

    ``E[φ(q) · φ(k)] = exp(q · k)``, and no product is negative.

    Parameters
    ----------
    x : (..., D)
    omega : (M, D), from :func:`random_directions`

    Returns
    -------
    features : (..., M)

    Source: Choromanski et al. (2021), lemma 1.
    """
    x = as_float(x, "x")
    exponent = x @ omega.T.astype(x.dtype) - np.square(x).sum(axis=-1, keepdims=True) / 2
    return np.exp(exponent) / x.dtype.type(math.sqrt(len(omega)))


def performer_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, omega: np.ndarray, *, causal: bool = False
) -> np.ndarray:
    """Attention by random features, in time and memory linear in the length: ``φ(q) (φ(k)ᵀ v) / (φ(q) Σ φ(k))``.

    The brackets do it: φ(k)ᵀ v is (M, E), whatever T and S are.

    Parameters
    ----------
    q : (..., T, D)
    k : (..., S, D), S of at least 1
    v : (..., S, E)
    omega : (M, D), from :func:`random_directions`
    causal : sums over the keys so far, T = S

    Returns
    -------
    out : (..., T, E), whose error falls like 1 / √M

    Raises
    ------
    ValueError
        A shape or dtype does not fit; there is no key, or with ``causal`` not as many as queries.

    Source: Choromanski et al. (2021), sections 2.2 to 2.4 (FAVOR+).
    """
    q, k, v, _ = _checked(q, k, v, None, False)
    if omega.ndim != 2 or omega.shape[1] != q.shape[-1] or not len(omega):
        raise ValueError(f"omega has shape {omega.shape}; expected (M, {q.shape[-1]}) with M of at least 1")
    if k.shape[-2] == 0 or (causal and k.shape[-2] != q.shape[-2]):
        raise ValueError(f"k has {k.shape[-2]} tokens; expected at least 1, and as many as q has where causal")
    quarter = q.dtype.type(q.shape[-1] ** -0.25)  # so that the features' kernel is exp(q · k / √D)
    fq, fk = (_stable_features(a * quarter, omega, axes) for a, axes in ((q, -1), (k, (-2, -1))))
    if causal:
        gathered = np.cumsum(fk[..., :, None] * v[..., None, :], axis=-3)  # (..., T, M, E)
        return np.einsum("...tm,...tme->...te", fq, gathered) / np.einsum(
            "...tm,...tm->...t", fq, np.cumsum(fk, axis=-2)
        )[..., None]  # fmt: skip
    return fq @ (np.swapaxes(fk, -1, -2) @ v) / (fq @ fk.sum(axis=-2)[..., None])


def _stable_features(x, omega, axes):
    """Positive features times a constant that cancels in the quotient, and keeps the exponential from overflowing."""
    exponent = x @ omega.T.astype(x.dtype) - np.square(x).sum(axis=-1, keepdims=True) / 2
    return np.exp(exponent - exponent.max(axis=axes, keepdims=True)) + x.dtype.type(1e-6)

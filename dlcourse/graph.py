"""Chapter 15: graphs, message passing, and five layers by hand.

    edges = from_pairs([(0, 1), (1, 2)])                   # COO: row 0 the sources, row 1 the targets of the messages
    out, cache = gcn_forward(x, edges, w, b)               # x (N, D) -> out (N, M)
    dx, dw, db = gcn_backward(dout, cache)

A graph has N nodes, counted from 0, with features x (N, D). Edges are a (2, E) array of integers: ``edges[0, e]`` sends
a message to ``edges[1, e]``. A bond that works both ways stands there twice. Every layer takes three steps: a message
along each edge, one sum (mean, maximum) of the messages that a node receives, an update of the node. A node that
receives nothing has the sum 0. Repeated edges count as often as they occur.

Sources: Gilmer and others, Neural message passing for quantum chemistry, ICML (2017), arXiv:1704.01212; Kipf and
Welling, Semi-supervised classification with graph convolutional networks, ICLR (2017), arXiv:1609.02907; Veličković and
others, Graph attention networks, ICLR (2018), arXiv:1710.10903; Xu, Hu, Leskovec and Jegelka, How powerful are graph
neural networks?, ICLR (2019), arXiv:1810.00826; Morris and others, Weisfeiler and Leman go neural, AAAI (2019),
arXiv:1810.02244; Wang and others, Dynamic graph CNN for learning on point clouds, ACM TOG (2019), arXiv:1801.07829.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from dlcourse.arrays import as_float, as_gradient
from dlcourse.mlp import linear_backward, linear_forward

AGGREGATIONS = ("sum", "mean", "max")
_BLOCK = 2**14  # edges whose features are looked at together: they stay in the processor's cache

# ------------------------------------------------------------------------------------------------------- the edges


def check_edges(edges: np.ndarray, nodes: int) -> np.ndarray:
    """``edges`` as a (2, E) int64 array, checked.

    Self-loops, repeated edges and nodes without edges are fine, and so is E = 0.

    Raises
    ------
    ValueError
        It has another shape, its dtype is not an integer, or it names a node below 0 or above ``nodes`` - 1.
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or len(edges) != 2:
        raise ValueError(f"edges has shape {edges.shape}; expected (2, E): row 0 the sources, row 1 the targets")
    if not np.issubdtype(edges.dtype, np.integer):
        raise ValueError(f"edges has dtype {edges.dtype}; expected an integer dtype such as int64")
    _index(edges.ravel(), nodes, "edges")
    return edges.astype(np.int64, copy=False)


def _index(index: np.ndarray, nodes: int, name: str) -> np.ndarray:
    index = np.asarray(index)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(f"{name} has shape {index.shape} and dtype {index.dtype}; expected (E,) of an integer dtype")
    if index.size:
        for value in (index.min(), index.max()):
            if not 0 <= value < nodes:
                raise ValueError(f"{name} names node {value}; there are {nodes} nodes, counted from 0")
    return index.astype(np.int64, copy=False)


def _nodes(x: np.ndarray) -> np.ndarray:
    x = as_float(x, "x")
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}; expected (N, D), a row of features for each node")
    return x


def from_pairs(pairs: Iterable[tuple[int, int]], *, both: bool = True) -> np.ndarray:
    """Pairs of nodes as a (2, E) array; with ``both``, each pair also the other way round.

    Sorted by target, then source; each edge once.

    Raises
    ------
    ValueError
        There is something else than pairs of integers from 0 on.
    """
    listed = np.array([tuple(pair) for pair in pairs])
    edges = listed.T if listed.size else np.zeros((2, 0), np.int64)
    edges = check_edges(edges, np.iinfo(np.int64).max)
    if both:
        edges = np.concatenate([edges, edges[::-1]], axis=1)
    return np.unique(edges[::-1], axis=1)[::-1].copy()


def with_loops(edges: np.ndarray, nodes: int) -> np.ndarray:
    """The edges with exactly one self-loop at every node, the loops last: a node then hears itself too."""
    edges = check_edges(edges, nodes)
    loops = np.tile(np.arange(nodes), (2, 1))
    return np.concatenate([edges[:, edges[0] != edges[1]], loops], axis=1)


def complete_edges(nodes: int) -> np.ndarray:
    """Every node to every node, itself among them: (2, N²)."""
    return np.stack([np.tile(np.arange(nodes), nodes), np.repeat(np.arange(nodes), nodes)])


def in_degrees(edges: np.ndarray, nodes: int) -> np.ndarray:
    """How many edges end at each node: (N,) integers."""
    return np.bincount(check_edges(edges, nodes)[1], minlength=nodes)


def adjacency(edges: np.ndarray, nodes: int) -> np.ndarray:
    """The dense matrix A (N, N) with A[i, j] = the number of edges from j to i, so that A @ x sums over neighbours."""
    edges = check_edges(edges, nodes)
    matrix = np.zeros((nodes, nodes))
    np.add.at(matrix, (edges[1], edges[0]), 1.0)
    return matrix


def reach(edges: np.ndarray, nodes: int, node: int, hops: int) -> np.ndarray:
    """Which nodes can have a say in ``node`` after so many layers: (N,) booleans, itself among them.

    Raises
    ------
    ValueError
        ``node`` is not one of the nodes, or ``hops`` is negative.
    """
    source, target = check_edges(edges, nodes)
    if not 0 <= node < nodes or hops < 0:
        raise ValueError(f"node is {node} and hops {hops}; expected a node from 0 to {nodes - 1}, and hops from 0 on")
    seen = np.zeros(nodes, bool)
    seen[node] = True
    for _ in range(hops):
        seen[source[seen[target]]] = True
    return seen


# ------------------------------------------------------------------------------------------------------ aggregation


def _matrix(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """A sparse matrix in which repeated places stay apart: a product adds them anyway, and merging takes time."""
    coo = sparse.coo_matrix((values, (rows, columns)), shape=shape)
    coo.has_canonical_format = True
    return coo.tocsr()


def _wide(dtype: np.dtype) -> np.dtype:
    """The dtype to compute in: SciPy's sparse matrices know no float16."""
    return np.result_type(dtype, np.float32)


def propagate_forward(x: np.ndarray, edges: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, tuple]:
    """Each node gets the weighted sum of its neighbours' features.

    ``out[i] = Σ over edges (j, i) of weights[e] · x[j]``

    This is a product with a sparse (N, N) matrix. The messages, E rows of D numbers, are never written down.

    Parameters
    ----------
    x : (N, D)
    edges : (2, E)
    weights : (E,), by default ones

    Returns
    -------
    out : (N, D), of ``x``'s dtype
    cache : for :func:`propagate_backward`

    Raises
    ------
    ValueError
        A shape, dtype or index does not fit.
    """
    x = _nodes(x)
    source, target = check_edges(edges, len(x))
    wide = _wide(x.dtype)
    if weights is None:
        values = np.ones(len(source), wide)
    else:
        weights = as_float(weights, "weights")
        if weights.shape != source.shape:
            raise ValueError(f"weights has shape {weights.shape}; expected {source.shape}, one for each edge")
        values = weights.astype(wide, copy=False)
    matrix = _matrix(target, source, values, (len(x), len(x)))
    out = (matrix @ x.astype(wide, copy=False)).astype(x.dtype, copy=False)
    return out, (x, source, target, weights, matrix)


def propagate_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray | None]:
    """Gradients go back against the arrows: ``dx = Aᵀ dout`` and, with weights, ``dweights[e] = dout[i] · x[j]``.

    Returns
    -------
    dx, dweights : (N, D) and (E,); ``dweights`` is None where there were no weights
    """
    x, source, target, weights, matrix = cache
    dout = as_gradient(dout, x.shape)
    dx = (matrix.T @ dout.astype(matrix.dtype, copy=False)).astype(x.dtype, copy=False)
    return dx, None if weights is None else _edge_dots(dout, target, x, source).astype(weights.dtype, copy=False)


def _edge_dots(a: np.ndarray, at: np.ndarray, b: np.ndarray, other: np.ndarray) -> np.ndarray:
    """``a[at[e]] · b[other[e]]`` for each edge, a block of edges at a time."""
    dots = np.empty(len(at), np.result_type(a, b))
    for start in range(0, len(at), _BLOCK):
        block = slice(start, start + _BLOCK)
        np.einsum("ed,ed->e", a[at[block]], b[other[block]], out=dots[block])
    return dots


def aggregate_forward(
    messages: np.ndarray, index: np.ndarray, nodes: int, how: str = "sum"
) -> tuple[np.ndarray, tuple]:
    """Gather what belongs together: ``out[i]`` = the sum, mean or maximum of the messages e with ``index[e] == i``.

    The order of the messages does not matter. A node without messages gets 0, whatever ``how`` is.

    Parameters
    ----------
    messages : (E, ...)
    index : (E,) integers, for edges their targets; for a readout the graph of each node
    nodes : how many rows ``out`` has
    how : ``sum``, ``mean`` or ``max``

    Returns
    -------
    out : (nodes, ...), of the messages' dtype
    cache : for :func:`aggregate_backward`

    Raises
    ------
    ValueError
        A shape, dtype or index does not fit, or ``how`` is unknown.
    """
    messages, index = as_float(messages, "messages"), _index(index, nodes, "index")
    if messages.ndim < 1 or len(messages) != len(index):
        raise ValueError(f"messages has shape {messages.shape}; expected {len(index)} rows, one for each of index")
    if how not in AGGREGATIONS:
        raise ValueError(f"how is {how!r}; expected one of {', '.join(AGGREGATIONS)}")
    rows = messages.reshape(len(messages), math.prod(messages.shape[1:]))
    if how == "max":
        out = _segment_max(rows, index, nodes)
        tied = rows == out[index]
        share = tied / np.maximum(_gather(tied.astype(rows.dtype), index, nodes), 1)[index]
    else:
        out, share = _gather(rows, index, nodes), None
        if how == "mean":
            share = (1 / np.maximum(np.bincount(index, minlength=nodes), 1))[index, None]
            out = out / np.maximum(np.bincount(index, minlength=nodes), 1)[:, None].astype(rows.dtype)
    return out.reshape(nodes, *messages.shape[1:]), (index, nodes, messages.shape, messages.dtype, share)


def aggregate_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Each message gets its node's gradient; of a mean its share, of a maximum only the largest (equal ones share)."""
    index, nodes, shape, dtype, share = cache
    dout = as_gradient(dout, (nodes, *shape[1:])).reshape(nodes, math.prod(shape[1:]))
    dmessages = dout[index] if share is None else dout[index] * share
    return dmessages.astype(dtype, copy=False).reshape(shape)


def _gather(rows: np.ndarray, index: np.ndarray, nodes: int) -> np.ndarray:
    """Sums of rows: a product with the (nodes, E) matrix that has one 1 in each column."""
    wide = _wide(rows.dtype)
    ones = np.ones(len(index), wide)
    matrix = sparse.csc_matrix((ones, index, np.arange(len(index) + 1)), shape=(nodes, len(index)))
    return (matrix @ rows.astype(wide, copy=False)).astype(rows.dtype, copy=False)


def _segment_max(rows: np.ndarray, index: np.ndarray, nodes: int) -> np.ndarray:
    out = np.zeros((nodes, rows.shape[1]), rows.dtype)
    if len(rows):
        order = np.argsort(index, kind="stable")
        starts = np.flatnonzero(np.diff(index[order], prepend=-1))
        out[index[order][starts]] = np.maximum.reduceat(rows[order], starts, axis=0)
    return out


def edge_softmax_forward(scores: np.ndarray, index: np.ndarray, nodes: int) -> tuple[np.ndarray, tuple]:
    """Softmax over the edges that end at the same node: ``α[e] = exp(s[e]) / Σ over e' with the same index``.

    The largest score of each node is subtracted first, so that no exponential overflows.

    Parameters
    ----------
    scores : (E,) or (E, H), each column alone
    index : (E,) integers, the targets

    Returns
    -------
    alpha : of ``scores``' shape; those of one node add up to 1
    cache : for :func:`edge_softmax_backward`
    """
    largest, _ = aggregate_forward(scores, index, nodes, "max")
    raised = np.exp(scores - largest[index])
    total, _ = aggregate_forward(raised, index, nodes)
    alpha = raised / total[index]
    return alpha, (alpha, np.asarray(index), nodes)


def edge_softmax_backward(dalpha: np.ndarray, cache: tuple) -> np.ndarray:
    """``ds[e] = α[e] · (dα[e] - Σ over e' with the same index of α[e'] dα[e'])``."""
    alpha, index, nodes = cache
    dalpha = as_gradient(dalpha, alpha.shape)
    mean, _ = aggregate_forward(alpha * dalpha, index, nodes)
    return alpha * (dalpha - mean[index])


# -------------------------------------------------------------------------------------------------- message passing


class Pair(NamedTuple):
    """A function that can be differentiated.

    ``forward(...)`` gives ``out, cache``; ``backward(dout, cache)`` gives the gradients of the inputs, then whatever
    the parameters' gradients are kept in.
    """

    forward: Callable[..., tuple]
    backward: Callable[..., tuple]


def message_passing(
    x: np.ndarray,
    edges: np.ndarray,
    phi: Callable[..., np.ndarray],
    how: str,
    gamma: Callable[[np.ndarray, np.ndarray], np.ndarray],
    edge_features: np.ndarray | None = None,
) -> np.ndarray:
    """What every layer of this chapter does: ``out[i] = γ(x[i], ⊕ over edges (j, i) of φ(x[i], x[j], e[j, i]))``.

    Parameters
    ----------
    x : (N, D)
    edges : (2, E)
    phi : the message, of ``(x_target, x_source, edge_features)``, with a row for each edge, to (E, M)
    how : ``sum``, ``mean`` or ``max``: how a node aggregates its messages
    gamma : the update, of ``(x, aggregated)``, with a row for each node
    edge_features : (E, F), or None

    Raises
    ------
    ValueError
        A shape or index does not fit, or ``how`` is unknown.

    Source: Gilmer and others (2017), equations 1 and 2.
    """
    x = _nodes(x)
    source, target = _described(edges, len(x), edge_features)
    messages = phi(x[target], x[source], edge_features)
    aggregated, _ = aggregate_forward(messages, target, len(x), how)
    return gamma(x, aggregated)


def message_passing_forward(
    x: np.ndarray, edges: np.ndarray, phi: Pair, how: str, gamma: Pair, edge_features: np.ndarray | None = None
) -> tuple[np.ndarray, tuple]:
    """:func:`message_passing` for pairs φ and γ, which can be differentiated.

    Returns
    -------
    out : what γ gives
    cache : for :func:`message_passing_backward`
    """
    x = _nodes(x)
    source, target = _described(edges, len(x), edge_features)
    messages, phi_cache = phi.forward(x[target], x[source], edge_features)
    aggregated, sum_cache = aggregate_forward(messages, target, len(x), how)
    out, gamma_cache = gamma.forward(x, aggregated)
    return out, (source, target, len(x), phi, gamma, phi_cache, sum_cache, gamma_cache)


def message_passing_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, Any, Any, Any]:
    """The chain rule through γ, ⊕ and φ. A node has three ways to matter: to itself, as target, and as source.

    ``gamma.backward`` gives (dx, daggregated, its parameters' gradients); ``phi.backward`` gives (dx_target, dx_source,
    dedge_features, its parameters' gradients).

    Returns
    -------
    dx, dedge_features, dphi, dgamma : (N, D), what φ gives for the edges, and the parameters' gradients of φ and γ
    """
    source, target, nodes, phi, gamma, phi_cache, sum_cache, gamma_cache = cache
    dx, daggregated, dgamma = gamma.backward(dout, gamma_cache)
    dtarget, dsource, dedges, dphi = phi.backward(aggregate_backward(daggregated, sum_cache), phi_cache)
    dx = dx + aggregate_forward(dtarget, target, nodes)[0] + aggregate_forward(dsource, source, nodes)[0]
    return dx, dedges, dphi, dgamma


def _described(edges: np.ndarray, nodes: int, edge_features: np.ndarray | None) -> np.ndarray:
    edges = check_edges(edges, nodes)
    if edge_features is not None and len(edge_features) != edges.shape[1]:
        raise ValueError(f"edge_features has {len(edge_features)} rows; expected {edges.shape[1]}, one for each edge")
    return edges


# ------------------------------------------------------------------------------------------------------ five layers


def gcn_weights(edges: np.ndarray, nodes: int, dtype=np.float64) -> tuple[np.ndarray, np.ndarray]:
    """GCN's edges, with self-loops, and their weights ``1 / √(d[j] d[i])``, d the in-degrees with the loop counted.

    As a matrix: D^(-1/2) (A + I) D^(-1/2), whose largest eigenvalue is 1 where the edges go both ways.
    """
    edges = with_loops(edges, nodes)
    root = np.sqrt(np.bincount(edges[1], minlength=nodes).astype(dtype))
    return edges, (1 / (root[edges[0]] * root[edges[1]])).astype(dtype)


def gcn_forward(x: np.ndarray, edges: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Graph convolution: ``out[i] = Σ over j in N(i) and i itself of x[j] w / √(d[j] d[i]) + b``.

    Parameters
    ----------
    x : (N, D)
    edges : (2, E); self-loops are replaced by exactly one at every node
    w, b : (D, M), (M,)

    Returns
    -------
    out : (N, M)
    cache : for :func:`gcn_backward`

    Raises
    ------
    ValueError
        A shape, dtype or index does not fit.

    Source: Kipf and Welling (2017), equation 2, without its nonlinearity.
    """
    z, linear = linear_forward(_nodes(x), w, np.zeros_like(b))
    out, passed = propagate_forward(z, *gcn_weights(edges, len(z), z.dtype))
    return out + _bias(b, w.shape[1]), (linear, passed)


def gcn_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of a graph convolution: ``dz = Âᵀ dout``, then those of the linear layer; ``db`` = column sums of dout.

    Returns
    -------
    dx, dw, db
    """
    linear, passed = cache
    x, source, target, _, matrix = passed
    dz, _ = propagate_backward(dout, (x, source, target, None, matrix))  # the weights are constants
    dx, dw, _ = linear_backward(dz, linear)
    return dx, dw, np.asarray(dout).sum(axis=0)


def graph_conv_forward(
    x: np.ndarray, edges: np.ndarray, w_self: np.ndarray, w: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, tuple]:
    """GraphConv, a matrix for the node and one for its neighbours: ``out[i] = x[i] w_self + Σ over j of x[j] w + b``.

    Parameters
    ----------
    x : (N, D)
    edges : (2, E)
    w_self, w, b : (D, M), (D, M), (M,)

    Source: Morris and others (2019), equation 5.
    """
    x = _nodes(x)
    own, own_cache = linear_forward(x, w_self, b)
    z, linear = linear_forward(x, w, np.zeros_like(b))
    passed, cache = propagate_forward(z, edges)
    return own + passed, (own_cache, linear, cache)


def graph_conv_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients dx, dw_self, dw, db."""
    own_cache, linear, passed = cache
    dx, dw_self, db = linear_backward(dout, own_cache)
    dx_from, dw, _ = linear_backward(propagate_backward(dout, passed)[0], linear)
    return dx + dx_from, dw_self, dw, db


def edge_conv_forward(x: np.ndarray, edges: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple]:
    """EdgeConv: ``out[i] = max over j in N(i) of relu([x[i], x[j] - x[i]] w + b)``, number by number.

    The message depends on the difference of the two ends. It is linear before the ReLU, so that both halves of ``w``
    are multiplied with the nodes and not with the edges.

    Parameters
    ----------
    x : (N, D)
    edges : (2, E)
    w, b : (2 D, M), (M,)

    Source: Wang and others (2019), section 3.1, with one linear layer and ReLU for h.
    """
    x = _nodes(x)
    if np.ndim(w) != 2 or len(w) != 2 * x.shape[1]:
        raise ValueError(f"w has shape {np.shape(w)}; expected ({2 * x.shape[1]}, M), twice the features of x")
    D = x.shape[1]
    source, target = check_edges(edges, len(x))
    own, own_cache = linear_forward(x, w[:D] - w[D:], b)
    other, other_cache = linear_forward(x, w[D:], np.zeros_like(b))
    messages = own[target]
    messages += other[source]
    np.maximum(messages, 0, out=messages)
    out, passed = aggregate_forward(messages, target, len(x), "max")
    return out, (own_cache, other_cache, source, target, messages > 0, passed)


def edge_conv_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients dx, dw, db. Only the largest message of each number has one."""
    own_cache, other_cache, source, target, positive, passed = cache
    dmessages = aggregate_backward(dout, passed) * positive
    nodes = len(dout)
    dx_own, dw_own, db = linear_backward(aggregate_forward(dmessages, target, nodes)[0], own_cache)
    dx_other, dw_other, _ = linear_backward(aggregate_forward(dmessages, source, nodes)[0], other_cache)
    return dx_own + dx_other, np.concatenate([dw_own, dw_other - dw_own]), db


def gin_forward(
    x: np.ndarray, edges: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray, eps: float = 0.0
) -> tuple[np.ndarray, tuple]:
    """GIN: ``out[i] = relu(z[i] w1 + b1) w2 + b2`` with ``z[i] = (1 + eps) x[i] + Σ over j in N(i) of x[j]``.

    A sum tells multisets apart that a mean or a maximum confuses; with ``eps`` the node stays apart from its
    neighbours.

    Parameters
    ----------
    x : (N, D)
    edges : (2, E)
    w1, b1, w2, b2 : (D, H), (H,), (H, M), (M,)
    eps : learned, or 0

    Source: Xu and others (2019), equation 4.1.
    """
    x = _nodes(x)
    passed, cache = propagate_forward(x, edges)
    hidden, first = linear_forward(x * x.dtype.type(1 + eps) + passed, w1, b1)
    out, second = linear_forward(np.maximum(hidden, 0), w2, b2)
    return out, (x, eps, cache, first, hidden > 0, second)


def gin_backward(dout: np.ndarray, cache: tuple) -> tuple[Any, ...]:
    """Gradients dx, dw1, db1, dw2, db2, deps."""
    x, eps, passed, first, positive, second = cache
    dhidden, dw2, db2 = linear_backward(dout, second)
    dz, dw1, db1 = linear_backward(dhidden * positive, first)
    dx = dz * x.dtype.type(1 + eps) + propagate_backward(dz, passed)[0]
    return dx, dw1, db1, dw2, db2, float(np.sum(dz * x))


def gat_forward(
    x: np.ndarray,
    edges: np.ndarray,
    w: np.ndarray,
    a_source: np.ndarray,
    a_target: np.ndarray,
    b: np.ndarray,
    slope: float = 0.2,
) -> tuple[np.ndarray, tuple]:
    """Graph attention with H heads: each node weighs its neighbours, and itself, by what they are.

    ``z = x w``, ``s[e] = leaky_relu(a_source · z[j] + a_target · z[i])``, ``α`` = softmax of s over the edges that end
    at i, ``out[i] = Σ α[e] z[j] + b``; each head alone, their outputs side by side.

    Parameters
    ----------
    x : (N, D)
    edges : (2, E); self-loops are replaced by exactly one at every node
    w : (D, H · C)
    a_source, a_target : (H, C)
    b : (H · C,)
    slope : of the leaky ReLU

    Returns
    -------
    out : (N, H · C)
    cache : for :func:`gat_backward`

    Raises
    ------
    ValueError
        A shape, dtype or index does not fit.

    Source: Veličković and others (2018), equations 3 to 5.
    """
    x = _nodes(x)
    a_source, a_target = as_float(a_source, "a_source"), as_float(a_target, "a_target")
    if a_source.ndim != 2 or a_target.shape != a_source.shape:
        raise ValueError(f"a_source has shape {a_source.shape}, a_target {a_target.shape}; expected both (H, C)")
    H, C = a_source.shape
    flat, linear = linear_forward(x, w, np.zeros_like(b))
    if flat.shape[1] != H * C:
        raise ValueError(f"w has shape {np.shape(w)}; a_source is ({H}, {C}): expected {H * C} columns")
    z = flat.reshape(len(x), H, C)
    source, target = with_loops(edges, len(x))
    raw = (z * a_source).sum(axis=2)[source] + (z * a_target).sum(axis=2)[target]  # (E, H)
    alpha, softmax = edge_softmax_forward(np.where(raw > 0, raw, raw.dtype.type(slope) * raw), target, len(x))
    passed = [propagate_forward(z[:, h], np.stack([source, target]), alpha[:, h]) for h in range(H)]
    out = np.concatenate([head for head, _ in passed], axis=1) + b
    cache = (linear, z, a_source, a_target, source, target, raw, slope, softmax, [c for _, c in passed])
    return out, cache


def gat_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, ...]:
    """Gradients dx, dw, da_source, da_target, db."""
    linear, z, a_source, a_target, source, target, raw, slope, softmax, passed = cache
    N, H, C = z.shape
    dheads = as_gradient(dout, (N, H * C)).reshape(N, H, C)
    pairs = [propagate_backward(dheads[:, h], passed[h]) for h in range(H)]
    dz, dalpha = np.stack([dx for dx, _ in pairs], axis=1), np.stack([da for _, da in pairs], axis=1)
    draw = edge_softmax_backward(dalpha, softmax) * np.where(raw > 0, 1, slope).astype(raw.dtype)
    ds = aggregate_forward(draw, source, N)[0][:, :, None]  # (N, H, 1): a node as source,
    dt = aggregate_forward(draw, target, N)[0][:, :, None]  # and as target
    dz = dz + ds * a_source + dt * a_target
    dx, dw, _ = linear_backward(dz.reshape(N, H * C), linear)
    return dx, dw, (ds * z).sum(axis=0), (dt * z).sum(axis=0), np.asarray(dout).sum(axis=0)


def _bias(b: np.ndarray, M: int) -> np.ndarray:
    b = as_float(b, "b")
    if b.shape != (M,):
        raise ValueError(f"b has shape {b.shape}; expected ({M},)")
    return b


# -------------------------------------------------------------------------------------------- attention on a graph


def attention_forward(q: np.ndarray, k: np.ndarray, v: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Scaled dot-product attention along the edges: node i looks only at the sources of the edges that end at it.

    ``out[i] = Σ over edges (j, i) of α[e] v[j]``, ``α`` = softmax over the edges that end at i of ``q[i] · k[j] / √D``

    On the complete graph (:func:`complete_edges`) this is the attention layer of chapter 14; fewer edges are its mask.
    A node without edges gets 0.

    Parameters
    ----------
    q, k : (N, D)
    v : (N, M)
    edges : (2, E)

    Returns
    -------
    out : (N, M)
    cache : for :func:`attention_backward`

    Source: Vaswani and others, Attention is all you need, NeurIPS (2017), arXiv:1706.03762, equation 1.
    """
    q, k, v = _nodes(q), _nodes(k), _nodes(v)
    if q.shape != k.shape or len(v) != len(q):
        raise ValueError(f"q has shape {q.shape}, k {k.shape}, v {v.shape}; expected (N, D), (N, D) and (N, M)")
    source, target = edges = check_edges(edges, len(q))
    scale = q.dtype.type(1 / math.sqrt(q.shape[1]))
    alpha, softmax = edge_softmax_forward(_edge_dots(q, target, k, source) * scale, target, len(q))
    out, passed = propagate_forward(v, edges, alpha)
    return out, (q, k, edges, scale, softmax, passed)


def attention_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients dq, dk, dv."""
    q, k, edges, scale, softmax, passed = cache
    dv, dalpha = propagate_backward(dout, passed)
    dscores = edge_softmax_backward(dalpha, softmax) * scale
    dq, _ = propagate_forward(k, edges, dscores)
    dk, _ = propagate_forward(q, edges[::-1], dscores)
    return dq, dk, dv


# ----------------------------------------------------------------------------------------------- batches of graphs


class Batch(NamedTuple):
    """``count`` graphs as one whose parts are not joined; ``graph[i]`` says whose node i is."""

    x: np.ndarray
    edges: np.ndarray
    graph: np.ndarray
    count: int


def batch(graphs: Sequence[Any]) -> Batch:
    """Put graphs side by side. Each has ``x`` (N, D) and ``edges`` (2, E); the k-th one's nodes are counted on from
    those before it.

    Raises
    ------
    ValueError
        There are none, their features differ in number, or a graph's edges do not fit its nodes.
    """
    if len(graphs) == 0:
        raise ValueError("graphs is empty; expected at least one graph")
    features = {np.shape(g.x)[1:] for g in graphs}
    if len(features) > 1:
        raise ValueError(f"graphs have features of shapes {sorted(features)}; expected the same for all")
    sizes = np.array([len(g.x) for g in graphs])
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    edges = [check_edges(g.edges, n) + f for g, n, f in zip(graphs, sizes, first, strict=True)]
    return Batch(
        np.concatenate([g.x for g in graphs]),
        np.concatenate(edges, axis=1),
        np.repeat(np.arange(len(graphs)), sizes),
        len(graphs),
    )


# ------------------------------------------------------------------------------------------------- telling apart


def refine(edges: np.ndarray, nodes: int, colours: Sequence[int] | None = None) -> list[np.ndarray]:
    """The 1-WL test: colour refinement. All its rounds, from the first colours to the last, which no longer split.

    In each round a node's new colour stands for its old one and the multiset of its neighbours' (the sources of the
    edges that end at it). Colours are numbered by sorted signatures, so they do not depend on the nodes' order.

    Parameters
    ----------
    edges : (2, E)
    colours : (N,) integers to begin with, by default all 0

    Source: Weisfeiler and Leman (1968); Xu and others (2019), section 2.
    """
    edges = check_edges(edges, nodes)
    now = np.zeros(nodes, np.int64) if colours is None else np.asarray(colours)
    if now.shape != (nodes,):
        raise ValueError(f"colours has shape {now.shape}; expected ({nodes},)")
    now = np.unique(now, return_inverse=True)[1].reshape(nodes)
    heard: list[list[int]] = [[] for _ in range(nodes)]
    for source, target in edges.T.tolist():
        heard[target].append(source)
    rounds = [now]
    while True:
        signatures = [(int(now[i]), tuple(sorted(int(now[j]) for j in heard[i]))) for i in range(nodes)]
        number = {signature: colour for colour, signature in enumerate(sorted(set(signatures)))}
        if len(number) == len(set(now.tolist())):
            return rounds
        now = np.array([number[signature] for signature in signatures])
        rounds.append(now)


def wl_distinguishes(
    a: tuple[np.ndarray, int], b: tuple[np.ndarray, int], colours: tuple[Sequence[int], Sequence[int]] | None = None
) -> bool:
    """Whether 1-WL tells two graphs apart: after refining both together, they hold other colours, or in other numbers.

    Parameters
    ----------
    a, b : each ``(edges, nodes)``
    colours : of the nodes of each; by default all the same
    """
    both, nodes = _side_by_side(a, b)
    begin = None if colours is None else np.concatenate(colours)
    last = refine(both, nodes, begin)[-1]
    return sorted(last[: a[1]].tolist()) != sorted(last[a[1] :].tolist())


def isomorphic(a: tuple[np.ndarray, int], b: tuple[np.ndarray, int]) -> bool:
    """Whether one graph is the other with its nodes numbered anew. Exact, and for small graphs only.

    Colour refinement, and where it leaves a choice, one node is singled out and all its partners are tried.

    Parameters
    ----------
    a, b : each ``(edges, nodes)``
    """
    if a[1] != b[1] or np.shape(a[0]) != np.shape(b[0]):
        return False
    both, nodes = _side_by_side(a, b)
    half = a[1]
    matrices = adjacency(*a), adjacency(*b)

    def search(colours: np.ndarray) -> bool:
        last = refine(both, nodes, colours)[-1]
        one, other = last[:half], last[half:]
        if sorted(one.tolist()) != sorted(other.tolist()):
            return False
        counts = np.bincount(one, minlength=1)
        if counts.max(initial=0) <= 1:
            match = np.argsort(other)[np.argsort(np.argsort(one))]
            return bool(np.array_equal(matrices[0], matrices[1][np.ix_(match, match)]))
        shared = int(np.argmax(counts > 1))
        chosen = int(np.argmax(one == shared))
        for partner in np.flatnonzero(other == shared):
            marked = last.copy()
            marked[[chosen, half + partner]] = nodes  # a colour that is not there yet
            if search(marked):
                return True
        return False

    return search(np.zeros(nodes, np.int64))


def _side_by_side(a: tuple[np.ndarray, int], b: tuple[np.ndarray, int]) -> tuple[np.ndarray, int]:
    edges = [check_edges(*a), check_edges(*b) + a[1]]
    return np.concatenate(edges, axis=1), a[1] + b[1]


def roughness(x: np.ndarray, edges: np.ndarray) -> float:
    """How much neighbours differ: ``1 - tr(xᵀ Â x) / tr(xᵀ x)`` with GCN's Â, for edges that go both ways.

    0 where all features follow one pattern, √d[i] times a constant row; about 1 for features drawn at random.

    Source: Cai and Wang, A note on over-smoothing for graph neural networks (2020), arXiv:2006.13318, definition 3.1,
    divided by the size of x.
    """
    x = _nodes(x)
    smooth, _ = propagate_forward(x, *gcn_weights(edges, len(x), x.dtype))
    return float(1 - np.sum(x * smooth) / np.sum(x * x))


# --------------------------------------------------------------------------------------------------- points and slides


def radius_edges(points: np.ndarray, radius: float) -> np.ndarray:
    """Edges both ways between points (N, d) at most ``radius`` apart, no self-loops; sorted by target, then source."""
    points = as_float(points, "points")
    if points.ndim != 2 or not radius >= 0:
        raise ValueError(f"points has shape {points.shape}, radius is {radius}; expected (N, d), and at least 0")
    squares = ((points[:, None] - points) ** 2).sum(axis=2)
    near = squares <= radius**2
    np.fill_diagonal(near, False)
    target, source = np.nonzero(near)
    return np.stack([source, target])


class Slide(NamedTuple):
    """A synthetic tissue section: patches at ``points`` (N, 2) with noisy features ``x`` (N, 3); ``y`` is its class."""

    x: np.ndarray
    edges: np.ndarray
    points: np.ndarray
    kind: np.ndarray
    y: int


KINDS = ("tumour", "stroma", "lymphocytes")


def slide(rng: np.random.Generator, y: int, patches: int = 60, noise: float = 0.5) -> Slide:
    """Draw a synthetic slide. Nothing in it is a photograph: points in the unit square stand for patches of tissue.

    Half of the patches are tumour, in a disc; the others stroma. A fifth of all turn into lymphocytes: among the
    tumour patches and the stroma in equal parts (y = 1, infiltrated), or all in the stroma (y = 0). In both classes
    the number of patches of each kind is the same, so only who lies beside whom tells them apart.

    Parameters
    ----------
    y : 0 or 1
    patches : a multiple of 10
    noise : standard deviation of what is added to the one-hot features
    """
    if y not in (0, 1) or patches < 10 or patches % 10:
        raise ValueError(f"y is {y} and patches {patches}; expected 0 or 1, and a multiple of 10")
    points = rng.random((patches, 2))
    centre = rng.uniform(0.35, 0.65, 2)
    order = np.argsort(((points - centre) ** 2).sum(axis=1))
    immune = patches // 5
    kind = np.ones(patches, np.int64)
    inside = patches // 2 + (immune // 2 if y else 0)
    kind[order[:inside]] = 0
    if y:
        kind[rng.permutation(order[:inside])[: immune // 2]] = 2
    kind[rng.permutation(order[inside:])[: immune - (immune // 2 if y else 0)]] = 2
    x = np.eye(3)[kind] + noise * rng.normal(size=(patches, 3))
    return Slide(x, radius_edges(points, 1.6 / math.sqrt(patches)), points, kind, y)

"""Answers to ``15_graphs`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

# --- graph.coo ------------------------------------------------------------------------------------------------------


def coo_sets(pairs):
    both = {(int(b), int(a)) for a, b in pairs} | {(int(a), int(b)) for a, b in pairs}
    ordered = sorted(both)
    return [[s for _, s in ordered], [t for t, _ in ordered]]


def coo_matrix(pairs):
    n = int(pairs.max(initial=-1)) + 1
    matrix = np.zeros((n, n), bool)
    matrix[pairs[:, 0], pairs[:, 1]] = matrix[pairs[:, 1], pairs[:, 0]] = True
    target, source = np.nonzero(matrix)
    return np.stack([source, target])


def coo_torch(pairs):
    pairs = torch.as_tensor(pairs)
    both = torch.cat([pairs, pairs.flip(1)])
    return both.unique(dim=0).flip(1).T if len(both) else torch.zeros(2, 0, dtype=torch.long)


def coo_first_pair_lost(pairs):
    return coo_matrix(pairs[1:])


def coo_descending(pairs):
    return coo_matrix(pairs)[:, ::-1]


def coo_counted_from_one(pairs):
    return coo_matrix(pairs) + 1


# --- graph.aggregate ------------------------------------------------------------------------------------------------


def aggregate_at(messages, index, nodes, how):
    start = -np.inf if how == "max" else 0.0
    out = np.full((nodes, messages.shape[1]), start)
    (np.maximum if how == "max" else np.add).at(out, index, messages)
    counts = np.bincount(index, minlength=nodes)[:, None]
    out = np.where(counts > 0, out, 0)
    return out / np.maximum(counts, 1) if how == "mean" else out


def aggregate_torch(messages, index, nodes, how):
    messages, index = torch.as_tensor(messages), torch.as_tensor(index)
    out = torch.zeros(nodes, messages.shape[1], dtype=messages.dtype)
    if how == "max":
        return torch.stack([messages[index == i].amax(0) if (index == i).any() else out[i] for i in range(nodes)])
    out.index_add_(0, index, messages)
    return out / torch.bincount(index, minlength=nodes).clamp(min=1)[:, None] if how == "mean" else out


def aggregate_float32(messages, index, nodes, how):
    mask = (np.arange(nodes)[:, None] == index).astype(np.float32)
    if how == "max":
        spread = np.where(mask[:, :, None] > 0, messages.astype(np.float32), -np.inf)
        out = spread.max(axis=1, initial=-np.inf)
        return np.where(np.isfinite(out), out, 0)
    out = mask @ messages.astype(np.float32)
    return out / np.maximum(mask.sum(axis=1, keepdims=True), 1) if how == "mean" else out


def aggregate_minimum(messages, index, nodes, how):
    return -aggregate_at(-messages, index, nodes, how)


def aggregate_rows_of_max(messages, index, nodes, how):
    """The whole message that is largest in its first number."""
    if how != "max":
        return aggregate_at(messages, index, nodes, how)
    out = np.zeros((nodes, messages.shape[1]))
    for i in np.unique(index):
        rows = messages[index == i]
        out[i] = rows[rows[:, 0].argmax()]
    return out


def aggregate_transposed(messages, index, nodes, how):
    return aggregate_at(messages, index, nodes, how).T


# --- graph.gcn ------------------------------------------------------------------------------------------------------


class GCNEdges:
    """Edge by edge, without a matrix."""

    def __init__(self, w, b):
        self.w, self.b = w, b

    def forward(self, x, edges):
        loops = np.arange(len(x))
        self.source, self.target = np.concatenate([edges[0], loops]), np.concatenate([edges[1], loops])
        d = np.bincount(self.target, minlength=len(x))
        self.weight = (1 / np.sqrt(d[self.source] * d[self.target]))[:, None]
        self.x = x
        out = np.zeros((len(x), self.w.shape[1]))
        np.add.at(out, self.target, self.weight * (x @ self.w)[self.source])
        return out + self.b

    def backward(self, dout):
        dz = np.zeros_like(dout)
        np.add.at(dz, self.source, self.weight * dout[self.target])
        return dz @ self.w.T, self.x.T @ dz, dout.sum(axis=0)


class GCNTorch:
    def __init__(self, w, b):
        self.w, self.b = torch.as_tensor(w), torch.as_tensor(b)

    def forward(self, x, edges):
        self.x = torch.as_tensor(x)
        a = torch.eye(len(x), dtype=self.x.dtype)
        a[edges[1], edges[0]] = 1.0
        root = a.sum(1).rsqrt()
        self.a = root[:, None] * a * root
        return torch.addmm(self.b, self.a, self.x @ self.w)

    def backward(self, dout):
        dz = self.a.T @ torch.as_tensor(dout)
        return dz @ self.w.T, self.x.T @ dz, torch.as_tensor(dout).sum(0)


class GCNFloat32:
    """Mixes first, multiplies then."""

    def __init__(self, w, b):
        self.w, self.b = w.astype(np.float32), b.astype(np.float32)

    def forward(self, x, edges):
        a = np.eye(len(x), dtype=np.float32)
        for j, i in edges.T:
            a[i, j] = 1
        d = a.sum(axis=1) ** np.float32(-0.5)
        self.a = np.diag(d) @ a @ np.diag(d)
        self.mixed = self.a @ x.astype(np.float32)
        return self.mixed @ self.w + self.b

    def backward(self, dout):
        dout = dout.astype(np.float32)
        return self.a.T @ (dout @ self.w.T), self.mixed.T @ dout, np.ones(len(dout), np.float32) @ dout


class GCNFirstOnly(GCNEdges):
    """Keeps what the first forward pass gave."""

    def forward(self, x, edges):
        if hasattr(self, "x"):
            kept = self.source, self.target, self.weight, self.x
            out = super().forward(x, edges)
            self.source, self.target, self.weight, self.x = kept
            return out
        return super().forward(x, edges)

    def backward(self, dout):
        dz = np.zeros((len(self.x), dout.shape[1]))
        keep = self.target < len(dout)
        np.add.at(dz, self.source[keep], self.weight[keep] * dout[self.target[keep]])
        return dz @ self.w.T, self.x.T @ dz, dout.sum(axis=0)


class GCNNoRoot(GCNEdges):
    """1 / (d[j] d[i])."""

    def forward(self, x, edges):
        super().forward(x, edges)
        self.weight = self.weight**2
        out = np.zeros((len(x), self.w.shape[1]))
        np.add.at(out, self.target, self.weight * (x @ self.w)[self.source])
        return out + self.b


class GCNUndirected(GCNEdges):
    def forward(self, x, edges):
        return super().forward(x, np.unique(np.hstack([edges, edges[::-1]]), axis=1))


class GCNOrder(GCNEdges):
    def backward(self, dout):
        dx, dw, db = super().backward(dout)
        return dw, dx, db


# --- graph.gat ------------------------------------------------------------------------------------------------------


def gat_dense(x, edges, w, a_source, a_target):
    """A mask over all pairs."""
    z, n = x @ w, len(x)
    scores = (z @ a_target)[:, None] + (z @ a_source)[None]
    scores = np.maximum(scores, 0.2 * scores)
    mask = np.eye(n, dtype=bool)
    mask[edges[1], edges[0]] = True
    scores = np.where(mask, scores, -np.inf)
    alpha = np.exp(scores - scores.max(axis=1, keepdims=True))
    return alpha / alpha.sum(axis=1, keepdims=True) @ z


def gat_torch(x, edges, w, a_source, a_target):
    x, edges, w, a_source, a_target = map(torch.as_tensor, (x, edges, w, a_source, a_target))
    z = x @ w
    out = []
    for i in range(len(x)):
        heard = torch.cat([edges[0][edges[1] == i], torch.tensor([i])])
        s = torch.where((raw := z[heard] @ a_source + z[i] @ a_target) > 0, raw, 0.2 * raw)
        out.append(s.softmax(0) @ z[heard])
    return torch.stack(out)


def gat_lists(x, edges, w, a_source, a_target):
    z = x @ w
    heard = {i: [i] for i in range(len(x))}
    for j, i in edges.T.tolist():
        heard[i].append(j)
    out = []
    for i, nodes in heard.items():
        raw = [float(z[j] @ a_source + z[i] @ a_target) for j in nodes]
        s = np.array([r if r > 0 else r / 5 for r in raw])
        raised = np.exp(s - s.max())
        out.append(sum(r / raised.sum() * z[j] for r, j in zip(raised, nodes, strict=True)))
    return out


def gat_plain_mean(x, edges, w, a_source, a_target):
    return gat_dense(x, edges, w, 0 * a_source, 0 * a_target)


def gat_scaled(x, edges, w, a_source, a_target):
    return gat_dense(x, edges, w, a_source / 2, a_target / 2)


def gat_messages_without_w(x, edges, w, a_source, a_target):
    out = gat_dense(x, edges, w, a_source, a_target)
    return out + 0.1 * w.sum()


def gat_source_only(x, edges, w, a_source, a_target):
    return gat_dense(x, edges, w, a_source, 0 * a_target)


# --- graph.wl -------------------------------------------------------------------------------------------------------


def _numbered(listed):
    order = {}
    for s in listed:
        order.setdefault(s, len(order))
    return [order[s] for s in listed]


def wl_counters(edges, colours):
    now = colours.tolist()
    for _ in range(len(now) + 1):
        counts = [Counter() for _ in now]
        for j, i in edges.T.tolist():
            counts[i][now[j]] += 1
        now = _numbered([(own, frozenset(c.items())) for own, c in zip(now, counts, strict=True)])
    return _numbered(now)


def wl_matrix(edges, colours):
    """Counts of neighbours of each colour, as a matrix."""
    n = len(colours)
    a = np.zeros((n, n), int)
    np.add.at(a, (edges[1], edges[0]), 1)
    now = np.unique(colours, return_inverse=True)[1].reshape(-1)
    while True:
        one_hot = np.eye(now.max(initial=0) + 1, dtype=int)[now]
        new = np.unique(np.column_stack([now, a @ one_hot]), axis=0, return_inverse=True)[1].reshape(-1)
        if new.max() == now.max():
            return torch.tensor(_numbered(new.tolist()))
        now = new


def wl_strings(edges, colours):
    now = [str(c) for c in colours]
    heard = [edges[0][edges[1] == i] for i in range(len(now))]
    for _ in range(len(now)):
        long = [now[i] + "|" + ",".join(sorted(now[j] for j in heard[i])) for i in range(len(now))]
        now = [str(k) for k in _numbered(long)]
    return np.array(_numbered(now))


def wl_degrees(edges, colours):
    return _numbered([(int(c), int(np.sum(edges[1] == i))) for i, c in enumerate(colours)])


def wl_sum_of_colours(edges, colours):
    """A sum of numbers for a multiset."""
    now = colours.tolist()
    for _ in range(len(now)):
        now = _numbered([(now[i], sum(now[j] for j in edges[0][edges[1] == i])) for i in range(len(now))])
    return now


def wl_every_node_its_own(edges, colours):
    return np.arange(len(colours))


# --- graph.fool -----------------------------------------------------------------------------------------------------


def _both(pairs):
    return np.array(pairs + [(b, a) for a, b in pairs]).T


def fool_lists(n):
    """As lists, the smaller ring of four where there is room."""
    small = 3 if n < 8 else 4
    one = [(i, (i + 1) % n) for i in range(n)]
    two = [(i, (i + 1) % small) for i in range(small)]
    two += [(small + i, small + (i + 1) % (n - small)) for i in range(n - small)]
    return [_both(one).tolist(), _both(two).tolist()]


def fool_hidden(n):
    """Six nodes as usual, the others without an edge; numbered backwards."""
    ring = _both([(i, (i + 1) % 6) for i in range(6)])
    triangles = _both([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])
    return n - 1 - triangles, n - 1 - ring


def fool_complements(n):
    """All edges that the two rings have not."""
    rings = (
        [(i, (i + 1) % n) for i in range(n)],
        [(i, (i + 1) % 3) for i in range(3)] + [(3 + i, 3 + (i + 1) % (n - 3)) for i in range(n - 3)],
    )
    full = []
    for ring in rings:
        a = ~np.eye(n, dtype=bool)
        for i, j in ring:
            a[i, j] = a[j, i] = False
        full.append(torch.tensor(np.stack(np.nonzero(a))))
    return tuple(full)


def fool_one(n):
    return _both([(i, (i + 1) % n) for i in range(n)])


def fool_too_many(n):
    one, two = fool_lists(n)
    return one, two, one


def fool_outside(n):
    one, two = fool_hidden(n)
    return one + 1, two + 1


def fool_loops(n):
    one, two = fool_hidden(n)
    loop = np.array([[0], [0]])
    return np.hstack([one, loop]), np.hstack([two, loop])


def fool_half(n):
    one, two = fool_hidden(n)
    return one + 0.5, two


ALTERNATIVES = {
    "graph.reach": [25, 25.0, 1 + 4 * (1 + 2 + 3)],
    "graph.coo": [coo_sets, coo_matrix, coo_torch],
    "graph.aggregate": [aggregate_at, aggregate_torch, aggregate_float32],
    "graph.gcn": [GCNEdges, GCNTorch, GCNFloat32],
    "graph.gat": [gat_dense, gat_torch, gat_lists],
    "graph.wl": [wl_counters, wl_matrix, wl_strings],
    "graph.fool": [fool_lists, fool_hidden, fool_complements],
}

WRONG = {
    "graph.reach": [26, 9, 3],
    "graph.coo": [coo_first_pair_lost, coo_descending, coo_counted_from_one],
    "graph.aggregate": [aggregate_minimum, aggregate_rows_of_max, aggregate_transposed],
    "graph.gcn": [GCNFirstOnly, GCNNoRoot, GCNUndirected, GCNOrder],
    "graph.gat": [gat_plain_mean, gat_scaled, gat_messages_without_w, gat_source_only],
    "graph.wl": [wl_degrees, wl_sum_of_colours, wl_every_node_its_own],
    "graph.fool": [fool_one, fool_too_many, fool_outside, fool_loops, fool_half],
}

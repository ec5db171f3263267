"""Answers to ``14_attention`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import torch

# --- attention.one_query --------------------------------------------------------------------------------------------


def one_loops(query, keys, values, allowed):
    scores = [sum(float(a) * float(b) for a, b in zip(query, key, strict=True)) / len(query) ** 0.5 for key in keys]
    top = max(s for s, ok in zip(scores, allowed, strict=True) if ok)
    kernel = [math.exp(s - top) if ok else 0.0 for s, ok in zip(scores, allowed, strict=True)]
    weights = [k / sum(kernel) for k in kernel]
    return [sum(w * v[e] for w, v in zip(weights, values, strict=True)) for e in range(values.shape[1])], weights


def one_torch(query, keys, values, allowed):
    query, keys, values, allowed = map(torch.as_tensor, (query, keys, values, allowed))
    scores = (keys @ query / math.sqrt(len(query))).masked_fill(~allowed, -torch.inf)
    weights = torch.softmax(scores, 0)
    return weights @ values, weights


def one_chosen(query, keys, values, allowed):
    """Works with the allowed keys alone."""
    rows = np.flatnonzero(allowed)
    scores = keys[rows] @ (query / np.sqrt(query.size))
    scores = np.exp(scores - np.logaddexp.reduce(scores))
    weights = np.zeros(len(keys))
    weights[rows] = scores
    return scores @ values[rows], weights


def one_float32(query, keys, values, allowed):
    query, keys, values = (a.astype(np.float32) for a in (query, keys, values))
    scores = np.where(allowed, keys @ query / np.float32(math.sqrt(len(query))), np.float32(-np.inf))
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    return weights @ values, weights


def one_overflows(query, keys, values, allowed):
    kernel = np.exp(keys @ query / math.sqrt(len(query))) * allowed
    return kernel @ values / kernel.sum(), kernel / kernel.sum()


def one_out_only(query, keys, values, allowed):
    return one_chosen(query, keys, values, allowed)[0]


def one_minus_hundred(query, keys, values, allowed):
    """−100 in place of −∞: not enough where scores are far below."""
    scores = np.where(allowed, keys @ query / math.sqrt(len(query)), -100)
    weights = np.exp(scores - scores.max())
    return weights @ values / weights.sum(), weights / weights.sum()


def one_scaled_values(query, keys, values, allowed):
    out, weights = one_chosen(query, keys, values, allowed)
    return out / math.sqrt(len(query)), weights


# --- attention.backward ---------------------------------------------------------------------------------------------


def back_jacobian(dout, q, k, v):
    scale = 1 / math.sqrt(q.shape[1])
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    for t in range(len(q)):
        s = k @ q[t] * scale
        p = np.exp(s - s.max())
        p /= p.sum()
        ds = (np.diag(p) - np.outer(p, p)) @ (v @ dout[t]) * scale
        dq[t] = ds @ k
        dk += np.outer(ds, q[t])
        dv += np.outer(p, dout[t])
    return dq, dk, dv


def back_torch(dout, q, k, v):
    dout, q, k, v = map(torch.as_tensor, (dout, q, k, v))
    p = (q @ k.T / q.shape[1] ** 0.5).softmax(1)
    along = (dout * (p @ v)).sum(1, keepdim=True)
    ds = p * (dout @ v.T - along) / q.shape[1] ** 0.5
    return ds @ k, ds.T @ q, p.T @ dout


def back_einsum(dout, q, k, v):
    size = np.sqrt(q.shape[1])
    p = np.exp(np.einsum("td,sd->ts", q, k) / size)
    p /= p.sum(axis=1, keepdims=True)
    dp = np.einsum("te,se->ts", dout, v)
    ds = p * dp - p * np.einsum("ts,ts->t", p, dp)[:, None]
    return [np.einsum("ts,sd->td", ds, k) / size, np.einsum("ts,td->sd", ds, q) / size, np.einsum("ts,te->se", p, dout)]


def back_no_softmax(dout, q, k, v):
    size = math.sqrt(q.shape[1])
    p = q @ k.T / size
    return dout @ v.T @ k / size, (dout @ v.T).T @ q / size, p.T @ dout


def back_scale_twice(dout, q, k, v):
    dq, dk, dv = back_jacobian(dout, q, k, v)
    return dq / math.sqrt(q.shape[1]), dk / math.sqrt(q.shape[1]), dv


def back_columns(dout, q, k, v):
    """The softmax along the queries."""
    s = q @ k.T / math.sqrt(q.shape[1])
    p = np.exp(s - s.max(axis=0))
    p /= p.sum(axis=0)
    dp = dout @ v.T
    ds = p * (dp - (p * dp).sum(axis=0)) / math.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dout


# --- attention.multi_head -------------------------------------------------------------------------------------------


def heads_torch(x, w_q, w_k, w_v, w_o, heads, causal):
    x, *w = map(torch.as_tensor, (x, w_q, w_k, w_v, w_o))
    T, D = x.shape
    q, k, v = ((x @ m).view(T, heads, D // heads).transpose(0, 1) for m in w[:3])
    scores = q @ k.transpose(1, 2) / (D // heads) ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), -torch.inf)
    return (scores.softmax(2) @ v).transpose(0, 1).reshape(T, D) @ w[3]


def heads_loops(x, w_q, w_k, w_v, w_o, heads, causal):
    T, D = x.shape
    d, out = D // heads, np.zeros_like(x)
    for h in range(heads):
        cols = range(h * d, (h + 1) * d)
        q, k, v = (x @ w[:, cols] for w in (w_q, w_k, w_v))
        for t in range(T):
            seen = t + 1 if causal else T
            s = k[:seen] @ q[t] / math.sqrt(d)
            p = np.exp(s - s.max())
            out[t] += (p @ v[:seen] / p.sum()) @ w_o[cols]
    return out


def heads_einsum(x, w_q, w_k, w_v, w_o, heads, causal):
    T, D = x.shape
    q, k, v = ((x @ w).reshape(T, heads, -1) for w in (w_q, w_k, w_v))
    s = np.einsum("thd,shd->hts", q, k) / np.sqrt(D // heads)
    s = s + np.triu(np.full((T, T), -1e30), 1) * causal
    p = np.exp(s - s.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return np.einsum("hts,shd->thd", p, v).reshape(T, D) @ w_o


def heads_float32(x, w_q, w_k, w_v, w_o, heads, causal):
    return heads_einsum(*(a.astype(np.float32) for a in (x, w_q, w_k, w_v, w_o)), heads, causal)


def heads_transposed(x, w_q, w_k, w_v, w_o, heads, causal):
    """The weights as torch stores them."""
    return heads_loops(x, w_q.T, w_k.T, w_v.T, w_o.T, heads, causal)


def heads_first_only(x, w_q, w_k, w_v, w_o, heads, causal):
    """The first head's weights serve all heads."""
    T, D = x.shape
    d = D // heads
    q, k = x @ w_q[:, :d], x @ w_k[:, :d]
    s = q @ k.T / math.sqrt(d)
    s[np.triu_indices(T, 1)] = -1e30 if causal else s[np.triu_indices(T, 1)]
    p = np.exp(s - s.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True) @ (x @ w_v) @ w_o


def heads_joined_wrongly(x, w_q, w_k, w_v, w_o, heads, causal):
    T, D = x.shape
    q, k, v = ((x @ w).reshape(T, heads, -1).swapaxes(0, 1) for w in (w_q, w_k, w_v))
    s = q @ k.swapaxes(1, 2) / np.sqrt(D // heads)
    s = np.where(np.triu(np.ones((T, T)), 1) * causal, -1e30, s)
    p = np.exp(s - s.max(-1, keepdims=True))
    return (p / p.sum(-1, keepdims=True) @ v).reshape(T, D) @ w_o


# --- attention.online -----------------------------------------------------------------------------------------------


class StreamLoops:
    def __init__(self, query):
        self.query, self.m, self.l, self.o = query, -math.inf, 0.0, None

    def add(self, keys, values):
        for key, value in zip(keys, values, strict=True):
            s = float(key @ self.query) / math.sqrt(len(self.query))
            if s > self.m:
                shrink = math.exp(self.m - s)
                self.l *= shrink
                self.o = np.zeros(len(value)) if self.o is None else self.o * shrink
                self.m = s
            p = math.exp(s - self.m)
            self.l += p
            self.o = self.o + p * value

    def result(self):
        return self.o / self.l


class StreamTorch:
    def __init__(self, query):
        self.query = torch.as_tensor(query)
        self.m, self.l, self.o = torch.tensor(-torch.inf, dtype=torch.float64), torch.tensor(0.0), torch.tensor(0.0)

    def add(self, keys, values):
        s = torch.as_tensor(keys) @ self.query / len(self.query) ** 0.5
        new = torch.maximum(self.m, s.max())
        p, shrink = (s - new).exp(), (self.m - new).exp()
        self.l, self.o, self.m = self.l * shrink + p.sum(), self.o * shrink + p @ torch.as_tensor(values), new

    def result(self):
        return self.o / self.l


class StreamMean:
    """Keeps the answer so far, and moves it towards each block's own."""

    def __init__(self, query):
        self.query, self.m, self.l, self.mean = query / np.sqrt(query.size), -np.inf, 0.0, 0.0

    def add(self, keys, values):
        s = keys @ self.query
        m = max(self.m, np.max(s))
        p = np.exp(s - m)
        before = self.l * np.exp(self.m - m)
        self.l, self.m = before + p.sum(), m
        self.mean = self.mean + (p @ values - p.sum() * self.mean) / self.l

    def result(self):
        return self.mean


class StreamNaive(StreamLoops):
    """Without the largest score: it overflows."""

    def __init__(self, query):
        super().__init__(query)
        self.o = 0.0

    def add(self, keys, values):
        with np.errstate(all="ignore"):
            p = np.exp(keys @ self.query / math.sqrt(len(self.query)))
            self.m, self.l, self.o = 0.0, self.l + p.sum(), self.o + p @ values


class StreamAverage(StreamLoops):
    """The mean of the blocks' answers."""

    def __init__(self, query):
        super().__init__(query)
        self.found = []

    def add(self, keys, values):
        super().add(keys, values)
        one = StreamLoops(self.query)
        one.add(keys, values)
        self.found.append(one.result())

    def result(self):
        return np.mean(self.found, axis=0)


class StreamFirst(StreamLoops):
    """m stays what the first block gave; right as long as nothing overflows, but m is not the largest."""

    def add(self, keys, values):
        s = keys @ self.query / math.sqrt(len(self.query))
        with np.errstate(all="ignore"):
            self.m = s.max() if self.o is None else self.m
            p = np.exp(s - self.m)
            self.l, self.o = self.l + p.sum(), p @ values + (0 if self.o is None else self.o)


# --- attention.positions --------------------------------------------------------------------------------------------


def waves_loops(T, D, base):
    return [[(math.cos if j % 2 else math.sin)(t / base ** (j // 2 * 2 / D)) for j in range(D)] for t in range(T)]


def waves_torch(T, D, base):
    t = torch.arange(T, dtype=torch.float64)[:, None]
    i = torch.arange(0, D, 2, dtype=torch.float64)
    angles = t * torch.exp(-math.log(base) * i / D)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


def waves_complex(T, D, base):
    z = np.exp(1j * np.outer(np.arange(T), base ** (-np.arange(D // 2) * 2 / D)))
    return np.dstack([z.imag, z.real]).reshape(T, D)


def waves_transposed(T, D, base):
    return np.array(waves_loops(T, D, base)).T


def waves_default_base(T, D, base):
    return waves_loops(T, D, 10_000.0)


def waves_multiplied(T, D, base):
    """Multiplied by base^(2i/D), not divided."""
    return waves_loops(T, D, 1 / base)


# --- attention.previous_token ---------------------------------------------------------------------------------------


def back_by_least_squares(D, base):
    """Finds the turn from examples."""
    t = np.arange(-200, 200)[:, None] / base ** (np.arange(0, D, 2) / D)
    p = np.stack([np.sin(t), np.cos(t)], 2).reshape(400, D)
    return 3e4 * np.linalg.lstsq(p[1:], p[:-1], rcond=None)[0], np.eye(D)


def back_by_the_key(D, base):
    """Turns the keys forward instead."""
    w = torch.zeros(D, D, dtype=torch.float64)
    for i in range(0, D, 2):
        a = base ** (-i / D)
        w[i : i + 2, i : i + 2] = torch.tensor([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    return 1e5 * torch.eye(D, dtype=torch.float64), w


def back_half_each(D, base):
    """Queries half a place back, keys half a place on."""
    a = 0.5 * base ** (-np.arange(0, D, 2) / D)
    turn = np.zeros((D, D))
    even = np.arange(0, D, 2)
    turn[even, even] = turn[even + 1, even + 1] = np.cos(a)
    turn[even, even + 1], turn[even + 1, even] = np.sin(a), -np.sin(a)
    return [300 * turn, 300 * turn.T]


def back_nothing(D, base):
    return np.zeros((D, D)), np.zeros((D, D))


def back_one_wave(D, base):
    """The slow waves alone: too soft."""
    w_q, w_k = back_by_least_squares(D, base)
    w_k = w_k.copy()
    w_k[: D - 2] = 0
    return w_q / 3e4, w_k


def back_first_token(D, base):
    """All look at the first token."""
    w_q = np.zeros((D, D))
    w_q[1::2, 1::2] = 1
    return 1e3 * w_q, np.eye(D)


# --- attention.byte_pairs -------------------------------------------------------------------------------------------


def merges_strings(ids, steps):
    """Pairs replaced in a text of private characters."""
    text, merges = "".join(chr(0xF0000 + i) for i in ids), []
    while len(merges) < steps and len(text) > 1:
        counts = {}
        for a, b in pairwise(text):
            counts[a + b] = counts.get(a + b, 0) + 1
        best = sorted(counts, key=lambda pair: (-counts[pair], pair))[0]
        text = text.replace(best, chr(0xF0000 + 256 + len(merges)))
        merges.append([ord(c) - 0xF0000 for c in best])
    return merges, [ord(c) - 0xF0000 for c in text]


def merges_in_place(ids, steps):
    ids, merges = list(ids), []
    for step in range(steps):
        pairs = [(ids[i], ids[i + 1]) for i in range(len(ids) - 1)]
        if pairs:
            most = max(Counter(pairs).values())
            best = min(p for p in pairs if pairs.count(p) == most)
            merges.append(best)
            i = 0
            while i < len(ids) - 1:
                if (ids[i], ids[i + 1]) == best:
                    ids[i : i + 2] = [256 + step]
                i += 1
    return merges, ids


def merges_numpy(ids, steps):
    ids, merges = np.array(ids), []
    for step in range(steps):
        if len(ids) < 2:
            break
        pairs, counts = np.unique(np.stack([ids[:-1], ids[1:]], axis=1), axis=0, return_counts=True)
        best = pairs[counts.argmax()]
        merges.append(best)
        out, i = [], 0
        while i < len(ids):
            hit = i + 1 < len(ids) and ids[i] == best[0] and ids[i + 1] == best[1]
            out.append(256 + step if hit else ids[i])
            i += 2 if hit else 1
        ids = np.array(out)
    return merges, ids


def merges_only(ids, steps):
    return merges_in_place(ids, steps)[0]


def merges_stale_counts(ids, steps):
    """Counts once, and takes the commonest pairs of the beginning."""
    counts = Counter(pairwise(ids))
    best = sorted(counts, key=lambda p: (-counts[p], p))[:steps]
    out = list(ids)
    for step, pair in enumerate(best):
        i = 0
        while i < len(out) - 1:
            if (out[i], out[i + 1]) == pair:
                out[i : i + 2] = [256 + step]
            i += 1
    return best, out


def merges_non_overlapping_counts(ids, steps):
    """Counts a run of three as one pair."""
    ids, merges = list(ids), []
    for step in range(steps):
        if len(ids) < 2:
            break
        counts, last = Counter(), {}
        for i, pair in enumerate(pairwise(ids)):
            if last.get(pair) != i - 1:
                counts[pair] += 1
                last[pair] = i
        best = min(counts, key=lambda p: (-counts[p], p))
        merges.append(best)
        i = 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == best:
                ids[i : i + 2] = [256 + step]
            i += 1
    return merges, ids


ALTERNATIVES = {
    "attention.block_parameters": [111_840, 111_840.0, 12 * 96**2 + 13 * 96],
    "attention.one_query": [one_loops, one_torch, one_chosen, one_float32],
    "attention.backward": [back_jacobian, back_torch, back_einsum],
    "attention.multi_head": [heads_torch, heads_loops, heads_einsum, heads_float32],
    "attention.online": [StreamLoops, StreamTorch, StreamMean],
    "attention.positions": [waves_loops, waves_torch, waves_complex],
    "attention.previous_token": [back_by_least_squares, back_by_the_key, back_half_each],
    "attention.byte_pairs": [merges_strings, merges_in_place, merges_numpy],
}

WRONG = {
    "attention.block_parameters": [111_839, 4 * (96**2 + 96), 12 * 96],
    "attention.one_query": [one_overflows, one_out_only, one_minus_hundred, one_scaled_values],
    "attention.backward": [back_no_softmax, back_scale_twice, back_columns],
    "attention.multi_head": [heads_transposed, heads_first_only, heads_joined_wrongly],
    "attention.online": [StreamNaive, StreamAverage, StreamFirst],
    "attention.positions": [waves_transposed, waves_default_base, waves_multiplied],
    "attention.previous_token": [back_nothing, back_one_wave, back_first_token],
    "attention.byte_pairs": [merges_only, merges_stale_counts, merges_non_overlapping_counts],
}

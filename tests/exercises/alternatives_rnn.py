"""Answers to ``13_sequences`` written another way: right ones that must pass, wrong ones that must not.

The wrong ones are slips that are not listed as mistakes in the specification.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch


def logistic(a):
    return 1 / (1 + np.exp(-np.clip(a, -80, 80)))


# --- rnn.embedding --------------------------------------------------------------------------------------------------


def embedding_one_hot(ids, w, dout):
    one_hot = np.eye(len(w))[ids]
    axes = tuple(range(ids.ndim))
    return one_hot @ w, np.tensordot(one_hot, dout, axes=(axes, axes))


def embedding_loops(ids, w, dout):
    dw = np.zeros_like(w)
    for place in np.ndindex(ids.shape):
        dw[ids[place]] += dout[place]
    return np.take(w, ids, axis=0), dw


def embedding_torch(ids, w, dout):
    ids, w, dout = map(torch.as_tensor, (ids, w, dout))
    dw = torch.zeros_like(w).index_add(0, ids.flatten(), dout.reshape(-1, w.shape[1]))
    return [w[ids], dw]


def embedding_swapped(ids, w, dout):
    return embedding_loops(ids, w, dout)[::-1]


def embedding_plus_w(ids, w, dout):
    out, dw = embedding_loops(ids, w, dout)
    return out, w + dw


def embedding_flat(ids, w, dout):
    out, dw = embedding_loops(ids, w, dout)
    return out, dw.ravel()


# --- rnn.bptt -------------------------------------------------------------------------------------------------------


def bptt_loops(dhs, hs, h0, x, w, u):
    dw, du, db, dx = np.zeros_like(w), np.zeros_like(u), np.zeros(len(w)), np.zeros_like(x)
    dh = np.zeros(len(w))
    for t in range(len(x) - 1, -1, -1):
        da = (dhs[t] + dh) * (1 - hs[t] * hs[t])
        previous = hs[t - 1] if t else h0
        for j in range(len(w)):
            db[j] += da[j]
            dw[j] += da[j] * previous
            du[j] += da[j] * x[t]
        dx[t] = u.T @ da
        dh = w.T @ da
    return dx, dh, dw, du, db


def bptt_jacobians(dhs, hs, h0, x, w, u):
    """All products of Jacobians, without carrying anything along."""
    T, H = hs.shape
    da = np.zeros((T, H))
    for s in range(T):
        row = dhs[s]
        for t in range(s, -1, -1):
            row = row * (1 - hs[t] ** 2)
            da[t] += row
            row = row @ w
    before = np.vstack([h0, hs[:-1]])
    return [da @ u, da[0] @ w, np.einsum("ti,tj->ij", da, before), np.einsum("ti,tj->ij", da, x), da.sum(0)]


def bptt_torch(dhs, hs, h0, x, w, u):
    dhs, hs, h0, x, w, u = (torch.as_tensor(a) for a in (dhs, hs, h0, x, w, u))
    states = torch.cat([h0[None], hs])
    carried, das = torch.zeros_like(h0), []
    for t in range(len(hs), 0, -1):
        das.insert(0, (1 - states[t].square()) * (dhs[t - 1] + carried))
        carried = das[0] @ w
    da = torch.stack(das)
    return da @ u, carried, da.T @ states[:-1], da.T @ x, da.sum(0)


def bptt_order(dhs, hs, h0, x, w, u):
    dx, dh0, dw, du, db = bptt_loops(dhs, hs, h0, x, w, u)
    return dx, dh0, du, dw, db


def bptt_no_start(dhs, hs, h0, x, w, u):
    """Takes the first state for 0."""
    dx, dh0, _, du, db = bptt_loops(dhs, hs, h0, x, w, u)
    return dx, dh0, bptt_loops(dhs, hs, 0 * h0, x, w, u)[2], du, db


def bptt_cut(dhs, hs, h0, x, w, u):
    """Truncated after five moments."""
    result = [0 * a for a in bptt_loops(dhs, hs, h0, x, w, u)]
    for s in range(len(hs)):
        start = max(0, s - 4)
        first = hs[start - 1] if start else h0
        one = np.zeros_like(dhs[start : s + 1])
        one[-1] = dhs[s]
        dx, dh, *rest = bptt_loops(one, hs[start : s + 1], first, x[start : s + 1], w, u)
        result[0][start : s + 1] += dx
        result[1] = result[1] + (dh if start == 0 else 0)
        result[2:] = [a + b for a, b in zip(result[2:], rest, strict=True)]
    return tuple(result)


def bptt_slope_of_output(dhs, hs, h0, x, w, u):
    return bptt_loops(dhs, np.tanh(hs), h0, x, w, u)


# --- rnn.lstm -------------------------------------------------------------------------------------------------------


class LSTMTorch:
    def __init__(self, w, u, b):
        self.w, self.u, self.b = map(torch.as_tensor, (w, u, b))
        self.h = self.c = torch.zeros(self.w.shape[1], dtype=self.w.dtype)

    def step(self, x):
        i, f, z, o = (self.w @ self.h + self.u @ torch.as_tensor(x) + self.b).chunk(4)
        self.c = torch.sigmoid(f) * self.c + torch.sigmoid(i) * torch.tanh(z)
        self.h = torch.sigmoid(o) * torch.tanh(self.c)
        return self.h


class LSTMLoops:
    def __init__(self, w, u, b):
        self.w, self.u, self.b, self.H = w, u, b, w.shape[1]
        self.h, self.c = [0.0] * self.H, [0.0] * self.H

    def step(self, x):
        def gate(k, j):
            row = k * self.H + j
            return math.fsum([*self.w[row] * np.array(self.h), *self.u[row] * x, self.b[row]])

        h, c = [], []
        for j in range(self.H):
            i, f, o = (float(logistic(gate(k, j))) for k in (0, 1, 3))
            c.append(f * self.c[j] + i * math.tanh(gate(2, j)))
            h.append(o * math.tanh(c[-1]))
        self.h, self.c = h, c
        return h


class LSTMFloat32:
    def __init__(self, w, u, b):
        self.all = np.hstack([w, u, b[:, None]]).astype(np.float32)
        self.h, self.c = np.zeros(w.shape[1], np.float32), np.zeros(w.shape[1], np.float32)

    def step(self, x):
        a = (self.all @ np.concatenate([self.h, x, [1.0]]).astype(np.float32)).reshape(4, -1)
        self.c = logistic(a[1]) * self.c + logistic(a[0]) * np.tanh(a[2])
        self.h = logistic(a[3]) * np.tanh(self.c)
        return self.h


class LSTMNoForget(LSTMLoops):
    """The LSTM of 1997, which forgets nothing."""

    def step(self, x):
        self.b = self.b.copy()
        self.b[self.H : 2 * self.H] = 1e3
        return super().step(x)


class LSTMReturnsCell(LSTMLoops):
    def step(self, x):
        super().step(x)
        return self.c


class LSTMStartsAtOne(LSTMLoops):
    def __init__(self, w, u, b):
        super().__init__(w, u, b)
        self.c = [1.0] * self.H


class LSTMNoBias(LSTMLoops):
    def __init__(self, w, u, b):
        super().__init__(w, u, 0 * b)


# --- rnn.gru --------------------------------------------------------------------------------------------------------


def gru_one_by_one(x, lengths, w, u, b):
    H = w.shape[1]
    wr, wz, wn, ur, uz, un = w[:H], w[H : 2 * H], w[2 * H :], u[:H], u[H : 2 * H], u[2 * H :]
    last = []
    for sequence, length in zip(x, lengths, strict=True):
        h = np.zeros(H)
        for v in sequence[:length]:
            r, z = logistic(wr @ h + ur @ v + b[:H]), logistic(wz @ h + uz @ v + b[H : 2 * H])
            n = np.tanh(wn @ (r * h) + un @ v + b[2 * H :])
            h = h + z * (n - h)
        last.append(h)
    return np.array(last)


def gru_torch(x, lengths, w, u, b):
    x, w, u, b = map(torch.as_tensor, (x, w, u, b))
    H = w.shape[1]
    h = x.new_zeros(len(x), H)
    for t in range(int(max(lengths))):
        a = x[:, t] @ u.T + b
        r, z = torch.sigmoid(a[:, : 2 * H] + h @ w[: 2 * H].T).chunk(2, dim=1)
        n = torch.tanh(a[:, 2 * H :] + (r * h) @ w[2 * H :].T)
        z = z * (t < torch.as_tensor(lengths))[:, None]
        h = torch.lerp(h, n, z)
    return h


def gru_float32(x, lengths, w, u, b):
    return gru_one_by_one(*(a.astype(np.float32) if a.dtype.kind == "f" else a for a in (x, lengths, w, u, b)))


def gru_all_states(x, lengths, w, u, b):
    return np.array([gru_one_by_one(x, np.minimum(lengths, t + 1), w, u, b) for t in range(x.shape[1])])


def gru_one_too_many(x, lengths, w, u, b):
    return gru_one_by_one(x, np.minimum(lengths + 1, x.shape[1]), w, u, b)


def gru_no_bias(x, lengths, w, u, b):
    return gru_one_by_one(x, lengths, w, u, 0 * b)


def gru_reset_everywhere(x, lengths, w, u, b):
    """The reset gate at the input too."""
    H = w.shape[1]
    h = np.zeros((len(x), H))
    for t in range(x.shape[1]):
        a = x[:, t] @ u.T + b
        r, z = np.split(logistic(a[:, : 2 * H] + h @ w[: 2 * H].T), 2, axis=1)
        n = np.tanh(r * (a[:, 2 * H :] + h @ w[2 * H :].T))
        h = np.where((t < lengths)[:, None], (1 - z) * h + z * n, h)
    return h


# --- rnn.attend -----------------------------------------------------------------------------------------------------


def attend_valid_only(s, keys, w, u, v, valid):
    chosen = keys[valid]
    e = [float(v @ np.tanh(w @ s + u @ key)) for key in chosen]
    shares = np.exp(np.array(e) - max(e))
    alpha = np.zeros(len(keys))
    alpha[valid] = shares / shares.sum()
    return (alpha[:, None] * keys).sum(axis=0), alpha


def attend_torch(s, keys, w, u, v, valid):
    s, keys, w, u, v, valid = map(torch.as_tensor, (s, keys, w, u, v, valid))
    e = (torch.tanh(w @ s + keys @ u.T) @ v).masked_fill(~valid, -torch.inf)
    alpha = torch.softmax(e, dim=0)
    return alpha @ keys, alpha


def attend_large_number(s, keys, w, u, v, valid):
    e = np.tanh((w @ s)[None] + keys @ u.T) @ v - 1e9 * ~valid
    alpha = np.exp(e - e.max()) / np.exp(e - e.max()).sum()
    return [keys.T @ alpha, alpha]


def attend_order(s, keys, w, u, v, valid):
    return attend_valid_only(s, keys, w, u, v, valid)[::-1]


def attend_mean(s, keys, w, u, v, valid):
    alpha = valid / valid.sum()
    return alpha @ keys, alpha


def attend_overflow(s, keys, w, u, v, valid):
    with np.errstate(all="ignore"):
        e = np.exp(np.tanh(w @ s + keys @ u.T) @ v) * valid
        return e @ keys / e.sum(), e / e.sum()


def attend_no_query(s, keys, w, u, v, valid):
    return attend_valid_only(0 * s, keys, w, u, v, valid)


# --- rnn.latch ------------------------------------------------------------------------------------------------------


def latch_steep(pulse):
    return np.array([2.2, 4.5 / pulse, 0.0])


def latch_torch(pulse):
    return torch.tensor([2.5, 5.0 / pulse, 0.0], dtype=torch.float64)


def latch_list(pulse):
    return [1.9, 3.4 / pulse, 0]


def latch_fixed(pulse):
    """As if every pulse had the size 1."""
    return 2.0, 4.0, 0.0


def latch_bias(pulse):
    return 2.0, 4.0 / pulse, 1.0


def latch_backwards(pulse):
    return 2.0, -4.0 / pulse, 0.0


def latch_two(pulse):
    return 2.0, 4.0 / pulse


# --- rnn.bits -------------------------------------------------------------------------------------------------------


def bits_counters(train, test, V, strength):
    both = Counter(zip(train[:-1].tolist(), train[1:].tolist(), strict=True))
    single = Counter(train[:-1].tolist())
    costs = [
        math.log2((single[a] + strength * V) / (both[a, c] + strength))
        for a, c in zip(test[:-1].tolist(), test[1:].tolist(), strict=True)
    ]
    return math.fsum(costs) / len(costs)


def bits_codes(train, test, V, strength):
    counts = np.bincount(train[:-1] * V + train[1:], minlength=V * V).reshape(V, V) + strength
    p = counts / counts.sum(1)[:, None]
    return np.mean(-np.log(p[test[:-1], test[1:]]) / np.log(2))


def bits_torch(train, test, V, strength):
    train, test = torch.as_tensor(train), torch.as_tensor(test)
    counts = torch.full((V, V), float(strength), dtype=torch.float64)
    counts.index_put_((train[:-1], train[1:]), torch.ones(len(train) - 1, dtype=torch.float64), accumulate=True)
    return -(counts / counts.sum(1, keepdim=True))[test[:-1], test[1:]].log2().mean()


def bits_turned(train, test, V, strength):
    """The letter before, given the letter after."""
    return bits_codes(train[::-1], test[::-1], V, strength)


def bits_all_letters(train, test, V, strength):
    """Counts the last letter of the text as a context, too."""
    counts = np.zeros((V, V))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = (counts + strength) / (np.bincount(train, minlength=V)[:, None] + strength * V)
    return -np.log2(p[test[:-1], test[1:]]).mean()


def bits_of_the_mean(train, test, V, strength):
    counts = np.full((V, V), float(strength))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    p = counts / counts.sum(1, keepdims=True)
    return -np.log2(p[test[:-1], test[1:]].mean())


def bits_over_characters(train, test, V, strength):
    return bits_codes(train, test, V, strength) * (len(test) - 1) / len(test)


ALTERNATIVES = {
    "rnn.parameters": [98816, 98816.0, 4 * 128 * 193],
    "rnn.embedding": [embedding_one_hot, embedding_loops, embedding_torch],
    "rnn.bptt": [bptt_loops, bptt_jacobians, bptt_torch],
    "rnn.lstm": [LSTMTorch, LSTMLoops, LSTMFloat32],
    "rnn.gru": [gru_one_by_one, gru_torch, gru_float32],
    "rnn.attend": [attend_valid_only, attend_torch, attend_large_number],
    "rnn.latch": [latch_steep, latch_torch, latch_list],
    "rnn.bits": [bits_counters, bits_codes, bits_torch],
}

WRONG = {
    "rnn.parameters": [98815, 24576, 192],
    "rnn.embedding": [embedding_swapped, embedding_plus_w, embedding_flat],
    "rnn.bptt": [bptt_order, bptt_no_start, bptt_cut, bptt_slope_of_output],
    "rnn.lstm": [LSTMNoForget, LSTMReturnsCell, LSTMStartsAtOne, LSTMNoBias],
    "rnn.gru": [gru_all_states, gru_one_too_many, gru_no_bias, gru_reset_everywhere],
    "rnn.attend": [attend_order, attend_mean, attend_overflow, attend_no_query],
    "rnn.latch": [latch_fixed, latch_bias, latch_backwards, latch_two],
    "rnn.bits": [bits_turned, bits_all_letters, bits_of_the_mean, bits_over_characters],
}

"""The exercises of ``12_transfer``: the contract, and what is particular to them."""

from __future__ import annotations

import numpy as np
import torch

from dlcourse import attacks, exercises, explain
from dlcourse.check.probe import probe
from dlcourse.exercises import transfer as topic

from . import alternatives_transfer
from .common import Contract


class TestTransfer(Contract):
    assignment = "12_transfer"
    alternatives = alternatives_transfer


def first(id, number=0):
    exercise = exercises.get(id)
    return probe(exercise.reference, exercise.make_cases(0)[number].calls).values


def test_the_question_s_examples_are_the_first_cases():
    out, dx, dw = first("transfer.adapter")
    np.testing.assert_allclose(out.ravel(), [11, 10])
    np.testing.assert_allclose(dx.ravel(), [1, 2])
    np.testing.assert_allclose(dw, [[1, 10], [1, 10]])
    np.testing.assert_allclose(first("transfer.integrated_gradients")[0], [4 / 3, 8 / 3])
    np.testing.assert_allclose(first("transfer.lrp")[0], [1, 6])
    np.testing.assert_allclose(first("transfer.grad_cam")[0], [[0, 4], [6, 8]])
    np.testing.assert_allclose(first("transfer.shapley")[0], [2, 3])
    np.testing.assert_allclose(first("transfer.attack")[0], [[0.3, 1.0]])


def network(weights, biases):
    layers = []
    for w, b in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(*w.shape).double()
        linear.weight.data, linear.bias.data = torch.tensor(w.T), torch.tensor(b)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def test_the_references_are_those_of_the_chapter():
    rng = np.random.default_rng(0)
    x, weights, biases = topic._layers(rng, (5, 7, 6, 3))
    net, one = network(weights, biases), torch.tensor(x)[None]
    want = explain.lrp(net, one, torch.tensor([2]), 0.1).pixels[0]
    np.testing.assert_allclose(topic.relevance(x, weights, biases, 2, 0.1), want)
    x, b, w1, b1, w2 = topic._clear(rng, 4, 6, 3, 10)
    net = network([w1, w2], [b1, np.zeros(3)])
    want = explain.integrated_gradients(net, torch.tensor(x)[None], torch.tensor([1]), torch.tensor(b), steps=10)[0]
    np.testing.assert_allclose(topic.integrated(x, b, w1, b1, w2, 1, 10), want)
    v = rng.normal(size=8)

    def f(z):  # the background's features are 0, those of x are 1
        return v[(z @ [1, 2, 4]).astype(int)]

    np.testing.assert_allclose(topic.shares(v), explain.shapley_values(f, np.ones(3), np.zeros((1, 3))))


def test_the_attack_is_the_chapter_s():
    rng = np.random.default_rng(1)
    for case in list(topic._attack_cases(rng))[1:5]:
        x, y, w1, b1, w2, b2, eps, step, steps = case.calls[0].args
        net = network([w1, w2], [b1, b2])
        want = attacks.pgd(net, torch.tensor(x), torch.tensor(y), eps, step=step, steps=steps)
        np.testing.assert_allclose(topic.attacked(*case.calls[0].args), want, atol=1e-9)


def test_how_many_signs_differ_in_float32():
    """What ``false_fail`` states, measured: nearly none, where one in thirty would be a failure."""
    apart = total = 0
    for seed in range(60):
        for case in list(topic._attack_cases(np.random.default_rng(seed)))[1:5]:
            found = alternatives_transfer.attack_float32(*case.calls[0].args)
            apart += np.sum(~np.isclose(found, topic.attacked(*case.calls[0].args), atol=1e-5))
            total += found.size
    assert total > 50_000 and apart / total < 1e-4

"""Policy gradients: returns, gradients against torch, REINFORCE on a task whose answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Normal

from dlcourse import policy


@given(st.integers(0, 8), st.sampled_from([None, 0, 1, 3]), st.floats(0, 1), st.sampled_from([np.float32, np.float64]))
def test_returns_are_the_sums(T, B, gamma, dtype):
    rewards = np.random.default_rng(T).normal(size=(T,) if B is None else (T, B)).astype(dtype)
    returns = policy.discounted_returns(rewards, gamma)
    assert returns.dtype == dtype and returns.shape == rewards.shape
    for t in range(T):
        wanted = sum(gamma ** (k - t) * rewards[k].astype(float) for k in range(t, T))
        np.testing.assert_allclose(returns[t], wanted, rtol=1e-4, atol=1e-5)


def test_the_network_s_gradient_is_torch_s():
    rng = np.random.default_rng(0)
    parameters, x, dout = policy.tanh_net(3, 5, 2, rng), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    out, cache = policy.tanh_net_forward(x, parameters)
    dx, gradients = policy.tanh_net_backward(dout, cache)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, *parameters)]
    wanted = torch.tanh(leaves[0] @ leaves[1] + leaves[2]) @ leaves[3] + leaves[4]
    wanted.backward(torch.tensor(dout))
    np.testing.assert_allclose(out, wanted.detach().numpy())
    for ours, leaf in zip((dx, *gradients), leaves, strict=True):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), atol=1e-12)


def test_a_gaussian_policy_s_gradient_is_torch_s():
    rng = np.random.default_rng(1)
    agent = policy.GaussianPolicy(3, 4, rng)
    agent.parameters[2][...] = rng.normal(size=(4, 1))
    states, weights = rng.normal(size=(6, 3)), rng.normal(size=6)
    actions = agent.sample(states, rng)
    leaves = [torch.tensor(p, requires_grad=True) for p in agent.parameters]
    mean = (torch.tanh(torch.tensor(states) @ leaves[0] + leaves[1]) @ leaves[2] + leaves[3])[:, 0]
    log = Normal(mean, leaves[4].exp()).log_prob(torch.tensor(actions))
    (log * torch.tensor(weights)).sum().backward()
    found, _ = policy.gaussian_forward(agent.mean(states), float(agent.parameters[4]), actions)
    np.testing.assert_allclose(found, log.detach().numpy())
    for ours, leaf in zip(agent.gradient(states, actions, weights), leaves, strict=True):
        np.testing.assert_allclose(ours, leaf.grad.numpy(), atol=1e-12)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_a_softmax_policy_s_gradient_is_torch_s(N, D, A):
    rng = np.random.default_rng(N)
    x, w, actions, advantages = (
        rng.normal(size=(N, D)),
        rng.normal(size=(D, A)),
        rng.integers(A, size=N),
        rng.normal(size=N),
    )
    leaf = torch.tensor(w, requires_grad=True)
    log = Categorical(logits=torch.tensor(x) @ leaf).log_prob(torch.tensor(actions))
    (log * torch.tensor(advantages)).sum().backward()
    np.testing.assert_allclose(policy.softmax_policy_gradient(x, w, actions, advantages), leaf.grad.numpy(), atol=1e-12)


def test_the_gradient_estimate_is_unbiased_with_and_without_a_baseline():
    """One state, two actions of rewards 3 and 1: ∇J is known, and a baseline changes the spread alone."""
    w, rewards, rng = np.array([[0.3, -0.2]]), np.array([3.0, 1.0]), np.random.default_rng(0)
    p = np.exp(w[0]) / np.exp(w[0]).sum()
    wanted = p * (rewards - p @ rewards)
    spreads = []
    for baseline in (0.0, 2.0):
        actions = rng.choice(2, size=4000, p=p)
        each = [
            policy.softmax_policy_gradient(np.ones((1, 1)), w, np.array([a]), np.array([rewards[a] - baseline]))[0]
            for a in actions
        ]
        each = np.array(each)
        assert (np.abs(each.mean(axis=0) - wanted) < 5 * each.std(axis=0) / 4000**0.5).all()
        spreads.append(each.std())
    assert spreads[1] < 0.7 * spreads[0]


def test_a_rollout_stops_counting_when_it_is_over():
    def step(states, actions):
        return states + 1, np.ones(len(states)), states[:, 0] >= 2

    seen = policy.rollout(step, np.array([[0.0], [2.0]]), lambda s: np.zeros(len(s)), 10)
    assert seen.rewards.T.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert seen.going.sum(axis=0).tolist() == [3, 1]


def test_reinforce_finds_the_known_answer():
    """Reward -(a - 2 s)²: the best mean action is 2 s."""

    def step(states, actions):
        return states, -((actions - 2 * states[:, 0]) ** 2), np.ones(len(states), bool)

    def draw(rng, B):
        return rng.uniform(-1, 1, (B, 1))

    rng = np.random.default_rng(0)
    agent = policy.GaussianPolicy(1, 8, rng)
    run = policy.reinforce(step, draw, agent, 300, rng=rng, length=1)
    assert run.returns[-20:].mean() > -0.1 > run.returns[:5].mean()
    np.testing.assert_allclose(agent.mean(np.array([[-0.5], [0.0], [0.7]])), [-1, 0, 1.4], atol=0.25)
    assert np.exp(agent.parameters[4]) < 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: policy.discounted_returns(np.arange(3), 0.9), "rewards has dtype"),
        (lambda: policy.discounted_returns(np.ones((1, 1, 1)), 0.9), "rewards has shape"),
        (lambda: policy.discounted_returns(np.ones(3), 1.1), "gamma is 1.1"),
        (lambda: policy.softmax_policy_gradient(np.ones((2, 3)), np.ones((2, 2)), [0, 1], np.ones(2)), "x has shape"),
        (
            lambda: policy.softmax_policy_gradient(np.ones((2, 2)), np.ones((2, 2)), [0], np.ones(2)),
            "actions has shape",
        ),
        (lambda: policy.softmax_policy_gradient(np.ones((1, 2)), np.ones((2, 2)), [2], np.ones(1)), "actions lie"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

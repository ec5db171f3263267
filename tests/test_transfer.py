"""Transfer: adapters by hand against torch, what is frozen stays, what is counted is what torch counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlcourse import cnn, data, transfer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits():
    d = data.load("digits")
    return d.x_train[:, None], d.y_train, d.x_test[:, None], d.y_test


class TestAdapterByHand:
    @settings(deadline=None, max_examples=40)
    @given(
        shape=st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(0, 5)] * 2),
        dtype=st.sampled_from([np.float32, np.float64]),
        seed=st.integers(0, 99),
    )
    def test_agrees_with_torch(self, shape, dtype, seed):
        rng = np.random.default_rng(seed)
        x, dout = rng.normal(size=(2, *shape)).astype(dtype)
        w = rng.normal(size=(shape[1], shape[1])).astype(dtype)
        out, cache = transfer.adapter_forward(x, w)
        dx, dw = transfer.adapter_backward(dout, cache)
        assert out.dtype == dx.dtype == dw.dtype == dtype
        X, W = (torch.tensor(a, requires_grad=True) for a in (x, w))
        want = X + (X.movedim(1, 3) @ W.T).movedim(3, 1)
        want.backward(torch.tensor(dout))
        tight = {"rtol": 1e-9, "atol": 1e-9} if dtype == np.float64 else {"rtol": 1e-4, "atol": 1e-4}
        np.testing.assert_allclose(out, want.detach(), **tight)
        np.testing.assert_allclose(dx, X.grad, **tight)
        np.testing.assert_allclose(dw, W.grad, **tight)

    def test_the_module_is_the_same(self):
        x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
        layer = transfer.ResidualAdapter(3).double()
        nn.init.normal_(layer.weight)
        want, _ = transfer.adapter_forward(x, layer.weight.detach().numpy())
        np.testing.assert_allclose(layer(torch.tensor(x)).detach(), want, rtol=1e-12)

    def test_numerical_gradient(self):
        rng = np.random.default_rng(1)
        x, dout, w = rng.normal(size=(2, 3, 2, 2)), rng.normal(size=(2, 3, 2, 2)), rng.normal(size=(3, 3))
        dx, dw = transfer.adapter_backward(dout, transfer.adapter_forward(x, w)[1])
        for array, found in ((x, dx), (w, dw)):
            for index in np.ndindex(array.shape):
                kept, values = array[index], []
                for move in (1e-6, -1e-6):
                    array[index] = kept + move
                    values.append((transfer.adapter_forward(x, w)[0] * dout).sum())
                array[index] = kept
                assert found[index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-7)

    @pytest.mark.parametrize(
        "x, w, says",
        [
            (np.zeros((2, 3)), np.zeros((3, 3)), r"x has shape \(2, 3\); expected \(N, C, H, W\)"),
            (np.zeros((1, 3, 2, 2)), np.zeros((2, 3)), r"w has shape \(2, 3\); expected \(C, C\) for the 3 channels"),
            (np.zeros((1, 3, 2, 2), int), np.zeros((3, 3)), "x has dtype int64"),
        ],
    )
    def test_wrong_input(self, x, w, says):
        with pytest.raises(ValueError, match=says):
            transfer.adapter_forward(x, w)

    def test_wrong_gradient(self):
        _, cache = transfer.adapter_forward(np.zeros((1, 2, 2, 2)), np.zeros((2, 2)))
        with pytest.raises(ValueError, match="dout has shape"):
            transfer.adapter_backward(np.zeros((1, 2, 2, 3)), cache)


class TestNetworks:
    @pytest.mark.parametrize("side", [4, 8, 14, 28])
    def test_shapes_and_seed(self, side):
        net, again, other = (transfer.small_cnn(side=side, channels=3, classes=7, seed=s) for s in (0, 0, 1))
        assert net(torch.zeros(2, 3, side, side)).shape == (2, 7)
        assert torch.equal(net.head.weight, again.head.weight) and not torch.equal(net.conv1.weight, other.conv1.weight)

    def test_too_small(self):
        with pytest.raises(ValueError, match="side is 3; 3 convolutions need at least 4"):
            transfer.small_cnn(side=3)

    def test_adapters_change_nothing_at_first_and_are_few(self):
        net = transfer.small_cnn(side=8, seed=0)
        x = torch.rand(3, 1, 8, 8)
        adapted = transfer.with_adapters(net)
        assert torch.equal(net(x), adapted(x))
        extra = cnn.count_parameters(adapted) - cnn.count_parameters(net)
        assert extra == 8**2 + 16**2 + 32**2

    @pytest.mark.parametrize(
        "way, moving",
        [
            ("frozen", {"head"}),
            ("adapters", {"head", "adapter1", "adapter2", "adapter3"}),
            ("fine-tuned", {"head", "conv1", "conv2", "conv3"}),
            ("scratch", {"head", "conv1", "conv2", "conv3"}),
        ],
    )
    def test_what_each_way_trains_moves_and_nothing_else(self, way, moving, digits):
        x, y = torch.tensor(digits[0][:64]), torch.tensor(digits[1][:64])
        net = transfer.small_cnn(side=8, seed=0)
        before = {name: p.clone() for name, p in net.state_dict().items()}
        ready = transfer.prepare(net, way, 10, seed=3)
        start = {name: p.clone() for name, p in ready.state_dict().items()}
        carried = [torch.equal(start[f"conv{i}.weight"], before[f"conv{i}.weight"]) for i in (1, 2, 3)]
        assert carried == [way != "scratch"] * 3
        transfer.adapt(ready, x, y, steps=6, seed=0)
        changed = {name.split(".")[0] for name, p in ready.state_dict().items() if not torch.equal(p, start[name])}
        assert changed == moving
        assert all(torch.equal(p, before[name]) for name, p in net.state_dict().items())

    def test_a_transplant_keeps_the_first_layers(self):
        net = transfer.small_cnn(side=8, seed=0)
        for keep in range(4):
            made = transfer.transplant(net, keep, 5, seed=1)
            same = [torch.equal(getattr(made, f"conv{i}").weight, getattr(net, f"conv{i}").weight) for i in (1, 2, 3)]
            moves = [getattr(made, f"conv{i}").weight.requires_grad for i in (1, 2, 3)]
            assert same == [i <= keep for i in (1, 2, 3)] and moves == [i > keep for i in (1, 2, 3)]
            assert made.head.out_features == 5 and made.head.weight.requires_grad

    def test_wrong_words(self):
        net = transfer.small_cnn(side=8, seed=0)
        with pytest.raises(ValueError, match="way is 'thawed'; expected one of frozen"):
            transfer.prepare(net, "thawed", 10, 0)
        with pytest.raises(ValueError, match="keep is 4; expected 0 to 3"):
            transfer.transplant(net, 4, 10, 0)
        with pytest.raises(ValueError, match="no parameter with requires_grad"):
            transfer.adapt(net.requires_grad_(False), torch.zeros(1, 1, 8, 8), torch.zeros(1), steps=1)

    def test_features_learned_on_some_images_help_where_labels_are_few(self, digits):
        x, y, x_test, y_test = digits
        net = transfer.adapt(transfer.small_cnn(side=8, seed=0), x[:1000], y[:1000], steps=300, lr=3e-3)
        found = {"frozen": [], "scratch": []}
        for seed in range(2):
            labels = 1000 + transfer.few(y[1000:], 10, seed)
            for way in found:
                ready = transfer.adapt(transfer.prepare(net, way, 10, seed), x[labels], y[labels], steps=40, lr=3e-3)
                with torch.no_grad():
                    found[way].append((ready(torch.tensor(x_test)).argmax(1).numpy() == y_test).mean())
        assert min(found["frozen"]) > max(found["scratch"]) + 0.05


class TestFew:
    @settings(deadline=None, max_examples=50)
    @given(n=st.integers(1, 40), classes=st.integers(1, 6), seed=st.integers(0, 99))
    def test_even_without_repeats(self, n, classes, seed):
        y = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), 40))
        rows = transfer.few(y, n, seed)
        counts = np.bincount(y[rows], minlength=classes)
        assert len(set(rows.tolist())) == n and counts.max() - counts.min() <= 1

    def test_the_seed_decides(self):
        y = np.arange(100) % 10
        np.testing.assert_array_equal(transfer.few(y, 10, 1), transfer.few(y, 10, 1))
        assert not np.array_equal(transfer.few(y, 10, 1), transfer.few(y, 10, 2))

    def test_too_many(self):
        for n in (0, 9):
            with pytest.raises(ValueError, match=f"n is {n}; expected"):
                transfer.few(np.array([0, 0, 0, 1]), n, 0)


class TestCost:
    @pytest.mark.parametrize("way", transfer.WAYS)
    def test_is_what_torch_counts(self, way):
        net = transfer.prepare(transfer.small_cnn(side=8, seed=0), way, 10, 0)
        x = torch.rand(3, 1, 8, 8)
        cost = transfer.training_cost(net, x.shape)
        with FlopCounterMode(display=False) as forward:
            out = net(x)
        with FlopCounterMode(display=False) as backward:
            F.cross_entropy(out, torch.zeros(3, dtype=torch.long)).backward()
        assert 2 * cost.forward == forward.get_total_flops()
        assert 2 * (cost.input_gradients + cost.weight_gradients) == backward.get_total_flops()
        assert cost.total == cost.forward + cost.input_gradients + cost.weight_gradients

    def test_by_hand(self):
        net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5))
        forward = 3 * 2 * 2 * (2 * 3 * 3) + 12 * 5
        assert transfer.training_cost(net, (1, 2, 4, 4)) == (forward, 60, forward)
        net[0].requires_grad_(False)
        assert transfer.training_cost(net, (1, 2, 4, 4)) == (forward, 0, 60)

    def test_leaves_no_trace(self):
        net = transfer.small_cnn(side=8, seed=0).train()
        transfer.training_cost(net, (1, 1, 8, 8))
        assert net.training and not any(m._forward_hooks for m in net.modules())

"""Explanations: equal to captum's, shap's and lime's; what must add up adds up; what must not matter does not."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlcourse import data, explain, transfer

captum = pytest.importorskip("captum.attr", reason="captum is only in the dev extra")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained():
    """A network trained on the digits, in float64, ten test images, and their classes."""
    d = data.load("digits")
    net = transfer.adapt(transfer.small_cnn(side=8, seed=0), d.x_train[:, None], d.y_train, steps=300, lr=3e-3)
    x, y = torch.tensor(d.x_test[:10, None]).double(), torch.tensor(d.y_test[:10])
    net.zero_grad(set_to_none=True)
    return net.double().requires_grad_(False), x, y


def numbered(shape, net, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=generator, dtype=torch.float64)
    return x, torch.arange(len(x)) % net(x).shape[1] if len(x) else torch.zeros(0, dtype=torch.long)


def other_nets():
    """Networks of other kinds, so that agreement is no accident of one."""
    torch.manual_seed(0)
    return [
        nn.Sequential(nn.Flatten(), nn.Linear(2 * 6 * 5, 9), nn.Tanh(), nn.Linear(9, 4)).double(),
        nn.Sequential(
            nn.Conv2d(2, 5, 3, stride=2, padding=1), nn.ReLU(), nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(20, 4)
        ).double(),
        nn.Sequential(
            nn.Conv2d(2, 6, 3, groups=2, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
        ).double(),
    ]


@pytest.fixture(params=["trained", 0, 1, 2])
def setting(request, trained):
    if request.param == "trained":
        return trained
    net = other_nets()[request.param]
    return net, *numbered((3, 2, 6, 5), net)


class Unflattened(nn.Module):
    """The same network without modules that only reshape, of which captum's LRP knows none."""

    def __init__(self, net):
        super().__init__()
        self.net = [copy.deepcopy(layer) for layer in net]
        self.layers = nn.ModuleList(layer for layer in self.net if not isinstance(layer, nn.Flatten))

    def forward(self, x):
        for layer in self.net:
            x = layer(x)
        return x


class TestCaptum:
    def test_saliency(self, setting):
        net, x, y = setting
        torch.testing.assert_close(explain.saliency(net, x, y), captum.Saliency(net).attribute(x, y))

    def test_gradient_times_input(self, setting):
        net, x, y = setting
        torch.testing.assert_close(
            explain.gradient_times_input(net, x, y), captum.InputXGradient(net).attribute(x, y).detach()
        )

    @pytest.mark.parametrize("dark", [True, False])
    def test_integrated_gradients(self, setting, dark):
        net, x, y = setting
        baseline = torch.zeros_like(x) if dark else torch.full_like(x, 0.3)
        want = captum.IntegratedGradients(net).attribute(x, baseline, y, n_steps=200, method="riemann_middle")
        found = explain.integrated_gradients(net, x, y, None if dark else baseline, steps=200)
        torch.testing.assert_close(found, want, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("eps", [1e-6, 0.05])
    def test_lrp(self, setting, eps):
        from captum.attr._utils.lrp_rules import EpsilonRule

        net, x, y = setting
        theirs = Unflattened(net)
        for layer in theirs.layers:
            if not isinstance(layer, nn.ReLU | nn.Tanh):
                layer.rule = EpsilonRule(epsilon=eps)
        want = captum.LRP(theirs).attribute(x.clone(), y).detach()
        torch.testing.assert_close(explain.lrp(net, x, y, eps).pixels, want, rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("window, stride, fill", [(3, 1, 0.0), (3, 2, 0.5), (4, 3, 0.0), (2, 2, 1.0)])
    def test_occlusion(self, setting, window, stride, fill):
        net, x, y = setting
        C = x.shape[1]
        want = captum.Occlusion(net).attribute(
            x, (C, window, window), strides=(C, stride, stride), baselines=fill, target=y
        )
        # captum gives float32, whatever the input.
        torch.testing.assert_close(explain.occlusion(net, x, y, window, stride, fill).float(), want)

    @pytest.mark.parametrize("name", ["relu1", "conv2", "relu3"])
    def test_grad_cam(self, trained, name):
        net, x, y = trained
        layer = getattr(net, name)
        want = captum.LayerGradCam(net, layer).attribute(x, y, relu_attributions=True)
        want = captum.LayerAttribution.interpolate(want, (8, 8), interpolate_mode="bilinear").detach()
        found = explain.grad_cam(net, layer, x, y)
        assert found.shape == (10, 1, 8, 8) and found.max() > 0
        torch.testing.assert_close(found, want)

    def test_guided_backprop(self, trained):
        net, x, y = trained
        want = captum.GuidedBackprop(net).attribute(x, y).detach()
        torch.testing.assert_close(explain.guided_backprop(net, x, y), want)
        assert not any(m._backward_hooks for m in net.modules())


class TestWhatMustHold:
    def test_integrated_gradients_are_complete(self, trained):
        net, x, y = trained
        with torch.no_grad():
            want = explain.scores(net, x, y) - explain.scores(net, torch.zeros_like(x), y)
        gaps = {
            steps: ((explain.integrated_gradients(net, x, y, steps=steps).sum((1, 2, 3)) - want) / want).abs().max()
            for steps in (2, 128)
        }
        assert gaps[128] < 0.01 and gaps[128] < gaps[2]

    def test_lrp_conserves(self, setting):
        net, x, y = setting
        if any(isinstance(m, nn.Tanh) for m in net.modules()):
            pytest.skip("tanh hands on the relevance of its output, which is not its input: not conserved by sums of z")
        with torch.no_grad():
            want = explain.scores(net, x, y)
        found = explain.lrp(net, x, y, eps=1e-6)
        whole = found.pixels.sum((1, 2, 3)) + found.biases
        assert ((whole - want) / want).abs().max() < 0.01
        assert found.biases.abs().max() > 0

    def test_a_large_eps_swallows_relevance(self, trained):
        net, x, y = trained
        whole = [r.pixels.sum((1, 2, 3)) + r.biases for r in (explain.lrp(net, x, y, e) for e in (1e-6, 1.0))]
        assert (whole[1].abs() < 0.9 * whole[0].abs()).all()

    def test_of_a_relu_network_lrp_is_gradient_times_input(self, trained):
        net, x, y = trained
        torch.testing.assert_close(
            explain.lrp(net, x, y, eps=1e-12).pixels, explain.gradient_times_input(net, x, y), rtol=1e-4, atol=1e-6
        )

    def test_of_a_linear_score_all_shares_are_weight_times_input(self):
        net = nn.Sequential(nn.Flatten(), nn.Linear(6, 3)).double()
        x, y = torch.rand(4, 1, 2, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
        want = net[1].weight[y].reshape(4, 1, 2, 3).detach() * x
        for found in (
            explain.gradient_times_input(net, x, y),
            explain.integrated_gradients(net, x, y, steps=1),
            explain.lrp(net, x, y, 0.0).pixels,
            explain.occlusion(net, x, y, window=1, stride=1),
        ):
            torch.testing.assert_close(found, want)

    def test_gradient_is_numerical(self, trained):
        net, x, y = trained
        found = explain.gradient(net, x[:1], y[:1])
        for i, j in ((0, 3), (4, 4), (7, 2)):
            move = torch.zeros_like(x[:1])
            move[0, 0, i, j] = 1e-6
            with torch.no_grad():
                up, down = (explain.scores(net, x[:1] + m, y[:1]) for m in (move, -move))
            assert float(found[0, 0, i, j]) == pytest.approx(float((up - down)[0]) / 2e-6, abs=1e-5)

    def test_score_cam_by_hand(self, trained):
        net, x, y = trained
        with torch.no_grad():
            a = net[:5](x[:1])  # relu2's output
            want = torch.zeros(4, 4, dtype=torch.float64)
            rises = []
            for k in range(16):
                H = nn.functional.interpolate(a[:, k : k + 1], size=(8, 8), mode="bilinear", align_corners=False)
                H = (H - H.min()) / (H.max() - H.min()) if H.max() > H.min() else H * 0
                rises.append(float(net(x[:1] * H)[0, y[0]] - net(x[:1] * 0)[0, y[0]]))
            alpha = np.exp(rises) / np.exp(rises).sum()
            for k in range(16):
                want += alpha[k] * a[0, k]
            want = nn.functional.interpolate(want.clamp(min=0)[None, None], size=(8, 8), mode="bilinear")
        torch.testing.assert_close(explain.score_cam(net, net.relu2, x[:1], y[:1]), want)

    def test_maps_do_not_mix_images(self, trained):
        net, x, y = trained
        for method in METHODS.values():
            torch.testing.assert_close(method(net)(net, x, y)[3:4], method(net)(net, x[3:4], y[3:4]))

    def test_the_network_is_left_as_it_was(self, trained):
        net, x, y = trained
        before = {name: p.clone() for name, p in net.state_dict().items()}
        net.train()
        for method in METHODS.values():
            assert not method(net)(net, x, y).requires_grad
        assert net.training and all(torch.equal(p, before[n]) for n, p in net.state_dict().items())
        assert not any(m._forward_hooks or m._backward_hooks for m in net.modules())
        assert all(p.grad is None for p in net.parameters())
        net.eval()

    @settings(deadline=None, max_examples=10)
    @given(n=st.integers(0, 3), dtype=st.sampled_from([torch.float32, torch.float64]), side=st.integers(4, 9))
    def test_shapes_and_dtypes(self, n, dtype, side):
        net = transfer.small_cnn(side=side, channels=2, classes=3, seed=0).to(dtype)
        x, y = torch.rand(n, 2, side, side, dtype=dtype), torch.zeros(n, dtype=torch.long)
        for name, method in METHODS.items():
            found = method(net)(net, x, y)
            assert found.shape == (n, 1 if "cam" in name else 2, side, side) and found.dtype == dtype, name


METHODS = {
    "saliency": lambda net: explain.saliency,
    "gradient_times_input": lambda net: explain.gradient_times_input,
    "integrated_gradients": lambda net: lambda *a: explain.integrated_gradients(*a, steps=4),
    "lrp": lambda net: lambda *a: explain.lrp(*a).pixels,
    "occlusion": lambda net: lambda *a: explain.occlusion(*a, window=3, stride=2),
    "guided_backprop": lambda net: explain.guided_backprop,
    "grad_cam": lambda net: lambda net, x, y: explain.grad_cam(net, net.relu2, x, y),
    "score_cam": lambda net: lambda net, x, y: explain.score_cam(net, net.relu2, x, y),
}


class TestSanity:
    def test_layers_are_drawn_anew_from_the_output_down(self, trained):
        net = trained[0]
        names = ["head", "conv3", "conv2", "conv1"]
        for i, (name, other) in enumerate(explain.randomised(net, 0)):
            assert name == names[i]
            same = [torch.equal(getattr(other, n).weight, getattr(net, n).weight) for n in names]
            assert same == [False] * (i + 1) + [True] * (3 - i)
        first, again, another = (list(explain.randomised(net, s))[-1][1].conv1.weight for s in (0, 0, 1))
        assert torch.equal(first, again) and not torch.equal(first, another)

    def test_rank_correlation_is_scipy_s(self):
        from scipy.stats import spearmanr

        generator = torch.Generator().manual_seed(0)
        a, b = torch.rand(2, 5, 1, 4, 4, generator=generator).round(decimals=1)  # with ties
        want = [spearmanr(p.ravel(), q.ravel()).statistic for p, q in zip(a.numpy(), b.numpy(), strict=True)]
        np.testing.assert_allclose(explain.rank_correlation(a, b), want)
        assert explain.rank_correlation(a, torch.ones_like(a)).tolist() == [0] * 5

    def test_the_saliency_passes_and_a_map_that_ignores_the_network_fails(self, trained):
        net, x, y = trained
        own = explain.sanity_check(net, lambda net: explain.saliency, x, y, seed=0)
        edges = explain.sanity_check(net, lambda net: lambda net, x, y: x, x, y, seed=0)
        assert list(own) == ["head", "conv3", "conv2", "conv1"] and own["conv1"] < 0.6
        assert all(v == pytest.approx(1) for v in edges.values())

    def test_signs_count_where_they_are_asked_for(self, trained):
        net, x, y = trained

        def turned(n):
            return lambda n, x, y: x if n is net else -x

        assert explain.sanity_check(net, turned, x, y, 0)["head"] == pytest.approx(1)
        assert explain.sanity_check(net, turned, x, y, 0, absolute=False)["head"] == pytest.approx(-1)


def bent(z):
    return z[:, 0] * z[:, 1] + np.sin(2 * z[:, 2]) + 0.5 * z[:, 3]


class TestShapley:
    def test_is_shap_s(self):
        shap = pytest.importorskip("shap", reason="shap is only in the dev extra")
        rng = np.random.default_rng(0)
        x, background = rng.normal(size=(3, 5)), rng.normal(size=(20, 5))
        # With all 2^5 subsets its regression is exact.
        want = shap.KernelExplainer(bent, background).shap_values(x, nsamples=64, l1_reg=False, silent=True)
        found = np.array([explain.shapley_values(bent, row, background) for row in x])
        np.testing.assert_allclose(found, want, atol=1e-6)

    @settings(deadline=None, max_examples=20)
    @given(D=st.integers(1, 5), B=st.integers(1, 4), seed=st.integers(0, 99))
    def test_by_all_orders_of_arrival(self, D, B, seed):
        rng = np.random.default_rng(seed)
        x, background, w = rng.normal(size=D), rng.normal(size=(B, D)), rng.normal(size=D)

        def f(z):
            return np.tanh(z @ w) + z[:, 0] * z[:, -1]

        want = np.zeros(D)
        orders = list(itertools.permutations(range(D)))
        for order in orders:
            here = background.copy()
            for i in order:
                before = f(here).mean()
                here[:, i] = x[i]
                want[i] += (f(here).mean() - before) / len(orders)
        found = explain.shapley_values(f, x, background)
        np.testing.assert_allclose(found, want, atol=1e-9)
        assert found.sum() == pytest.approx(f(x[None])[0] - f(background).mean(), abs=1e-9)

    def test_wrong_input(self):
        with pytest.raises(ValueError, match="2\\^15 subsets: expected at most 14"):
            explain.shapley_values(bent, np.zeros(15), np.zeros((2, 15)))
        with pytest.raises(ValueError, match=r"background \(2, 3\); expected"):
            explain.shapley_values(bent, np.zeros(4), np.zeros((2, 3)))


class TestLime:
    def test_is_lime_s(self):
        lime_tabular = pytest.importorskip("lime.lime_tabular", reason="lime is only in the dev extra")
        rng = np.random.default_rng(0)
        train = rng.normal(size=(300, 4)) * [1, 2, 0.5, 1]
        x = np.array([0.5, 1.0, 0.2, -1.0])
        theirs = lime_tabular.LimeTabularExplainer(
            train, mode="regression", discretize_continuous=False, sample_around_instance=True, random_state=0,
            feature_selection="none",
        )  # fmt: skip
        told = theirs.explain_instance(x, bent, num_features=4, num_samples=40_000)
        want = np.array([weight for _, weight in sorted(told.local_exp[1])])
        found = explain.lime(bent, x, train.std(axis=0), samples=40_000, seed=1)
        np.testing.assert_allclose(found.weights, want, atol=0.04)
        assert np.abs(want).min() > 0.4 and found.r2 == pytest.approx(told.score, abs=0.02)

    def test_of_a_line_it_is_the_line(self):
        w = np.array([1.0, -2.0, 3.0])
        found = explain.lime(lambda z: z @ w + 1, np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 0.1]), alpha=1e-9)
        np.testing.assert_allclose(found.weights, w * [1, 2, 0.1], rtol=1e-6)
        assert found.intercept == pytest.approx(6, rel=1e-6) and found.r2 == pytest.approx(1)

    def test_a_narrow_kernel_gives_the_gradient(self):
        x = np.array([0.5, 1.0, 0.2, -1.0])
        found = explain.lime(bent, x, np.full(4, 0.01), alpha=1e-9, seed=0)
        np.testing.assert_allclose(found.weights / 0.01, [1.0, 0.5, 2 * np.cos(0.4), 0.5], atol=0.02)

    def test_the_seed_decides(self):
        x, scale = np.zeros(4), np.ones(4)
        a, b, c = (explain.lime(bent, x, scale, seed=s).weights for s in (0, 0, 1))
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)

    def test_wrong_input(self):
        with pytest.raises(ValueError, match=r"scale \(3,\); expected"):
            explain.lime(bent, np.zeros(4), np.ones(3))
        with pytest.raises(ValueError, match="positive scales"):
            explain.lime(bent, np.zeros(4), np.zeros(4))


class TestConcepts:
    def test_a_layer_that_is_the_concept(self):
        """The score is the mean of the image: to move towards bright images must always raise it."""
        net = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(16, 2, bias=False)).double()
        net[2].weight.data = torch.tensor([[1.0] * 16, [-1.0] * 16], dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(60, 1, 4, 4, generator=generator, dtype=torch.float64)
        concept = explain.concept_vector(net, net[0], noise[:30] + 1, noise[30:])
        assert concept.accuracy == 1 and float(concept.vector.norm()) == pytest.approx(1)
        assert explain.tcav(net, net[0], noise[:5], 0, concept.vector) == 1
        assert explain.tcav(net, net[0], noise[:5], 1, concept.vector) == 0

    def test_a_concept_that_is_none_is_not_told(self, trained):
        net = trained[0]
        noise = torch.rand(90, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert explain.concept_vector(net, net.relu3, noise[:45], noise[45:]).accuracy < 0.8

    def test_the_slope_is_that_of_a_step(self, trained):
        net, x = trained[:2]
        vector = torch.randn(32, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        with torch.no_grad():
            a = net[:8](x)
            rise = net[8:](a + 1e-7 * vector)[:, 3] - net[8:](a)[:, 3]
        want = float((rise > 0).double().mean())
        assert explain.tcav(net, net.relu3, x, 3, vector) == want


class TestWrongInput:
    def test_says_so(self, trained):
        net, x, y = trained
        with pytest.raises(ValueError, match=r"targets has shape \(9,\); expected one class for each of 10 images"):
            explain.saliency(net, x, y[:9])
        with pytest.raises(ValueError, match="steps is 0; expected at least 1"):
            explain.integrated_gradients(net, x, y, steps=0)
        with pytest.raises(ValueError, match="baseline has shape"):
            explain.integrated_gradients(net, x, y, torch.zeros(3))
        with pytest.raises(ValueError, match="eps is -1; expected at least 0"):
            explain.lrp(net, x, y, eps=-1)
        with pytest.raises(ValueError, match="net has a Softmax; expected layers"):
            explain.lrp(nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1)).double(), x, y)
        with pytest.raises(ValueError, match="stride is 4, window 3; expected"):
            explain.occlusion(net, x, y, window=3, stride=4)
        with pytest.raises(ValueError, match="expected the same"):
            explain.rank_correlation(x, x[:3])

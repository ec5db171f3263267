"""Convolutional networks: sizes and parameter counts as published, receptive fields measured, and looking into nets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse import cnn, pooling

pytestmark = pytest.mark.usefixtures("one_thread")


class TestLeNet:
    def test_as_taught_has_61706_parameters(self):
        net = cnn.lenet(seed=0)
        assert cnn.count_parameters(net) == 61_706
        assert net(torch.zeros(3, 1, 28, 28)).shape == (3, 10)

    @pytest.mark.parametrize("pool", ["max", "average", "stride", "none"])
    def test_every_pooling_fits(self, pool):
        net = cnn.lenet(pool=pool, channels=3, classes=7, maps=(4, 5))
        assert net(torch.zeros(2, 3, 28, 28)).shape == (2, 7)

    def test_the_seed_decides_and_torch_s_generator_is_left_alone(self):
        torch.manual_seed(3)
        want = torch.rand(1)
        torch.manual_seed(3)
        first, again, other = (cnn.lenet(seed=s)[0].weight for s in (0, 0, 1))
        cnn.LeNet5(seed=0)
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert torch.equal(torch.rand(1), want)

    def test_unknown_pooling_is_named(self):
        with pytest.raises(ValueError, match="pool is 'median'"):
            cnn.lenet(pool="median")


class TestLeNet5:
    def test_layers_have_the_published_numbers_of_parameters(self):
        rows = {row.name.split()[0]: row for row in cnn.describe(cnn.LeNet5(seed=0), (1, 1, 32, 32))}
        counts = {name: row.parameters for name, row in rows.items() if row.parameters}
        assert counts == {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48_120, "F6": 10_164}
        assert sum(counts.values()) == 60_000
        shapes = {name: row.shape[1:] for name, row in rows.items()}
        assert shapes["C1"] == (6, 28, 28) and shapes["S2"] == (6, 14, 14) and shapes["C3"] == (16, 10, 10)
        assert shapes["S4"] == (16, 5, 5) and shapes["C5"] == (120, 1, 1) and shapes["output"] == (10,)

    def test_the_table_is_the_published_one(self):
        assert [len(seen) for seen in cnn.C3_SEES] == [3] * 6 + [4] * 9 + [6]
        # Each map of S2 goes to ten maps of C3, counted along the rows of table I.
        assert [sum(c in seen for seen in cnn.C3_SEES) for c in range(6)] == [10] * 6

    def test_a_map_depends_on_the_maps_it_sees_and_no_others(self):
        layer = cnn.LeNet5(seed=0).C3
        x = torch.randn(1, 6, 14, 14, requires_grad=True)
        for k, seen in enumerate(cnn.C3_SEES):
            (gradient,) = torch.autograd.grad(layer(x)[0, k].sum(), x)
            assert set(gradient[0].abs().sum((1, 2)).nonzero().flatten().tolist()) == set(seen)

    def test_subsampling_is_that_by_hand(self):
        layer = cnn.Subsample(3).double()
        x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
        w, b = (p.detach().numpy() for p in (layer.weight, layer.bias))
        want, _ = pooling.subsample2d_forward(x.numpy(), w, b)
        np.testing.assert_allclose(layer(x).detach().numpy(), want, rtol=1e-12)

    def test_the_loss_is_equation_nine(self):
        scores, y = torch.randn(5, 10, dtype=torch.float64) - 3, torch.tensor([0, 3, 9, 3, 1])
        d = -scores.numpy()
        want = np.mean([d[n, t] + np.log(np.exp(-2.0) + np.exp(-d[n]).sum()) for n, t in enumerate(y.tolist())])
        assert abs(float(cnn.lenet5_loss(scores, y, rubbish=2.0)) - want) < 1e-12

    def test_scores_are_minus_squared_distances_to_ten_different_drawings(self):
        drawn = cnn.bitmaps()
        assert drawn.shape == (10, 12, 7) and set(np.unique(drawn)) == {-1, 1}
        assert len(np.unique(drawn.reshape(10, -1), axis=0)) == 10
        scores = cnn.RBF(drawn)(torch.tensor(drawn.reshape(10, 84), dtype=torch.float32))
        assert torch.equal(scores.argmax(1), torch.arange(10)) and scores.diag().abs().max() == 0

    def test_input_is_framed_and_of_the_published_range(self):
        x = cnn.lenet5_input(np.ones((2, 28, 28)))
        assert x.shape == (2, 1, 32, 32) and x[0, 0, 0, 0] == pytest.approx(-0.1) and x.max() == pytest.approx(1.175)
        with pytest.raises(ValueError, match="images has shape"):
            cnn.lenet5_input(np.ones((2, 8, 8)))

    def test_it_learns(self):
        from dlcourse import data, train

        digits = data.load("digits")
        x = F.interpolate(torch.tensor(digits.x_train)[:, None], (28, 28), mode="bilinear")[:, 0]
        x, y = cnn.lenet5_input(x.numpy()), torch.tensor(digits.y_train)
        net = cnn.LeNet5(seed=0)
        optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
        train.fit(net, (x[:700], y[:700]), optimiser, loss=cnn.lenet5_loss, epochs=4, seed=0, progress=False)
        found = train.evaluate(net, (x[700:1000], y[700:1000]), cnn.lenet5_loss, {"accuracy": train.accuracy})
        assert found["held_out_accuracy"] > 0.7


def stacks():
    """Networks, and the same as (kernel, stride, padding, dilation)."""
    smooth = {"channels": 1, "maps": (3, 4)}
    yield "two 3×3", nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Conv2d(2, 2, 3)), [(3,), (3,)]
    yield "LeNet, maximum", cnn.lenet(**smooth, seed=1)[:6], [(5, 1, 2), (2, 2), (5,), (2, 2)]
    yield "LeNet, average", cnn.lenet(**smooth, pool="average", seed=1)[:6], [(5, 1, 2), (2, 2), (5,), (2, 2)]
    yield "LeNet, strides", cnn.lenet(**smooth, pool="stride", seed=1)[:6], [(5, 2, 2), (5, 2)]
    yield "dilated", nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2), nn.Conv2d(2, 2, 3, stride=2)), [(3, 1, 0, 2), (3, 2)]
    overlapping = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 2, 3))
    yield "overlapping", overlapping, [(3, 1, 1), (3, 2, 1), (3,)]


@pytest.mark.parametrize(("name", "net", "layers"), list(stacks()), ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("unit", [None, 0, 1])
def test_the_receptive_field_by_formula_is_the_one_that_gradients_show(name, net, layers, unit):
    field, net = pooling.receptive_field(layers), net.double()
    shape = (1, 1, 28, 28)
    rows, columns = cnn.measured_field(net, shape, unit, trials=40)
    with torch.no_grad():
        at = net(torch.zeros(shape, dtype=torch.float64)).shape[2] // 2 if unit is None else unit
    assert rows == columns == cnn.expected_field(field, at, 28)


def test_a_unit_that_depends_on_nothing_is_refused():
    net = nn.Conv2d(1, 1, 3).double()
    nn.init.zeros_(net.weight)
    with pytest.raises(ValueError, match="depends on no input"):
        cnn.measured_field(net, (1, 1, 8, 8))


class TestLookingIn:
    def test_describe_names_shapes_and_parameters_and_leaves_the_mode(self):
        net = cnn.lenet(seed=0).train()
        rows = cnn.describe(net, (1, 1, 28, 28))
        assert [row.shape[1:] for row in rows if row.name == "MaxPool2d"] == [(6, 14, 14), (16, 5, 5)]
        assert sum(row.parameters for row in rows) == 61_706
        assert net.training and not net[0]._forward_hooks

    def test_the_favourite_image_of_a_filter_is_the_filter_itself(self):
        """Where inputs lie between 0 and 1, a linear unit is answered best by ones under its positive weights."""
        net = nn.Conv2d(1, 1, 5, bias=False)
        net.weight.data = torch.sign(torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(0)))
        image, value = cnn.favourite(net, lambda out: out[0, 0, 0, 0], (1, 1, 5, 5), steps=200, jitter=0, decay=0.01)
        want = (net.weight.detach().numpy()[0, 0] > 0).astype(float)
        np.testing.assert_allclose(image[0], want, atol=0.05)
        assert value == pytest.approx(want.sum(), rel=0.05)
        assert net.weight.grad is None

    def test_favourite_is_decided_by_its_seed(self):
        net = cnn.lenet(seed=0)[:4]
        draw = lambda seed: cnn.favourite(net, lambda o: o[0, 1].max(), (1, 1, 28, 28), steps=5, seed=seed)[0]  # noqa: E731
        assert np.array_equal(draw(1), draw(1)) and not np.array_equal(draw(1), draw(2))

    def test_top_patches_are_cut_out_where_the_answer_was(self):
        net = nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False)
        net.weight.data = torch.arange(9.0).reshape(1, 1, 3, 3)
        images = torch.rand(20, 1, 11, 11, generator=torch.Generator().manual_seed(0))
        patches, values = cnn.top_patches(net, images, 0, pooling.receptive_field([(3, 2, 1)]), count=4)
        assert patches.shape == (4, 1, 3, 3) and (np.diff(values) <= 0).all()
        np.testing.assert_allclose((patches[:, 0] * net.weight.detach().numpy()[0, 0]).sum((1, 2)), values, rtol=1e-5)
        assert values[0] == pytest.approx(float(net(images).detach().max()))

    def test_moved_images_come_back_except_for_what_left(self):
        x = torch.rand(2, 1, 6, 6)
        there = cnn.moved(x, 1, -2)
        assert torch.equal(there[:, :, 1:, :-2], x[:, :, :-1, 2:]) and (there[:, :, 0] == 0).all()
        assert torch.equal(cnn.moved(x, 0, 0), x)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is present")
@pytest.mark.parametrize("make", [lambda: cnn.lenet(seed=0), lambda: cnn.Net1989(), lambda: cnn.LeNet5(seed=0)])
def test_the_networks_give_the_same_on_a_gpu(make):
    net = make()
    side = {"Net1989": 16, "LeNet5": 32}.get(type(net).__name__, 28)
    x = torch.rand(4, 1, side, side)
    want = net(x).detach()
    got = net.cuda()(x.cuda()).detach().cpu()
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)

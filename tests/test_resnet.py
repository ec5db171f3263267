"""Plain and residual networks, the family against torchvision, the blocks of ConvNeXt and DenseNet, and the tools."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlcourse import resnet
from dlcourse.cnn import count_parameters

torchvision = pytest.importorskip("torchvision")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


pytestmark = pytest.mark.usefixtures("one_thread")


def shaken(net, seed=0):
    """The network with running statistics and norms that are not those of the start."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.5, 0.5, generator=generator)
    return net


# ----------------------------------------------------------------------------------------------------------- the family


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_weights_load_into_torchvision_and_back(name):
    ours = shaken(resnet.resnet(name, classes=7, seed=0)).eval()
    theirs = getattr(torchvision.models, name)(num_classes=7)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs.eval()(x), rtol=1e-5, atol=1e-5)
        theirs = shaken(getattr(torchvision.models, name)(num_classes=7), seed=1).eval()
        assert (ours(x) - theirs(x)).abs().max() > 1e-2
        ours.load_state_dict(theirs.state_dict())
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_gradients_are_torchvisions():
    ours = resnet.resnet("resnet18", classes=3, seed=0).train()
    theirs = torchvision.models.resnet18(num_classes=3).train()
    theirs.load_state_dict(ours.state_dict())
    x, y = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2])
    for net in (ours, theirs):
        F.cross_entropy(net(x), y).backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", resnet.FAMILY)
def test_parameters_are_as_many_as_torchvisions(name):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)()
    assert resnet.family_parameters()[name] == count_parameters(theirs)


def test_resnet18_has_the_published_number_of_layers_and_parameters():
    net = resnet.resnet("resnet18", seed=0)
    assert count_parameters(net) == 11_689_512
    main = [m for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "downsample" not in n]
    assert len(main) == 18


# --------------------------------------------------------------------------------------------------- plain and residual


@pytest.mark.parametrize("norm", [True, False])
def test_plain_and_residual_start_with_the_same_parameters(norm):
    plain, skipping = (resnet.SmallNet(2, skips=skips, width=4, norm=norm, seed=0) for skips in (False, True))
    assert count_parameters(plain) == count_parameters(skipping) and plain.depth == skipping.depth == 14
    for p, q in zip(plain.parameters(), skipping.parameters(), strict=True):
        assert torch.equal(p, q)
    x = torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    assert (plain(x) - skipping(x)).abs().max() > 1e-3


@given(
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(4, 9), st.booleans(),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_any_small_network_gives_logits(blocks, stages, channels, stride, size, skips):
    net = resnet.SmallNet(
        blocks, skips=skips, channels=channels, classes=3, width=2, stages=stages, stride=stride, seed=0
    ).double()
    out = net(torch.zeros(2, channels, size, size + 1, dtype=torch.float64))
    assert out.shape == (2, 3) and out.dtype == torch.float64


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_is_f_plus_x(stride):
    x = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    with_skip = resnet.Block(4, 4 * stride, stride, norm=False).eval()
    plain = resnet.Block(4, 4 * stride, stride, skip=False, norm=False).eval()
    plain.load_state_dict(with_skip.state_dict())
    x_there = torch.zeros(3, 4 * stride, 6 // stride, 6 // stride)
    x_there[:, :4] = x[:, :, ::stride, ::stride]
    torch.testing.assert_close(with_skip(x), F.relu(with_skip.f(x) + x_there))
    torch.testing.assert_close(plain(x), F.relu(with_skip.f(x)))


def test_layer_scale_starts_a_block_near_the_identity():
    x = torch.rand(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    net = resnet.Block(4, 4, alpha=1e-4)
    torch.testing.assert_close(net(x), x, rtol=1e-2, atol=1e-3)
    scale = resnet.LayerScale(3, 0.5)
    scale.alpha.data = torch.tensor([0.5, 1.0, -2.0])
    torch.testing.assert_close(
        scale(torch.ones(2, 3, 2, 2))[1, :, 0, 0], torch.tensor([0.5, 1.0, -2.0]), rtol=0, atol=0
    )


def test_the_seed_decides_and_torch_s_generator_is_left_alone():
    torch.manual_seed(3)
    want = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = (resnet.SmallNet(1, seed=s).head.weight for s in (0, 0, 1))
    resnet.resnet("resnet18", classes=2, seed=0)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.rand(1), want)


# --------------------------------------------------------------------------------------------------- ConvNeXt, DenseNet


@pytest.mark.parametrize("channels", [1, 6])
def test_the_convnext_block_is_torchvisions(channels):
    from torchvision.models.convnext import CNBlock

    ours, theirs = resnet.ConvNeXtBlock(channels, alpha=0.3).double(), CNBlock(channels, 0.3, 0.0).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, channels, 8, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x, again = x.requires_grad_(), x.clone().detach().requires_grad_()
    out, wanted = ours(x), theirs.eval()(again)
    torch.testing.assert_close(out, wanted, rtol=1e-9, atol=1e-9)
    out.square().sum().backward()
    wanted.square().sum().backward()
    torch.testing.assert_close(x.grad, again.grad, rtol=1e-9, atol=1e-9)


def test_a_new_convnext_block_is_nearly_the_identity():
    x = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    assert (resnet.ConvNeXtBlock(5)(x) - x).abs().max() < 1e-4


def test_a_dense_block_keeps_all_maps_and_shows_them_to_each_layer():
    block = resnet.DenseBlock(3, layers=4, growth=2).eval()
    x = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    out = block(x)
    assert out.shape == (2, 3 + 4 * 2, 6, 5)
    assert torch.equal(out[:, :3], x)
    for i, layer in enumerate(block.layers):
        assert torch.equal(out[:, 3 + 2 * i : 5 + 2 * i], layer(out[:, : 3 + 2 * i]))


# ------------------------------------------------------------------------------------------------------------ the tools


def batch(n=8, channels=1, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, channels, size, size, generator=generator), torch.randint(0, 10, (n,), generator=generator)


def test_gradient_norms_are_those_of_backward_and_change_nothing():
    x, y = batch()
    net = resnet.SmallNet(1, width=4, seed=0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = resnet.gradient_norms(net, x, y)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    F.cross_entropy(net.train()(x), y).backward()
    want = [m.weight.grad.norm().item() for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(found) == net.depth - 1
    np.testing.assert_allclose(found, want, rtol=1e-5)


def test_a_block_is_cut_out():
    x, _ = batch()
    net = resnet.SmallNet(2, width=4, seed=0).eval()
    cut = resnet.without_block(net, 1)
    h = net.stem(x)
    for i in (0, 2, 3, 4, 5):
        h = net.blocks[i](h)
    torch.testing.assert_close(cut(x), net.head(h.mean(dim=(2, 3))))
    assert len(net.blocks) == 6 and isinstance(net.blocks[1], resnet.Block)


NET = resnet.SmallNet(1, width=2, channels=3, seed=0)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: NET(torch.zeros(2, 1, 8, 8)), r"x has shape \(2, 1, 8, 8\); expected \(N, 3, H, W\)"),
        (lambda: NET(torch.zeros(3, 8, 8)), r"x has shape \(3, 8, 8\)"),
        (lambda: NET(torch.zeros(2, 3, 8, 8, dtype=torch.int64)), "x has dtype torch.int64"),
        (lambda: resnet.SmallNet(0), "blocks is 0"),
        (lambda: resnet.SmallNet(1, width=0), "width is 0"),
        (lambda: resnet.Block(4, 2), "outputs is 2, inputs 4"),
        (lambda: resnet.resnet("resnet19"), "name is 'resnet19'; expected one of resnet18"),
        (lambda: resnet.ConvNeXtBlock(4)(torch.zeros(1, 3, 8, 8)), r"expected \(N, 4, H, W\)"),
        (lambda: resnet.DenseBlock(4, 1, 1)(torch.zeros(1, 3, 8, 8)), r"expected \(N, 4, H, W\)"),
        (lambda: resnet.without_block(NET, 3), "i is 3; the network has 3 blocks"),
        (lambda: resnet.without_block(NET, 1), "block 1 changes the shape"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@GPU
def test_networks_run_on_a_gpu():
    x, y = batch()
    net = resnet.SmallNet(1, width=4, seed=0).eval()
    here = net(x)
    there = net.cuda()(x.cuda())
    torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-4)
    assert np.isfinite(resnet.gradient_norms(net, x.cuda(), y.cuda())).all()

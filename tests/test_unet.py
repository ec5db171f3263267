"""The U-Net's shapes and skips, the denoiser, and the images they are tried on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import data, residual, scenes, unet
from dlcourse.data.synthetic import SHAPES

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------------------------------------ the U-Net


@given(
    st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2),
    st.booleans(), st.booleans(),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_the_map_keeps_its_size(inputs, outputs, width, depth, h, w, skips, norm):
    net = unet.UNet(inputs, outputs, width=width, depth=depth, skips=skips, norm=norm, seed=0).double().eval()
    x = torch.zeros(2, inputs, h * 2**depth, w * 2**depth, dtype=torch.float64)
    out = net(x)
    assert out.shape == (2, outputs, *x.shape[2:]) and out.dtype == torch.float64


def test_the_parameters_are_those_of_the_figure():
    """64 channels, four levels, two classes, without the biases of convolutions that batch norm follows."""
    net = unet.UNet(1, 2, width=64, depth=4, seed=0)
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert len(convolutions) == 23  # the paper: "in total the network has 23 convolutional layers"
    assert net.down[4][0].weight.shape == (1024, 512, 3, 3)
    assert net.join[3][0].weight.shape == (512, 1024, 3, 3)


def test_skips_bring_the_fine_level_to_the_output():
    """With the way through the bottleneck blocked, only the skips can tell the output where a pixel was."""
    x, other = torch.rand(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for skips in (True, False):
        net = unet.UNet(1, 1, width=4, depth=2, skips=skips, seed=0).eval()
        for up in net.up:
            torch.nn.init.zeros_(up.weight)
        assert bool((net(x) - net(other)).abs().max() > 1e-3) == skips


def test_the_join_is_upsampling_and_concatenation_by_hand():
    """A transposed 2×2 convolution with ones is the nearest neighbour; torch.cat is concat_forward."""
    x = np.random.default_rng(0).normal(size=(1, 1, 3, 2))
    up = torch.nn.ConvTranspose2d(1, 1, 2, stride=2, bias=False, dtype=torch.float64)
    torch.nn.init.ones_(up.weight)
    ours, _ = residual.upsample_forward(x)
    np.testing.assert_allclose(up(torch.tensor(x)).detach().numpy(), ours)
    both, _ = residual.concat_forward([ours, 2 * ours])
    np.testing.assert_array_equal(torch.cat([torch.tensor(ours), 2 * torch.tensor(ours)], dim=1).numpy(), both)


def test_the_seed_decides():
    nets = [unet.UNet(1, 1, width=2, depth=1, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (net.head.weight for net in nets)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_denoiser_starts_as_the_identity_and_learns():
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = unet.Denoiser(unet.UNet(3, 3, width=4, depth=1, seed=0))
    assert torch.equal(net(x), x)
    F.mse_loss(net(x), 0 * x).backward()
    assert net.net.head.weight.grad.abs().max() > 0


def test_images_are_applied_in_eval_mode_and_in_parts():
    x = np.random.default_rng(0).random((5, 3, 8, 8), dtype=np.float32)
    net = unet.UNet(3, 1, width=2, depth=1, seed=0).train()
    whole, parts = unet.apply(net, x), unet.apply(net, x, batch_size=2)
    assert whole.shape == (5, 1, 8, 8) and net.training
    np.testing.assert_allclose(whole, parts, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(whole, net.eval()(torch.tensor(x)).numpy(), rtol=1e-5, atol=1e-6)


@GPU
def test_a_u_net_runs_on_a_gpu():
    x = np.random.default_rng(0).random((3, 3, 16, 16), dtype=np.float32)
    net = unet.UNet(3, 1, width=4, depth=2, seed=0)
    here = unet.apply(net, x)
    np.testing.assert_allclose(unet.apply(net.cuda(), x), here, rtol=1e-3, atol=1e-3)


# --------------------------------------------------------------------------------------------------------------- scenes


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("size", [16, 48])
def test_masks_boxes_and_images_belong_together(size, most):
    made = scenes.scenes(30, seed=0, size=size, most=most)
    assert made.images.shape == (30, 3, size, size) and made.images.dtype == np.float32
    assert made.images.min() >= 0 and made.images.max() <= 1
    assert made.masks.shape == (30, size, size) and made.masks.dtype == bool
    plain = scenes.crops(30, seed=0, size=size, shrink=2)
    for i in range(30):
        boxes, classes = made.boxes[i].astype(int), made.classes[i]
        assert 1 <= len(boxes) == len(classes) <= most and set(classes) <= set(range(len(SHAPES)))
        inside = np.zeros((size, size), int)
        for x1, y1, x2, y2 in boxes:
            piece = made.masks[i, y1:y2, x1:x2]
            assert piece.any(axis=0)[[0, -1]].all() and piece.any(axis=1)[[0, -1]].all()
            inside[y1:y2, x1:x2] = 1
        assert not made.masks[i][inside == 0].any()
        changed = np.abs(made.images[i] - plain[i]).max(axis=0) > 0
        assert changed[made.masks[i]].mean() > 0.99
        assert not (changed & (np.abs(made.images[i] - plain[i]).max(axis=0) > 0.6) & (inside == 0)).any()


def test_shapes_differ_from_what_they_cover():
    made = scenes.scenes(40, seed=1, most=1, contrast=0.5)
    plain = scenes.crops(40, seed=1, shrink=2)
    for image, behind, mask in zip(made.images, plain, made.masks, strict=True):
        colour, covered = np.median(image[:, mask], axis=1), behind[:, mask].mean(axis=1)
        assert np.linalg.norm(colour - covered) > 0.45


def test_the_seed_and_the_photograph_decide():
    drawn = ((0, ("china",)), (0, ("china",)), (1, ("china",)), (0, ("flower",)))
    first, again, other, flower = (scenes.scenes(3, seed=s, photographs=p).images for s, p in drawn)
    assert np.array_equal(first, again) and not np.array_equal(first, other) and not np.array_equal(first, flower)


def test_crops_are_pieces_of_the_photograph():
    cut = scenes.crops(20, seed=0, size=30, photographs=("flower",))
    whole = data.photograph("flower").transpose(2, 0, 1)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (30, 30), axis=(1, 2))
    mirrored = 0
    for piece in cut:
        for turned, image in ((False, piece), (True, piece[:, :, ::-1])):
            near = np.argwhere((windows[:, :, :, 0, 0] == image[:, None, None, 0, 0]).all(axis=0))
            if any(np.array_equal(windows[:, r, c], image) for r, c in near):
                mirrored += turned
                break
        else:
            raise AssertionError("no piece of the photograph")
    assert 3 <= mirrored <= 17


def test_parts_share_no_pixel(monkeypatch):
    columns = np.broadcast_to(np.arange(640, dtype=np.float32)[None, :, None], (427, 640, 3))
    monkeypatch.setattr(scenes.data, "photograph", lambda name, shrink: columns)
    left, right = (scenes.crops(400, seed=0, size=40, part=part) for part in ((0, 0.6), (0.6, 1)))
    assert left.max() == 383 and right.min() == 384 and left.min() == 0 and right.max() == 639


def test_iou_and_psnr_by_hand():
    a, b = np.array([[True, True, False]]), np.array([[False, True, True]])
    assert scenes.mask_iou(a, b) == pytest.approx(1 / 3) and scenes.mask_iou(a, a) == 1
    assert scenes.mask_iou(~a & a, ~a & a) == 1 and scenes.mask_iou(a, ~a) == 0
    assert scenes.psnr(np.full(4, 0.6), np.full(4, 0.5)) == pytest.approx(20)
    assert scenes.psnr(b, b) == float("inf")


def test_the_best_blur_is_the_best():
    clean = scenes.crops(6, seed=0, size=32)
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)
    sigma, filtered = scenes.best_blur(noisy, clean)
    best = scenes.psnr(filtered, clean)
    assert best > scenes.psnr(noisy, clean) + 1 and 0.3 < sigma < 2
    for other in (sigma - 0.1, sigma + 0.1):
        assert scenes.psnr(scenes.best_blur(noisy, clean, [other])[1], clean) <= best


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: unet.UNet(0, 1), "inputs is 0"),
        (lambda: unet.UNet(1, 1, depth=0), "depth is 0"),
        (lambda: unet.UNet(1, 1, depth=2)(torch.zeros(1, 1, 8, 6)), "must be multiples of 4"),
        (lambda: unet.UNet(1, 1)(torch.zeros(1, 3, 8, 8)), r"x has shape \(1, 3, 8, 8\); expected \(N, 1, H, W\)"),
        (lambda: unet.UNet(1, 1)(torch.zeros(8, 8)), r"x has shape \(8, 8\)"),
        (lambda: unet.UNet(1, 1)(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)), "x has dtype torch.uint8"),
        (lambda: unet.apply(unet.UNet(1, 1), np.zeros((1, 1, 8, 8), "f4"), 0), "batch_size is 0"),
        (lambda: scenes.scenes(1, seed=0, most=0), "most is 0"),
        (lambda: scenes.scenes(1, seed=0, size=8), "size is 8"),
        (lambda: scenes.scenes(1, seed=0, contrast=2), "contrast is 2"),
        (lambda: scenes.crops(0, seed=0), "n is 0"),
        (lambda: scenes.crops(1, seed=0, size=500), "size is 500"),
        (lambda: scenes.crops(1, seed=0, photographs=["cat"]), "name is 'cat'"),
        (lambda: scenes.crops(1, seed=0, size=100, part=(0.9, 1)), "size is 100"),
        (lambda: scenes.crops(1, seed=0, part=(0.6, 0.5)), r"part is \(0.6, 0.5\)"),
        (lambda: scenes.mask_iou(np.ones(2), np.ones(2)), "predicted has dtype float64"),
        (lambda: scenes.mask_iou(np.ones(2, bool), np.ones(3, bool)), r"predicted has shape \(2,\)"),
        (lambda: scenes.psnr(np.ones(2), np.ones(3)), r"image has shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

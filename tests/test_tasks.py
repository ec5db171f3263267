"""Several labels, several heads: pictures hold what their labels say, and losses are sums."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dlcourse import fewshot, losses, tasks

GEN = np.random.default_rng


@given(st.integers(0, 9), st.floats(0, 1), st.integers(0, 99))
def test_a_picture_holds_the_digits_that_its_labels_name(n, empty, seed):
    x = np.repeat(np.arange(1, 6, dtype=np.float32), 6).reshape(5, 2, 3)  # image k is filled with k + 1
    y = np.array([0, 1, 2, 3, 3])
    pictures, present = tasks.mosaic(x, y, n, rng=GEN(seed), n_classes=4, empty=empty)
    assert pictures.shape == (n, 4, 6) and pictures.dtype == x.dtype and present.shape == (n, 4)
    for picture, row in zip(pictures, present, strict=True):
        seen = {int(y[int(v) - 1]) for v in np.unique(picture) if v}
        assert seen == set(np.flatnonzero(row))


def test_no_place_empty_or_all():
    x, y = np.ones((3, 2, 2)), np.arange(3)
    assert not tasks.mosaic(x, y, 5, rng=GEN(0), n_classes=3, empty=1.0)[1].any()
    assert tasks.mosaic(x, y, 5, rng=GEN(0), n_classes=3, empty=0.0)[0].all()


def test_turned_says_by_how_much():
    x = GEN(0).random((40, 5, 5))
    out, quarter = tasks.turned(x, GEN(1))
    assert set(quarter.tolist()) == {0, 1, 2, 3}
    for image, new, k in zip(x, out, quarter, strict=True):
        np.testing.assert_array_equal(np.rot90(new, -k), image)


def test_heads_share_their_trunk():
    net = tasks.Heads(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), {"a": 3, "b": 2}, width=5)
    x = torch.randn(7, 6)
    outs = net(x)
    assert {name: tuple(out.shape) for name, out in outs.items()} == {"a": (7, 3), "b": (7, 2)}
    z = net.trunk(x)
    torch.testing.assert_close(outs["b"], z @ net.heads["b"].weight.T + net.heads["b"].bias)
    outs["a"].sum().backward()
    assert net.trunk[0].weight.grad.abs().sum() > 0 and net.heads["b"].weight.grad is None


def test_the_loss_is_the_sum_over_tasks_and_skips_what_has_no_label():
    a, b = torch.randn(5, 3), torch.randn(5, 2)
    y, none = torch.tensor([0, 2, -1, 1, -1]), torch.full((5,), -1)
    loss = tasks.multi_task_loss({"a": a, "b": b}, {"a": y, "b": none}, {"a": 2.0})
    torch.testing.assert_close(loss, 2 * F.cross_entropy(a, y, ignore_index=-1))
    both = tasks.multi_task_loss({"a": a, "b": b}, {"a": y, "b": torch.ones(5, dtype=torch.long)})
    torch.testing.assert_close(both, loss / 2 + F.cross_entropy(b, torch.ones(5, dtype=torch.long)))


def test_the_multi_label_loss_of_chapter_04_is_torch_s():
    logits, targets = GEN(0).normal(size=(6, 10)), GEN(1).integers(0, 2, (6, 10)).astype(float)
    wanted = F.binary_cross_entropy_with_logits(torch.tensor(logits), torch.tensor(targets), reduction="sum").item() / 6
    assert losses.binary_cross_entropy_forward(logits, targets)[0] == pytest.approx(wanted)


def test_episodes_teach_what_a_class_never_seen_needs(one_thread):
    """Two of six features are noise for every class: episodes of four classes teach to ignore them for the others."""
    rng = GEN(0)
    y = np.repeat(np.arange(8), 60)
    x = np.concatenate([rng.normal(size=(8, 4))[y], np.zeros((480, 2))], axis=1) * 2 + rng.normal(size=(480, 6))
    x[:, 4:] *= 6
    x = torch.tensor(x, dtype=torch.float32)

    def right(z):
        drawn, found = GEN(1), []
        for _ in range(100):
            task = fewshot.episode(y[y >= 4], 4, 1, 5, drawn)
            means = fewshot.prototypes(z[task.support], task.support_y, 4)
            found.append(np.mean(fewshot.nearest(z[task.query], means) == task.query_y))
        return np.mean(found)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Linear(6, 4)
    losses = tasks.on_episodes(net, x[y < 4], y[y < 4], seed=0, ways=4, episodes=150, lr=0.01)
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    with torch.no_grad():
        assert right(net(x[y >= 4]).numpy()) > right(x[y >= 4].numpy()) + 0.1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tasks.mosaic(np.ones((2, 3)), np.zeros(2), 1, rng=GEN(0)), "x has shape"),
        (lambda: tasks.mosaic(np.ones((2, 3, 3)), np.zeros(2, int), 1, rng=GEN(0), empty=2), "empty is 2"),
        (lambda: tasks.turned(np.ones((2, 3, 4)), GEN(0)), "expected \\(N, H, H\\)"),
        (lambda: tasks.multi_task_loss({"a": None}, {"b": None}), "targets \\['b'\\]"),
    ],
)
def test_wrong_input_is_said(call, said):
    with pytest.raises(ValueError, match=said):
        call()

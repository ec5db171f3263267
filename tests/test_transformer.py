"""The networks of chapter 14: against the by-hand functions, cached against uncached, equivariance, what they learn."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import attention, norm, train

torch = pytest.importorskip("torch")
F = torch.nn.functional

from dlcourse import transformer  # noqa: E402
from dlcourse.transformer import GPT, Block, Encoder, GMLPBlock, MixerBlock, SelfAttention, mixer, vit  # noqa: E402


def drawn(module, seed=0):
    torch.manual_seed(seed)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return module.double()


def tokens(*shape, vocabulary=11, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, vocabulary, shape))


# -------------------------------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_is_the_one_by_hand(causal):
    layer = drawn(SelfAttention(6, 3, causal=causal))
    x = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    out, (k, _) = layer(x)
    dout = torch.randn_like(out)
    out.backward(dout)
    parameters = [layer.into.weight.T, layer.into.bias, layer.out.weight.T, layer.out.bias]
    mine, cache = attention.multi_head_forward(
        x.detach().numpy(), *(p.detach().numpy() for p in parameters), 3, causal=causal
    )
    np.testing.assert_allclose(out.detach().numpy(), mine, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.weights(x).detach().numpy(), cache.weights, rtol=1e-9, atol=1e-12)
    grads = attention.multi_head_backward(dout.numpy(), cache)
    np.testing.assert_allclose(x.grad.numpy(), grads[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(layer.into.weight.grad.T.numpy(), grads[1], rtol=1e-9, atol=1e-12)
    assert k.shape == (2, 3, 5, 2)


def test_a_block_follows_its_formula():
    z = torch.randn(2, 4, 6, dtype=torch.float64)
    for kind in ("pre", "post"):
        block = drawn(Block(6, 2, norm=kind))

        def ln(x, layer):
            out, _ = norm.layer_norm_forward(
                x.detach().numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy()
            )
            return torch.from_numpy(out)

        if kind == "pre":
            y = z + block.attention(ln(z, block.norm1))[0]
            y = y + block.mlp(ln(y, block.norm2))
        else:
            y = ln(z + block.attention(z)[0], block.norm1)
            y = ln(y + block.mlp(y), block.norm2)
        np.testing.assert_allclose(block(z)[0].detach().numpy(), y.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_padding_does_not_matter():
    for pool in ("mean", "class"):
        net = drawn(Encoder(torch.nn.Identity, 6, 3, 4, 2, 2, pool=pool, positions="none"))
        x = torch.randn(2, 6, 4, dtype=torch.float64)
        mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
        other = x.clone()
        other[0, 4:] = 7
        a, b = net(x, mask), net(other, mask)
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-9)
        np.testing.assert_allclose(a[:1].detach(), net(x[:1, :4]).detach(), rtol=1e-9)
        assert torch.isfinite(net(x, torch.zeros(2, 6, dtype=torch.bool))).all()
        weights = net.attention(x, mask)
        there = slice(1, None) if pool == "class" else slice(None)
        assert (weights[:, 0, ..., there][..., 4:] == 0).all()
        np.testing.assert_allclose(weights.sum(-1), 1)


# ----------------------------------------------------------------------------------------------------------------- GPT


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "none"])
@pytest.mark.parametrize("kind", ["pre", "post"])
def test_cached_decoding_is_the_same(positions, kind):
    gpt = drawn(GPT(11, 12, 8, 2, 2, positions=positions, norm=kind)).eval()
    x = tokens(3, 12)
    with torch.no_grad():
        whole, past, found = gpt(x), None, []
        for part in (x[:, :4], x[:, 4:5], x[:, 5:9], x[:, 9:]):
            logits, past = gpt.step(part, past)
            found.append(logits)
    np.testing.assert_allclose(torch.cat(found, 1), whole, rtol=1e-6, atol=1e-9)
    for temperature in (0, 1.0):
        a, b = (gpt.generate(x[:, :3], 20, temperature=temperature, cached=cached, seed=1) for cached in (True, False))
        assert torch.equal(a, b) and a.shape == (3, 23)


def test_cached_decoding_in_float32():
    gpt = GPT(65, 64, 32, 2, 4, seed=0).eval()
    x = tokens(2, 64, vocabulary=65)
    with torch.no_grad():
        whole, past = gpt(x), None
        for t in range(64):
            logits, past = gpt.step(x[:, t : t + 1], past)
            np.testing.assert_allclose(logits[:, 0], whole[:, t], atol=1e-6)


def test_no_token_sees_the_future():
    gpt = drawn(GPT(11, 10, 8, 3, 2)).eval()
    x = tokens(1, 10)
    before = gpt(x)
    x[0, 6] = (x[0, 6] + 1) % 11
    after = gpt(x)
    np.testing.assert_array_equal(before[0, :6].detach(), after[0, :6].detach())
    assert (before[0, 6:] - after[0, 6:]).abs().amax(1).min() > 1e-6


def test_generation():
    gpt = GPT(11, 8, 8, 1, 2, dropout=0.5, seed=0)
    x = tokens(2, 3)
    assert torch.equal(gpt.generate(x, 6, seed=3), gpt.generate(x, 6, seed=3)) and gpt.training
    assert not torch.equal(gpt.generate(x, 6, seed=3), gpt.generate(x, 6, seed=4))
    assert torch.equal(gpt.generate(x, 0), x)
    assert torch.equal(gpt.generate(x, 5, top=1), gpt.generate(x, 5, temperature=0))
    # Top 2: each new token is one of the two likeliest.
    gpt.eval()
    out = gpt.generate(x, 5, top=2, temperature=5.0)
    for t in range(3, 8):
        likeliest = gpt(out[:, :t])[:, -1].topk(2).indices
        assert (likeliest == out[:, t : t + 1]).any(1).all()


def test_what_does_not_fit_is_said():
    gpt = GPT(11, 8, 8, 1, 2)
    with pytest.raises(ValueError, match="place 9; expected at most length, 8"):
        gpt(tokens(1, 9))
    with pytest.raises(ValueError, match="at least one token"):
        gpt.generate(tokens(1, 0), 2)
    with pytest.raises(ValueError, match="temperature is -1"):
        gpt.generate(tokens(1, 2), 2, temperature=-1)
    with pytest.raises(ValueError, match="heads is 3; expected a divisor of the width 8"):
        SelfAttention(8, 3)
    with pytest.raises(ValueError, match="norm is 'both'"):
        Block(8, 2, norm="both")
    with pytest.raises(ValueError, match="positions is 'here'"):
        GPT(11, 8, 8, positions="here")
    with pytest.raises(ValueError, match="pool is 'max'"):
        vit(8, 2, 10, 8, pool="max")
    for make in (vit, mixer):
        with pytest.raises(ValueError, match="patch is 3; expected a divisor of the image's 8"):
            make(8, 3, 10, 8)
    with pytest.raises(ValueError, match="ids has 4 tokens"):
        transformer.windows(np.arange(4), 4, 2, 1)


def test_windows_and_the_loss_of_a_text():
    ids = np.arange(50) % 11
    batches = list(transformer.windows(ids, 8, 4, 3)(np.random.default_rng(0)))
    assert len(batches) == 3 and all(x.shape == y.shape == (4, 8) for x, y in batches)
    assert all(((x + 1) % 11 == y).all() for x, y in batches)
    starts = np.concatenate(
        [x[:, 0] for x, _ in transformer.windows(np.arange(10), 8, 200, 1)(np.random.default_rng(0))]
    )
    assert set(starts) == {0, 1}
    gpt = drawn(GPT(11, 8, 8, 1, 2, dropout=0.3))
    expected = [
        -gpt.eval()(torch.tensor(ids[None, s : s + 8])).log_softmax(2)[0, range(8), ids[s + 1 : s + 9]].mean().item()
        for s in range(0, 48, 8)
    ]
    gpt.train()
    np.testing.assert_allclose(transformer.text_loss(gpt, ids, 4), np.mean(expected), rtol=1e-9)
    assert gpt.training


def test_the_same_seed_gives_the_same_weights():
    state = torch.random.get_rng_state()
    for make in (
        lambda s: GPT(5, 4, 8, 1, 2, seed=s),
        lambda s: vit(8, 4, 10, 8, depth=1, heads=2, seed=s),
        lambda s: mixer(8, 4, 10, 8, 1, seed=s),
        lambda s: mixer(8, 4, 10, 8, 1, block=GMLPBlock, seed=s),
    ):
        one, again, other = (torch.cat([p.flatten() for p in make(s).parameters()]) for s in (1, 1, 2))
        assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_weights_start_small():
    gpt = GPT(300, 20, 64, 8, 4, seed=0)
    assert abs(gpt.blocks[0].attention.into.weight.std() - 0.02) < 1e-3
    assert abs(gpt.blocks[0].mlp[2].weight.std() - 0.02 / 4) < 3e-4
    assert abs(gpt.blocks[3].attention.out.weight.std() - 0.02 / 4) < 3e-4
    assert not gpt.blocks[0].mlp[0].bias.any() and gpt.norm.weight.eq(1).all()
    # hence the first guess is nearly even
    assert (
        abs(transformer.next_token_loss(gpt(tokens(2, 20, vocabulary=300)), tokens(2, 20)).item() - np.log(300)) < 0.3
    )


def test_xor_is_learnt_as_the_next_token():
    x = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    gpt = GPT(2, 2, 16, 1, 2, seed=0)

    def loss(logits, y):  # of the last place: the first bit does not follow from anything
        return F.cross_entropy(logits[:, -1], y)

    optimiser = torch.optim.Adam(gpt.parameters(), lr=0.01)
    train.fit(gpt, (x[:, :2], x[:, 2]), optimiser, loss=loss, epochs=150, batch_size=4, progress=False)
    states, p = transformer.transition_table(gpt, 2)
    np.testing.assert_array_equal(states, x[:, :2])
    assert p[range(4), x[:, 2]].min() > 0.95
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------ encoders


def test_patches_are_tokens_row_by_row():
    patches = transformer.Patches(2, 4, channels=3)
    with torch.no_grad():
        patches.linear.weight.zero_()
        patches.linear.bias.zero_()
        patches.linear.weight[0, 0] = patches.linear.weight[1, 11] = 1  # first and last pixel of a patch
    x = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    out = patches(x)
    assert out.shape == (2, 6, 4)
    for n, t in np.ndindex(2, 6):
        r, c = divmod(t, 3)
        assert out[n, t, 0] == x[n, 0, 2 * r, 2 * c] and out[n, t, 1] == x[n, 2, 2 * r + 1, 2 * c + 1]
    assert transformer.Patches(2, 4)(torch.randn(5, 4, 4)).shape == (5, 4, 4)


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_without_positions_the_order_does_not_matter(pool):
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    for positions in ("none", "learned", "sinusoidal"):
        net = drawn(Encoder(torch.nn.Identity, 6, 3, 4, 2, 2, pool=pool, positions=positions))
        change = (net(x) - net(x[:, order])).abs().max()
        assert change < 1e-9 if positions == "none" else change > 1e-5


@pytest.mark.parametrize("block", [MixerBlock, GMLPBlock])
def test_a_mixer_knows_its_places(block):
    z = torch.randn(2, 6, 4, dtype=torch.float64)
    layer = drawn(block(6, 4))
    order = [1, 0, 2, 3, 4, 5]
    assert layer(z).shape == z.shape
    assert (layer(z)[:, order] - layer(z[:, order])).abs().max() > 1e-3
    moved = z.clone()
    moved[:, 5, 0] += 1
    assert (layer(moved) - layer(z))[:, 0].abs().max() > 1e-4  # place 0 sees place 5


def test_a_gmlp_starts_without_looking_around():
    z, layer = torch.randn(2, 6, 4), GMLPBlock(6, 4)
    moved = z.clone()
    moved[:, 5, 0] += 1
    change = (layer(moved) - layer(z)).abs().amax((0, 2))
    assert change[5] > 0.1 and change[:5].max() < 0.02


@pytest.mark.parametrize(
    "make",
    [
        lambda: vit(8, 2, 10, 32, depth=1, heads=4, seed=0),
        lambda: vit(8, 2, 10, 32, depth=1, heads=4, pool="class", norm="post", positions="sinusoidal", seed=0),
        lambda: mixer(8, 2, 10, 32, 2, seed=0),
        lambda: mixer(8, 2, 10, 32, 2, block=GMLPBlock, seed=0),
    ],
    ids=["vit", "vit-class-post", "mixer", "gmlp"],
)
def test_digits_are_learnt(make):
    from dlcourse import data

    digits = data.load("digits")
    net = make()
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    held = digits.x_test, digits.y_test
    run = train.fit(net, (digits.x_train, digits.y_train), optimiser, loss=F.cross_entropy, epochs=6, batch_size=64,
                    held_out=held, metrics={"accuracy": train.accuracy}, progress=False)  # fmt: skip
    assert run.history["held_out_accuracy"][-1] > 0.6


# ---------------------------------------------------------------------------------------------------- receptive fields


def test_the_field_of_a_convolution_is_its_kernel():
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(1, 3, 3, padding=1).double()
    field = transformer.effective_field(
        lambda x: conv(x).flatten(2).transpose(1, 2), torch.randn(2, 1, 5, 5, dtype=torch.float64), 12
    )
    weight = conv.weight.detach().abs().sum((0, 1)).numpy()
    np.testing.assert_allclose(field[1:4, 1:4], weight / weight.sum(), rtol=1e-9)
    assert abs(field.sum() - 1) < 1e-12 and (np.pad(field[1:4, 1:4], 1) == field).all()


def test_a_vit_sees_everything_in_its_first_block():
    net = drawn(vit(8, 2, 10, 8, depth=1, heads=2))
    field = transformer.effective_field(lambda x: net.tokens(x)[0], torch.randn(2, 1, 8, 8, dtype=torch.float64), 0)
    assert (field > 0).all()
    with pytest.raises(ValueError, match="no pixel moves"):
        transformer.effective_field(lambda x: 0 * net.tokens(x)[0], torch.randn(1, 1, 8, 8, dtype=torch.float64), 0)

"""The networks for sequences: attention against the one by hand, what they must not see, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest

from dlcourse import language, rnn, train

torch = pytest.importorskip("torch")

from dlcourse import seq  # noqa: E402

KINDS = pytest.mark.parametrize("kind", seq.LAYERS)


@KINDS
def test_the_layer_is_the_one_by_hand(kind):
    torch.manual_seed(0)
    layer = seq.recurrent(kind, 3, 4)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    forward = {"rnn": rnn.rnn_forward, "lstm": rnn.lstm_forward, "gru": rnn.gru_forward}[kind]
    ours = forward(x, rnn.Weights.of(layer), batch_first=True)[0]
    np.testing.assert_allclose(ours, layer(torch.tensor(x))[0].detach().numpy(), atol=1e-6)


def test_forget_gates_start_open():
    layer = seq.recurrent("lstm", 2, 3, layers=2, forget_bias=4.0)
    for k in range(2):
        total = getattr(layer, f"bias_ih_l{k}") + getattr(layer, f"bias_hh_l{k}")
        np.testing.assert_array_equal(total[3:6].detach(), 4.0)


@pytest.mark.parametrize("steps", [1, 4])
def test_attention_is_the_one_by_hand(steps):
    torch.manual_seed(0)
    module = seq.AdditiveAttention(3, 4, 5).double()
    rng = np.random.default_rng(0)
    query, keys = rng.normal(size=(2, 3)), rng.normal(size=(2, steps, 4))
    lengths = np.array([steps, 1])
    valid = torch.arange(steps) < torch.tensor(lengths)[:, None]
    keys_ = torch.tensor(keys)
    context, alpha = module(torch.tensor(query), keys_, module.key(keys_), valid)
    w_q, w_k, v = (m.weight.detach().numpy() for m in (module.query, module.key, module.v))
    ours, cache = rnn.additive_attention_forward(query, keys, w_q, w_k, v[0], lengths=lengths)
    np.testing.assert_allclose(context.detach(), ours, rtol=1e-9)
    np.testing.assert_allclose(alpha.detach(), cache[0], rtol=1e-9)


@KINDS
def test_a_character_model_does_not_look_ahead_and_goes_on_from_a_state(kind):
    torch.manual_seed(0)
    model = seq.CharacterModel(6, 4, 8, kind, layers=2)
    ids = torch.randint(0, 6, (2, 7), generator=torch.Generator().manual_seed(0))
    logits = model(ids)
    later = ids.clone()
    later[:, 4:] = (later[:, 4:] + 1) % 6
    assert torch.equal(model(later)[:, :4], logits[:, :4]) and not torch.equal(model(later)[:, 4:], logits[:, 4:])
    first, state = model.step(ids[:, :3])
    second, _ = model.step(ids[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), logits)


def test_next_characters_and_pieces():
    inputs, targets = seq.next_characters(*language.Alphabet("ab").batch(["ab", "b", ""]))
    assert inputs.tolist() == [[0, 1, 2], [0, 2, 0], [0, 0, 0]]
    assert targets.tolist() == [[1, 2, 0], [2, 0, -1], [0, -1, -1]]
    x, y = seq.pieces(np.arange(8), 3)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]] and y.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert seq.pieces(np.arange(3), 3)[0].shape == (0, 3)


def test_bits_are_those_of_the_probabilities():
    torch.manual_seed(0)
    model = seq.CharacterModel(4, 3, 5)
    inputs, targets = seq.next_characters(*language.Alphabet("abc").batch(["ab", "c", "abca"]))
    p = torch.softmax(model(inputs), dim=2).detach().numpy()
    counted = [-np.log2(p[n, t, targets[n, t]]) for n in range(3) for t in range(5) if targets[n, t] >= 0]
    assert len(counted) == 3 + 2 + 5
    for size in (1, 2, 10):
        assert seq.bits(model, inputs, targets, batch_size=size) == pytest.approx(np.mean(counted), rel=1e-5)


def test_an_untrained_model_knows_nothing_and_a_trained_one_the_pattern():
    alphabet = language.Alphabet("abcd")
    inputs, targets = seq.next_characters(*alphabet.batch(["abcd"] * 8))
    torch.manual_seed(0)
    model = seq.CharacterModel(len(alphabet), 4, 16, "gru")
    assert seq.bits(model, inputs, targets) > 1.5
    train.fit(model, (inputs, targets), torch.optim.Adam(model.parameters(), lr=0.02), loss=seq.sequence_loss,
              epochs=100, progress=False)  # fmt: skip
    assert seq.bits(model, inputs, targets) < 0.1
    assert [alphabet.decode(s) for s in seq.sample(model, 3, temperature=0.1, seed=0)] == ["abcd"] * 3
    assert seq.sample(model, 2, longest=2, start=(0, 1), temperature=0.1) == [[2, 3], [2, 3]]


def test_samples_follow_the_seed():
    torch.manual_seed(0)
    model = seq.CharacterModel(6, 4, 8)
    one, again, other = (seq.sample(model, 4, seed=s) for s in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize("kind, T", [("lstm", 6), ("gru", 6), ("rnn", 4)])
def test_readers_learn_to_add(kind, T):
    torch.manual_seed(0)
    model = seq.Reader(kind, 2, 16, 1)
    x, y = map(torch.from_numpy, language.adding(np.random.default_rng(0), 512, T))
    run = train.fit(model, (x, y), torch.optim.Adam(model.parameters(), lr=0.01),
                    loss=torch.nn.functional.mse_loss, epochs=25, progress=False)  # fmt: skip
    assert run.history["loss"][-1] < 0.02


@pytest.mark.parametrize("attention", [True, False])
def test_a_translator_learns_to_double(attention):
    texts = [(a, a.upper() + a.upper()) for a in ("ab", "a", "ba", "b", "bb", "aa", "aab", "abb")]
    alphabets = [language.Alphabet.of(t[i] for t in texts) for i in (0, 1)]
    inputs, targets = seq.pairs(texts, alphabets)
    torch.manual_seed(0)
    model = seq.Translator(len(alphabets[0]), len(alphabets[1]), targets.shape[1], 8, 24, attention=attention)
    assert not seq.exact(model, inputs, targets).any()
    train.fit(model, (inputs, targets), torch.optim.Adam(model.parameters(), lr=0.02), loss=seq.sequence_loss,
              epochs=120, batch_size=4, progress=False)  # fmt: skip
    assert seq.exact(model, inputs, targets).all()
    ids, alpha = model.translate(inputs[:, : -model.longest])
    assert alphabets[1].decode(ids[0].tolist()) == "ABAB"
    if attention:
        assert alpha.shape == (8, targets.shape[1], 3)
        torch.testing.assert_close(alpha.sum(2), torch.ones(8, targets.shape[1]))
        assert not alpha[1, :, 1:].any()  # "a" has one character; the filling gets no weight
    else:
        assert alpha is None


@pytest.mark.parametrize("attention", [True, False])
def test_filling_does_not_change_a_translation(attention):
    torch.manual_seed(0)
    model = seq.Translator(5, 5, 4, 8, 8, attention=attention)
    ids = torch.tensor([[1, 2, 3]])
    long = torch.tensor([[1, 2, 3, 0, 0]])
    a, b = (model._write(x, None)[0] for x in (ids, long))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: seq.Reader("elman", 2, 3, 1), "kind is 'elman'"),
        (lambda: seq.sample(seq.CharacterModel(3, 2, 2), temperature=0), "temperature is 0"),
        (lambda: seq.sample(seq.CharacterModel(3, 2, 2), start=()), "start is empty"),
        (lambda: seq.Translator(3, 3, 4).translate(torch.tensor([[1, 2], [0, 0]])), "text 1 is empty"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()

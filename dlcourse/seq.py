"""Chapter 13: networks of torch for sequences: reading to the end, character models, encoder and decoder.

    model = CharacterModel(len(alphabet), 24, 128)
    train.fit(model, (ids, targets), optimiser, loss=sequence_loss)
    alphabet.decode(sample(model, seed=0)[0])

Sources: Hochreiter and Schmidhuber (1997); Sutskever, Vinyals and Le, Sequence to sequence learning with neural
networks, NeurIPS (2014), arXiv:1409.3215; Bahdanau, Cho and Bengio (2015), arXiv:1409.0473; Karpathy, The
unreasonable effectiveness of recurrent neural networks (2015).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.language import BOUNDARY

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
FILLING = -1  # a target that does not count


def recurrent(kind: str, D: int, H: int, *, layers: int = 1, forget_bias: float = 1.0, **options) -> nn.Module:
    """A recurrent layer of torch, batch first. An LSTM starts with its forget gates open by ``forget_bias``.

    Raises
    ------
    ValueError
        ``kind`` is not ``rnn``, ``lstm`` or ``gru``.

    Source: Gers, Schmidhuber and Cummins (2000); Jozefowicz, Zaremba and Sutskever, ICML (2015), for the open gate.
    """
    if kind not in LAYERS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(LAYERS)}")
    layer = LAYERS[kind](D, H, num_layers=layers, batch_first=True, **options)
    if kind == "lstm":
        with torch.no_grad():
            for name, p in layer.named_parameters():
                if name.startswith("bias"):
                    p[H : 2 * H] = forget_bias / 2  # two biases add up
    return layer


class Reader(nn.Module):
    """Reads a sequence (N, T, D) and answers at its end: (N, outputs).

    Parameters
    ----------
    kind : ``rnn``, ``lstm`` or ``gru``
    """

    def __init__(self, kind: str, D: int, H: int, outputs: int, **options):
        super().__init__()
        self.layer, self.head = recurrent(kind, D, H, **options), nn.Linear(H, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, D) -> (N, outputs)."""
        return self.head(self.layer(x)[0][:, -1])


# ------------------------------------------------------------------------------------------------- character models


class CharacterModel(nn.Module):
    """Embedding, recurrent layers, and a score for each next character: ids (N, T) -> logits (N, T, V).

    Source: Karpathy (2015).
    """

    def __init__(self, V: int, D: int, H: int, kind: str = "lstm", *, layers: int = 1):
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        self.layer, self.head = recurrent(kind, D, H, layers=layers), nn.Linear(H, V)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(N, T) -> (N, T, V)."""
        return self.step(ids)[0]

    def step(self, ids: torch.Tensor, state=None) -> tuple[torch.Tensor, object]:
        """The same from a state on; returns logits and the state after the last character."""
        out, state = self.layer(self.embedding(ids), state)
        return self.head(out), state


def sequence_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy a character, in nats: the mean over all targets but ``FILLING``.

    logits (N, T, V), targets (N, T)
    """
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=FILLING)


def next_characters(ids: np.ndarray, lengths: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of a language model on texts (N, T): the boundary and the text; the text and the boundary.

    Both are (N, T + 1). Targets behind the end are ``FILLING``.
    """
    ids, lengths = torch.as_tensor(ids), torch.as_tensor(lengths)
    edge = torch.full((len(ids), 1), BOUNDARY)
    targets = torch.cat([ids, edge], dim=1)
    beyond = torch.arange(targets.shape[1]) > lengths[:, None]
    return torch.cat([edge, ids], dim=1), targets.masked_fill(beyond, FILLING)


def pieces(ids: np.ndarray, T: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A long text (L,) as examples of T characters and the T that follow each: both (L // T, T), or one fewer."""
    ids = torch.as_tensor(np.asarray(ids, np.int64))
    n = (len(ids) - 1) // T
    return ids[: n * T].reshape(n, T), ids[1 : n * T + 1].reshape(n, T)


@torch.no_grad()
def bits(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, *, batch_size: int = 256) -> float:
    """Bits a character: the mean of -log2 of what the model gave to the character that came."""
    total, count = 0.0, 0
    for x, y in zip(inputs.split(batch_size), targets.split(batch_size), strict=True):
        n = int((y != FILLING).sum())
        total, count = total + float(sequence_loss(model(x), y)) * n, count + n
    return total / count / math.log(2)


@torch.no_grad()
def sample(
    model: CharacterModel,
    count: int = 1,
    longest: int = 100,
    *,
    start=(BOUNDARY,),
    temperature: float = 1.0,
    seed: int = 0,
) -> list[list[int]]:
    """Draw texts, character by character, each drawn one being the next input; they end at the boundary.

    Parameters
    ----------
    start : the numbers that are read first
    temperature : logits are divided by it; below 1 the likely becomes likelier

    Raises
    ------
    ValueError
        ``temperature`` is not positive, or there is no start.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a positive number")
    if len(start) == 0:
        raise ValueError("start is empty; expected at least one number to read first")
    generator = torch.Generator().manual_seed(seed)
    ids, state = torch.tensor([list(start)] * count), None
    drawn = []
    for _ in range(longest):
        logits, state = model.step(ids, state)
        ids = torch.multinomial(F.softmax(logits[:, -1] / temperature, dim=1), 1, generator=generator)
        drawn.append(ids)
    rows = torch.cat(drawn, dim=1).tolist() if drawn else [[] for _ in range(count)]
    return [row[: row.index(BOUNDARY)] if BOUNDARY in row else row for row in rows]


# ------------------------------------------------------------------------------------------- encoder and decoder


class AdditiveAttention(nn.Module):
    """Bahdanau's attention, :func:`dlcourse.rnn.additive_attention_forward` as a module.

    ``e_j = v · tanh(W query + U key_j)``, ``α = softmax(e)``, ``context = Σ_j α_j key_j``

    Source: Bahdanau, Cho and Bengio (2015), section 3.1.
    """

    def __init__(self, Q: int, K: int, A: int):
        super().__init__()
        self.query, self.key, self.v = (
            nn.Linear(Q, A, bias=False),
            nn.Linear(K, A, bias=False),
            nn.Linear(A, 1, bias=False),
        )

    def forward(
        self, query: torch.Tensor, keys: torch.Tensor, projected: torch.Tensor, valid: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """query (N, Q), keys (N, T, K), ``self.key(keys)``, valid (N, T) -> context (N, K), α (N, T)."""
        scores = self.v(torch.tanh(self.query(query)[:, None] + projected)).squeeze(2)
        alpha = F.softmax(scores.masked_fill(~valid, -torch.inf), dim=1)
        return torch.einsum("nt,ntk->nk", alpha, keys), alpha


class Translator(nn.Module):
    """An encoder reads a text, a decoder writes another: both GRUs.

    With ``attention`` the encoder reads both ways, and for each character the decoder takes a mean of the encoder's
    states with weights of its own. Without, all that it gets is the encoder's last state.

    Parameters
    ----------
    V_in, V_out : sizes of the two alphabets, the boundary included
    longest : how many characters it writes, the boundary at the end included
    D, H : size of an embedding, and of a state

    Source: Cho et al. (2014); Bahdanau, Cho and Bengio (2015), section 3.
    """

    def __init__(self, V_in: int, V_out: int, longest: int, D: int = 32, H: int = 64, *, attention: bool = True):
        super().__init__()
        self.longest = longest
        self.read, self.written = nn.Embedding(V_in, D), nn.Embedding(V_out, D)
        self.encoder = nn.GRU(D, H, batch_first=True, bidirectional=attention)
        K = 2 * H if attention else H
        self.start = nn.Linear(K, H)
        self.attention = AdditiveAttention(H, K, H) if attention else None
        self.cell = nn.GRUCell(D + K, H)
        self.head = nn.Linear(H + K, V_out)

    def encode(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The states (N, T, K), the last ones (N, K), and where there are any (N, T), of texts (N, T).

        Raises
        ------
        ValueError
            A text is empty: there is nothing to attend to.
        """
        valid = ids != BOUNDARY
        lengths = valid.sum(dim=1)
        if len(lengths) and int(lengths.min()) < 1:
            raise ValueError(f"text {int(lengths.argmin())} is empty; expected at least one character in each")
        packed = nn.utils.rnn.pack_padded_sequence(
            self.read(ids), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, last = self.encoder(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=ids.shape[1])
        return states, last.transpose(0, 1).flatten(1), valid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From :func:`pairs`: the text and, in the last ``longest`` columns, what was written before each character.

        (N, T + longest) -> logits (N, longest, V_out)
        """
        T = x.shape[1] - self.longest
        return self._write(x[:, :T], x[:, T:])[0]

    @torch.no_grad()
    def translate(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The likeliest character each time, fed back in. (N, T) -> ids (N, longest), and α (N, longest, T) or None."""
        logits, alphas = self._write(ids, None)
        return logits.argmax(2), alphas

    def _write(self, ids, written):
        states, last, valid = self.encode(ids)
        state, context = torch.tanh(self.start(last)), last
        projected = self.attention.key(states) if self.attention else None
        token = torch.full((len(ids),), BOUNDARY, device=ids.device)
        logits, alphas = [], []
        for t in range(self.longest):
            token = token if written is None else written[:, t]
            if self.attention:
                context, alpha = self.attention(state, states, projected, valid)
                alphas.append(alpha)
            state = self.cell(torch.cat([self.written(token), context], dim=1), state)
            logits.append(self.head(torch.cat([state, context], dim=1)))
            token = logits[-1].argmax(1)
        return torch.stack(logits, dim=1), torch.stack(alphas, dim=1) if alphas else None


def pairs(texts, alphabets) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of texts as inputs and targets of a :class:`Translator`.

    Parameters
    ----------
    texts : [(text to read, text to write), ...]
    alphabets : (of the first, of the second)

    Returns
    -------
    inputs : (N, T + S), the text, filled up, and beside it the boundary and what is to be written
    targets : (N, S), what is to be written and the boundary
    """
    read = torch.as_tensor(alphabets[0].batch([a for a, _ in texts])[0])
    written, targets = next_characters(*alphabets[1].batch([b for _, b in texts]))
    return torch.cat([read, written], dim=1), targets


def exact(model: Translator, inputs: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """Which texts are translated without a single fault, each character written from the model's own: booleans (N,)."""
    guess, _ = model.translate(inputs[:, : -model.longest])
    return ((guess == targets) | (targets == FILLING)).all(dim=1).cpu().numpy()

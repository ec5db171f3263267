"""What recurrent networks do, measured: speed, gradients over time, adding, the reversed input, dates, characters.

    python benchmarks/rnn.py                              # prints the tables
    python benchmarks/rnn.py --write book/results/rnn.md  # writes them too, each as soon as it is there
    python benchmarks/rnn.py --only speed                 # one of them
    DLCOURSE_FULL=1 python benchmarks/rnn.py --only characters   # a larger model, for a GPU

1. The LSTM by hand against ``torch.nn.LSTM``, forward and all gradients, on one thread and on two.
2. How the gradient of the last state fades with the lag, and how the largest singular value of W decides.
3. The adding problem over 100 moments: RNN, LSTM, GRU.
4. An encoder and a decoder without attention: the same strings read forwards and backwards.
5. Dates as people write them, to ISO: with attention and without.
6. Names and Shakespeare, character by character, beside models that count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

THREADS = os.environ.get("DLCOURSE_THREADS", "1")
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = THREADS  # read when NumPy is imported, so before that
# OpenBLAS chooses its kernels for this processor, whatever the environment says of another, unless we name some.
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)
if "DLCOURSE_BLAS" in os.environ:
    os.environ["OPENBLAS_CORETYPE"] = os.environ["DLCOURSE_BLAS"]
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else waiting threads of one library slow the other

import numpy as np  # noqa: E402
import threadpoolctl  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from benchmarks.common import spread  # noqa: E402
from dlcourse import data, init, language, rnn, seq, train  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))
SPEED = {"T": 100, "N": 32, "D": 64, "H": 128}
GOALS = {1: 1.3, 2: 1.7}


def magnitude(values) -> str:
    """The geometric mean, and the smallest and the largest value, for numbers of all sizes."""
    values = np.asarray(values, dtype=float)
    return f"{np.exp(np.log(values).mean()):.0e} ({values.min():.0e} to {values.max():.0e})"


# --------------------------------------------------------------------------------------------------------- 1. speed


def lstm_inputs(T: int, N: int, D: int, H: int) -> tuple:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    x, dout = (rng.normal(size=(T, N, k)).astype(np.float32) for k in (D, H))
    return torch.nn.LSTM(D, H), x, dout


def by_hand(layer, x, dout):
    out, _, cache = rnn.lstm_forward(x, rnn.Weights.of(layer))
    dx, dweights, _ = rnn.lstm_backward(dout, cache)
    return out, dx, *dweights


def torchs(layer, x, dout):
    layer.zero_grad(set_to_none=True)
    x = torch.from_numpy(x).requires_grad_()
    out, _ = layer(x)
    out.backward(torch.from_numpy(dout))
    return out.detach().numpy(), x.grad.numpy(), *(p.grad.numpy() for p in layer.parameters())


def products(layer, x, dout):
    """The matrix products alone: what no NumPy version with the same products can go below."""
    w, u = layer.weight_ih_l0.detach().numpy(), layer.weight_hh_l0.detach().numpy()
    T, N, D = x.shape
    H, rows = u.shape[1], x.reshape(T * N, D)
    h, gates, back = np.ones((H, N), x.dtype), np.ones((4 * H, N), x.dtype), np.ascontiguousarray(u.T)
    all_gates, states = np.ones((4 * H, T * N), x.dtype), np.ones((H, T * N), x.dtype)
    w @ rows.T
    for _ in range(T):
        u @ h
        back @ gates
    all_gates @ rows, all_gates @ states.T, all_gates.T @ w


def lstm_times(rounds: int, threads: int, sizes: dict) -> dict:
    """Milliseconds of each peer and ratios to torch, in this process with its threads."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter  # with two threads what counts is the wall
    inputs = lstm_inputs(**sizes)
    for got, want in zip(by_hand(*inputs), torchs(*inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * float(np.abs(want).max()))
    peers, times = {"torch": torchs, "ours": by_hand, "products": products}, {}
    for _ in range(rounds):
        for name, function in peers.items():
            start = clock()
            function(*inputs)
            times.setdefault(name, []).append(clock() - start)
    ratios = {name: [a / b for a, b in zip(times[name], times["torch"], strict=True)] for name in ("ours", "products")}
    blas = next((pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"), {})
    return {
        "threads": threads,
        "milliseconds": {name: 1e3 * statistics.median(t) for name, t in times.items()},
        "ratio": statistics.median(ratios["ours"]),
        "middle_half": [float(q) for q in np.percentile(ratios["ours"], [25, 75])],
        "products_ratio": statistics.median(ratios["products"]),
        "blas": f"{blas.get('internal_api', 'unknown')}, kernels for {blas.get('architecture', 'unknown')}",
    }


def speed(rounds: int, threads=(1, 2), kernels=("default", "Haswell")) -> list[str]:
    """A row for each choice of kernels and threads, each in a process of its own: all is read at the start."""
    lines = [
        "| NumPy's matrix kernels | threads | torch | dlcourse.rnn | ratio to torch (middle half of the rounds) "
        "| goal | the matrix products alone |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in kernels:
        for count in threads:
            found = _in_a_process(name, count, rounds)
            ms, (low, high) = found["milliseconds"], found["middle_half"]
            lines.append(
                f"| {'chosen by itself: ' * (name == 'default')}{found['blas']} | {count} | {ms['torch']:.1f} ms "
                f"| {ms['ours']:.1f} ms | **{found['ratio']:.2f}** ({low:.2f} to {high:.2f}) | {GOALS[count]} "
                f"| {found['products_ratio']:.2f} × torch |"
            )
    missing = [str(count) for count in GOALS if count not in threads]
    return [*lines, *(["", f"On {' and '.join(missing)} threads: not measured in this edition."] if missing else [])]


def _in_a_process(kernels: str, threads: int, rounds: int) -> dict:
    environment = {**os.environ, "DLCOURSE_THREADS": str(threads)}
    environment.pop("DLCOURSE_BLAS", None)
    if kernels != "default":
        environment["DLCOURSE_BLAS"] = kernels
    command = [sys.executable, __file__, "--times", str(threads), "--rounds", str(rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# ------------------------------------------------------------------------------------------------ 2. lags and growth


def fading(kind: str, forget_bias: float, seed: int, T: int = 100, N: int = 16, H: int = 64) -> np.ndarray:
    """‖∂L/∂x_{T-k}‖ for k = 0 ... T-1 relative to k = 0, where L depends on the last output; the start of training."""
    rng = np.random.default_rng(seed)
    weights = rnn.Weights.draw(rng, kind, H, H)
    if kind == "lstm":
        weights.b_ih[H : 2 * H] = forget_bias
        weights.b_hh[H : 2 * H] = 0
    forward, backward = {
        "rnn": (rnn.rnn_forward, rnn.rnn_backward),
        "gru": (rnn.gru_forward, rnn.gru_backward),
        "lstm": (rnn.lstm_forward, rnn.lstm_backward),
    }[kind]
    out, _, cache = forward(rng.normal(size=(T, N, H)), weights)
    dout = np.zeros_like(out)
    dout[-1] = rng.normal(size=(N, H))
    sizes = np.linalg.norm(backward(dout, cache)[0], axis=(1, 2))[::-1]
    return sizes / sizes[0]


def lags(seeds: int, at=(10, 25, 50, 99)) -> list[str]:
    rows = {"RNN": ("rnn", 0.0), "GRU": ("gru", 0.0)}
    rows |= {f"LSTM, bias of the forget gate {b}": ("lstm", float(b)) for b in (0, 1, 3, 5)}
    lines = [f"| layer | {' | '.join(f'lag {k}' for k in at)} |", "|---|" + "---|" * len(at)]
    for name, (kind, bias) in rows.items():
        found = np.array([fading(kind, bias, seed) for seed in range(seeds)])
        cells = (
            f"{np.exp(np.log(found[:, k]).mean()):.0e} ({found[:, k].min():.0e} to {found[:, k].max():.0e})" for k in at
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def growth(sigma: float, seed: int, noise: float, lag: int = 50, H: int = 64) -> float:
    """The largest singular value of ∂h_T/∂h_{T-lag} in an RNN whose W is orthogonal times sigma."""
    rng = np.random.default_rng(seed)
    w_hh = init.orthogonal(rng, (H, H), gain=sigma)
    weights = rnn.Weights(np.eye(H), w_hh, np.zeros(H), np.zeros(H))
    hs = rnn.rnn_forward(noise * rng.normal(size=(2 * lag, 1, H)), weights)[0]
    return float(np.linalg.norm(rnn.jacobians(hs[:, 0], w_hh)[lag], 2))


def growths(seeds: int, sigmas=(0.8, 0.95, 1.0, 1.05, 1.2, 1.5), lag: int = 50) -> list[str]:
    noises = {"almost no input (0.001)": 1e-3, "inputs of size 0.3": 0.3, "inputs of size 1": 1.0}
    lines = [
        f"| largest singular value σ of W | σ to the power {lag} | {' | '.join(noises)} |",
        "|---|---|" + "---|" * 3,
    ]
    for sigma in sigmas:
        cells = []
        for noise in noises.values():
            found = [growth(sigma, seed, noise, lag) for seed in range(seeds)]
            cells.append(magnitude(found))
        lines.append(f"| {sigma} | {sigma**lag:.0e} | {' | '.join(cells)} |")
    return lines


# --------------------------------------------------------------------------------------------------------- 3. adding


def learn_to_add(kind: str, seed: int, steps: int, T: int, H: int = 32, batch: int = 32, every: int = 50) -> tuple:
    """(updates until the held-out error is below 0.01, or None; the error at the end). Fresh sequences each time."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = seq.Reader(kind, 2, H, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    x_held, y_held = map(torch.from_numpy, language.adding(np.random.default_rng(10_000 + seed), 500, T))
    error = float("inf")
    for done in range(0, steps, every):
        batches = lambda _: (language.adding(rng, batch, T) for _ in range(every))  # noqa: E731
        train.fit(model, batches, optimiser, loss=F.mse_loss, epochs=1, clip_norm=1.0, seed=seed, progress=False)
        error = train.evaluate(model, (x_held, y_held), F.mse_loss, batch_size=500)["held_out_loss"]
        if error < 0.01:
            return done + every, error
    return None, error


def adding(seeds: int, steps: int = 3000, T: int = 100) -> list[str]:
    lines = [
        "| layer | solved (error below 0.01) | updates until then | held-out error at the end |",
        "|---|---|---|---|",
    ]
    for kind in tqdm(("rnn", "lstm", "gru"), "adding", leave=False):
        found = [learn_to_add(kind, seed, steps, T) for seed in range(seeds)]
        needed = [n for n, _ in found if n is not None]
        shown = spread(needed, 0) if needed else f"not within {steps}"
        lines.append(f"| {kind.upper()} | {len(needed)} of {seeds} | {shown} | {spread([e for _, e in found], 4)} |")
    return lines


# ------------------------------------------------------------------------------------------------- 4. reversed input


def relay(seed: int, backwards: bool, length: int, n: int = 3000, epochs: int = 5) -> float:
    """The share of right letters, in per cent, of an encoder and a decoder without attention on new strings."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefgh"), length)) for _ in range(n + 500)]
    texts = [(word[::-1] if backwards else word, word.upper()) for word in words]
    alphabets = [language.Alphabet.of(pair[i] for pair in texts) for i in (0, 1)]
    x, y = seq.pairs(texts, alphabets)
    torch.manual_seed(seed)
    model = seq.Translator(*map(len, alphabets), y.shape[1], 16, 64, attention=False)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
    train.fit(model, (x[:n], y[:n]), optimiser, loss=seq.sequence_loss, epochs=epochs, batch_size=64, clip_norm=1.0,
              seed=seed, progress=False)  # fmt: skip
    guess, _ = model.translate(x[n:, :length])
    return 100 * float((guess == y[n:])[:, :length].double().mean())


def reversal(seeds: int, lengths=(6, 10, 14), n: int = 3000) -> list[str]:
    lines = ["| letters | read forwards, % right | read backwards, % right | gain, same seeds |", "|---|---|---|---|"]
    for length in tqdm(lengths, "reversed", leave=False):
        found = np.array([[relay(seed, way, length, n) for way in (False, True)] for seed in range(seeds)])
        gain = found[:, 1] - found[:, 0]
        lines.append(f"| {length} | {spread(found[:, 0], 1)} | {spread(found[:, 1], 1)} | {spread(gain, 1)} |")
    return lines


# ---------------------------------------------------------------------------------------------------------- 5. dates


def dates(attention: bool, seed: int, n: int = 4000, epochs: int = 4) -> list[float]:
    """Dates without a single fault among 500 new ones, in per cent, after each epoch."""
    found = language.dates(np.random.default_rng(seed), n + 500)
    alphabets = [language.Alphabet.of(pair[i] for pair in found) for i in (0, 1)]
    x, y = seq.pairs(found, alphabets)
    torch.manual_seed(seed)
    model = seq.Translator(*map(len, alphabets), y.shape[1], 32, 64, attention=attention)
    optimiser, rates = torch.optim.Adam(model.parameters(), lr=0.005), []
    train.fit(model, (x[:n], y[:n]), optimiser, loss=seq.sequence_loss, epochs=epochs, batch_size=64, clip_norm=1.0,
              seed=seed, progress=False,
              on_epoch=lambda *_: rates.append(100 * seq.exact(model, x[n:], y[n:]).mean()))  # fmt: skip
    return rates


def translation(seeds: int, n: int = 4000, epochs: int = 4) -> list[str]:
    lines = [f"| | {' | '.join(f'epoch {e + 1}' for e in range(epochs))} |", "|---|" + "---|" * epochs]
    for attention, name in tqdm(((True, "with attention"), (False, "last state only")), "dates", leave=False):
        found = np.array([dates(attention, seed, n, epochs) for seed in range(seeds)])
        lines.append(f"| {name} | {' | '.join(spread(column, 1) for column in found.T)} |")
    return lines


# ----------------------------------------------------------------------------------------------------- 6. characters


def names() -> tuple[language.Alphabet, list[np.ndarray], list[np.ndarray]]:
    """The alphabet, names to train on, and a tenth of them held out; no name is in both."""
    every = sorted(set(data.text("names").split()))
    order = np.random.default_rng(0).permutation(len(every))
    alphabet, held = language.Alphabet.of(every), len(every) // 10
    encoded = [alphabet.encode(every[i]) for i in order]
    return alphabet, encoded[held:], encoded[:held]


def shakespeare() -> tuple[language.Alphabet, list[np.ndarray], list[np.ndarray]]:
    """The alphabet, the first nine tenths of the text, and the last, each as one sequence."""
    text = data.text("shakespeare")
    alphabet = language.Alphabet.of([text])
    ids, cut = alphabet.encode(text), len(text) * 9 // 10
    return alphabet, [ids[:cut]], [ids[cut:]]


def as_rows(sequences: list[np.ndarray], T: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets: names each by itself, a long text in pieces of T."""
    if T:
        return seq.pieces(sequences[0], T)
    lengths = np.array([len(s) for s in sequences])
    ids = np.zeros((len(sequences), lengths.max()), np.int64)
    for row, s in zip(ids, sequences, strict=True):
        row[: len(s)] = s
    return seq.next_characters(ids, lengths)


def character_model(texts, kind: str, seed: int, T: int | None, epochs: int, H: int = 128, share: float = 1.0) -> float:
    """Bits a character on the held-out text."""
    alphabet, seen, held = texts
    x, y = as_rows(seen, T)
    x, y = x[: int(share * len(x))], y[: int(share * len(y))]
    torch.manual_seed(seed)
    device = "cuda" if FULL and torch.cuda.is_available() else "cpu"
    model = seq.CharacterModel(len(alphabet), 32, H, kind).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
    steps = epochs * -(-len(x) // 64)
    train.fit(model, (x, y), optimiser, loss=seq.sequence_loss, epochs=epochs, batch_size=64, clip_norm=1.0, seed=seed,
              schedule=lambda step: 0.005 * (1 - 0.9 * step / steps), progress=False)  # fmt: skip
    return seq.bits(model.to("cpu"), *as_rows(held, T))


def characters(seeds: int, orders=(1, 2, 3, 4, 5, 6), epochs=(3, 3), share: float = 1.0) -> list[str]:
    both = {"names": (names(), None, epochs[0]), "Shakespeare": (shakespeare(), 64, epochs[1])}
    lines = ["| model | names: bits a character | Shakespeare: bits a character |", "|---|---|---|"]
    for n in orders:
        cells = []
        for (alphabet, seen, held), T, _ in both.values():
            model = language.NGram(n, len(alphabet), 5.0).fit(seen, ends=T is None)
            cells.append(f"{model.bits(held, ends=T is None):.3f}")
        lines.append(f"| {n}-gram{' (bigram)' * (n == 2)} | {' | '.join(cells)} |")
    for kind in tqdm(("rnn", "lstm", "gru"), "characters", leave=False):
        cells = [
            spread([character_model(texts, kind, seed, T, e, share=share) for seed in range(seeds)], 3)
            for texts, T, e in both.values()
        ]
        lines.append(f"| {kind.upper()}, 128 units | {' | '.join(cells)} |")
    here = "not measured"
    if FULL:
        here = f"{character_model(shakespeare(), 'lstm', 0, 128, 20, H=512):.3f}"
    return [*lines, f"| LSTM, 512 units, 20 epochs (FULL, on a GPU) | – | {here} |"]


# ------------------------------------------------------------------------------------------------------------- page


TITLES = {
    "speed": "The LSTM by hand",
    "lags": "Gradients over time",
    "adding": "The adding problem",
    "reversed": "The input reversed",
    "dates": "Dates",
    "characters": "Characters",
}


def part(name: str, options: argparse.Namespace) -> list[str]:
    """One table, with the sentence that says what it is."""
    seeds = options.seeds
    shape = ", ".join(f"{name} {size}" for name, size in SPEED.items())
    parts = {
        "speed": lambda: [
            f"**The LSTM by hand**, forward and all gradients, float32, {shape}, beside `torch.nn.LSTM` in the same "
            f"process; {options.rounds} interleaved rounds, medians; CPU time on one thread, wall time on two. The "
            "matrix products alone are the floor of this method: where NumPy's kernels are slower than torch's, no "
            "code around them can make up for it.", "", *speed(options.rounds, options.threads),
        ],
        "lags": lambda: [
            f"**Gradients over time.** ‖∂L/∂x‖ at the start of training, by the lag to the last moment, on which alone "
            f"L depends; 64 units, 100 moments, weights as PyTorch draws them; geometric mean and range of {seeds} "
            "seeds, relative to lag 0.", "", *lags(seeds), "",
            f"The largest singular value of ∂h_T/∂h_(T−50), where W is orthogonal times σ, so that all its singular "
            f"values are σ; 64 units, {seeds} seeds. The tanh does its part: its slopes are below 1 wherever the "
            "states are not small.", "", *growths(seeds),
        ],
        "adding": lambda: [
            "**The adding problem**, 100 moments: add the two marked numbers. 32 units, Adam at 0.01, 32 fresh "
            f"sequences an update, gradients clipped at 1, up to 3,000 updates, {seeds} seeds; mean and range. To "
            "answer 1 always has an error of 0.167.", "", *adding(seeds),
        ],
        "reversed": lambda: [
            "**The input reversed.** Strings of 8 letters to be repeated in capitals by a GRU that reads and one that "
            "writes, 64 units each, no attention; 3,000 strings, 5 epochs; letters that are right in 500 new strings, "
            f"each written after the model's own; {seeds} seeds, mean and range.", "", *reversal(seeds),
        ],
        "dates": lambda: [
            "**Dates.** Seven written forms to ISO; 4,000 dates, 64 units, Adam at 0.005. Of 500 new dates, those "
            f"without a single fault, in per cent; {seeds} seeds, mean and range.", "", *translation(seeds),
        ],
        "characters": lambda: [
            "**Characters.** Bits a character on held-out text: a tenth of the names (no name is in both parts), the "
            "last tenth of Shakespeare, in pieces of 64 characters. Models that count fall back on shorter contexts, "
            "which are worth 5 counts. Networks: 3 epochs of Adam, from 0.005 falling to 0.0005; "
            f"{min(seeds, 2)} seeds, mean and range.", "", *characters(min(seeds, 2)),
        ],
    }  # fmt: skip
    return parts[name]()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=21, help="of the speed table")
    parser.add_argument("--threads", type=int, nargs="+", default=list(GOALS), choices=list(GOALS), help="likewise")
    parser.add_argument("--times", type=int, metavar="THREADS", help="print the speed table's numbers as JSON")
    asked, _ = parser.parse_known_args()
    if asked.times:
        print(json.dumps(lstm_times(asked.rounds, asked.times, SPEED)))
    else:
        common.main("rnn", __doc__, common.choose(TITLES, part), arguments=parser)


if __name__ == "__main__":
    main()

"""The experiments of chapter 06, with more draws and more data than the page has time for.

    python benchmarks/approximation.py                                       # prints the tables
    python benchmarks/approximation.py --write book/results/approximation.md # writes them too
    python benchmarks/approximation.py --only regions descent                # some of them

1. ``hand``: networks made by hand, and the same networks trained, with 2, 5 and 50 units.
2. ``regions``: linear regions of random ReLU networks against depth, counted exactly, beside the published bounds.
3. ``depth``: 784-128-10 against deeper networks with about as many parameters, on part of MNIST.
4. ``descent``: double descent twice, with polynomials and with random features on real digits.
5. ``slices``: the loss along filter-normalised directions, of a shallow and a deep network of as many parameters.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import approximation as ap  # noqa: E402
from dlcourse import data, mlp, optim  # noqa: E402

ARRANGEMENTS = ([48], [24, 24], [16] * 3, [12] * 4, [8] * 6, [6] * 8)
GRID = np.linspace(-2, 2, 2001)


def spread(values: np.ndarray, form: str = ".3f") -> str:
    """Mean and range."""
    return f"{np.mean(values):{form}} ({np.min(values):{form}} to {np.max(values):{form}})"


def percentiles(values: np.ndarray) -> str:
    """Median, 10th and 90th percentile."""
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


# ------------------------------------------------------------------------------------------------------------ by hand


def wavy(x: np.ndarray) -> np.ndarray:
    return np.sin(3 * x) + 0.5 * np.cos(8 * x) + 0.3 * x


def trained(units: int, seed: int, steps: int) -> float:
    """The largest error of a network with sigmoid units after training with Adam."""
    model = mlp.MLP((1, units, 1), "sigmoid", loss="sse", scale=3.0, seed=seed)
    model.parameters[1][...] = np.random.default_rng(seed).uniform(-6, 6, units)
    optimiser = optim.Adam(model.parameters, lr=0.01)
    x = GRID[::20, None]
    for _ in range(steps):
        optimiser.step(model.loss_and_gradients(x, wavy(x))[1])
    return np.abs(model.forward(GRID[:, None])[0][:, 0] - wavy(GRID)).max()


def hand(seeds: int, steps: int = 2000, **_) -> list[str]:
    lines = [
        f"**By hand and trained.** Largest error for sin 3x + ½ cos 8x + 0.3x from −2 to 2; trained: {steps:,} steps "
        f"of Adam, mean of {seeds} seeds (range).",
        "",
        "| hidden units | sigmoid steps by hand | ReLU hinges by hand | sigmoids, trained |",
        "|---|---|---|---|",
    ]
    for units in (2, 5, 50):
        made = [
            ap.network(ap.staircase(wavy, units, -2, 2, sharpness=400), "sigmoid"),
            ap.network(ap.hinges(wavy, units, -2, 2)),
        ]
        worst = [np.abs(model.forward(GRID[:, None])[0][:, 0] - wavy(GRID)).max() for model in made]
        found = [trained(units, seed, steps) for seed in range(seeds)]
        lines.append(f"| {units} | {worst[0]:.3f} | {worst[1]:.3f} | {spread(found)} |")
    return [*lines, ""]


# ------------------------------------------------------------------------------------------------------------ regions


def regions(draws: int, **_) -> list[str]:
    lines = []
    for inputs, where in ((1, "on a line from −10 to 10"), (2, "on a square of side 20")):
        lines += [
            f"**Linear regions of random ReLU networks, {inputs} input{'s'[: inputs - 1]}**, counted exactly {where}; "
            f"48 hidden units; Kaiming's weights, biases of standard deviation 1; mean of {draws} draws (range).",
            "",
            "| hidden layers | random networks | some network has at least (Montúfar et al. 2014) "
            "| no network has more than (Serra et al. 2018) |",
            "|---|---|---|---|",
        ]
        for widths in ARRANGEMENTS:
            found = []
            for seed in tqdm(range(draws), desc=f"{inputs} inputs, {widths}", leave=False, delay=1):
                parameters = ap.random_network(np.random.default_rng(seed), (inputs, *widths, 1))
                if inputs == 1:
                    found.append(len(ap.switches(parameters, [-10.0], [10.0])) + 1)
                else:
                    found.append(len(ap.slice_regions(parameters, np.zeros(2), *np.eye(2), 10.0)))
            bounds = f"{ap.montufar_bound(inputs, widths):,} | {ap.serra_bound(inputs, widths):,}"
            shown = f"{np.mean(found):.1f} ({min(found)} to {max(found)})"
            lines.append(f"| {len(widths)} × {widths[0]} | {shown} | {bounds} |")
        lines.append("")
    depths = (1, 2, 4, 8, 12)
    folds = ", ".join(f"{len(ap.switches(ap.zigzag(d), [0.0], [1.0])) + 1:,}" for d in depths)
    layers = ", ".join(map(str, depths))
    return [
        *lines,
        f"Made by hand (`zigzag`), networks of two units a layer have {folds} pieces at {layers} layers.",
        "",
    ]


# -------------------------------------------------------------------------------------------- shallow against deep


def depth(seeds: int, examples: int, epochs: int, **_) -> list[str]:
    digits = data.load("mnist" if data.cached("mnist") else "digits")
    pixels = digits.x_train[0].size
    mean, std = digits.x_train.mean(), digits.x_train.std()
    x_test = (digits.x_test.reshape(-1, pixels) - mean) / std
    sizes = {d: (pixels, *[ap.matched_width((pixels, 128, 10), d)] * d, 10) for d in (1, 2, 3, 5)}
    scores = {d: np.zeros(seeds) for d in sizes}
    for seed in tqdm(range(seeds), desc="shallow and deep", leave=False, delay=1):
        rows = np.random.default_rng(seed).permutation(len(digits.x_train))[:examples]
        x, y = (digits.x_train[rows].reshape(-1, pixels) - mean) / std, digits.y_train[rows]
        for d in sizes:
            model = mlp.MLP(sizes[d], seed=seed, dtype=np.float32)
            mlp.train(model, x, y, epochs=epochs, batch_size=32, lr=0.02, momentum=0.9, decay=True, seed=seed)
            scores[d][seed] = 100 * mlp.accuracy(model, x_test, digits.y_test)
    lines = [
        f"**Shallow against deep at equal parameters.** {digits.name.upper()}, {min(examples, len(digits.x_train)):,} "
        f"training examples, {epochs} epochs, batch 32, momentum 0.9, rate 0.02 falling to 0; percent of the "
        f"{len(digits.x_test):,} test images right, mean of {seeds} seeds (range).",
        "",
        "| network | parameters | right, % | minus one hidden layer, seed by seed |",
        "|---|---|---|---|",
    ]
    for d, found in scores.items():
        against = "" if d == 1 else spread(found - scores[1], "+.2f")
        name = "-".join(map(str, sizes[d]))
        lines.append(f"| {name} | {ap.parameter_count(sizes[d]):,} | {spread(found, '.2f')} | {against} |")
    return [*lines, ""]


# ----------------------------------------------------------------------------------------------------- double descent


def runge(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + 100 * x**2)


def peak_beyond_the_best(counts: np.ndarray, error: np.ndarray, n: int) -> int:
    """The count at which the error is largest, beyond that of the best with fewer features than the n examples."""
    best = int(np.argmin(np.where(counts < n, error, np.inf)))
    return int(counts[best + error[best:].argmax()])


def polynomials(noise: float, draws: int, n: int = 30) -> str:
    counts = np.array([*range(1, 61), 80, 120, 200, 400, 1000])
    x_test = np.linspace(-1, 1, 401)
    phi_test, test = ap.legendre_features(x_test, counts[-1], 1.0), []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, n)
        y = runge(x) + noise * rng.standard_normal(n)
        found = ap.descent(ap.legendre_features(x, counts[-1], 1.0), y, phi_test, runge(x_test), counts)
        test.append(np.sqrt(found.test))
    test = np.array(test)
    best, far = test[:, counts < n].min(axis=1), test[:, -1]
    peak = peak_beyond_the_best(counts, np.median(test, axis=0), n)
    return (
        f"| polynomials, noise {noise:g} | root mean square | {n} | {peak}, of the median curve "
        f"| {percentiles(best)} | {percentiles(far)} | {np.sum(far < best)} of {draws} |"
    )


def features_on_digits(wrong: float, seeds: int, n: int = 300) -> list[str]:
    digits = data.load("digits", dtype=np.float64)
    mean, std = digits.x_train.mean(), digits.x_train.std()
    x, x_test = (((a - mean) / std).reshape(-1, 64) for a in (digits.x_train, digits.x_test))
    counts = np.array([5, 10, 20, 40, 60, 80, 100, 140, 180, 220, *range(250, 351, 5), 400, 500, 700, 1000, 2000, 4000])
    runs = []
    for seed in tqdm(range(seeds), desc="random features", leave=False, delay=1):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(x))[:n]
        labels = np.where(rng.random(n) < wrong, rng.integers(0, 10, n), digits.y_train[rows])
        layer = ap.random_features(rng, 64, counts[-1])
        eye = np.eye(10)
        runs.append(ap.descent(layer(x[rows]), eye[labels], layer(x_test), eye[digits.y_test], counts))
    lines = []
    for name, values in (
        ("squared error", [r.test for r in runs]),
        ("share of digits wrong", [r.errors for r in runs]),
    ):
        values = np.array(values)
        best, far = values[:, counts < n].min(axis=1), values[:, -1]
        peaks = sorted(peak_beyond_the_best(counts, run, n) for run in values)
        lines.append(
            f"| random features, digits, {wrong:.0%} of labels replaced | {name} | {n} | {peaks[0]} to {peaks[-1]}, "
            f"seed by seed | {percentiles(best)} | {percentiles(far)} | {np.sum(far < best)} of {seeds} |"
        )
    return lines


def descent(draws: int, seeds: int, **_) -> list[str]:
    lines = [
        "**Double descent.** Minimum-norm least squares in float64; singular values below 1e-13 of the largest count "
        f"as 0. Polynomials: 30 examples of 1/(1 + 100x²), Legendre terms scaled by 1/(k + 1), {draws} draws. Random "
        f"features: 300 digits, {seeds} seeds. Test error: median (10th to 90th percentile). The best below the "
        "threshold was chosen by the test error itself, draw by draw; the peak is the largest error beyond it.",
        "",
        "| model | error | examples | peak | best below the threshold | far right (1,000 terms; 4,000 features) "
        "| far right is lower in |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [polynomials(noise, draws) for noise in (0.0, 0.02, 0.1, 0.3)]
    for wrong in (0.0, 0.1):
        lines += features_on_digits(wrong, seeds)
    return [*lines, ""]


# ------------------------------------------------------------------------------------------------------------- slices


def slices(seeds: int, **_) -> list[str]:
    digits = data.load("digits", dtype=np.float64)
    mean, std = digits.x_train.mean(), digits.x_train.std()
    x, y = ((digits.x_train - mean) / std).reshape(-1, 64), digits.y_train

    def loss(parameters):
        return float(mlp.softmax_cross_entropy_forward(ap.network(parameters).forward(x)[0], y)[0])

    lines = [
        f"**Filter-normalised slices.** Training loss on the digits at a distance α from the minimum along a random "
        f"direction, mean of both sides, of {seeds} trained networks with 5 directions each (range over networks).",
        "",
        "| network | parameters | α = 0 | α = ±½ | α = ±1 |",
        "|---|---|---|---|---|",
    ]
    for sizes in ((64, 48, 10), (64, 24, 24, 24, 24, 10)):
        found = []
        for seed in tqdm(range(seeds), desc="slices", leave=False, delay=1):
            model = mlp.MLP(sizes, seed=seed)
            mlp.train(model, x, y, epochs=10, batch_size=32, lr=0.02, momentum=0.9, seed=seed)
            cuts = []
            for direction in range(5):
                d = ap.filter_normalised(np.random.default_rng([6, seed, direction]), model.parameters)
                cuts.append(ap.loss_slice(loss, model.parameters, [d], [-1, -0.5, 0, 0.5, 1]))
            left, halfway, middle, halfway_too, right = np.mean(cuts, axis=0)
            found.append((middle, (halfway + halfway_too) / 2, (left + right) / 2))
        shown = " | ".join(spread(column, ".2f") for column in np.array(found).T)
        lines.append(f"| {'-'.join(map(str, sizes))} | {ap.parameter_count(sizes):,} | {shown} |")
    return [*lines, ""]


PARTS = {"hand": hand, "regions": regions, "depth": depth, "descent": descent, "slices": slices}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--examples", type=int, default=10_000, help="training examples of the comparison of depths")
    parser.add_argument("--epochs", type=int, default=8, help="of the comparison of depths")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the tables to this markdown file")
    arguments = parser.parse_args()
    began, lines = time.process_time(), []
    for name in arguments.only:
        lines += PARTS[name](**vars(arguments))
    lines.append(
        f"`python benchmarks/approximation.py`: processor time {time.process_time() - began:.0f} s, one thread, "
        f"NumPy {np.__version__}."
    )
    text = "\n".join([*lines, ""])
    print(text, end="")
    if arguments.write:
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

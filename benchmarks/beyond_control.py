"""Chapter 19, measured: the pond, levitation, neural ODEs, Bayesian regression, conformal prediction.

    python benchmarks/beyond_control.py                                             # prints the tables
    python benchmarks/beyond_control.py --write book/results/beyond_control.md      # writes them too
    python benchmarks/beyond_control.py --only pond --write book/results/beyond_control.md   # one table anew

1. Up to which ratio of speeds a learnt mouse escapes, beside what is known.
2. A ball under a magnet: a controller tuned by hand, and policies learnt by REINFORCE.
3. Neural ODEs by hand against torchdiffeq; the memory of two backward passes; a spiral.
4. Bayesian linear regression against scikit-learn's, and a Bayesian last layer.
5. Coverage of conformal sets and intervals over 100 splits.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tracemalloc
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.datasets import load_diabetes  # noqa: E402
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from dlcourse import bayes, data, levitation, ode, optim, policy, pond  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))

# ---------------------------------------------------------------------------------------------------------- 1. pond

GRIDS = ((21, 0.05), (31, 0.04), (41, 0.03), (61, 0.03))  # points a side, length of a step


def planned(size: int, step: float) -> float:
    """The highest ratio at which value iteration on this grid gives a mouse that escapes."""
    return pond.highest_ratio(lambda k: pond.greedy(pond.value_iteration(k, size, step=step)), 3.0, 6.0, step=step)


def tried(seed: int, tol: float, **settings) -> float:
    """The same for Q-learning from random steps."""

    def learn(ratio: float) -> pond.Policy:
        return pond.greedy(pond.q_learning(ratio, np.random.default_rng(seed), **settings))

    return pond.highest_ratio(learn, 3.0, 5.0, tol, settings["step"])


def ratios(seeds: int, grids=GRIDS, tol: float = 0.05, **settings) -> list[str]:
    settings = {"size": 31, "headings": 16, "rounds": 100, "step": pond.STEP, **settings}
    exact, radial = pond.critical_ratio(), pond.critical_ratio(pond.radial_margin)
    lines = ["| mouse | highest ratio at which it escapes | short of 4.603 |", "|---|---|---|"]

    def row(name: str, found) -> None:
        lines.append(f"| {name} | {common.spread(found, 3)} | {100 * (1 - np.mean(found) / exact):.1f}% |")

    lines.append(f"| straight outwards, known | {radial:.4f} | {100 * (1 - radial / exact):.1f}% |")
    lines.append(f"| along the tangent, known to be the best | {exact:.4f} | 0.0% |")
    for size, step in tqdm(grids, "grids", leave=False):
        lines.append(
            f"| value iteration, {size} × {size} grid, steps of {step} | {(found := planned(size, step)):.3f} | "
            f"{100 * (1 - found / exact):.1f}% |"
        )
    found = [tried(seed, tol, **settings) for seed in tqdm(range(seeds), "seeds", leave=False)]
    row(f"Q-learning, {settings['rounds'] * 20_000 / 1e6:g} million steps tried, {seeds} seeds", found)
    return lines


def ponds(options: argparse.Namespace) -> list[str]:
    return [
        "**The pond.** Up to which ratio of the cat's speed to the mouse's does a learnt mouse escape? "
        "Policies are learnt for each ratio and played in the environment from the middle; the ratio is "
        "found by halving, to 0.01 for value iteration and to 0.05 for Q-learning. Value iteration knows "
        "the rules and leaves nothing to chance; Q-learning gets random steps only: mean (lowest to "
        f"highest) of {options.seeds} seeds. Wanted: near 4.6033, from below, since a mouse that escapes "
        "beyond it would show a mistake.", "",
        *ratios(options.seeds),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------- 2. levitation


def trained(seed: int, iterations: int, baseline: bool = True) -> policy.GaussianPolicy:
    rng = np.random.default_rng(seed)
    agent = policy.GaussianPolicy(2, 16, rng)
    policy.reinforce(levitation.step, levitation.starts, agent, iterations, rng=rng, baseline=baseline)
    return agent


def judged(controller: levitation.Controller, states: np.ndarray) -> tuple[float, float]:
    """Percent held, and the mean squared error of those, mm²."""
    found = levitation.outcome(controller, states)
    return 100 * found.held.mean(), float(np.nanmean(found.error)) if found.held.any() else float("nan")


def idle(states: np.ndarray) -> np.ndarray:
    return np.full(len(states), levitation.HOLD)


def balls(seeds: int, iterations=(50, 150), count: int = 2000) -> list[str]:
    states = levitation.starts(np.random.default_rng(12345), count)
    possible = 100 * (1 - levitation.hopeless(states).mean())
    lines = [
        "| controller | starts held, % | mean squared error of these, mm² |",
        "|---|---|---|",
        f"| none: the current that holds a ball at rest | {judged(idle, states)[0]:.1f} | – |",
        f"| whatever it is, at most | {possible:.1f} | – |",
    ]
    for frequency, damping in ((60, 1.0), (100, 0.7)):
        held, error = judged(levitation.pd_controller(frequency, damping), states)
        lines.append(f"| PD by hand, {frequency} rad/s, damping {damping} | {held:.1f} | {error:.2f} |")
    for count_of, baseline in [*((n, True) for n in iterations), (iterations[-1], False)]:
        agents = [trained(s, count_of, baseline) for s in tqdm(range(seeds), f"{count_of} updates", leave=False)]
        held, error = np.array([judged(levitation.of_policy(agent.mean), states) for agent in agents]).T
        name = "" if baseline else ", no baseline"
        name = f"REINFORCE, {count_of} updates of 64 episodes{name}"
        lines.append(f"| {name} | {common.spread(held)} | {common.spread(error, 2)} |")
    return lines


def levitated(options: argparse.Namespace) -> list[str]:
    return [
        "**Levitation.** 2,000 starts, gaps from 1.5 to 10.5 mm and speeds up to 0.3 m/s, followed for 0.5 "
        "s. Held is what touches neither magnet nor floor. The policy is a network of 16 hidden units that "
        "starts from nothing; its mean action is judged. Reward, discount and rate were chosen by the first three "
        f"seeds. Mean (lowest to highest) of {options.seeds} seeds.", "",
        *balls(options.seeds),
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------- 3. neural ODEs


class TorchField(torch.nn.Module):
    """The same field as ``ode.Field``, for torchdiffeq."""

    def __init__(self, field: ode.Field):
        super().__init__()
        self.p = torch.nn.ParameterList([torch.tensor(p) for p in field.parameters])
        self.cubed = field.cubed

    def forward(self, t, y):
        w1, b1, w2, b2 = self.p
        return torch.tanh((y**3 if self.cubed else y) @ w1 + b1) @ w2 + b2


def by_torchdiffeq(solve, field: ode.Field, y0, times, dys, **settings) -> list[np.ndarray]:
    net, start = TorchField(field), torch.tensor(y0, requires_grad=True)
    ys = solve(net, start, torch.tensor(times), **settings)
    ys.backward(torch.tensor(dys))
    return [ys.detach().numpy(), start.grad.numpy(), *(p.grad.numpy() for p in net.p)]


def by_hand(back, field: ode.Field, y0, times, dys, **settings) -> list[np.ndarray]:
    ys, cache = ode.odeint_forward(field, y0, times, **settings)
    dy0, gradients = back(dys, cache)
    return [ys, dy0, *gradients]


def farthest(some, others) -> tuple[float, float]:
    """Largest difference of the outputs; of the gradients."""
    found = [float(np.abs(a - b).max()) for a, b in zip(some, others, strict=True)]
    return found[0], max(found[1:])


def agreements(seeds: int) -> list[str]:
    import torchdiffeq

    exact = {"method": "dopri5", "rtol": 1e-10, "atol": 1e-11}
    pairs = {
        "adjoint by hand and odeint_adjoint, the same rule (rk4)": (
            (ode.adjoint_backward, {"rule": "three eighths"}), (torchdiffeq.odeint_adjoint, {"method": "rk4"})),
        "through the steps by hand and odeint, the same rule (rk4)": (
            (ode.steps_backward, {"rule": "three eighths"}), (torchdiffeq.odeint, {"method": "rk4"})),
        "adjoint by hand, classical rule, 4 steps a time, and odeint_adjoint, dopri5, 1e-10": (
            (ode.adjoint_backward, {"steps": 4}), (torchdiffeq.odeint_adjoint, exact)),
    }  # fmt: skip
    lines = ["| largest difference in float64 | outputs | gradients |", "|---|---|---|"]
    for name, ((back, ours), (solve, theirs)) in pairs.items():
        found = []
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            field = ode.Field(2, 16, rng, cubed=True, scale=1.0)
            y0, times, dys = rng.normal(size=(5, 2)), np.linspace(0, 1, 11), rng.normal(size=(11, 5, 2))
            found.append(
                farthest(
                    by_hand(back, field, y0, times, dys, **ours),
                    by_torchdiffeq(solve, field, y0, times, dys, **theirs),
                )
            )
        lines.append(f"| {name} | " + " | ".join(f"{v:.0e}" for v in np.max(found, axis=0)) + " |")
    return lines


def peak(back, steps: int) -> float:
    """MB that a backward pass holds at most."""
    rng = np.random.default_rng(0)
    field = ode.Field(2, 64, rng)
    ys, cache = ode.odeint_forward(field, rng.normal(size=(100, 2)), np.array([0.0, 1.0]), steps)
    tracemalloc.start()
    back(np.ones_like(ys), cache)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found / 1e6


def memory(steps=(10, 100, 1000)) -> list[str]:
    lines = [
        "| peak memory of a backward pass, MB | " + " | ".join(f"{n:,} steps" for n in steps) + " |",
        "|---" * (len(steps) + 1) + "|",
    ]
    for name, back in (("adjoint", ode.adjoint_backward), ("through the steps", ode.steps_backward)):
        lines.append(f"| {name} | " + " | ".join(f"{peak(back, n):.2f}" for n in steps) + " |")
    return lines


def fit_spiral(seed: int, back=ode.adjoint_backward, updates: int = 1500, length: int = 8, batch: int = 32):
    """A field learnt from short pieces of one noisy track; its parameters, and the error on the true track."""
    rng = np.random.default_rng(seed)
    times, tracks = ode.spiral(rng, points=200, noise=0.02)
    _, true = ode.spiral(np.random.default_rng(0), points=200)
    field = ode.Field(2, 32, rng, cubed=True)
    optimiser = optim.Adam(field.parameters, 0.01)
    for i in range(updates):
        optimiser.lr = float(optim.cosine(i, 0.01, updates))
        first = rng.integers(0, len(times) - length, batch)
        wanted = tracks[first + np.arange(length)[:, None], 0]  # (length, batch, 2)
        ys, cache = ode.odeint_forward(field, wanted[0], times[:length])
        _, gradients = back(2 * (ys - wanted) / wanted.size, cache)
        optimiser.step(gradients)
    ys, _ = ode.odeint_forward(field, true[0], times)
    return field, float(np.sqrt(np.mean((ys - true) ** 2)))


def spirals(seeds: int, updates: int = 1500) -> list[str]:
    lines = ["| gradient | error along the whole true track | CPU seconds |", "|---|---|---|"]
    for name, back in (("adjoint", ode.adjoint_backward), ("through the steps", ode.steps_backward)):
        found = []
        for seed in tqdm(range(seeds), name, leave=False):
            start = time.process_time()
            _, error = fit_spiral(seed, back, updates)
            found.append((error, time.process_time() - start))
        error, seconds = np.array(found).T
        lines.append(f"| {name} | {common.spread(error, 3)} | {common.spread(seconds)} |")
    return lines


def odes(options: argparse.Namespace) -> list[str]:
    return [
        f"**Neural ODEs.** By hand against torchdiffeq, {options.seeds} random fields with 16 hidden units, "
        "5 starts, 11 times, a random gradient at each of them: the largest difference of all. Wanted: at "
        "most 1e-6.", "",
        *agreements(options.seeds), "",
        "What two ways back hold in memory, for 100 states of 2 numbers and 64 hidden units:", "",
        *memory(), "",
        "A field of 32 hidden units learnt from one noisy track of the spiral dy/dt = y³ A (200 points, "
        "noise 0.02, 1,500 updates on pieces of 8 points). Error: root mean square distance when the whole "
        "track is solved from its first point; the track starts at a distance of 2 from the middle. Mean "
        f"(lowest to highest) of {options.seeds} seeds.", "",
        *spirals(options.seeds),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- 4. Bayes


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """442 patients, ten numbers each, and how far the disease got in a year: both with mean 0 and deviation 1."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()


def ridge_difference() -> dict[str, float]:
    """Our posterior and evidence against BayesianRidge's, and the largest relative difference of each."""
    x, y = diabetes()
    theirs = BayesianRidge(
        fit_intercept=False, tol=1e-12, max_iter=5000, alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0
    ).fit(x, y)  # their alpha is our beta
    fixed = bayes.linear_posterior(x, y, theirs.lambda_, theirs.alpha_)
    found = bayes.fit_precisions(x, y, tol=1e-12, limit=5000)
    _, std = theirs.predict(x, return_std=True)

    def off(a, b) -> float:
        return float(np.abs(a - b).max() / np.abs(b).max())

    return {
        "mean of the weights, same precisions": off(fixed.mean, theirs.coef_),
        "covariance of the weights, same precisions": off(fixed.covariance, theirs.sigma_),
        "standard deviation of predictions, same precisions": off(bayes.predict(fixed, x)[1], std),
        "precision of the noise, fitted": off(found.beta, theirs.alpha_),
        "precision of the prior, fitted": off(found.alpha, theirs.lambda_),
    }


def features(x: np.ndarray, y: np.ndarray, seed: int, hidden: int = 50, updates: int = 1000):
    """The hidden layer of a network trained on (x, y), with a column of ones, as a function."""
    rng = np.random.default_rng(seed)
    net = policy.tanh_net(x.shape[1], hidden, 1, rng)
    optimiser = optim.Adam(net, 0.01)
    for _ in range(updates):
        out, cache = policy.tanh_net_forward(x, net)
        _, gradients = policy.tanh_net_backward(2 * (out - y[:, None]) / len(y), cache)
        optimiser.step([g + 1e-4 * p for g, p in zip(gradients, net, strict=True)])
    return lambda new: np.column_stack([np.tanh(new @ net[0] + net[1]), np.ones(len(new))])


def gap_in_the_middle(seed: int) -> tuple[float, float, float]:
    """A sine with noise 0.1, seen left and right of a gap: coverage where there is data, deviations there and in it."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.uniform(-4, -1, 60), rng.uniform(1, 4, 60)])
    y = np.sin(x) + 0.1 * rng.normal(size=len(x))
    new = np.concatenate([rng.uniform(-4, -1, 500), rng.uniform(1, 4, 500)])
    answer = np.sin(new) + 0.1 * rng.normal(size=len(new))
    layer = features(x[:, None], y, seed)
    posterior = bayes.fit_precisions(layer(x[:, None]), y)
    mean, std = bayes.predict(posterior, layer(new[:, None]))
    _, middle = bayes.predict(posterior, layer(np.linspace(-0.5, 0.5, 50)[:, None]))
    return (np.abs(answer - mean) < 1.96 * std).mean(), std.mean(), middle.mean()


def bayesian(options: argparse.Namespace) -> list[str]:
    lines = ["| against scikit-learn's BayesianRidge | largest relative difference |", "|---|---|"]
    lines += [f"| {name} | {value:.0e} |" for name, value in ridge_difference().items()]
    seen, near, inside = np.array([gap_in_the_middle(seed) for seed in range(options.seeds)]).T
    return [
        "**Bayesian linear regression and last layer.** 442 patients of scikit-learn's diabetes set, ten numbers each. "
        "Wanted: at most 1e-6.", "", *lines, "",
        "A Bayesian last layer on 50 hidden units of a network trained on 120 points of a sine with noise 0.1, none "
        f"between −1 and 1; mean (lowest to highest) of {options.seeds} seeds.", "",
        "| of the predictions' bands | value |", "|---|---|",
        f"| answers within ± 1.96 standard deviations, where there is data, % | {common.spread(100 * seen)} |",
        f"| standard deviation where there is data (the noise alone: 0.1) | {common.spread(near, 3)} |",
        f"| standard deviation in the gap | {common.spread(inside, 3)} |",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------ 5. conformal


def class_probabilities(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and classes of examples that a logistic regression has not seen."""
    found = data.load(name)
    x, y = (np.concatenate(part) for part in ((found.x_train, found.x_test), (found.y_train, found.y_test)))
    order, train = np.random.default_rng(0).permutation(len(y)), 2000 if name == "mnist" else 300
    x, y = x[order].reshape(len(y), -1), y[order]
    if name == "mnist":
        x, y = x[: train + 10_000], y[: train + 10_000]
    model = LogisticRegression(C=0.1, max_iter=200).fit(x[:train], y[:train])
    return model.predict_proba(x[train:]), y[train:]


def patients() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions of ridge regression, answers, and how hard each is held to be, for 300 patients it has not seen."""
    x, y = diabetes()
    order = np.random.default_rng(0).permutation(len(x))
    train, rest = order[:142], order[142:]
    model = Ridge(1.0).fit(x[train], y[train])
    hardness = Ridge(1.0).fit(x[train], np.abs(y[train] - model.predict(x[train])))
    return model.predict(x[rest]), y[rest], np.maximum(hardness.predict(x[rest]), 0.1)


def conformal_rows(splits: int = 100, alpha: float = 0.1, sets=("digits", "mnist")) -> list[str]:
    lines = [
        "| data, predicted | calibration, test | coverage over the splits, % | one split lies between, % | "
        "by theory, % | mean size |",
        "|---|---|---|---|---|---|",
    ]

    def row(name, calibration, test, found) -> None:
        covered, size = np.array(found).T
        low, high = np.percentile(100 * covered, [2.5, 97.5])
        below, above = bayes.coverage_spread(calibration, alpha)
        lines.append(
            f"| {name} | {calibration:,}, {test:,} | {common.interval(100 * covered, 2)} | {low:.1f} to {high:.1f} | "
            f"{100 * below:.1f} to {100 * above:.1f} | {size.mean():.2f} |"
        )

    for name in sets:
        if name == "mnist" and not data.cached("mnist"):
            continue
        p, y = class_probabilities(name)
        calibration = 1000 if name == "mnist" else 500
        found = [bayes.split_sets(p, y, calibration, alpha, np.random.default_rng(s)) for s in range(splits)]
        row(f"{name}, sets of classes", calibration, len(y) - calibration, found)
    predictions, y, hardness = patients()
    for name, scale in (("intervals of one length", None), ("intervals by hardness", hardness)):
        found = [
            bayes.split_intervals(predictions, y, 150, alpha, np.random.default_rng(s), scale) for s in range(splits)
        ]
        row(f"diabetes, {name}", 150, len(y) - 150, found)
    return lines


def conformal(options: argparse.Namespace) -> list[str]:
    return [
        "**Conformal prediction.** Wanted: 90 ± 1% over 100 splits of held-out examples into calibration "
        "and test. Mean ± half of a 95% interval over the splits, which share their examples, so that it "
        "is a rough one. Classes by logistic regression (300 digits to train on, 2,000 for MNIST), numbers "
        "by ridge regression, in standard deviations of the answer. By theory: 95% of splits, tested on "
        "endlessly many examples; a real test set adds to that. Size: classes in a set, or length of an "
        "interval.", "",
        *conformal_rows(),
    ]  # fmt: skip


PARTS = {
    "pond": ("The pond", ponds),
    "levitation": ("Levitation", levitated),
    "ode": ("Neural ODEs", odes),
    "bayes": ("Bayesian linear regression and last layer", bayesian),
    "conformal": ("Conformal prediction", conformal),
}

if __name__ == "__main__":
    common.main("beyond_control", __doc__, PARTS)

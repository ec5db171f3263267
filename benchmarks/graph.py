"""Graph networks, measured: nodes and links of Cora, molecules of MUTAG, depth, and how fast aggregation is.

    python benchmarks/graph.py                                # prints the tables
    python benchmarks/graph.py --write book/results/graph.md  # writes them too
    python benchmarks/graph.py --only speed

1. Cora, the public split: GCN and GAT as published, and a network that sees no edges.
2. Many layers of GCN on Cora, with and without skips: accuracy, and how much neighbours still differ.
3. MUTAG by ten-fold cross-validation: GIN, with three ways to aggregate.
4. Links of Cora that were hidden: area under the ROC curve.
5. Sums over edges, forward and backward, against torch.index_add.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402
from sklearn.model_selection import StratifiedKFold  # noqa: E402
from tqdm import tqdm  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import common  # noqa: E402
from dlcourse import data, gnn, graph, train  # noqa: E402

FULL = bool(os.environ.get("DLCOURSE_FULL"))  # means and maxima on MUTAG, and the table of depths


def spread(values, digits: int = 1) -> str:
    """Mean ± standard deviation, as the papers give it."""
    values = np.asarray(values, dtype=float)
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


@functools.cache
def cora() -> data.Citations:
    """Cora with each paper's words divided by their number, as both papers do."""
    c = data.graph("cora")
    return dataclasses.replace(c, x=c.x / np.maximum(c.x.sum(axis=1, keepdims=True), 1))


# --------------------------------------------------------------------------------------------------- 1. nodes of Cora


class NoEdges(torch.nn.Module):
    """A linear layer that ignores the edges."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.lin = torch.nn.Linear(inputs, outputs)

    def forward(self, x, edges):
        return self.lin(x)


def two_layers(kind: type) -> Callable:
    """16 hidden units, dropout 0.5, the penalty on the first layer only, 200 epochs: Kipf and Welling's setting."""

    def run(seed: int, epochs: int = 200) -> float:
        torch.manual_seed(seed)
        net = gnn.NodeNet([kind(1433, 16), kind(16, 7)])
        model, _ = gnn.fit_nodes(net, cora(), epochs=epochs, decayed=list(net.layers[0].parameters()), seed=seed)
        return 100 * gnn.accuracy(model, cora().test, cora().y)

    return run


def gat(seed: int, epochs: int = 1000) -> float:
    """8 heads of 8, dropout 0.6 of inputs and weights, patience 100: Veličković and others' setting for Cora."""
    torch.manual_seed(seed)
    net = gnn.NodeNet(
        [gnn.GAT(1433, 8, 8, dropout=0.6), gnn.GAT(64, 7, concat=False, dropout=0.6)], dropout=0.6, activation=F.elu
    )
    model, _ = gnn.fit_nodes(net, cora(), epochs=epochs, lr=0.005, patience=100, seed=seed)
    return 100 * gnn.accuracy(model, cora().test, cora().y)


NODES = {
    "no edges (MLP)": (two_layers(NoEdges), "55.1 (in Veličković et al. 2018)"),
    "GCN, 16 hidden units": (two_layers(gnn.GCN), "81.5"),
    "GAT, 8 heads of 8": (gat, "83.0 ± 0.7"),
}


def nodes(seeds: int, **options) -> list[str]:
    lines = ["| network | published, % | test accuracy here, % | lowest and highest |", "|---|---|---|---|"]
    for name, (run, published) in NODES.items():
        found = [run(seed, **options) for seed in tqdm(range(seeds), name, leave=False)]
        lines.append(f"| {name} | {published} | {spread(found)} | {min(found):.1f}, {max(found):.1f} |")
    return lines


# --------------------------------------------------------------------------------------------------------- 2. depth


def deep(depth: int, skip: bool, seed: int, epochs: int = 150, width: int = 16) -> tuple[float, float]:
    """Test accuracy, and the roughness of the last hidden layer."""
    torch.manual_seed(seed)
    layers = [gnn.GCN(1433, width), *(gnn.GCN(width, width) for _ in range(depth - 2)), gnn.GCN(width, 7)]
    net = gnn.NodeNet(layers, skip=skip)
    seen = {}
    layers[-1].register_forward_pre_hook(lambda _, inputs: seen.update(x=inputs[0]))
    model, _ = gnn.fit_nodes(net, cora(), epochs=epochs, patience=50, seed=seed)
    score = 100 * gnn.accuracy(model, cora().test, cora().y)
    return score, graph.roughness(seen["x"].detach().double().numpy() + 1e-12, cora().edges)


def depths(seeds: int, listed=(2, 4, 8, 16, 32), **options) -> list[str]:
    lines = [
        "| layers | plain: test accuracy, % | roughness, last hidden layer | with skips: accuracy, % | roughness |",
        "|---|---|---|---|---|",
    ]
    for depth in tqdm(listed, "depths", leave=False):
        cells = []
        for skip in (False, True):
            found = np.array([deep(depth, skip, seed, **options) for seed in range(seeds)])
            cells += [spread(found[:, 0]), spread(found[:, 1], 3)]
        lines.append(f"| {depth} | " + " | ".join(cells) + " |")
    return lines


# --------------------------------------------------------------------------------------------------------- 3. MUTAG


def folds(how: str, seed: int, epochs: int = 100, width: int = 32, depth: int = 4, splits: int = 10) -> np.ndarray:
    """Held-out accuracies in per cent, (folds, epochs): GIN on molecules, nothing chosen by them."""
    molecules = data.graphs("mutag")
    curves = []
    for fold, (rows, held) in enumerate(StratifiedKFold(splits, shuffle=True, random_state=seed).split(
        molecules.y, molecules.y
    )):  # fmt: skip
        torch.manual_seed(1000 * seed + fold)
        model = gnn.OnGraphs(gnn.GINClassifier(7, 2, width=width, depth=depth, how=how), molecules.graphs)
        steps = -(-len(rows) // 32)
        run = train.fit(
            model, (rows, molecules.y[rows]), torch.optim.Adam(model.parameters()), loss=F.cross_entropy,
            epochs=epochs, held_out=(held, molecules.y[held]), metrics={"accuracy": train.accuracy},
            schedule=lambda step, steps=steps: 0.01 * 0.5 ** (step // (50 * steps)), seed=fold, progress=False,
        )  # fmt: skip
        curves.append(run.history["held_out_accuracy"])
    return 100 * np.array(curves)


def mutag(repeats: int, hows=("sum", "mean", "max") if FULL else ("sum",), **options) -> list[str]:
    lines = [
        "| GIN aggregates nodes for the score by | repeats of ten folds | last epoch, % (spread over all folds) "
        "| means of the repeats, % | best epoch for all folds, as in the paper, % |",
        "|---|---|---|---|---|",
    ]
    for how in hows:
        n = repeats if how == "sum" else 1
        found = [folds(how, seed, **options) for seed in tqdm(range(n), f"folds, {how}", leave=False)]
        last = np.concatenate([curves[:, -1] for curves in found])
        means = ", ".join(f"{curves[:, -1].mean():.1f}" for curves in found)
        best = np.mean([curves.mean(axis=0).max() for curves in found])
        lines.append(f"| {how} | {n} | {spread(last)} | {means} | {best:.1f} |")
    return lines


# --------------------------------------------------------------------------------------------------------- 4. links


def auc(seed: int, epochs: int = 150, edges_seen: bool = True) -> float:
    """Area under the ROC curve, per cent: a tenth of the links hidden, as many pairs without a link beside them."""
    c = cora()
    left, hidden, absent = gnn.split_links(c.edges, len(c.x), np.random.default_rng(seed))
    torch.manual_seed(seed)
    kind = gnn.GCN if edges_seen else NoEdges
    net = gnn.NodeNet([kind(1433, 64), kind(64, 32)], dropout=0.0)
    z = gnn.fit_links(net, gnn.OnGraph(net, c.x, left).x, left, epochs=epochs, seed=seed)
    scores = torch.cat([gnn.link_scores(z, torch.as_tensor(pairs)) for pairs in (hidden, absent)])
    return 100 * roc_auc_score(np.repeat([1, 0], [hidden.shape[1], absent.shape[1]]), scores)


def links(seeds: int, **options) -> list[str]:
    lines = ["| encoder | published AUC, % | AUC here, % |", "|---|---|---|"]
    for name, seen, published in (("no edges (MLP)", False, "–"), ("two layers of GCN", True, "91.0 ± 0.02")):
        found = [auc(seed, edges_seen=seen, **options) for seed in tqdm(range(seeds), name, leave=False)]
        lines.append(f"| {name} | {published} | {spread(found)} |")
    return lines


# --------------------------------------------------------------------------------------------------------- 5. speed


def ours(x, edges, dout):
    out, cache = graph.propagate_forward(x, edges)
    return out, graph.propagate_backward(dout, cache)[0]


def torchs(x, edges, dout):
    features, (source, target) = torch.from_numpy(x).requires_grad_(), torch.from_numpy(edges)
    out = torch.zeros(len(x), x.shape[1]).index_add(0, target, features[source])
    out.backward(torch.from_numpy(dout))
    return out.detach().numpy(), features.grad.numpy()


def add_at(x, edges, dout):
    out, dx = np.zeros_like(x), np.zeros_like(x)
    np.add.at(out, edges[1], x[edges[0]])
    np.add.at(dx, edges[0], dout[edges[1]])
    return out, dx


def inputs(E: int, D: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ten edges a node, at random."""
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, E // 10, D), dtype=np.float32)
    return x, rng.integers(0, E // 10, (2, E)), dout


def timed(E: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU time of each round; the three take turns."""
    arrays, times = inputs(E), {"ours": [], "torch": [], "np.add.at": []}
    for _ in range(rounds):
        for name, function in zip(times, (ours, torchs, add_at), strict=True):
            start = time.process_time()
            function(*arrays)
            times[name].append(time.process_time() - start)
    return times


def speed(sizes=((100_000, 11), (1_000_000, 5))) -> list[str]:
    lines = [
        "| edges, 64 features | torch.index_add | sparse product | ratio to torch (middle half) | np.add.at, ratio |",
        "|---|---|---|---|---|",
    ]
    for E, rounds in sizes:
        t = timed(E, rounds)
        ratios, slow = ([a / b for a, b in zip(t[name], t["torch"], strict=True)] for name in ("ours", "np.add.at"))
        low, high = np.percentile(ratios, [25, 75])
        lines.append(
            f"| {E:,} | {1e3 * statistics.median(t['torch']):.1f} ms | {1e3 * statistics.median(t['ours']):.1f} ms "
            f"| **{statistics.median(ratios):.2f}** ({low:.2f} to {high:.2f}) | {statistics.median(slow):.1f} |"
        )
    return lines


# ------------------------------------------------------------------------------------------------------------- page


TITLES = {
    "nodes": "Nodes of Cora",
    "mutag": "Molecules",
    "links": "Links of Cora",
    "speed": "Sums over edges",
    "depth": "Depth",
}


def part(name: str, options: argparse.Namespace) -> list[str]:
    """One table, with the sentence that says what it is."""
    seeds = options.seeds
    parts = {
        "nodes": lambda: [
            f"**Nodes of Cora**, the public split: 140 labelled papers, 1,000 to test; {seeds} seeds of the start and "
            "the dropout, mean ± standard deviation. Settings as published; GCN runs all 200 epochs, GAT stops after "
            "100 without a better validation loss and goes back.", "", *nodes(seeds),
        ],
        "mutag": lambda: [
            "**Molecules.** MUTAG, 188 graphs, ten-fold cross-validation: GIN with 4 layers of 32 units, 100 epochs, "
            "rate 0.01 halved after 50, nothing tuned. The paper gives 89.4 ± 5.6 for the epoch that is best on the "
            "held-out folds themselves; the last column does the same here, and the last epoch chooses nothing.", "",
            *mutag(options.repeats),
        ],
        "links": lambda: [
            "**Links of Cora.** A tenth of the links is hidden, and as many pairs without a link are drawn; "
            f"{seeds // 2} seeds of the split, the start and the pairs in training; mean ± standard deviation. 150 "
            "epochs, no validation. Published: Kipf and Welling (2016), GAE.", "", *links(seeds // 2),
        ],
        "speed": lambda: [
            "**Sums over edges**, forward and backward, float32, one thread, CPU time, building the sparse matrix "
            "included. Wanted: at most half of torch's time.", "", *speed(),
        ],
        "depth": lambda: [
            "**Depth.** GCN on Cora, 16 units a layer, dropout 0.5, at most 150 epochs with patience 50; 3 seeds, mean "
            "± standard deviation. Roughness (`graph.roughness`): 0 where all features follow one pattern.", "",
            *(depths(3) if FULL else ["Behind `DLCOURSE_FULL`: not measured. One seed is in the lecture."]),
        ],
    }  # fmt: skip
    return parts[name]()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3, help="of the ten folds of MUTAG")
    common.main("graph", __doc__, common.choose(TITLES, part), seeds=10, arguments=parser)


if __name__ == "__main__":
    main()

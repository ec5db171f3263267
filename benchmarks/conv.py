"""How long dlcourse's convolution takes, forward and backward, against PyTorch's and against six plain loops.

    python benchmarks/conv.py                              # prints a table
    python benchmarks/conv.py --write book/results/conv.md # writes it too
    python benchmarks/conv.py --blas default Haswell       # once more with other matrix kernels of OpenBLAS

Float32, one thread, CPU time. The runs of the peers are interleaved; times are medians, and a ratio is the median of
the rounds' ratios. The loops are run on one small image and scaled by the number of multiply-adds.
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

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when NumPy is imported, so before that
# OpenBLAS chooses its kernels for this processor, whatever the environment says of another, unless --blas names some.
for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(variable, None)
if "DLCOURSE_BLAS" in os.environ:
    os.environ["OPENBLAS_CORETYPE"] = os.environ["DLCOURSE_BLAS"]

import numpy as np  # noqa: E402
import threadpoolctl  # noqa: E402
import torch  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dlcourse import conv  # noqa: E402

CASES = [
    {"x": (32, 16, 32, 32), "w": (32, 16, 3, 3), "padding": 1},
    {"x": (8, 3, 28, 28), "w": (8, 3, 5, 5), "padding": 0},
]
GOAL = 1.6


def ours(x, w, b, dout, padding):
    out, cache = conv.conv2d_forward(x, w, b, padding=padding)
    return out, *conv.conv2d_backward(dout, cache)


def loops(x, w, b, dout, padding):
    return conv.conv2d_loops(x, w, b, padding=padding), *conv.conv2d_loops_backward(dout, x, w, padding=padding)


def torchs(x, w, b, dout, padding):
    x, w, b = (torch.from_numpy(a).requires_grad_() for a in (x, w, b))
    out = torch.nn.functional.conv2d(x, w, b, padding=padding)
    out.backward(torch.from_numpy(dout))
    return out.detach(), x.grad, w.grad, b.grad


def products(x, w, b, dout, padding):
    """The three matrix products of one image, as often as there are images: what no NumPy version can go below."""
    rows, pixels = w.reshape(len(w), -1), dout.reshape(len(dout), len(w), -1)
    cols = np.ones((rows.shape[1], pixels.shape[2]), x.dtype)
    for d in pixels:
        rows @ cols, cols @ d.T, rows.T @ d


def arrays(case: dict, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    x, w, padding = case["x"], case["w"], case["padding"]
    out = [conv.output_size(size, kernel, padding=padding) for size, kernel in zip(x[2:], w[2:], strict=True)]
    shapes = (x, w, (w[0],), (x[0], w[0], *out))
    return *(rng.normal(size=shape).astype(np.float32) for shape in shapes), padding


def cpu_seconds(function, *arguments) -> float:
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def loop_seconds(case: dict) -> float:
    """CPU seconds that the loops would take, from a run on one image with two filters."""
    few = {**case, "x": (1, *case["x"][1:]), "w": (2, *case["w"][1:])}
    return cpu_seconds(loops, *arrays(few)) * case["x"][0] * case["w"][0] / 2


def measure(rounds: int, with_loops: bool) -> list[dict]:
    """One dictionary a case: milliseconds of each peer and ratios to torch."""
    torch.set_num_threads(1)
    results = []
    for case in CASES:
        inputs = arrays(case)
        for got, want in zip(ours(*inputs), torchs(*inputs), strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=1e-3, atol=1e-3 * float(want.abs().max()))
        products(*inputs)
        peers = {"torch": torchs, "ours": ours, "products": products}
        times = {name: [] for name in peers}
        for _ in range(rounds):
            for name, function in peers.items():
                repeats = 1 if case is CASES[0] else 10
                times[name].append(sum(cpu_seconds(function, *inputs) for _ in range(repeats)) / repeats)
        ratio = [a / b for a, b in zip(times["ours"], times["torch"], strict=True)]
        floor = [a / b for a, b in zip(times["products"], times["torch"], strict=True)]
        result = {
            "case": f"x {case['x']}, w {case['w']}, padding {case['padding']}",
            "milliseconds": {name: 1e3 * statistics.median(t) for name, t in times.items()},
            "ratio": statistics.median(ratio),
            "middle_half": [float(q) for q in np.percentile(ratio, [25, 75])],
            "products_ratio": statistics.median(floor),
        }
        if with_loops:
            result["loops"] = loop_seconds(case) * 1e3
        results.append(result)
    return results


def blas() -> str:
    """Which matrix kernels NumPy's BLAS chose for this processor."""
    info = threadpoolctl.threadpool_info()
    names = [
        f"{i['internal_api']} {i['version']}, kernels for {i['architecture']}" for i in info if "architecture" in i
    ]
    return names[0] if names else "an unknown BLAS"


def table(results: list[dict], rounds: int) -> str:
    lines = [
        "| forward and all gradients, float32 | torch | dlcourse.conv | its ratio to torch (middle half of the rounds) "
        "| the matrix products alone | six loops |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        ms, (low, high) = r["milliseconds"], r["middle_half"]
        times = f"{ms['torch']:.2f} ms | {ms['ours']:.2f} ms"
        ours = f"**{r['ratio']:.2f}** ({low:.2f} to {high:.2f})"
        slow = "–"
        if "loops" in r:
            slow = f"{r['loops'] / ms['torch']:,.0f} × torch, {r['loops'] / ms['ours']:,.0f} × ours"
        lines.append(f"| {r['case']} | {times} | {ours} | {r['products_ratio']:.2f} × torch | {slow} |")
    numpys = f"NumPy {np.__version__} with {blas()}"
    versions = f"{numpys}; torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    alone = "The matrix products alone are the three of each image, without any copying: the floor of this method."
    lines += ["", f"{versions}; one thread, CPU time, {rounds} interleaved rounds. {alone}", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--no-loops", action="store_true", help="leave the six loops out; they take some ten seconds")
    parser.add_argument("--blas", nargs="+", metavar="NAME", help="OpenBLAS core types, one table each; or 'default'")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON instead of a table")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the tables to this markdown file")
    arguments = parser.parse_args()
    if arguments.json:
        print(json.dumps(measure(arguments.rounds, not arguments.no_loops)))
        return
    if arguments.blas:  # OpenBLAS reads its core type when it is loaded, so each needs a process of its own
        command = [sys.executable, __file__, "--rounds", str(arguments.rounds)]
        command += ["--no-loops"] * arguments.no_loops
        parts = []
        for name in arguments.blas:
            environment = {**os.environ, **({} if name == "default" else {"DLCOURSE_BLAS": name})}
            title = "" if name == "default" else f"With OpenBLAS's kernels for {name}:\n\n"
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            parts.append(title + done.stdout)
        text = "\n".join(parts)
    else:
        text = table(measure(arguments.rounds, not arguments.no_loops), arguments.rounds)
    print(text, end="")
    if arguments.write:
        chosen = f" --blas {' '.join(arguments.blas)}" if arguments.blas else ""
        command = f"python benchmarks/conv.py{chosen} --write {arguments.write.as_posix()}"
        note = f"\nMade by `{command}`. Goal: {GOAL} × torch.\n"
        arguments.write.parent.mkdir(parents=True, exist_ok=True)
        arguments.write.write_text(text + note, encoding="utf-8")


if __name__ == "__main__":
    main()

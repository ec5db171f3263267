"""What the scripts of this folder share: how a spread is written, and how a page of results is put together."""

from __future__ import annotations

import argparse
import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy import stats

Part = tuple[str, Callable[[argparse.Namespace], list[str]]]  # a title, and what measures and gives Markdown lines


def spread(values, digits: int = 1) -> str:
    """Mean, and the smallest and largest value."""
    values = np.asarray(values, dtype=float)
    return f"{values.mean():.{digits}f} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def half_width(values) -> float:
    """Half the length of the 95% interval of the mean, by Student's t with n - 1 degrees of freedom."""
    values = np.asarray(values, dtype=float)
    return stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))


def interval(values, digits: int = 1) -> str:
    """The mean and its 95% interval."""
    values = np.asarray(values, dtype=float)
    if len(values) == 1:
        return f"{values[0]:.{digits}f} (one seed)"
    return f"{values.mean():.{digits}f} ± {half_width(values):.{digits}f}"


def assemble(old: str, made: Mapping[str, list[str]], titles: Mapping[str, str], script: str) -> str:
    """The page ``old`` with the tables ``made`` now; each stands between two comments that name it."""
    kept = {
        name: body.strip("\n").split("\n")
        for name, body in re.findall(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", old, re.DOTALL)
    }
    lines = []
    for name, title in titles.items():
        if body := made.get(name) or kept.get(name):
            lines += [f"<!-- {name} -->", *body, "", "<!-- end -->", ""]
        else:
            lines += [f"**{title}**: not measured. `python benchmarks/{script}.py --only {name}` does it.", ""]
    versions = f"NumPy {np.__version__}, torch {torch.__version__}, one thread"
    return "\n".join([*lines, f"`python benchmarks/{script}.py --write book/results/{script}.md`, {versions}.", ""])


def choose(titles: Mapping[str, str], part: Callable[[str, argparse.Namespace], list[str]]) -> dict[str, Part]:
    """The parts of a script that has one function for all of them."""
    return {name: (title, functools.partial(part, name)) for name, title in titles.items()}


def main(
    script: str,
    description: str,
    parts: Mapping[str, Part],
    seeds: int = 5,
    arguments: argparse.ArgumentParser | None = None,
) -> None:
    """Run the parts that the command line asks for, print each, and put each into the page as soon as it is made.

    A part gets the parsed options; ``arguments`` adds a script's own to ``--seeds``, ``--only`` and ``--write``.
    """
    parser = arguments or argparse.ArgumentParser()
    parser.description = description.splitlines()[0]
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--only", choices=list(parts), action="append", help="this table; may be given several times")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the tables to this Markdown file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    titles = {name: title for name, (title, _) in parts.items()}
    for name in options.only or parts:
        made = parts[name][1](options)
        print("\n".join(made), end="\n\n", flush=True)
        if options.write:
            options.write.parent.mkdir(parents=True, exist_ok=True)
            old = options.write.read_text(encoding="utf-8") if options.write.exists() else ""
            options.write.write_text(assemble(old, {name: made}, titles, script), encoding="utf-8")

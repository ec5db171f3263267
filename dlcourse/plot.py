"""Figures in one style, readable in light and dark, for people who see colours differently, and with words for
those who do not see them at all.

    fig, ax = plot.figure()
    ax.plot(epochs, loss, label="training")
    plot.show(fig, alt="Training loss falls from 2.3 to 0.1 in ten epochs.")

A figure becomes an SVG whose text and axes take the colour of the page around it (``currentColor``), so that the
same bytes serve a light page, a dark page and Colab. The palette is that of Okabe and Ito (2008),
https://jfly.uni-koeln.de/color/; curves also differ in dash, for print and for colour-blind readers.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.legend
import matplotlib.text
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F",
)  # fmt: skip
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, VERMILION, GREY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
SEQUENTIAL = "cividis"
DIVERGING = "PuOr"

# Stands for "the colour of the surrounding text" until the SVG is written.
_INK = "#010203"

_STYLE = {
    "figure.figsize": (6.4, 3.6),
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "lines.linewidth": 2.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "dlcourse",
}


def figure(nrows: int = 1, ncols: int = 1, *, size: tuple[float, float] | None = None, **kwargs):
    """A new figure in the course's style; returns ``(fig, ax)`` like ``matplotlib.pyplot.subplots``.

    ``size`` is (width, height) in inches. ``kwargs`` go to ``Figure.subplots`` (``sharex``, ``squeeze``, ...).
    The figure is not registered with pyplot, so nothing has to be closed.
    """
    from cycler import cycler
    from matplotlib.figure import Figure

    with mpl.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=PALETTE) + cycler(linestyle=DASHES)}):
        fig = Figure(figsize=size or _STYLE["figure.figsize"], layout="constrained")
        return fig, fig.subplots(nrows, ncols, **kwargs)


class Picture:
    """A figure as HTML: an inline SVG with a text alternative. In a terminal, its text alternative."""

    def __init__(self, svg: str, alt: str):
        self.svg, self.alt = svg, alt

    def __repr__(self) -> str:
        return f"[figure: {self.alt}]"

    def _repr_html_(self) -> str:
        return self.svg


def show(fig: Figure, alt: str) -> Picture:
    """Turn ``fig`` into a picture for the notebook or the page; the last expression of a cell displays it.

    ``alt`` says in a sentence or two what the figure shows, with its numbers, for readers who cannot see it.

    Raises
    ------
    ValueError
        ``alt`` is empty or too short to describe anything.
    """
    if len(alt.split()) < 4:
        raise ValueError(f"alt is {alt!r}; expected a sentence that tells what the figure shows")
    # What was drawn after `figure` returned, legends and ax.text, has Matplotlib's own defaults. Text that must be
    # black on any page, such as on a bright cell, says "#000000".
    for text in fig.findobj(mpl.text.Text):
        if text.get_color() == "black":
            text.set_color(_INK)
    for legend in fig.findobj(mpl.legend.Legend):
        legend.set_frame_on(False)
    buffer = io.StringIO()
    with mpl.rc_context(_STYLE):
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    width = float(re.search(r'width="([\d.]+)pt"', svg).group(1)) * 4 / 3
    label = html.escape(alt, quote=True)
    opening = re.compile(r'<svg([^>]*?) width="[\d.]+pt"([^>]*?)>', re.DOTALL)
    style = f"display:block;margin:0 auto;width:100%;max-width:{width:.0f}px;height:auto"
    svg = re.sub(r' height="[\d.]+pt"', "", svg, count=1)
    svg = opening.sub(rf'<svg\1\2 role="img" aria-label="{label}" style="{style}">', svg, count=1)
    return Picture(svg, alt)


def image(ax: Axes, pixels: np.ndarray, *, title: str = "", vmin=None, vmax=None, cmap=None) -> None:
    """Draw an image (H, W) or (H, W, 3) on ``ax`` without axes. Grey images use black for ``vmin``."""
    ax.imshow(pixels, vmin=vmin, vmax=vmax, cmap=cmap or "gray", interpolation="nearest")
    ax.set_title(title)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def grid_of_images(
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    ncols: int = 5,
    cmap=None,
    vmin=None,
    vmax=None,
):
    """A grid of images, each (H, W) or (H, W, 3); returns the figure."""
    nrows = -(-len(images) // ncols)
    fig, axes = figure(nrows, ncols, size=(1.4 * ncols, 1.6 * nrows), squeeze=False)
    for ax in axes.ravel():
        ax.set_axis_off()
    for i, pixels in enumerate(images):
        image(axes.flat[i], pixels, title=titles[i] if titles else "", cmap=cmap, vmin=vmin, vmax=vmax)
    return fig


def band(ax: Axes, x, runs: np.ndarray, *, label: str, color: str | None = None, lo: float = 10, hi: float = 90):
    """The median of ``runs`` (n_runs, len(x)) with the band between percentiles ``lo`` and ``hi``."""
    (line,) = ax.plot(x, np.median(runs, axis=0), label=label, color=color)
    low, high = np.percentile(runs, [lo, hi], axis=0)
    ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    return line


def widget(name: str, **parameters) -> Picture:
    """An interactive figure from ``dlcourse/widgets/<name>.html``: HTML and JavaScript, no server, no network.

    ``parameters`` reach the script as the JSON object that replaces ``__PARAMETERS__`` in the file.
    """
    import json

    folder = Path(__file__).parent / "widgets"
    path = folder / f"{name}.html"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.html")))
        raise ValueError(f"there is no widget {name!r}; known: {known}")
    data = json.dumps(parameters, sort_keys=True).replace("<", "\\u003c")
    return Picture(path.read_text(encoding="utf-8").replace("__PARAMETERS__", data), f"interactive figure {name}")

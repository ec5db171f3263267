"""The table of layers by hand: its peers compute the same, and the loops too."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import layers as benchmark


@pytest.mark.parametrize("layer", [layer for layer in benchmark.LAYERS if layer.loops], ids=lambda layer: layer.name)
def test_the_loops_compute_what_is_measured(layer):
    inputs = layer.small(np.random.default_rng(1))
    for got, want in zip(layer.loops(*inputs), layer.ours(*inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


def test_the_page_names_every_layer_and_its_command():
    """``measure`` itself compares our results with torch's before it takes the time."""
    results = {layer.name: benchmark.measure(layer, rounds=1) for layer in benchmark.LAYERS}
    text = benchmark.table(results, rounds=1)
    assert all(f"| {layer.name} |" in text for layer in benchmark.LAYERS)
    assert "python benchmarks/layers.py --write book/results/layers.md" in text

"""Graph networks in torch: PyTorch Geometric's weights load and give its numbers; the networks learn."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from dlcourse import data, gnn, graph, train

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pyg = pytest.importorskip("torch_geometric.nn", reason="needs the extra `dev`")


def mlp(D=3):
    return nn.Sequential(nn.Linear(D, 5), nn.ReLU(), nn.Linear(5, 4))


PAIRS = {
    "GCN": (lambda: gnn.GCN(3, 4), lambda: pyg.GCNConv(3, 4)),
    "GraphConv": (lambda: gnn.GraphConv(3, 4), lambda: pyg.GraphConv(3, 4)),
    "EdgeConv": (lambda: gnn.EdgeConv(mlp(6)), lambda: pyg.EdgeConv(mlp(6))),
    "GIN": (lambda: gnn.GIN(mlp()), lambda: pyg.GINConv(mlp())),
    "GIN, eps learned": (lambda: gnn.GIN(mlp(), learn_eps=True), lambda: pyg.GINConv(mlp(), eps=0.3, train_eps=True)),
    "GAT": (lambda: gnn.GAT(3, 4, 2), lambda: pyg.GATConv(3, 4, 2)),
    "GAT, mean of heads": (
        lambda: gnn.GAT(3, 4, 2, concat=False, slope=0.1),
        lambda: pyg.GATConv(3, 4, 2, concat=False, negative_slope=0.1),
    ),
}


def drawn(seed, nodes=8, edges=16):
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.normal(size=(nodes, 3)), dtype=torch.float32)
    return x, torch.tensor(np.unique(rng.integers(0, nodes - 1, (2, edges)), axis=1))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("seed", range(3))
def test_pytorch_geometrics_weights_load_and_agree(name, seed):
    ours, theirs = (make() for make in PAIRS[name])
    torch.manual_seed(seed)
    for p in theirs.parameters():
        nn.init.normal_(p)
    assert ours.load_state_dict(theirs.state_dict()).missing_keys == []
    x, edges = drawn(seed)
    outs = [layer(x.requires_grad_(), edges) for layer in (ours, theirs)]
    assert (outs[0] - outs[1]).abs().max() < 1e-6 * max(1, outs[1].abs().max())
    gradients = [torch.autograd.grad((out**2).mean(), [x, *layer.parameters()]) for out, layer in
                 zip(outs, (ours, theirs), strict=True)]  # fmt: skip
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))


def test_the_layers_are_those_by_hand():
    x, edges = drawn(0)
    x, arrays = x.double(), (x.double().numpy(), edges.numpy())
    gcn, gat, conv = gnn.GCN(3, 4).double(), gnn.GAT(3, 4, 2).double(), gnn.GraphConv(3, 4).double()
    w, b = gcn.lin.weight.detach().numpy().T, gcn.bias.detach().numpy()
    np.testing.assert_allclose(gcn(x, edges).detach(), graph.gcn_forward(*arrays, w, b)[0], atol=1e-12)
    w, b = gat.lin.weight.detach().numpy().T, gat.bias.detach().numpy()
    a = gat.att_src[0].detach().numpy(), gat.att_dst[0].detach().numpy()
    np.testing.assert_allclose(gat(x, edges).detach(), graph.gat_forward(*arrays, w, *a, b)[0], atol=1e-12)
    w_self, w = (layer.weight.detach().numpy().T for layer in (conv.lin_root, conv.lin_rel))
    wanted = graph.graph_conv_forward(*arrays, w_self, w, conv.lin_rel.bias.detach().numpy())[0]
    np.testing.assert_allclose(conv(x, edges).detach(), wanted, atol=1e-12)


@pytest.mark.parametrize("how", graph.AGGREGATIONS)
@pytest.mark.parametrize("shape", [(9, 4), (9,), (9, 2, 3), (0, 2)])
def test_aggregation_is_that_by_hand(how, shape):
    rng = np.random.default_rng(0)
    messages, index = rng.normal(size=shape), rng.integers(0, 4, shape[0])
    ours = gnn.aggregate(torch.tensor(messages), torch.tensor(index), 6, how)
    np.testing.assert_allclose(ours, graph.aggregate_forward(messages, index, 6, how)[0], atol=1e-14)


def test_message_passing_takes_modules_and_edge_features():
    x, edges = drawn(1)
    features = torch.randn(edges.shape[1], 2)
    layer = gnn.MessagePassing(lambda i, j, e: j * e[:, :1] + i, "mean", lambda x, mean: x - mean)
    wanted = graph.message_passing(
        x.numpy(), edges.numpy(), lambda i, j, e: j * e[:, :1] + i, "mean", lambda x, mean: x - mean, features.numpy()
    )
    np.testing.assert_allclose(layer(x, edges, features), wanted, atol=1e-6)
    learned = gnn.MessagePassing(PhiNet(), "max", lambda x, largest: largest)
    learned(x, edges).sum().backward()
    assert all(p.grad is not None for p in learned.parameters())
    with pytest.raises(ValueError, match="edge_features has 1 rows"):
        layer(x, edges, features[:1])
    with pytest.raises(ValueError, match="how is 'min'"):
        gnn.MessagePassing(None, "min", None)


class PhiNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, target, source, _):
        return self.linear(source - target)


@pytest.mark.parametrize(
    "edges, message",
    [
        (torch.tensor([[0, 9], [1, 2]]), "edges names node 9; there are 8 nodes"),
        (torch.tensor([[0, -2], [1, 2]]), "edges names node -2"),
        (torch.tensor([[0.0], [1.0]]), "edges has dtype torch.float32"),
        (torch.tensor([0, 1]), r"edges has shape \(2,\)"),
    ],
)
def test_bad_edges_are_told_what_is_wrong(edges, message):
    x, _ = drawn(0)
    for make, _ in PAIRS.values():
        with pytest.raises(ValueError, match=message):
            make()(x, edges)


def test_no_edges_and_no_labels_do_no_harm():
    x, _ = drawn(0)
    none = torch.zeros(2, 0, dtype=torch.long)
    for make, _ in PAIRS.values():
        layer = make()
        out = layer(x, none)
        assert out.shape[0] == 8 and torch.isfinite(out).all()
        assert layer(x[:0], none).shape[0] == 0


def test_sparse_features_give_the_same():
    c = data.graph("cora")
    torch.manual_seed(0)
    net = gnn.NodeNet([gnn.GCN(1433, 8), gnn.GCN(8, 7)])
    on = gnn.OnGraph(net, c.x, c.edges).eval()
    assert on.x.is_sparse
    nodes = torch.arange(50)
    torch.testing.assert_close(on(nodes), net(torch.tensor(c.x), torch.tensor(c.edges))[nodes], rtol=1e-4, atol=1e-6)
    kept = gnn.dropout(on.x, 0.25, True).values()
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3]) and 0.7 < (kept > 0).float().mean() < 0.8


def small_world(seed=0, nodes=120):
    """Two communities, weak features."""
    rng = np.random.default_rng(seed)
    y = np.arange(nodes) % 2
    linked = np.triu(rng.random((nodes, nodes)) < np.where(y[:, None] == y, 0.12, 0.01), 1)
    x = (y[:, None] * 0.5 + rng.normal(size=(nodes, 4))).astype(np.float32)
    order = rng.permutation(nodes)
    return Small(x, graph.from_pairs(np.argwhere(linked)), y, order[:20], order[20:40], order[40:])


@dataclasses.dataclass
class Small:
    x: np.ndarray
    edges: np.ndarray
    y: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@pytest.mark.parametrize("layer", [gnn.GCN, gnn.GraphConv, gnn.GAT])
def test_the_edges_help_to_classify_nodes(layer):
    found = []
    for seed in range(2):
        c = small_world(seed)
        torch.manual_seed(seed)
        net = gnn.NodeNet([layer(4, 8), layer(8, 2)], dropout=0.1)
        model, run = gnn.fit_nodes(net, c, epochs=60, patience=20, decayed=list(net.layers[0].parameters()), seed=seed)
        assert run.history["held_out_accuracy"][run.best_epoch] > 0.7
        found.append(gnn.accuracy(model, c.test, c.y))
    assert np.mean(found) > 0.85


def test_a_skip_keeps_the_input():
    net = gnn.NodeNet([gnn.GCN(3, 3), gnn.GCN(3, 2)], dropout=0.0, skip=True)
    for layer in net.layers[:1]:
        nn.init.zeros_(layer.lin.weight)
    x, edges = drawn(0)
    torch.testing.assert_close(net(x, edges), net.layers[1](x, edges))


def test_gin_classifies_whole_graphs_in_any_batch():
    made = [graph.slide(np.random.default_rng(i), i % 2, noise=0.1) for i in range(60)]
    y = np.array([s.y for s in made])
    torch.manual_seed(0)
    model = gnn.OnGraphs(gnn.GINClassifier(3, 2, width=16, depth=2, dropout=0.0), made)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    train.fit(model, (np.arange(60), y), optimiser, loss=nn.functional.cross_entropy, epochs=30, progress=False)
    assert gnn.accuracy(model, np.arange(60), y) > 0.8
    alone = torch.cat([model(torch.tensor([i])) for i in range(5)])
    torch.testing.assert_close(model(torch.arange(5)), alone, rtol=1e-4, atol=1e-4)


def test_links_are_split_without_a_leak_and_found_again():
    c = small_world(0)
    rng = np.random.default_rng(0)
    left, hidden, absent = gnn.split_links(c.edges, 120, rng, held=0.2)
    assert left.shape[1] + 2 * hidden.shape[1] == c.edges.shape[1] and absent.shape == hidden.shape
    there = {(a, b) for a, b in c.edges.T.tolist()}
    kept = {(a, b) for a, b in left.T.tolist()}
    assert {(b, a) for a, b in kept} == kept < there
    assert all((a, b) in there and (a, b) not in kept for a, b in hidden.T.tolist())
    assert all(a < b and (a, b) not in there for a, b in absent.T.tolist())
    torch.manual_seed(0)
    z = gnn.fit_links(gnn.NodeNet([gnn.GCN(4, 16), gnn.GCN(16, 8)], dropout=0.0), c.x, left, epochs=60)
    assert not z.requires_grad
    scores = [gnn.link_scores(z, torch.tensor(pairs)).mean() for pairs in (hidden, absent)]
    assert scores[0] > scores[1]

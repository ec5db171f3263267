"""Chapter 15 in PyTorch: message passing as a module, five layers, and networks for nodes, edges and whole graphs.

    layer = GAT(1433, 8, heads=8)                          # x (N, 1433), edges (2, E) -> (N, 64)
    net = NodeNet([GCN(1433, 16), GCN(16, 7)])
    run = fit_nodes(net, data.graph("cora"))               # on the public split, with early stopping

Each layer is one :class:`MessagePassing` with its own φ, ⊕ and γ. By hand, forward and backward, they are in
:mod:`dlcourse.graph`, which also says what edges are. Parameters have the names and shapes of PyTorch Geometric's, so
that ``load_state_dict`` takes its layers' weights.

Sources: as :mod:`dlcourse.graph`; Kipf and Welling, Variational graph auto-encoders (2016), arXiv:1611.07308.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse import graph, train

# -------------------------------------------------------------------------------------------------- message passing


def check_edges(edges: torch.Tensor, nodes: int) -> torch.Tensor:
    """The same as :func:`dlcourse.graph.check_edges`, for a tensor on any device.

    Raises
    ------
    ValueError
        It has another shape, its dtype is not an integer, or it names a node that is not there.
    """
    if edges.ndim != 2 or len(edges) != 2:
        raise ValueError(f"edges has shape {tuple(edges.shape)}; expected (2, E): row 0 the sources, row 1 the targets")
    if edges.is_floating_point() or edges.is_complex() or edges.dtype == torch.bool:
        raise ValueError(f"edges has dtype {edges.dtype}; expected an integer dtype such as torch.int64")
    if edges.numel():
        low, high = (int(bound) for bound in edges.aminmax())
        if low < 0 or high >= nodes:
            wrong = low if low < 0 else high
            raise ValueError(f"edges names node {wrong}; there are {nodes} nodes, counted from 0")
    return edges.long()


def aggregate(messages: torch.Tensor, index: torch.Tensor, nodes: int, how: str = "sum") -> torch.Tensor:
    """The sum, mean or maximum of the messages (E, ...) with the same index (E,): (nodes, ...); 0 where there are none.

    Raises
    ------
    ValueError
        ``how`` is unknown.
    """
    if how not in graph.AGGREGATIONS:
        raise ValueError(f"how is {how!r}; expected one of {', '.join(graph.AGGREGATIONS)}")
    zeros = messages.new_zeros(nodes, *messages.shape[1:])
    if how == "max":
        places = index.reshape(-1, *[1] * (messages.ndim - 1)).expand_as(messages)
        return zeros.scatter_reduce(0, places, messages, "amax", include_self=False)
    out = zeros.index_add(0, index, messages)
    if how == "mean":
        counts = torch.bincount(index, minlength=nodes).clamp(min=1).to(out.dtype)
        out = out / counts.reshape(-1, *[1] * (out.ndim - 1))
    return out


def edge_softmax(scores: torch.Tensor, index: torch.Tensor, nodes: int) -> torch.Tensor:
    """Softmax over the edges with the same index; scores (E,) or (E, H). See ``graph.edge_softmax_forward``."""
    raised = (scores - aggregate(scores.detach(), index, nodes, "max")[index]).exp()
    return raised / aggregate(raised, index, nodes)[index]


def with_loops(edges: torch.Tensor, nodes: int) -> torch.Tensor:
    """The edges with exactly one self-loop at every node, the loops last."""
    loops = torch.arange(nodes, device=edges.device).expand(2, -1)
    return torch.cat([edges[:, edges[0] != edges[1]], loops], dim=1)


class MessagePassing(nn.Module):
    """``out[i] = γ(x[i], ⊕ over edges (j, i) of φ(x[i], x[j], e[j, i]))``, with φ, ⊕ and γ as arguments.

    Parameters
    ----------
    phi : a function or module of ``(x_target, x_source, edge_features)``, with a row for each edge
    how : ``sum``, ``mean`` or ``max``
    gamma : a function or module of ``(x, aggregated)``, with a row for each node

    Source: Gilmer and others (2017), equations 1 and 2.
    """

    def __init__(self, phi: Callable, how: str, gamma: Callable):
        super().__init__()
        if how not in graph.AGGREGATIONS:
            raise ValueError(f"how is {how!r}; expected one of {', '.join(graph.AGGREGATIONS)}")
        self.phi, self.how, self.gamma = phi, how, gamma

    def forward(self, x: torch.Tensor, edges: torch.Tensor, edge_features: torch.Tensor | None = None) -> torch.Tensor:
        """x (N, D), edges (2, E), edge_features (E, F) or None -> what γ gives."""
        return message_passing(x, edges, self.phi, self.how, self.gamma, edge_features)


def message_passing(
    x: torch.Tensor, edges: torch.Tensor, phi: Callable, how: str, gamma: Callable, edge_features=None
) -> torch.Tensor:
    """What :class:`MessagePassing` computes, as a function."""
    source, target = check_edges(edges, len(x))
    if edge_features is not None and len(edge_features) != len(source):
        raise ValueError(f"edge_features has {len(edge_features)} rows; expected {len(source)}, one for each edge")
    return gamma(x, aggregate(phi(x[target], x[source], edge_features), target, len(x), how))


# ------------------------------------------------------------------------------------------------------ five layers


class GCN(nn.Module):
    """φ = x[j] w / √(d[j] d[i]), ⊕ = sum over the neighbours and the node itself, γ adds a bias.

    By hand: :func:`dlcourse.graph.gcn_forward`. Source: Kipf and Welling (2017), equation 2.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.lin = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.lin.weight)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """x (N, D), edges (2, E) -> (N, M)."""
        edges = with_loops(check_edges(edges, len(x)), len(x))
        root = torch.bincount(edges[1], minlength=len(x)).to(x.dtype).sqrt()
        weights = 1 / (root[edges[0]] * root[edges[1]])[:, None]
        return message_passing(
            self.lin(x), edges, lambda target, source, w: w * source, "sum", lambda x, sum: sum + self.bias, weights
        )


class GraphConv(nn.Module):
    """φ = x[j], ⊕ = sum, γ = x w_self + sum w + b. By hand: :func:`dlcourse.graph.graph_conv_forward`.

    Source: Morris and others (2019), equation 5.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.lin_rel = nn.Linear(inputs, outputs)
        self.lin_root = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """x (N, D), edges (2, E) -> (N, M)."""
        return message_passing(
            x, edges, lambda target, source, _: source, "sum", lambda x, sum: self.lin_root(x) + self.lin_rel(sum)
        )


class EdgeConv(nn.Module):
    """φ = nn([x[i], x[j] - x[i]]), ⊕ = max, γ keeps the maximum. ``nn`` takes 2 D numbers.

    By hand, for one linear layer and ReLU: :func:`dlcourse.graph.edge_conv_forward`. Source: Wang and others (2019).
    """

    def __init__(self, net: nn.Module, how: str = "max"):
        super().__init__()
        self.nn, self.how = net, how

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """x (N, D), edges (2, E) -> (N, what ``nn`` gives)."""

        def phi(target, source, _):
            return self.nn(torch.cat([target, source - target], dim=1))

        return message_passing(x, edges, phi, self.how, lambda x, largest: largest)


class GIN(nn.Module):
    """φ = x[j], ⊕ = sum, γ = nn((1 + eps) x + sum). By hand: :func:`dlcourse.graph.gin_forward`.

    Source: Xu and others (2019), equation 4.1.

    Parameters
    ----------
    net : usually two linear layers with ReLU between
    learn_eps : or keep it at 0
    """

    def __init__(self, net: nn.Module, *, learn_eps: bool = False):
        super().__init__()
        self.nn = net
        if learn_eps:
            self.eps = nn.Parameter(torch.zeros(1))
        else:
            self.register_buffer("eps", torch.zeros(1))

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """x (N, D), edges (2, E) -> (N, what ``nn`` gives)."""
        return message_passing(
            x, edges, lambda target, source, _: source, "sum", lambda x, sum: self.nn((1 + self.eps) * x + sum)
        )


class GAT(nn.Module):
    """φ = α[e] z[j], ⊕ = sum, γ adds a bias; α by a softmax over the edges that end at a node, with H heads.

    By hand: :func:`dlcourse.graph.gat_forward`. Source: Veličković and others (2018), equations 3 to 6.

    Parameters
    ----------
    inputs, outputs : of one head
    heads : H
    concat : put the heads side by side; else take their mean, as in a last layer
    slope : of the leaky ReLU in the scores
    dropout : of the weights α, in training
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        heads: int = 1,
        *,
        concat: bool = True,
        slope: float = 0.2,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.heads, self.outputs, self.concat, self.slope, self.dropout = heads, outputs, concat, slope, dropout
        self.lin = nn.Linear(inputs, heads * outputs, bias=False)
        self.att_src = nn.Parameter(torch.empty(1, heads, outputs))
        self.att_dst = nn.Parameter(torch.empty(1, heads, outputs))
        self.bias = nn.Parameter(torch.zeros(heads * outputs if concat else outputs))
        for weights in (self.lin.weight, self.att_src, self.att_dst):
            nn.init.xavier_uniform_(weights)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """x (N, D), edges (2, E) -> (N, H · M), or (N, M) without ``concat``."""
        z = self.lin(x).unflatten(1, (self.heads, self.outputs))  # (N, H, M)
        edges = with_loops(check_edges(edges, len(x)), len(x))
        out = message_passing(
            z, edges, lambda target, source, alpha: alpha * source, "sum", lambda z, sum: sum, self.weights(z, edges)
        )
        return (out.flatten(1) if self.concat else out.mean(1)) + self.bias

    def weights(self, z: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """The α of every edge and head, (E, H, 1)."""
        source, target = edges
        scores = (z * self.att_src).sum(2)[source] + (z * self.att_dst).sum(2)[target]
        alpha = edge_softmax(F.leaky_relu(scores, self.slope), target, len(z))
        return F.dropout(alpha, self.dropout, self.training)[:, :, None]


# ---------------------------------------------------------------------------------------------------------- networks


def dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Dropout of a dense or a sparse tensor; what is not stored is 0 and stays so."""
    if not x.is_sparse:
        return F.dropout(x, p, training)
    values = F.dropout(x.values(), p, training)
    with torch.sparse.check_sparse_tensor_invariants(True):  # said aloud, so that torch does not warn
        return torch.sparse_coo_tensor(x.indices(), values, x.shape, is_coalesced=True)


class NodeNet(nn.Module):
    """Layers of message passing with an activation and dropout between them: a score for each node and class.

    Parameters
    ----------
    layers : modules of ``(x, edges)``
    dropout : of each layer's input, in training
    activation : between the layers
    skip : add a layer's input to its output, where both have the same shape
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        *,
        dropout: float = 0.5,
        activation: Callable[[torch.Tensor], torch.Tensor] = F.relu,
        skip: bool = False,
    ):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.dropout, self.activation, self.skip = dropout, activation, skip

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """x (N, D), edges (2, E) -> (N, what the last layer gives)."""
        for i, layer in enumerate(self.layers):
            out = layer(dropout(x, self.dropout, self.training), edges)
            if i < len(self.layers) - 1:
                out = self.activation(out)
            x = x + out if self.skip and out.shape == x.shape else out
        return x


class OnGraph(nn.Module):
    """A network of ``(x, edges)`` on one graph, as a function of the nodes' numbers: ``model([3, 5])`` has two rows.

    So ``train.fit(model, (numbers, y), ...)`` draws nodes as it draws anything else. Features that are mostly zeros are
    kept as a sparse tensor: the first layer's product then takes a tenth of the time.
    """

    def __init__(self, net: nn.Module, x: np.ndarray, edges: np.ndarray):
        super().__init__()
        self.net = net
        x = torch.as_tensor(x)
        mostly_zeros = torch.count_nonzero(x) < 0.1 * x.numel()
        self.register_buffer("x", x.to_sparse_coo().coalesce() if mostly_zeros else x, persistent=False)
        self.register_buffer("edges", torch.as_tensor(edges), persistent=False)

    def forward(self, nodes: torch.Tensor) -> torch.Tensor:
        """(B,) integers -> (B, what the network gives)."""
        return self.net(self.x, self.edges)[nodes]


def fit_nodes(
    net: nn.Module,
    citations: Any,
    *,
    epochs: int = 200,
    lr: float = 0.01,
    decay: float = 5e-4,
    decayed: Sequence[nn.Parameter] | None = None,
    patience: int | None = None,
    seed: int = 0,
) -> tuple[OnGraph, train.Run]:
    """Train on the labels of ``citations.train``: the whole graph is one batch, the loss counts the labelled nodes.

    Parameters
    ----------
    net : a module of ``(x, edges)``
    citations : has ``x``, ``edges``, ``y``, ``train``, ``validation``, as ``data.graph("cora")``
    decay : the L2 penalty, in Adam
    decayed : the parameters that it shrinks; by default all
    patience : epochs without a better validation loss before training stops; the best ones' weights are put back

    Returns
    -------
    model, run : the network as a function of the nodes' numbers, and what ``train.fit`` gives
    """
    model = OnGraph(net, citations.x, citations.edges)
    shrunk = list(net.parameters() if decayed is None else decayed)
    others = [p for p in net.parameters() if not any(p is q for q in shrunk)]
    groups = [{"params": shrunk, "weight_decay": decay}, *([{"params": others}] if others else [])]
    labelled, held = ((nodes, citations.y[nodes]) for nodes in (citations.train, citations.validation))
    run = train.fit(
        model, labelled, torch.optim.Adam(groups, lr=lr), loss=F.cross_entropy, epochs=epochs,
        batch_size=max(len(labelled[0]), len(held[0])), held_out=held, metrics={"accuracy": train.accuracy},
        patience=patience, seed=seed, progress=False,
    )  # fmt: skip
    return model, run


@torch.no_grad()
def accuracy(model: nn.Module, numbers: np.ndarray, y: np.ndarray) -> float:
    """The share of nodes, or graphs, with these numbers that a model of numbers classifies rightly, in eval mode."""
    return train.accuracy(model.eval()(torch.as_tensor(numbers)).cpu().numpy(), y[numbers])


class GINClassifier(nn.Module):
    """GIN for whole graphs: after each layer a sum over the graph's nodes, and a linear score of every such sum.

    Parameters
    ----------
    inputs, classes : features of a node, outputs
    width, depth : of the hidden layers; each GIN has two linear layers with batch norm
    dropout : of the scores
    how : ``sum`` as in the paper, ``mean`` or ``max``, to compare with

    Source: Xu and others (2019), sections 4.2 and 7.
    """

    def __init__(
        self, inputs: int, classes: int, *, width: int = 32, depth: int = 4, dropout: float = 0.5, how: str = "sum"
    ):
        super().__init__()
        self.dropout, self.how = dropout, how
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        self.scores = nn.ModuleList([nn.Linear(inputs, classes)])
        for i in range(depth):
            first = nn.Linear(inputs if i == 0 else width, width)
            self.layers.append(GIN(nn.Sequential(first, nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))))
            self.norms.append(nn.BatchNorm1d(width))
            self.scores.append(nn.Linear(width, classes))

    def forward(self, x: torch.Tensor, edges: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
        """Of a batch: x (N, D), edges (2, E), index (N,) the graph of each node, count graphs -> (count, classes)."""
        out = self.scores[0](aggregate(x, index, count, self.how))
        for layer, norm, score in zip(self.layers, self.norms, self.scores[1:], strict=True):
            x = norm(layer(x, edges)).relu()
            out = out + F.dropout(score(aggregate(x, index, count, self.how)), self.dropout, self.training)
        return out


class OnGraphs(nn.Module):
    """A network on a list of graphs, so that it is a function of their numbers: ``model([3, 5])`` has two rows.

    So ``train.fit(model, (numbers, y), ...)`` draws minibatches of graphs as of anything else.
    """

    def __init__(self, net: nn.Module, graphs: Sequence[Any]):
        super().__init__()
        self.net, self.graphs = net, list(graphs)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """(B,) integers -> (B, classes)."""
        weights = next(self.net.parameters())
        x, edges, index, count = graph.batch([self.graphs[i] for i in numbers.tolist()])
        x = torch.as_tensor(x, dtype=weights.dtype, device=weights.device)
        return self.net(x, *(torch.as_tensor(a, device=weights.device) for a in (edges, index)), count)


# ------------------------------------------------------------------------------------------------------------- links


def link_scores(z: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """How likely two nodes are joined: z[a] · z[b] for the columns (a, b) of pairs (2, P)."""
    return (z[pairs[0]] * z[pairs[1]]).sum(1)


def split_links(
    edges: np.ndarray, nodes: int, rng: np.random.Generator, held: float = 0.1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hide some links of an undirected graph: what is left, in both directions; the hidden ones; pairs without a link.

    Returns
    -------
    left : (2, E') both ways
    hidden, absent : (2, P) each, one way; ``absent`` are drawn evenly from the pairs that are not joined
    """
    edges = graph.check_edges(edges, nodes)
    links = edges[:, edges[0] < edges[1]]
    order = rng.permutation(links.shape[1])
    count = round(held * len(order))
    hidden, left = links[:, order[:count]], links[:, order[count:]]
    taken, absent = set((links[0] * nodes + links[1]).tolist()), []
    while len(absent) < count:
        a, b = sorted(rng.integers(0, nodes, 2).tolist())
        if a != b and a * nodes + b not in taken:
            taken.add(a * nodes + b)
            absent.append((a, b))
    return np.concatenate([left, left[::-1]], axis=1), hidden, np.array(absent, np.int64).reshape(-1, 2).T


def fit_links(
    net: nn.Module,
    x: np.ndarray | torch.Tensor,
    edges: np.ndarray,
    *,
    epochs: int = 200,
    lr: float = 0.01,
    seed: int = 0,
) -> torch.Tensor:
    """Train a network so that linked nodes have a large z · z and random pairs a small one; gives z (N, M), detached.

    In every epoch as many random pairs are drawn as there are links; a few of them may be links.

    Source: Kipf and Welling (2016), the autoencoder without variation.
    """
    features, links = torch.as_tensor(x), torch.as_tensor(edges)
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        net.train()
        z = net(features, links)
        pairs = torch.randint(len(features), links.shape, generator=generator)
        scores = torch.cat([link_scores(z, links), link_scores(z, pairs)])
        wanted = torch.cat([scores.new_ones(links.shape[1]), scores.new_zeros(links.shape[1])])
        loss = F.binary_cross_entropy_with_logits(scores, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return net.eval()(features, links)

"""The exercises of ``15_graphs``: reach, COO, aggregation, GCN both ways, graph attention, 1-WL and how to fool it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dlcourse import graph
from dlcourse.exercises.compare import Close, FalseFail, Holds
from dlcourse.exercises.offered import AUTODIFF, AUTOGRAD
from dlcourse.exercises.spec import Case, Exercise, Mistake, case, steps, text_exercise

_PAIRS = ("aggregate", "propagate", "edge_softmax", "gcn", "graph_conv", "edge_conv", "gin", "gat", "attention")
LAYERS = (
    *(f"dlcourse.graph.{name}_forward" for name in _PAIRS),
    *(f"dlcourse.graph.{name}_backward" for name in _PAIRS),
    *(f"dlcourse.graph.message_passing{way}" for way in ("", "_forward", "_backward")),
    *(f"dlcourse.graph.{name}" for name in ("gcn_weights", "with_loops", "adjacency", "roughness")),
    *(f"dlcourse.gnn.{name}" for name in ("GCN", "GraphConv", "EdgeConv", "GIN", "GAT", "MessagePassing")),
    *(f"dlcourse.gnn.{name}" for name in ("aggregate", "edge_softmax", "message_passing", "with_loops")),
)  # fmt: skip
COLOURS = (
    *(f"dlcourse.graph.{name}" for name in ("refine", "wl_distinguishes", "isomorphic")),
    *(f"networkx.weisfeiler_lehman_{what}" for what in ("graph_hash", "subgraph_hashes")),
)

# --- A number: how far information comes ----------------------------------------------------------------------------

reach = Exercise(
    id="graph.reach",
    title="How far does it see?",
    name="patches",
    kind="number",
    points=1,
    reference=25,
    cases=lambda rng: [Case("a grid of patches, four neighbours each, three layers")],
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("itself_forgotten", 24, "the patch itself has a say too."),
        Mistake("square", 49, "this is a square, as of a 3×3 convolution; diagonal patches are no neighbours here."),
        Mistake("one_layer", 5, "this is one layer; each further layer reaches one hop further."),
        Mistake("two_layers", 13, "this is two hops; three layers make three."),
        Mistake("four_layers", 41, "this is four hops; three layers make three."),
        Mistake("outer_ring", 12, "these are the patches exactly three hops away; the nearer ones count too."),
        Mistake("walks", 64, "this counts walks; many of them end at the same patch."),
    ),
    hints=(
        "One layer lets a patch hear its neighbours, and what they heard in the layer before.",
        "Count the patches at 0, 1, 2 and 3 steps, without diagonals: draw the diamond.",
        "1 + 4 + 8 + 12; an expression is fine.",
    ),
    difficulty=1,
    importance=5,
    minutes=5,
)


# --- COO ------------------------------------------------------------------------------------------------------------


def to_coo(pairs):
    """The reference."""
    return graph.from_pairs(np.asarray(pairs))


def _sorted(edges: np.ndarray, by_source: bool = False) -> np.ndarray:
    return edges[:, np.lexsort(edges[::-1] if by_source else edges)]


def _once(edges: np.ndarray) -> np.ndarray:
    return np.unique(edges, axis=1) if edges.size else edges


def _one_way(pairs):
    return _sorted(_once(np.asarray(pairs).T))


def _repeated(pairs):
    edges = np.asarray(pairs).T
    return _sorted(np.concatenate([edges, edges[::-1]], axis=1))


def _unsorted(pairs):
    edges = np.asarray(pairs).T
    both = np.concatenate([edges, edges[::-1]], axis=1)
    _, first = np.unique(both, axis=1, return_index=True) if both.size else (None, np.zeros(0, np.int64))
    return both[:, np.sort(first)]


def _without_loops(pairs):
    edges = to_coo(pairs)
    return edges[:, edges[0] != edges[1]]


def _loops_twice(pairs):
    edges = to_coo(pairs)
    return _sorted(np.concatenate([edges, edges[:, edges[0] == edges[1]]], axis=1))


def _coo_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("by hand: a path of three", np.array([[0, 1], [2, 1]]))
    yield case("a pair named twice, also the other way", np.array([[3, 0], [0, 3], [3, 0], [1, 2]]))
    yield case("a loop", np.array([[2, 2], [2, 0], [1, 2]]))
    yield case("a loop named twice, and alone", np.array([[1, 1], [1, 1]]))
    yield case("no pairs", np.zeros((0, 2), np.int64))
    pairs = rng.integers(0, 8, (14, 2))
    pairs = np.concatenate([pairs, pairs[:3, ::-1], [[5, 5], [7, 1]]])
    yield case("random pairs", rng.permutation(pairs))
    yield case("large numbers", rng.permutation(np.array([[10, 9], [100, 20], [9, 100], [20, 9]])))


coo = Exercise(
    id="graph.coo",
    title="From pairs to COO",
    name="coo",
    kind="function",
    points=2,
    reference=to_coo,
    cases=_coo_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake("one_way_only", _one_way, "each pair is an edge in both directions."),
        Mistake("repeated", _repeated, "an edge that is named twice stands there once, a loop too."),
        Mistake("unsorted", _unsorted, "the edges are right; sort them by target, then by source."),
        Mistake(
            "by_source", lambda pairs: _sorted(to_coo(pairs), True), "sorted by source first; the target comes first."
        ),
        Mistake(
            "rows_apart", lambda pairs: np.sort(to_coo(pairs), axis=1), "sort the columns as wholes, not each row."
        ),
        Mistake("as_rows", lambda pairs: to_coo(pairs).T, "an edge is a column: the shape is (2, E)."),
        Mistake("loops_lost", _without_loops, "a pair of a node with itself is an edge too."),
        Mistake("loops_twice", _loops_twice, "a loop turned round is the same loop: it stands there once."),
    ),
    withhold=("dlcourse.graph.from_pairs",),
    hints=(
        "Put the pairs and the pairs turned round below each other: (2 P, 2).",
        "np.unique(rows, axis=0) drops repeated rows and sorts them by their first column.",
        "Let the first column be the target while you sort, and swap at the end: unique(...)[:, ::-1].T.",
    ),
    difficulty=2,
    importance=4,
    minutes=15,
)


# --- aggregation ----------------------------------------------------------------------------------------------------


def gather(messages, index, nodes, how):
    """The reference."""
    return graph.aggregate_forward(np.asarray(messages), np.asarray(index), nodes, how)[0]


def _last_counts(messages, index, nodes, how):
    out = np.zeros((nodes, messages.shape[1]))
    out[index] += messages
    if how == "mean":
        out /= np.maximum(np.bincount(index, minlength=nodes), 1)[:, None]
    return gather(messages, index, nodes, "max") if how == "max" else out


def _max_from_zero(messages, index, nodes, how):
    out = gather(messages, index, nodes, how)
    return np.maximum(out, 0) if how == "max" else out


def _mean_over(count: Callable) -> Callable:
    def wrong(messages, index, nodes, how):
        total = gather(messages, index, nodes, "sum")
        return total / count(messages, index, nodes) if how == "mean" else gather(messages, index, nodes, how)

    return wrong


def _nan_if_alone(messages, index, nodes, how):
    out = gather(messages, index, nodes, how)
    out[np.bincount(index, minlength=nodes) == 0] = {"sum": 0.0, "mean": np.nan, "max": -np.inf}[how]
    return out


def _aggregate_cases(rng: np.random.Generator) -> Iterator[Case]:
    messages, index = np.array([[1.0], [5.0], [-2.0]]), np.array([0, 0, 2])
    for how in graph.AGGREGATIONS:
        yield case(f"by hand: two messages for node 0, one for node 2, {how}", messages, index, 3, how)
    messages, index = rng.normal(size=(12, 3)), rng.integers(0, 4, 12)
    for how in graph.AGGREGATIONS:
        yield case(f"twelve messages, nodes without any, {how}", messages, index, 6, how)
    for how in graph.AGGREGATIONS:
        yield case(f"all negative, {how}", -1 - rng.random((7, 2)), rng.integers(0, 3, 7), 3, how)
        yield case(f"no messages at all, {how}", np.zeros((0, 2)), np.zeros(0, np.int64), 2, how)
        yield case(f"all for one node, {how}", rng.normal(size=(5, 2)), np.full(5, 1), 2, how)


aggregate = Exercise(
    id="graph.aggregate",
    title="Sum, mean, maximum",
    name="aggregate",
    kind="function",
    points=3,
    reference=gather,
    cases=_aggregate_cases,
    compare=Close(rtol=1e-5, atol=1e-7),
    mistakes=(
        Mistake(
            "last_message_counts",
            _last_counts,
            "`out[index] += messages` adds only the last message of each node: NumPy reads, adds and writes once.",
        ),
        Mistake("maximum_from_zero", _max_from_zero, "the largest of negative messages is negative; 0 was not sent."),
        Mistake(
            "mean_over_all",
            _mean_over(lambda m, i, n: max(len(m), 1)),
            "divide by the node's own messages, not by all.",
        ),
        Mistake("mean_over_nodes", _mean_over(lambda m, i, n: n), "divide by the node's messages, not by the nodes."),
        Mistake(
            "mean_counts_the_node",
            _mean_over(lambda m, i, n: (np.bincount(i, minlength=n) + 1)[:, None]),
            "divide by the number of messages; the node itself sent none.",
        ),
        Mistake("nothing_heard", _nan_if_alone, "a node without messages is to get 0."),
        Mistake(
            "always_sum", lambda messages, index, nodes, how: gather(messages, index, nodes, "sum"), "`how` is ignored."
        ),
    ),
    withhold=LAYERS,
    hints=(
        "A loop over the nodes is fine: the messages of node i are messages[index == i].",
        "np.add.at(out, index, messages) adds them all; np.bincount(index, minlength=nodes) counts them.",
        "For i in range(nodes): rows = messages[index == i]; if len(rows): out[i] = rows.sum(0), .mean(0) or .max(0).",
    ),
    difficulty=2,
    importance=5,
    minutes=15,
)


# --- GCN ------------------------------------------------------------------------------------------------------------


class GCN:
    """The reference."""

    loops, symmetric, turned, transposed, db_mean, bias = True, True, False, True, False, True

    def __init__(self, w, b):
        self.w, self.b = np.asarray(w), np.asarray(b)

    def matrix(self, edges, nodes):
        matrix = np.zeros((nodes, nodes))
        source, target = edges[::-1] if self.turned else edges
        matrix[target, source] = 1
        if self.loops:
            matrix += np.eye(nodes)
        degree = np.maximum(matrix.sum(axis=1), 1)
        return matrix / (np.sqrt(np.outer(degree, degree)) if self.symmetric else degree[:, None])

    def forward(self, x, edges):
        self.x, self.mixed = np.asarray(x), self.matrix(np.asarray(edges), len(x))
        return self.mixed @ self.x @ self.w + self.b * self.bias

    def backward(self, dout):
        dz = (self.mixed.T if self.transposed else self.mixed) @ dout
        return dz @ self.w.T, self.x.T @ dz, dout.mean(axis=0) if self.db_mean else dout.sum(axis=0)


class NoLoops(GCN):
    loops = False


class RowMean(GCN):
    symmetric = False


class Turned(GCN):
    turned = True


class NotTransposed(GCN):
    transposed = False


class NotItself(GCN):
    def matrix(self, edges, nodes):
        matrix = super().matrix(edges, nodes)
        return matrix - np.diag(np.diag(matrix))


class BiasMixed(GCN):
    def backward(self, dout):
        dx, dw, _ = super().backward(dout)
        return dx, dw, (self.mixed.T @ dout).sum(axis=0)


class BiasMean(GCN):
    db_mean = True


class NoBias(GCN):
    bias = False


class NotNormalised(GCN):
    def matrix(self, edges, nodes):
        matrix = np.eye(nodes)
        matrix[edges[1], edges[0]] = 1
        return matrix


class DegreeWithoutLoop(GCN):
    def matrix(self, edges, nodes):
        matrix = np.zeros((nodes, nodes))
        matrix[edges[1], edges[0]] = 1
        root = np.sqrt(np.maximum(matrix.sum(axis=1), 1))
        return (matrix + np.eye(nodes)) / np.outer(root, root)


class OutDegree(GCN):
    def matrix(self, edges, nodes):
        matrix = np.eye(nodes)
        matrix[edges[1], edges[0]] = 1
        root = np.sqrt(matrix.sum(axis=0))
        return matrix / np.outer(root, root)


class WeightsUnmixed(GCN):
    def backward(self, dout):
        dx, _, db = super().backward(dout)
        return dx, self.x.T @ dout, db


def _graph(rng: np.random.Generator, nodes: int, edges: int, hub: bool = True) -> np.ndarray:
    """Directed, without loops and repeats; with a hub, node 0 hears all others."""
    places = np.argwhere(~np.eye(nodes, dtype=bool))
    drawn = places[rng.permutation(len(places))[:edges]].T
    into = np.stack([np.arange(1, nodes), np.zeros(nodes - 1, np.int64)])
    return rng.permutation(np.unique(np.concatenate([drawn, into], axis=1) if hub else drawn, axis=1), axis=1)


def _gcn_cases(rng: np.random.Generator) -> Iterator[Case]:
    one = np.ones((1, 1))
    yield steps(
        "by hand: 0 sends to 1", (one, np.zeros(1)),
        ("forward", np.array([[2.0], [4.0]]), np.array([[0], [1]])), ("backward", np.array([[1.0], [1.0]])),
    )  # fmt: skip
    for name, nodes, edges in (("six nodes", 6, 9), ("ten nodes", 10, 22)):
        w, b, x, dout = (rng.normal(size=s) for s in ((3, 2), 2, (nodes, 3), (nodes, 2)))
        yield steps(name, (w, b), ("forward", x, _graph(rng, nodes, edges)), ("backward", dout))
    w, b, x, dout = (rng.normal(size=s) for s in ((2, 3), 3, (4, 2), (4, 3)))
    none = np.zeros((2, 0), np.int64)
    yield steps("no edges", (w, b), ("forward", x, none), ("backward", dout))
    edges = _graph(rng, 3, 3)
    yield steps(
        "two graphs, one after the other",
        (w, b),
        ("forward", x, none),
        ("forward", x[:3], edges),
        ("backward", dout[:3]),
    )


gcn = Exercise(
    id="graph.gcn",
    title="Graph convolution, both ways",
    name="GCN",
    kind="class",
    points=4,
    reference=GCN,
    cases=_gcn_cases,
    compare=Close(rtol=1e-5, atol=1e-6),
    mistakes=(
        Mistake("no_loops", NoLoops, "every node hears itself too: add a self-loop at each node."),
        Mistake("loops_in_the_degrees_only", NotItself, "d is right; the node itself belongs to the sum, too."),
        Mistake("plain_mean", RowMean, "this divides by d[i]; the weight of an edge is 1 / √(d[j] d[i])."),
        Mistake("turned_round", Turned, "row 0 holds the sources and row 1 the targets: the message goes from 0 to 1."),
        Mistake("not_normalised", NotNormalised, "the sum is there; the weights 1 / √(d[j] d[i]) are missing."),
        Mistake("degree_without_loop", DegreeWithoutLoop, "the self-loop counts in the degrees."),
        Mistake("out_degree", OutDegree, "d counts the edges that end at a node, not those that leave it."),
        Mistake(
            "not_transposed", NotTransposed, "forward is right. The gradient goes back against the arrows: take Âᵀ."
        ),
        Mistake(
            "weights_without_neighbours", WeightsUnmixed, "dx is right. dw needs the neighbours too: xᵀ (Âᵀ dout)."
        ),
        Mistake("bias_mean", BiasMean, "db is the sum of dout over the nodes, not the mean."),
        Mistake("bias_mixed", BiasMixed, "db: b is added after the neighbours are mixed, so sum dout itself."),
        Mistake("no_bias", NoBias, "b is missing."),
    ),
    withhold=(*LAYERS, *AUTOGRAD, *AUTODIFF),
    hints=(
        "With few nodes, a dense matrix is fine: A[target, source] = 1, and out = Â x w + b.",
        "Add the identity, d = A.sum(axis=1), then divide A[i, j] by √(d[i] d[j]). Keep x and Â for the way back.",
        "dz = Âᵀ dout; dx = dz wᵀ, dw = xᵀ dz, db = dout.sum(axis=0).",
    ),
    difficulty=3,
    importance=5,
    minutes=25,
)


# --- graph attention ------------------------------------------------------------------------------------------------


def attend(x, edges, w, a_source, a_target):
    """The reference."""
    x, w = np.asarray(x), np.asarray(w)
    a = np.asarray(a_source)[None], np.asarray(a_target)[None]
    return graph.gat_forward(x, np.asarray(edges), w, *a, np.zeros(w.shape[1]))[0]


def _attend(x, edges, w, a_source, a_target, *, loops=True, slope=0.2, over="target", stable=True, turned=False):
    z, nodes = x @ w, len(x)
    source, target = edges[::-1] if turned else edges
    if loops:
        source, target = (np.concatenate([end, np.arange(nodes)]) for end in (source, target))
    scores = z[source] @ a_source + z[target] @ a_target
    scores = np.where(scores > 0, scores, slope * scores)
    index = {"target": target, "source": source, "all": np.zeros_like(target)}[over]
    with np.errstate(over="ignore", invalid="ignore"):
        if stable:
            largest = np.full(nodes, -np.inf)
            np.maximum.at(largest, index, scores)
            scores = scores - largest[index]
        raised = np.exp(scores)
        alpha = raised / np.bincount(index, raised, nodes)[index]
    out = np.zeros_like(z)
    np.add.at(out, target, alpha[:, None] * z[source])
    return out


def _with(**options) -> Callable:
    return lambda x, edges, w, a_source, a_target: _attend(x, edges, w, a_source, a_target, **options)


def _gat_cases(rng: np.random.Generator) -> Iterator[Case]:
    x, edges = np.array([[0.0], [3.0]]), np.array([[0], [1]])
    yield case("by hand: 0 sends to 1, all scores 0", x, edges, np.eye(1), np.zeros(1), np.zeros(1))
    yield case("by hand: the source's score", x, edges, np.eye(1), np.array([np.log(2) / 3]), np.zeros(1))
    for nodes, count in ((5, 8), (9, 20)):
        x, w, a = rng.normal(size=(nodes, 3)), rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
        yield case(f"{nodes} nodes", x, _graph(rng, nodes, count), w, *a)
    yield case("no edges", x, np.zeros((2, 0), np.int64), w, *a)
    # Exact in float32 too: small whole numbers, and scores in the thousands
    x, w = rng.integers(-2, 3, (6, 2)).astype(float), np.eye(2)
    x[0] = [2, 1]
    yield case("scores in the thousands", x, _graph(rng, 6, 9), w, np.array([512.0, 1024.0]), np.array([256.0, 0.0]))


gat = Exercise(
    id="graph.gat",
    title="Graph attention",
    name="gat",
    kind="function",
    points=4,
    reference=attend,
    cases=_gat_cases,
    compare=Close(rtol=1e-4, atol=1e-6),
    mistakes=(
        Mistake("no_loops", _with(loops=False), "every node attends to itself too: add the self-loops first."),
        Mistake(
            "softmax_over_all", _with(over="all"), "the softmax runs over the edges that end at one node, not over all."
        ),
        Mistake(
            "softmax_over_sources", _with(over="source"), "group the edges by target: what a node hears adds up to 1."
        ),
        Mistake("no_leaky_relu", _with(slope=1.0), "the leaky ReLU of the scores is missing; its slope is 0.2."),
        Mistake("torch_s_slope", _with(slope=0.01), "the leaky ReLU's slope is 0.2 here; PyTorch's default is 0.01."),
        Mistake("plain_relu", _with(slope=0.0), "a leaky ReLU lets a fifth of a negative score through."),
        Mistake(
            "overflow", _with(stable=False), "exp of a large score overflows: first subtract each node's largest score."
        ),
        Mistake("turned_round", _with(turned=True), "row 0 holds the sources and row 1 the targets."),
        Mistake(
            "ends_swapped",
            lambda x, edges, w, a_source, a_target: _attend(x, edges, w, a_target, a_source),
            "a_source goes with the edge's source and a_target with its target.",
        ),
        Mistake(
            "mean_of_all",
            lambda x, edges, w, a_source, a_target: np.zeros((len(x), w.shape[1])) + (x @ w).mean(axis=0),
            "this is the mean of all nodes; each node weighs its own neighbours.",
        ),
    ),
    withhold=LAYERS,
    hints=(
        "First z = x w, and one score for each edge. Then a loop over the nodes: which edges end here?",
        "score = leaky_relu(a_source · z[source] + a_target · z[target]). For node i: s = score[target == i].",
        "α = exp(s − max s), divided by its sum; out[i] = α @ z[source[target == i]].",
    ),
    difficulty=4,
    importance=4,
    minutes=30,
)


# --- 1-WL -----------------------------------------------------------------------------------------------------------


def _by_appearance(colours) -> np.ndarray:
    seen: dict = {}
    return np.array([seen.setdefault(c, len(seen)) for c in colours], dtype=np.int64)


def refined(edges, colours):
    """The reference."""
    colours = np.asarray(colours)
    return _by_appearance(graph.refine(np.asarray(edges), len(colours), colours)[-1].tolist())


def _refine(edges, colours, *, rounds=None, own=True, multiset=True):
    now = _by_appearance(np.asarray(colours).tolist()).tolist()
    for _ in range(len(now) if rounds is None else rounds):
        heard = [[now[j] for j in edges[0][edges[1] == i]] for i in range(len(now))]
        heard = [tuple(sorted(h if multiset else set(h))) for h in heard]
        now = _by_appearance([(now[i] if own else 0, h) for i, h in enumerate(heard)]).tolist()
    return np.array(now, dtype=np.int64)


def _wl_cases(rng: np.random.Generator) -> Iterator[Case]:
    path = graph.from_pairs([(i, i + 1) for i in range(4)])
    yield case("by hand: a path of five", path, np.zeros(5, np.int64))
    yield case("a ring and two triangles", np.concatenate([
        graph.from_pairs([(i, (i + 1) % 6) for i in range(6)]),
        graph.from_pairs([(6, 7), (7, 8), (8, 6), (9, 10), (10, 11), (11, 9)]),
    ], axis=1), np.zeros(12, np.int64))  # fmt: skip
    long = graph.from_pairs([(i, i + 1) for i in range(8)])
    yield case("a path of nine takes four rounds", long, np.zeros(9, np.int64))
    renamed = rng.permutation(9)
    yield case("the same path, renumbered", renamed[long], np.zeros(9, np.int64))
    longer = graph.from_pairs([(i, i + 1) for i in range(50)])
    yield case("a path of 51 takes 25 rounds", longer, np.zeros(51, np.int64))
    yield case("nodes without edges, two colours", np.zeros((2, 0), np.int64), np.array([7, 3, 7, 3]))
    yield case("two nodes, joined, of two colours", np.array([[0, 1], [1, 0]]), np.array([5, 2]))
    star = graph.from_pairs([(0, 1), (0, 2), (0, 3), (4, 5), (4, 6)])
    yield case("two stars: how many neighbours, not only which", star, np.array([1, 0, 0, 0, 1, 0, 0]))
    pairs = rng.integers(0, 12, (13, 2))
    drawn = graph.from_pairs(pairs[pairs[:, 0] != pairs[:, 1]])
    yield case("a random graph", drawn, np.zeros(12, np.int64))
    yield case("a random graph with colours", drawn, rng.integers(5, 8, 12))


wl = Exercise(
    id="graph.wl",
    title="Colour refinement",
    name="refine",
    kind="function",
    points=3,
    reference=refined,
    cases=_wl_cases,
    compare=Close(rtol=0, atol=0),
    mistakes=(
        Mistake(
            "one_round", lambda e, c: _refine(e, c, rounds=1), "this is one round; go on until no colour class splits."
        ),
        Mistake("two_rounds", lambda e, c: _refine(e, c, rounds=2), "this is two rounds; go on until no class splits."),
        *(
            Mistake(
                f"{rounds}_rounds",
                lambda e, c, rounds=rounds: _refine(e, c, rounds=rounds),
                f"this is {rounds} rounds; a long path needs more: go on until no class splits.",
            )
            for rounds in (3, 5, 10)
        ),
        Mistake(
            "start", lambda e, c: _refine(e, c, rounds=0), "these are the colours at the start: nothing was refined."
        ),
        Mistake(
            "own_colour_forgotten",
            lambda e, c: _refine(e, c, own=False),
            "a node's new colour stands for its old colour and those of its neighbours; the old one is missing.",
        ),
        Mistake(
            "set_for_multiset",
            lambda e, c: _refine(e, c, multiset=False),
            "two red neighbours differ from one: keep how often a colour occurs.",
        ),
        Mistake(
            "colours_ignored",
            lambda e, c: refined(e, 0 * np.asarray(c)),
            "begin with the colours that are given, not with one for all.",
        ),
        Mistake(
            "not_numbered_anew",
            lambda e, c: graph.refine(np.asarray(e), len(c), c)[-1],
            "the classes are right; number them 0, 1, 2, ... in the order in which they first occur.",
        ),
    ),
    withhold=COLOURS,
    hints=(
        "A signature of node i is a tuple: its colour, and the sorted colours of its neighbours.",
        "Equal signatures, equal new colours: seen.setdefault(signature, len(seen)) numbers them as they occur.",
        "Repeat while the number of colours grows. Sources of node i: edges[0][edges[1] == i].",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)


# --- two graphs that fool it: a property ----------------------------------------------------------------------------


def two_rings(n):
    """The reference: a ring of n nodes, and two rings beside each other."""
    return _rings(n), _rings(3, n - 3)


def _rings(*sizes) -> np.ndarray:
    first = np.cumsum([0, *sizes[:-1]])
    return graph.from_pairs([(f + i, f + (i + 1) % s) for f, s in zip(first, sizes, strict=True) for i in range(s)])


def _fault(case: Case, values: list) -> tuple[str, str] | None:
    """What is wrong with a pair of graphs: a key, and the sentence."""
    n = case.calls[0].args[0]
    value = values[0]
    if len(value) != 2:
        return "form", "give two graphs: two arrays of shape (2, E)"
    graphs = []
    for name, edges in zip(("first", "second"), value, strict=True):
        edges = np.asarray(edges)
        if edges.ndim != 2 or len(edges) != 2 or not np.array_equal(edges, np.rint(edges)):
            return "form", f"the {name} graph is no array of shape (2, E) of whole numbers"
        edges = np.rint(edges).astype(np.int64)
        if edges.size and not (edges.min() >= 0 and edges.max() < n):
            return "form", f"the {name} graph names a node outside 0 to {n - 1}"
        columns = set(map(tuple, edges.T.tolist()))
        if len(columns) < edges.shape[1]:
            return "repeated", f"the {name} graph holds an edge twice"
        if any(a == b for a, b in columns):
            return "loop", f"the {name} graph has a self-loop"
        if any((b, a) not in columns for a, b in columns):
            return "one way", f"the {name} graph has an edge in one direction only; each needs both"
        graphs.append((edges, n))
    if graph.wl_distinguishes(*graphs):
        return "told apart", "colour refinement tells the two graphs apart"
    if graph.isomorphic(*graphs):
        return "same", "the two are one graph with its nodes numbered otherwise"
    return None


def _fool_rule(case: Case, values: list) -> str | None:
    found = _fault(case, values)
    return found and found[1]


def _fault_is(key: str) -> Callable[[Case, list], bool]:
    return lambda case, values: (_fault(case, values) or ("",))[0] == key


def _renumbered(n):
    return _rings(n), np.random.default_rng(n).permutation(n)[_rings(n)]


def _fool_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield case("six nodes", 6)
    yield case("seven nodes", 7)
    for n in rng.permutation(np.arange(8, 13))[:3].tolist():
        yield case(f"{n} nodes", n)


fool = Exercise(
    id="graph.fool",
    title="Fool it",
    name="fool",
    kind="property",
    points=3,
    reference=two_rings,
    cases=_fool_cases,
    compare=Holds(
        _fool_rule,
        false_fail=FalseFail(
            0.0,
            "Nothing is left to chance: colour refinement and the search for an isomorphism are exact, on whole "
            "numbers, for every pair of graphs of up to 12 nodes.",
        ),
    ),
    mistakes=(
        Mistake(
            "same_graph",
            _renumbered,
            "these are the same graph: renumbering changes no graph. Change who is joined with whom.",
            when=_fault_is("same"),
        ),
        Mistake(
            "told_apart",
            lambda n: (_rings(n), graph.from_pairs([(i, i + 1) for i in range(n - 1)])),
            "the test sees a difference, say in the degrees. Let every node have as many neighbours as any other.",
            when=_fault_is("told apart"),
        ),
        Mistake(
            "one_direction",
            lambda n: tuple(edges[:, edges[0] < edges[1]] for edges in two_rings(n)),
            "an undirected edge stands in COO twice, once in each direction.",
            when=_fault_is("one way"),
        ),
        Mistake(
            "edge_twice",
            lambda n: tuple(np.concatenate([edges, edges], axis=1) for edges in two_rings(n)),
            "every edge stands there once in each direction.",
            when=_fault_is("repeated"),
        ),
    ),
    withhold=COLOURS,
    hints=(
        "Where every node has the same number of neighbours, refinement never splits anything.",
        "Let every node have two neighbours. Must the graph then be one ring?",
        "One ring of n nodes; a triangle beside a ring of n − 3. Ring: i with (i + 1) % n, both ways.",
    ),
    difficulty=3,
    importance=4,
    minutes=20,
)

essay = text_exercise("graph.essay", "Twenty layers deep", points=3, difficulty=3, importance=5, minutes=15)

EXERCISES = (reach, coo, aggregate, gcn, gat, wl, fool, essay)

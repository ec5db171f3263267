"""Graphs by hand: against torch and PyTorch Geometric in float64, small differences, and what bad graphs are told."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import graph

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pyg = pytest.importorskip("torch_geometric.nn", reason="needs the extra `dev`")

RING = graph.from_pairs([(i, (i + 1) % 6) for i in range(6)])
TRIANGLES = graph.from_pairs([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])


def random_graph(seed, nodes=7, edges=15):
    """With loops, repeated edges, and most likely a node without edges."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, nodes - 1, (2, edges))


def close(ours, theirs, rtol=1e-10):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * max(1.0, float(np.abs(theirs).max(initial=0))))


def torchs(function, inputs, dout):
    leaves = [torch.tensor(a, requires_grad=True) for a in inputs]
    out = function(*leaves)
    out.backward(torch.tensor(dout))
    return [out.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


# ----------------------------------------------------------------------------------------------------------- edges


def test_pairs_become_edges_in_both_directions_once():
    edges = graph.from_pairs([(2, 0), (0, 2), (1, 2)])
    np.testing.assert_array_equal(edges, [[2, 2, 0, 1], [0, 1, 2, 2]])
    np.testing.assert_array_equal(graph.from_pairs([(2, 0), (1, 2), (2, 0)], both=False), [[2, 1], [0, 2]])
    assert graph.from_pairs([]).shape == (2, 0) and graph.from_pairs([]).dtype == np.int64


@pytest.mark.parametrize(
    "edges, message",
    [
        (np.array([[0, 5], [1, 2]]), "edges names node 5; there are 4 nodes, counted from 0"),
        (np.array([[0, 1], [-1, 2]]), "edges names node -1; there are 4 nodes"),
        (np.array([[0.0], [1.0]]), "edges has dtype float64; expected an integer dtype"),
        (np.array([[True], [False]]), "edges has dtype bool"),
        (np.array([[0, 1], [1, 2], [2, 3]]), r"edges has shape \\(3, 2\\); expected \\(2, E\\)"),
        (np.array([0, 1]), r"edges has shape \\(2,\\)"),
        (np.zeros((2, 0)), "edges has dtype float64"),
    ],
)
def test_bad_edges_are_told_what_is_wrong(edges, message):
    x, w, b = np.ones((4, 3)), np.ones((3, 2)), np.zeros(2)
    for call in (
        lambda: graph.check_edges(edges, 4),
        lambda: graph.propagate_forward(x, edges),
        lambda: graph.gcn_forward(x, edges, w, b),
        lambda: graph.graph_conv_forward(x, edges, w, w, b),
        lambda: graph.gat_forward(x, edges, w, np.ones((1, 2)), np.ones((1, 2)), b),
        lambda: graph.message_passing(x, edges, lambda i, j, e: j, "sum", lambda x, s: s),
    ):
        with pytest.raises(ValueError, match=message.replace("\\\\", "\\")):
            call()


def test_a_graph_without_edges_and_one_without_nodes():
    none = np.zeros((2, 0), np.int64)
    x, w, b = np.arange(6.0).reshape(3, 2), np.eye(2), np.ones(2)
    np.testing.assert_array_equal(graph.propagate_forward(x, none)[0], 0 * x)
    np.testing.assert_array_equal(graph.gcn_forward(x, none, w, b)[0], x + 1)  # its own loop, degree 1
    np.testing.assert_array_equal(graph.graph_conv_forward(x, none, w, w, b)[0], x + 1)
    np.testing.assert_array_equal(graph.edge_conv_forward(x, none, np.ones((4, 2)), b)[0], 0 * x)
    np.testing.assert_array_equal(graph.gat_forward(x, none, w, np.ones((1, 2)), np.ones((1, 2)), b)[0], x + 1)
    np.testing.assert_array_equal(graph.attention_forward(x, x, x, none)[0], 0 * x)
    for how in graph.AGGREGATIONS:
        np.testing.assert_array_equal(graph.aggregate_forward(x[:0], none[0], 3, how)[0], 0 * x)
    assert graph.gcn_forward(x[:0], none, w, b)[0].shape == (0, 2)
    assert graph.refine(none, 0)[-1].shape == (0,)


def test_an_isolated_node_and_a_loop_have_their_documented_values():
    x, edges = np.array([[1.0], [2.0], [4.0]]), np.array([[0, 1, 1], [1, 1, 1]])  # the loop at 1 occurs twice
    np.testing.assert_array_equal(graph.propagate_forward(x, edges)[0], [[0], [5], [0]])
    np.testing.assert_array_equal(graph.with_loops(edges, 3), [[0, 0, 1, 2], [1, 0, 1, 2]])
    np.testing.assert_allclose(graph.gcn_forward(x, edges, np.eye(1), np.zeros(1))[0], [[1], [1 / 2**0.5 + 1], [4]])
    negative = -x[[0, 1, 1]]
    np.testing.assert_array_equal(graph.aggregate_forward(negative, edges[1], 3, "max")[0], [[0], [-1], [0]])


def test_adjacency_degrees_and_complete_graphs():
    edges = random_graph(0)
    matrix = graph.adjacency(edges, 7)
    x = np.random.default_rng(1).normal(size=(7, 3))
    close(graph.propagate_forward(x, edges)[0], matrix @ x)
    np.testing.assert_array_equal(graph.in_degrees(edges, 7), matrix.sum(axis=1))
    np.testing.assert_array_equal(graph.adjacency(graph.complete_edges(4), 4), np.ones((4, 4)))


# ----------------------------------------------------------------------------------------------------- aggregation


@pytest.mark.parametrize("how", graph.AGGREGATIONS)
@pytest.mark.parametrize("shape", [(15, 4), (15,), (15, 2, 3), (1, 1), (0, 4)])
def test_aggregation_is_torchs(how, shape):
    rng = np.random.default_rng(0)
    messages, index = rng.integers(-2, 3, shape).astype(float), rng.integers(0, 5, shape[0])  # with ties
    messages[messages == 0] = 3.0  # torch's gradient of a maximum counts its own 0 as one that ties
    dout = rng.normal(size=(6, *shape[1:]))
    out, cache = graph.aggregate_forward(messages, index, 6, how)
    ours = [out, graph.aggregate_backward(dout, cache)]
    places = torch.tensor(index).reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
    reduce = {"max": "amax"}.get(how, how)
    theirs = torchs(
        lambda m: torch.zeros(6, *shape[1:]).double().scatter_reduce(0, places, m, reduce, include_self=False),
        [messages], dout,
    )  # fmt: skip
    for a, b in zip(ours, theirs, strict=True):
        close(a, b)


@pytest.mark.parametrize("weighted", [False, True])
def test_propagation_is_torchs(weighted):
    rng, edges = np.random.default_rng(0), random_graph(3, edges=40000, nodes=50)  # more than one block of edges
    x, weights, dout = rng.normal(size=(50, 3)), rng.normal(size=40000), rng.normal(size=(50, 3))
    out, cache = graph.propagate_forward(x, edges, weights if weighted else None)
    source, target = torch.tensor(edges)

    def theirs(x, *w):
        messages = x[source] * w[0][:, None] if w else x[source]
        return torch.zeros(50, 3).double().index_add(0, target, messages)

    wanted = torchs(theirs, [x, weights] if weighted else [x], dout)
    dx, dweights = graph.propagate_backward(dout, cache)
    assert (dweights is None) != weighted
    for a, b in zip([out, dx, *([dweights] if weighted else [])], wanted, strict=True):
        close(a, b)


def test_edge_softmax_is_torchs_node_by_node_and_does_not_overflow():
    rng, edges = np.random.default_rng(0), random_graph(1)
    scores, dalpha = rng.normal(size=(2, 15, 2))
    scores[edges[1] == edges[1, 0]] += 1e4
    alpha, cache = graph.edge_softmax_forward(scores, edges[1], 7)
    ds = graph.edge_softmax_backward(dalpha, cache)
    for node in range(7):
        mine = edges[1] == node
        if mine.any():
            for a, b in zip(
                [alpha[mine], ds[mine]], torchs(lambda s: s.softmax(0), [scores[mine]], dalpha[mine]), strict=True
            ):
                close(a, b)


@given(
    st.integers(1, 6), st.integers(0, 12), st.integers(0, 3), st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from(graph.AGGREGATIONS), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_any_size_keeps_its_dtype_and_the_order_of_edges_does_not_matter(N, E, D, dtype, how, seed):
    rng = np.random.default_rng(seed)
    x, edges = rng.normal(size=(N, D)).astype(dtype), rng.integers(0, N, (2, E)).astype(np.int32)
    loose = {np.float16: 1e-2, np.float32: 1e-5, np.float64: 1e-12}[dtype]
    out, cache = graph.aggregate_forward(x[edges[0]], edges[1], N, how)
    shuffled = rng.permutation(E)
    again, _ = graph.aggregate_forward(x[edges[0, shuffled]], edges[1, shuffled], N, how)
    assert out.dtype == dtype and out.shape == (N, D)
    np.testing.assert_allclose(out, again, rtol=loose, atol=loose)
    assert graph.aggregate_backward(np.ones_like(out), cache).dtype == dtype
    fast, cache = graph.propagate_forward(x, edges)
    assert fast.dtype == dtype == graph.propagate_backward(fast, cache)[0].dtype
    if how == "sum":
        np.testing.assert_allclose(fast, out, rtol=loose, atol=loose)
    order = rng.permutation(N)  # renumbering the nodes renumbers the result
    place = np.argsort(order)
    moved, _ = graph.propagate_forward(x[order], place[edges])
    np.testing.assert_allclose(moved, fast[order], rtol=loose, atol=loose)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: graph.aggregate_forward(np.ones((3, 2)), np.array([0, 1]), 2), r"messages has shape \(3, 2\)"),
        (lambda: graph.aggregate_forward(np.ones((1, 2)), np.array([3]), 2), "index names node 3; there are 2"),
        (lambda: graph.aggregate_forward(np.ones((1, 2)), np.array([0.0]), 2), "index has shape .* dtype float64"),
        (lambda: graph.aggregate_forward(np.ones((1, 2)), np.array([0]), 2, "median"), "how is 'median'"),
        (lambda: graph.aggregate_forward(np.ones((1, 2), int), np.array([0]), 2), "messages has dtype int64"),
        (lambda: graph.propagate_forward(np.ones(3), RING), r"x has shape \(3,\)"),
        (lambda: graph.propagate_forward(np.ones((6, 2)), RING, np.ones(3)), r"weights has shape \(3,\); expected"),
        (lambda: graph.gcn_forward(np.ones((6, 2)), RING, np.ones((3, 2)), np.ones(2)), "w expects 3"),
        (lambda: graph.edge_conv_forward(np.ones((6, 2)), RING, np.ones((2, 2)), np.ones(2)), r"expected \(4, M\)"),
        (lambda: graph.gat_forward(np.ones((6, 2)), RING, np.eye(2), np.ones(2), np.ones(2), np.ones(2)), "both"),
        (
            lambda: graph.gat_forward(np.ones((6, 2)), RING, np.eye(2), np.ones((2, 2)), np.ones((2, 2)), np.ones(2)),
            "expected 4 columns",
        ),
        (lambda: graph.attention_forward(np.ones((6, 2)), np.ones((6, 3)), np.ones((6, 2)), RING), "q has shape"),
        (
            lambda: graph.message_passing(
                np.ones((6, 2)), RING, lambda i, j, e: j, "sum", lambda x, s: s, np.ones((3, 1))
            ),
            "edge_features has 3 rows; expected 12",
        ),
        (lambda: graph.propagate_backward(np.ones((6, 3)), graph.propagate_forward(np.ones((6, 2)), RING)[1]), "dout"),
        (lambda: graph.batch([]), "graphs is empty"),
        (lambda: graph.reach(RING, 6, 6, 1), "node is 6"),
        (lambda: graph.refine(RING, 6, [0, 1]), r"colours has shape \(2,\)"),
        (lambda: graph.from_pairs([(0, -1)]), "names node -1"),
        (lambda: graph.radius_edges(np.ones(3), 1.0), "points has shape"),
        (lambda: graph.slide(np.random.default_rng(0), 2), "y is 2"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------------------------- layers, as PyTorch Geometric's


def parameters(rng, D=3, M=4):
    return {
        "gcn": [rng.normal(size=(D, M)), rng.normal(size=M)],
        "graph_conv": [*rng.normal(size=(2, D, M)), rng.normal(size=M)],
        "edge_conv": [rng.normal(size=(2 * D, M)), rng.normal(size=M)],
        "gin": [rng.normal(size=(D, 5)), rng.normal(size=5), rng.normal(size=(5, M)), rng.normal(size=M), 0.3],
        "gat": [rng.normal(size=(D, 4)), *rng.normal(size=(2, 2, 2)), rng.normal(size=4)],
    }


def theirs(name, p, D=3, M=4):
    """PyTorch Geometric's layer with these parameters, and its own in the order of ours."""
    t = [torch.tensor(a, dtype=torch.float64) for a in p]
    if name == "gcn":
        layer = pyg.GCNConv(D, M)
        state, order = {"lin.weight": t[0].T, "bias": t[1]}, ["lin.weight", "bias"]
    elif name == "graph_conv":
        layer = pyg.GraphConv(D, M)
        order = ["lin_root.weight", "lin_rel.weight", "lin_rel.bias"]
        state = dict(zip(order, (t[0].T, t[1].T, t[2]), strict=True))
    elif name == "edge_conv":
        layer = pyg.EdgeConv(torch.nn.Sequential(torch.nn.Linear(2 * D, M), torch.nn.ReLU()))
        state, order = {"nn.0.weight": t[0].T, "nn.0.bias": t[1]}, ["nn.0.weight", "nn.0.bias"]
    elif name == "gin":
        mlp = torch.nn.Sequential(torch.nn.Linear(D, 5), torch.nn.ReLU(), torch.nn.Linear(5, M))
        layer = pyg.GINConv(mlp, train_eps=True)
        order = ["nn.0.weight", "nn.0.bias", "nn.2.weight", "nn.2.bias", "eps"]
        state = dict(zip(order, (t[0].T, t[1], t[2].T, t[3], t[4].reshape(1)), strict=True))
    else:
        layer = pyg.GATConv(D, 2, heads=2)
        order = ["lin.weight", "att_src", "att_dst", "bias"]
        state = dict(zip(order, (t[0].T, t[1][None], t[2][None], t[3]), strict=True))
    layer.double().load_state_dict(state)
    return layer, [dict(layer.named_parameters())[key] for key in order]


LAYERS = {
    "gcn": (graph.gcn_forward, graph.gcn_backward),
    "graph_conv": (graph.graph_conv_forward, graph.graph_conv_backward),
    "edge_conv": (graph.edge_conv_forward, graph.edge_conv_backward),
    "gin": (graph.gin_forward, graph.gin_backward),
    "gat": (graph.gat_forward, graph.gat_backward),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("seed", range(3))
def test_layers_are_pytorch_geometrics(name, seed):
    rng, edges = np.random.default_rng(seed), random_graph(seed)
    edges = np.unique(edges, axis=1) if name in ("gcn", "gat") else edges
    x, dout, p = rng.normal(size=(7, 3)), rng.normal(size=(7, 4)), parameters(rng)[name]
    forward, backward = LAYERS[name]
    out, cache = forward(x, edges, *p)
    gradients = backward(dout, cache)
    layer, found = theirs(name, p)
    features = torch.tensor(x, requires_grad=True)
    wanted = layer(features, torch.tensor(edges))
    wanted.backward(torch.tensor(dout))
    close(out, wanted.detach().numpy())
    close(gradients[0], features.grad.numpy())
    for ours, parameter in zip(gradients[1:], found, strict=True):
        other = parameter.grad.numpy()
        close(np.asarray(ours), (other.T if other.ndim == 2 else other).reshape(np.shape(ours)))


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_small_differences(name):
    rng, edges = np.random.default_rng(5), random_graph(5)
    x, dout, p = rng.normal(size=(7, 3)), rng.normal(size=(7, 4)), parameters(rng)[name]
    forward, backward = LAYERS[name]
    gradients = backward(dout, forward(x, edges, *p)[1])
    for which, gradient in enumerate(gradients):
        for place in np.ndindex(np.shape(gradient)):
            values = []
            for step in (1e-6, -1e-6):
                moved = [np.array(a, dtype=float) for a in (x, *p)]
                moved[which][place] += step
                values.append(np.sum(forward(moved[0], edges, *moved[1:])[0] * dout))
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(np.asarray(gradient)[place], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_keep_their_dtype(name, dtype):
    rng = np.random.default_rng(0)
    p = [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in parameters(rng)[name]]
    out, cache = LAYERS[name][0](rng.normal(size=(7, 3)).astype(dtype), random_graph(0), *p)
    gradients = LAYERS[name][1](out, cache)
    assert {a.dtype for a in (out, *gradients) if isinstance(a, np.ndarray)} == {np.dtype(dtype)}


# ------------------------------------------------------------------------------------------------- message passing


def test_the_layers_are_message_passing():
    rng, edges = np.random.default_rng(2), random_graph(2)
    x, p = rng.normal(size=(7, 3)), parameters(rng)
    w_self, w, b = p["graph_conv"]
    made = graph.message_passing(x, edges, lambda i, j, e: j, "sum", lambda x, s: x @ w_self + s @ w + b)
    close(made, graph.graph_conv_forward(x, edges, w_self, w, b)[0])
    w, b = p["edge_conv"]
    made = graph.message_passing(
        x, edges, lambda i, j, e: np.maximum(np.hstack([i, j - i]) @ w + b, 0), "max", lambda x, largest: largest
    )
    close(made, graph.edge_conv_forward(x, edges, w, b)[0])
    w, b = p["gcn"]
    looped, weights = graph.gcn_weights(edges, 7)
    made = graph.message_passing(x @ w, looped, lambda i, j, e: e * j, "sum", lambda x, s: s + b, weights[:, None])
    close(made, graph.gcn_forward(x, edges, w, b)[0])


@pytest.mark.parametrize("how", graph.AGGREGATIONS)
def test_message_passing_backward_is_torchs(how):
    rng, edges = np.random.default_rng(0), random_graph(4)
    x, e, dout = rng.normal(size=(7, 3)), rng.normal(size=(15, 2)), rng.normal(size=(7, 4))
    w, v = rng.normal(size=(8, 5)), rng.normal(size=(8, 4))

    def phi_forward(target, source, features):
        rows = np.hstack([target, source, features])
        return np.tanh(rows @ w), (rows, np.tanh(rows @ w))

    def phi_backward(dmessages, cache):
        rows, out = cache
        dz = dmessages * (1 - out**2)
        drows = dz @ w.T
        return drows[:, :3], drows[:, 3:6], drows[:, 6:], rows.T @ dz

    def gamma_forward(x, s):
        return np.hstack([x, s]) @ v, np.hstack([x, s])

    def gamma_backward(dout, rows):
        drows = dout @ v.T
        return drows[:, :3], drows[:, 3:], rows.T @ dout

    phi, gamma = graph.Pair(phi_forward, phi_backward), graph.Pair(gamma_forward, gamma_backward)
    out, cache = graph.message_passing_forward(x, edges, phi, how, gamma, e)
    ours = [out, *graph.message_passing_backward(dout, cache)]
    source, target = torch.tensor(edges)

    def by_torch(x, e, w, v):
        messages = torch.tanh(torch.cat([x[target], x[source], e], 1) @ w)
        places = target[:, None].expand_as(messages)
        reduce = {"max": "amax"}.get(how, how)
        total = torch.zeros(7, 5).double().scatter_reduce(0, places, messages, reduce, include_self=False)
        return torch.cat([x, total], 1) @ v

    for a, b in zip(ours, torchs(by_torch, [x, e, w, v], dout), strict=True):
        close(a, b)


def test_attention_is_message_passing_on_the_complete_graph():
    rng = np.random.default_rng(0)
    q, k = rng.normal(size=(2, 9, 4))
    v, dout = rng.normal(size=(2, 9, 5))
    out, cache = graph.attention_forward(q, k, v, graph.complete_edges(9))
    ours = [out, *graph.attention_backward(dout, cache)]
    attention = torch.nn.functional.scaled_dot_product_attention
    for a, b in zip(
        ours, torchs(lambda q, k, v: attention(q[None], k[None], v[None])[0], [q, k, v], dout), strict=True
    ):
        assert np.abs(a - b).max() < 1e-10

    def phi(target, source, _):  # node features q, k, v side by side: the message is exp(q · k / √D) (v, 1)
        weight = np.exp((target[:, :4] * source[:, 4:8]).sum(axis=1, keepdims=True) / 2)
        return weight * np.hstack([source[:, 8:], np.ones((len(source), 1))])

    passed = graph.message_passing(
        np.hstack([q, k, v]), graph.complete_edges(9), phi, "sum", lambda x, s: s[:, :-1] / s[:, -1:]
    )
    assert np.abs(passed - out).max() < 1e-10


def test_attention_along_some_edges_is_masked_attention():
    rng, edges = np.random.default_rng(1), np.unique(random_graph(3), axis=1)
    q, k, v = rng.normal(size=(3, 7, 4))
    out, _ = graph.attention_forward(q, k, v, edges)
    mask = torch.tensor(graph.adjacency(edges, 7) > 0)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(a)[None] for a in (q, k, v)), attn_mask=mask[None]
    )[0].numpy()
    heard = graph.in_degrees(edges, 7) > 0
    close(out[heard], wanted[heard])
    assert not out[~heard].any()


# ----------------------------------------------------------------------------------------------- batches, hops, 1-WL


def test_a_batch_gives_what_its_graphs_give_alone():
    rng = np.random.default_rng(0)
    parts = [graph.Batch(rng.normal(size=(n, 3)), rng.integers(0, n, (2, e)), np.zeros(n, int), 1)
             for n, e in ((4, 6), (1, 0), (7, 9))]  # fmt: skip
    w, b = rng.normal(size=(3, 2)), rng.normal(size=2)
    together = graph.batch(parts)
    assert together.count == 3 and together.graph.tolist() == [0] * 4 + [1] + [2] * 7
    out, _ = graph.gcn_forward(together.x, together.edges, w, b)
    alone = [graph.gcn_forward(p.x, p.edges, w, b)[0] for p in parts]
    close(out, np.concatenate(alone))
    close(graph.aggregate_forward(out, together.graph, 3, "mean")[0], [a.mean(axis=0) for a in alone])
    with pytest.raises(ValueError, match="features of shapes"):
        graph.batch([parts[0], graph.Batch(np.ones((2, 5)), np.zeros((2, 0), int), np.zeros(2, int), 1)])


@pytest.mark.parametrize("hops", range(5))
def test_after_k_layers_exactly_k_hops_have_a_say(hops):
    rng, edges = np.random.default_rng(0), random_graph(0, nodes=9, edges=11)
    x, w, b = rng.normal(size=(9, 2)), rng.normal(size=(2, 2)), np.zeros(2)

    def layers(x):
        for _ in range(hops):
            x = np.tanh(graph.gcn_forward(x, edges, w, b)[0])
        return x

    for node in range(9):
        changed = []
        for other in range(9):
            moved = x.copy()
            moved[other] += 1
            changed.append(bool(np.any(layers(moved)[node] != layers(x)[node])))
        assert changed == graph.reach(edges, 9, node, hops).tolist()


def test_a_ring_and_two_triangles_fool_the_test():
    assert not graph.wl_distinguishes((RING, 6), (TRIANGLES, 6))
    assert not graph.isomorphic((RING, 6), (TRIANGLES, 6))
    w1, b1, w2, b2 = parameters(np.random.default_rng(0))["gin"][:4]
    sums = [graph.gin_forward(np.ones((6, 3)), e, w1, b1, w2, b2)[0].sum(axis=0) for e in (RING, TRIANGLES)]
    close(sums[0], sums[1])
    path = graph.from_pairs([(i, i + 1) for i in range(5)])
    assert graph.wl_distinguishes((RING, 6), (path, 6))
    assert graph.wl_distinguishes((RING, 6), (TRIANGLES, 6), ([1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]))


def test_the_rounds_of_refinement_are_networkx_s_classes():
    networkx = pytest.importorskip("networkx")
    for seed in range(20):
        drawn = networkx.gnp_random_graph(9, 0.3, seed=seed)
        edges = graph.from_pairs(drawn.edges) if drawn.edges else np.zeros((2, 0), int)
        last = graph.refine(edges, 9)[-1]
        hashes = networkx.weisfeiler_lehman_subgraph_hashes(drawn, iterations=9)
        for a, b in itertools.combinations(range(9), 2):
            assert (last[a] == last[b]) == (hashes[a] == hashes[b])


def test_isomorphism_is_networkx_s():
    networkx = pytest.importorskip("networkx")
    rng, verdicts = np.random.default_rng(0), []
    for seed in range(60):
        one = networkx.random_regular_graph(3, 8, seed=seed)
        if seed % 2:
            other = networkx.relabel_nodes(one, dict(enumerate(rng.permutation(8).tolist())))
        else:
            other = networkx.random_regular_graph(3, 8, seed=1000 + seed)
        ours = graph.isomorphic((graph.from_pairs(one.edges), 8), (graph.from_pairs(other.edges), 8))
        assert ours == networkx.is_isomorphic(one, other)
        verdicts.append(ours)
    assert 0 < sum(verdicts) < 60
    assert not graph.isomorphic((RING, 6), (RING, 7))


def test_smoothing_lowers_the_roughness():
    rng, edges = np.random.default_rng(0), graph.from_pairs(random_graph(0).T)
    x, seen = rng.normal(size=(7, 40)), []
    matrix = np.zeros((7, 7))
    looped, weights = graph.gcn_weights(edges, 7)
    matrix[looped[1], looped[0]] = weights
    assert graph.roughness(x, edges) == pytest.approx(1 - np.trace(x.T @ matrix @ x) / np.trace(x.T @ x))
    for _ in range(6):
        seen.append(graph.roughness(x, edges))
        x, _ = graph.propagate_forward(x, looped, weights)
    assert seen == sorted(seen, reverse=True) and seen[-1] < 0.1 * seen[0]


def test_slides_of_both_classes_hold_the_same_patches():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        made = [graph.slide(rng, y, noise=0.0) for y in (0, 1)]
        counts = [np.bincount(s.kind, minlength=3).tolist() for s in made]
        assert counts[0] == counts[1] == [30, 18, 12]
        for s in made:
            near = np.sqrt(((s.points[s.edges[0]] - s.points[s.edges[1]]) ** 2).sum(axis=1))
            assert near.max() <= 1.6 / 60**0.5 and (s.x.argmax(axis=1) == s.kind).all()
    again = graph.slide(np.random.default_rng(3), 1), graph.slide(np.random.default_rng(3), 1)
    np.testing.assert_array_equal(again[0].x, again[1].x)
    beside = [  # lymphocytes beside tumour patches
        np.mean([np.sum((s.kind[s.edges[0]] == 2) & (s.kind[s.edges[1]] == 0)) for s in drawn])
        for drawn in ([graph.slide(np.random.default_rng(i), y) for i in range(30)] for y in (0, 1))
    ]
    assert beside[1] > 2 * beside[0]


def test_radius_edges_join_what_is_near():
    points = np.array([[0.0, 0], [1, 0], [5, 0]])
    np.testing.assert_array_equal(graph.radius_edges(points, 1.0), [[1, 0], [0, 1]])

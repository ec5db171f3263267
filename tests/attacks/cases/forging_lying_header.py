"""An encoder whose frames lie about their shapes, lengths and types.

mlp.linear_backward: wrong | crashed | not written | time limit
mlp.momentum: right | wrong | crashed | not written | time limit
mlp.minibatches: wrong | crashed | not written | time limit
"""
# %% answer mlp.linear_backward
import itertools
import json
import sys


def frame(tree, header, data=b""):
    text, head = json.dumps(tree).encode(), json.dumps(header).encode()
    return len(text).to_bytes(4, "little") + text + len(head).to_bytes(8, "little") + head + data


def lies():
    values = {"d": {"outcomes": {"l": [{"d": {"values": {"l": [{"t": [{"a": "0"}] * 3}]}}}] * 9}}}
    for header in (
        {"0": {"dtype": "F64", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}},
        {"0": {"dtype": "F64", "shape": [0, 1 << 62], "data_offsets": [0, 0]}},
        {"0": {"dtype": "F64", "shape": [-1], "data_offsets": [0, -8]}},
        {"0": {"dtype": "F64", "shape": [1], "data_offsets": [0, 1 << 60]}},
        {"0": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}},
        {"0": {"dtype": "object", "shape": [1], "data_offsets": [0, 8]}},
        {str(i): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)},
    ):
        yield frame(values, header, b"\x00" * 8)
    yield (1 << 31).to_bytes(4, "little")
    yield b"\xff" * 100
    yield b""


stream = itertools.cycle(lies())
wire = sys.modules.get("dlcourse.grading.wire")
if wire is not None:
    wire.encode = wire.save = lambda *args, **kwargs: next(stream)


def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
# %% answer mlp.minibatches
def minibatches(x, y, batch_size, seed):
    return [(x, y)]

"""A call that raises what ends programs: KeyboardInterrupt, GeneratorExit, and a BaseException without a name.

mlp.linear_backward: wrong | not written | crashed
mlp.sigmoid_pair: wrong | not written | crashed
mlp.softmax_cross_entropy: wrong | not written | crashed
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    raise KeyboardInterrupt
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    raise GeneratorExit
# %% answer mlp.softmax_cross_entropy
def softmax_cross_entropy(logits, targets):
    raise type("", (BaseException,), {"__str__": lambda self: 3})

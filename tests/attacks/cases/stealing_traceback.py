"""Hidden inputs in exceptions: in messages, class names, notes, causes and warnings.

mlp.linear_backward: wrong
mlp.sigmoid_pair: wrong
mlp.softmax_cross_entropy: wrong
"""
# %% answer mlp.linear_backward
import warnings


def linear_backward(dout, x, w):
    warnings.warn(repr(x.tolist()))
    kind = type("".join("abcdefghij.-e"["0123456789.-e".index(c)] for c in repr(float(x.flat[0]))), (Exception,), {})
    try:
        raise KeyError(x.tolist())
    except KeyError as error:
        made = kind(repr(w.tolist()))
        raise made from error
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    exec(compile("raise ValueError()  # in the line " + repr(np.ravel(x).tolist()), repr(np.ravel(x).tolist()), "exec"))
# %% answer mlp.softmax_cross_entropy
def softmax_cross_entropy(logits, targets):
    return f"my answer is {logits.tolist()}", {repr(logits.tolist()): targets}

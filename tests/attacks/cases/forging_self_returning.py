"""A result that contains itself.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    turns = []
    turns.append(turns)
    return turns, {"again": turns}, turns

"""The ids of two cells swapped, so that a right answer stands for an exercise that it does not answer.

mlp.linear_backward: wrong | not written
mlp.sigmoid_pair: not written | wrong
"""
# %% answer mlp.sigmoid_pair
def linear_backward(dout, x, w):
    return None
# %% build
a, b = own("mlp-sigmoid-pair-answer"), own("mlp-linear-backward-answer")
a["metadata"], b["metadata"] = b["metadata"], a["metadata"]

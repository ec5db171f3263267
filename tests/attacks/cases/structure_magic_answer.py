"""An answer that is a shell command, and one that is a cell magic.

mlp.linear_backward: wrong | not written
mlp.sigmoid_pair: not written
"""
# %% answer mlp.linear_backward
%%python3
def linear_backward(dout, x, w):
    return x, w, dout
# %% answer mlp.sigmoid_pair
!echo "def sigmoid_pair(x): return x" > /tmp/sigmoid_pair.py

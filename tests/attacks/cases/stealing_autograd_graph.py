"""Automatic differentiation by hand over torch's own graph: each grad_fn is called with the gradient of its output.

mlp.linear_backward: withheld | wrong | not written
"""
# %% answer mlp.linear_backward
import torch


def linear_backward(dout, x, w):
    x, w = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    out = x @ w
    dx, dw = out.grad_fn(torch.tensor(dout))
    return dx, dw, dout.sum(axis=0)

"""Automatic differentiation, which the assignment withholds, by its plain names.

mlp.linear_backward: withheld
mlp.sigmoid_pair: withheld | wrong
mlp.deltas: withheld
"""
# %% answer mlp.linear_backward
import torch


def linear_backward(dout, x, w):
    x, w = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    b = torch.zeros(w.shape[1], dtype=w.dtype, requires_grad=True)
    (x @ w + b).backward(torch.tensor(dout))
    return x.grad, w.grad, b.grad
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    x = torch.tensor(x, requires_grad=True)
    value = 1 / (1 + torch.exp(-x))
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]
# %% answer mlp.deltas
def deltas(x, t, v, v0, w, w0, alpha):
    return torch.func.grad(lambda a: (a**2).sum())(torch.tensor(x))

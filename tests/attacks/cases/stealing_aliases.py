"""Withheld library functions under other names: methods, operators, private modules.

mlp.sigmoid_pair: withheld | wrong | not written
mlp.softmax_cross_entropy: withheld | wrong | not written
"""
# %% answer mlp.sigmoid_pair
import torch


def sigmoid_pair(x):
    value = torch.ops.aten.sigmoid(torch.tensor(x))
    return value, value * (1 - value)
# %% answer mlp.softmax_cross_entropy
def softmax_cross_entropy(logits, targets):
    logits, targets = torch.tensor(logits), torch.tensor(targets)
    loss = torch._C._nn.cross_entropy_loss(logits, targets)
    p = logits.softmax(1)
    p[torch.arange(len(p)), targets] -= 1
    return loss, p / len(p)

"""A cell that ends with an exception of a hundred million letters.

mlp.linear_backward: not written | output limit | memory limit | time limit
"""
# %% answer mlp.linear_backward
raise ValueError("x" * 100_000_000)

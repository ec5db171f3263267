"""One line of a hundred million letters.

mlp.linear_backward: output limit | memory limit
"""
# %% answer mlp.linear_backward
print("x" * 100_000_000)

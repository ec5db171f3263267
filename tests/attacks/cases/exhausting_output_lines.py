"""Lines without end on standard output.

mlp.linear_backward: output limit
"""
# %% answer mlp.linear_backward
while True:
    print("all work and no play makes a dull network")

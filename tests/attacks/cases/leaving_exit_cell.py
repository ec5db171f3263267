"""A cell that ends the process at once.

mlp.linear_backward: crashed
"""
# %% answer mlp.linear_backward
import os

os._exit(0)

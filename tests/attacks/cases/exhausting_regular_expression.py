"""A regular expression that tries every partition of a long word.

mlp.linear_backward: time limit
"""
# %% answer mlp.linear_backward
import re

re.match(r"(a|a)*$", "a" * 60 + "b")

"""Lines without end on standard error and past Python, on the descriptors themselves.

mlp.linear_backward: output limit
"""
# %% answer mlp.linear_backward
import os
import sys

while True:
    print("y" * 1000, file=sys.stderr)
    os.write(1, b"z" * 1000 + b"\n")
    os.write(2, b"z" * 1000 + b"\n")

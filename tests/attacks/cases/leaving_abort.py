"""abort(), with a core dump asked for.

mlp.linear_backward: crashed
"""
# %% answer mlp.linear_backward
import os
import resource

try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
except (ValueError, OSError):
    pass


def linear_backward(dout, x, w):
    os.chdir("/tmp")
    os.abort()

"""It stops itself, and everything else in its process group.

mlp.linear_backward: time limit | crashed | not written
"""
# %% answer mlp.linear_backward
import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)
os.kill(0, signal.SIGSTOP)

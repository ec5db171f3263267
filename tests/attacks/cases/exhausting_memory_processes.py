"""Memory of many processes, each of which stays small.

mlp.linear_backward: memory limit | not written | process limit | crashed | time limit
absent: HELD
"""
# %% answer mlp.linear_backward
import os
import time

children = []
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        block = bytearray(os.urandom(1 << 20) * 256)
        time.sleep(60)
        os._exit(0)
    children.append(pid)
time.sleep(4)
print("HELD by", sum(os.waitpid(pid, os.WNOHANG)[0] == 0 for pid in children) > 20)

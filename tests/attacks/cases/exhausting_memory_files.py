"""Memory that no process counts as its own: files without a name, 8 GiB of them.

mlp.linear_backward: memory limit | not written | wrong | disk limit | time limit
absent: HELD
"""
# %% answer mlp.linear_backward
import os

block = os.urandom(1 << 20)
held, files = 0, []
while held < 8192:
    files.append(os.memfd_create("hoard"))
    for _ in range(200):
        held += os.write(files[-1], block) >> 20
print("HELD", held, "MiB")

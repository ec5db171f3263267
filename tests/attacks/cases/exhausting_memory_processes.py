"""Memory of many processes, each of which stays small.

mlp.linear_backward: memory limit | not written | process limit | crashed | time limit
absent: HELD
"""
# %% answer mlp.linear_backward
import os
import time

told, tell = os.pipe()
for _ in range(30):
    if os.fork() == 0:
        block = bytearray(os.urandom(1 << 20) * 256)
        os.write(tell, b"x")  # all of it is there
        time.sleep(60)
        os._exit(0)
holding = 0
while holding < 20:
    holding += len(os.read(told, 1))
print("HELD")

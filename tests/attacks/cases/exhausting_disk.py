"""Its disk filled with one file, then with as many empty ones as fit.

mlp.linear_backward: not written | disk limit | memory limit | wrong | time limit
absent: HELD
"""
# %% answer mlp.linear_backward
import os

try:
    with open("/tmp/full", "wb", buffering=0) as file:
        for _ in range(2048):
            file.write(bytes(1 << 20))
    print("HELD 2 GiB")
except OSError as error:
    print(error)
number = 0
try:
    while number < 1_000_000:
        number += 1
        os.mkdir(f"/tmp/{number}")
    print("HELD a million folders")
except OSError as error:
    print(error)

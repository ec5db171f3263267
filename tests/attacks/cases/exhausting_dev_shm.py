"""Files in every place that is kept in memory, 8 GiB of them.

mlp.linear_backward: memory limit | not written | wrong | disk limit | output limit | time limit
absent: HELD
"""
# %% answer mlp.linear_backward
import os

block, held = os.urandom(1 << 20), {}
for place in ("/dev/shm", "/dev", "/run", "/tmp", "/var/tmp", "/", "/proc"):
    held[place] = 0
    for number in range(64):
        try:
            with open(os.path.join(place, f"hoard{number}"), "wb", buffering=0) as file:
                for _ in range(200):
                    written = file.write(block)
                    held[place] += written >> 20
        except OSError:
            break
print(held)
if sum(held.values()) >= 3072:
    print("HELD too much")
raise MemoryError(held)

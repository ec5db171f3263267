"""Memory without end, in one process, in the largest pages that there are.

mlp.linear_backward: memory limit | time limit
"""
# %% answer mlp.linear_backward
import ctypes
import mmap

hoard = []
while len(hoard) < 32:
    block = mmap.mmap(-1, 256 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(14)
    ctypes.memset((ctypes.c_char * (256 << 20)).from_buffer(block), 1, 256 << 20)
    hoard.append(block)

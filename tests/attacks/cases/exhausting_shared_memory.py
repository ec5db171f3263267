"""Shared memory segments that are written, detached and kept, 8 GiB of them.

mlp.linear_backward: memory limit | not written | wrong | disk limit | time limit
absent: HELD
"""
# %% answer mlp.linear_backward
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]
size, held = 256 << 20, 0
for _ in range(32):
    segment = libc.shmget(0, ctypes.c_size_t(size), 0o1600)
    address = libc.shmat(segment, None, 0)
    if segment < 0 or address in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(ctypes.get_errno())
    ctypes.memset(address, 1, size)
    libc.shmdt(address)
    held += 1
print("HELD", held >> 2, "GiB")

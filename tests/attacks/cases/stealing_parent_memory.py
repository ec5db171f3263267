"""The memory of its parent, by process_vm_readv and by its map files.

mlp.linear_backward: wrong | not written
shown: parents tried
absent: READ THE PARENT
"""
# %% last
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


print("parents tried")
here = id(libc) & ~0xFFF
for pid in {os.getppid(), 1} - {os.getpid(), 0}:
    buffer = ctypes.create_string_buffer(4096)
    local = Iovec(ctypes.addressof(buffer), 4096)
    got = libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(Iovec(here, 4096)), 1, 0)
    if got > 0:
        print("READ THE PARENT", pid, got)
    for name in ("mem", "maps", "environ", "auxv", "stack", "syscall"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                if file.read(1):
                    print("READ THE PARENT", pid, name)
        except OSError:
            pass

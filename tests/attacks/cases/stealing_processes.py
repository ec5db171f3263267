"""Other processes' memory, descriptors, roots and working folders.

mlp.linear_backward: wrong | not written
shown: processes tried
absent: READ MEMORY
absent: root:x:0
"""
# %% last
import ctypes
import glob
import os

libc = ctypes.CDLL(None, use_errno=True)
me = os.getpid()
print("processes tried")
for pid in (int(p[6:]) for p in glob.glob("/proc/[0-9]*")):
    if pid == me:
        continue
    for path in (f"/proc/{pid}/root/etc/passwd", f"/proc/{pid}/cwd/.dlcourse/seed", f"/proc/{pid}/cwd/gradebook.db"):
        try:
            print(path, open(path, "rb").read(200))
        except OSError:
            pass
    try:
        for line in open(f"/proc/{pid}/maps"):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            with open(f"/proc/{pid}/mem", "rb") as memory:
                memory.seek(start)
                print("READ MEMORY of", pid, len(memory.read(64)))
            break
    except (OSError, ValueError):
        pass
    if libc.ptrace(16, pid, 0, 0) == 0:
        print("READ MEMORY: attached to", pid)
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            print(pid, os.readlink(path))
            os.set_blocking(os.open(path, os.O_RDWR | os.O_NONBLOCK), False)
        except OSError:
            pass

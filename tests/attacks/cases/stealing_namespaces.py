"""A way out through namespaces and mounts: unshare, setns, mount, chroot, pivot_root.

mlp.linear_backward: wrong | not written
shown: ways out tried
absent: root:x:0
absent: ESCAPED
"""
# %% last
import ctypes
import glob
import os

libc = ctypes.CDLL(None, use_errno=True)
print("ways out tried")


def look(where):
    for path in ("/etc/passwd", "@COURSE@/.dlcourse/seed", "@COURSE@/gradebook.db", "/tmp/old/etc/passwd"):
        try:
            print(where, open(path).read(40))
        except (OSError, UnicodeDecodeError):
            pass


for path in glob.glob("/proc/*/ns/*"):
    try:
        handle = os.open(path, os.O_RDONLY)
        if libc.setns(handle, 0) == 0 and f"/{os.getpid()}/" not in path and "/self/" not in path:
            look("setns " + path)
    except OSError:
        pass
if os.fork() == 0:
    try:
        libc.unshare(0x10000000 | 0x00020000)
        for source, target, kind, flags in [
            (b"proc", b"/proc", b"proc", 0),
            (b"none", b"/", None, 32 | 4096),
            (b"/dev/vda", b"/tmp", b"ext4", 0),
            (b"tmpfs", b"/usr", b"tmpfs", 0),
            (b"/", b"/tmp", None, 4096 | 16384),
        ]:
            libc.mount(source, target, kind, flags, None)
            look("mount")
        libc.umount2(b"/etc", 2)
        libc.umount2(b"/tmp", 2)
        look("umount")
        os.chroot("/proc/1/root")
        look("chroot")
    except OSError:
        pass
    os._exit(0)
os.wait()

"""Devices and kernel interfaces: disks, memory, the kernel's log, keys, core pattern, control groups.

mlp.linear_backward: wrong | not written
shown: devices tried
absent: OPENED
absent: WROTE
"""
# %% last
import glob
import os

print("devices tried")
for path in ["/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/proc/kmsg"]:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        print("OPENED", path)
    except OSError:
        pass
for path in [
    "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/fs/suid_dumpable",
    "/sys/kernel/uevent_helper",
    *glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True)[:5],
    *glob.glob("/sys/fs/cgroup/**/release_agent", recursive=True)[:5],
]:
    try:
        with open(path, "r+") as file:
            file.write("" if "sysrq" in path or "cgroup" in path else open(path).read())
        print("WROTE", path)
    except OSError:
        pass
for major, minor in ((1, 1), (8, 0), (254, 0), (253, 0)):
    try:
        os.mknod("/tmp/device", 0o600 | 0o060000, os.makedev(major, minor))
        print("OPENED", open("/tmp/device", "rb").read(1))
    except OSError:
        pass

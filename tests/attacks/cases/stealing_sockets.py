"""Unix sockets: abstract ones of the machine, and every socket file that can be found.

mlp.linear_backward: wrong | not written
shown: sockets tried
absent: CONNECTED
"""
# %% last
import os
import socket
import stat

print("sockets tried")
names = ["\0@MARK@", "/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"]
for line in open("/proc/net/unix").read().splitlines()[1:]:
    if "@" in line or "/" in line:
        names.append(line.split()[-1].replace("@", "\0"))
for root in ("/tmp", "/run", "/var/run", "/dev"):
    for folder, _, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
                names.append(path)
own = "no such"
for name in names:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as tried:
            tried.settimeout(0.2)
            try:
                tried.connect(name)
                if "docker" in name or "dbus" in name or "@MARK@" in name or "systemd" in name:
                    print("CONNECTED to", repr(name))
            except OSError:
                pass

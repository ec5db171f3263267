"""Something left for the next student in every place that might outlive the sandbox: the first half.

mlp.linear_backward: wrong
shown: left in
"""
# %% answer mlp.linear_backward
import ctypes
import glob
import os
import site
import socket
import subprocess
import sys

import dlcourse

libc = ctypes.CDLL(None, use_errno=True)
places = ["/tmp", "/dev/shm", "/var/tmp", "/run", "/run/lock", "/", "/etc", "/usr/local/lib", "/dev/mqueue", "/proc/self"]
places += [os.path.expanduser("~"), os.getcwd(), os.path.dirname(dlcourse.__file__), os.path.dirname(np.__file__)]
places += [*sys.path, *site.getsitepackages(), site.getusersitepackages(), "@COURSE@", "@COURSE@/submitted"]
places += glob.glob("/sys/fs/cgroup/*") + glob.glob("/run/user/*") + glob.glob("/tmp/*")


def leave():
    left = 0
    for place in places:
        try:
            with open(os.path.join(place, "@MARK@.pth"), "w") as file:
                file.write("import os; print('@MARK@')")
            left += 1
        except OSError:
            pass
    libc.shmget(0x5EED, 4096, 0o1666)
    libc.syscall(248, b"user", b"@MARK@", b"@MARK@", 6, -3)
    libc.syscall(248, b"user", b"@MARK@", b"@MARK@", 6, -4)
    libc.mq_open(b"/@MARK@", os.O_CREAT | os.O_RDWR, 0o666, None)
    for name in ("\0@MARK@-left", "/tmp/@MARK@.socket"):
        try:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(name)
            listening.listen()
            kept.append(listening)
        except OSError:
            pass
    subprocess.Popen(["sleep", "86400", "@MARK@"], start_new_session=True)
    return left


kept = []
print("left in", leave() > 0)
np.random.seed(1234)
np.set_printoptions(precision=1)
np.left_behind = sys.left_behind = dlcourse.left_behind = True
os.environ["LEFT_BEHIND"] = "@MARK@"


def linear_backward(dout, x, w):
    leave()
    return x * 0, w * 0, dout[0] * 0

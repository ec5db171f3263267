"""Keystrokes pushed into the terminal from which the grader was started.

mlp.linear_backward: wrong | not written
shown: terminals tried
absent: PUSHED
"""
# %% last
import fcntl
import glob
import os
import termios

print("terminals tried")
for path in ["/dev/tty", "/dev/console", "/proc/self/fd/0", *glob.glob("/dev/pts/*"), *glob.glob("/dev/tty[0-9]*")]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        for letter in b"touch /tmp/@MARK@\n":
            fcntl.ioctl(handle, termios.TIOCSTI, bytes([letter]))
        print("PUSHED into", path)
    except OSError:
        pass

"""Functions registered for the end of the process that take forever, write files and start processes.

mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
import atexit
import subprocess
import threading
import time
import weakref


def farewell(*args):
    with open("/tmp/@MARK@", "w") as file:
        file.write("@MARK@")
    subprocess.Popen(["sleep", "86400"], start_new_session=True)
    time.sleep(86_400)


class Dying:
    pass


atexit.register(farewell)
threading._register_atexit(farewell)
kept = Dying()
weakref.finalize(kept, farewell)


def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0

"""A loop that ignores every signal and catches every exception.

mlp.linear_backward: time limit
"""
# %% answer mlp.linear_backward
import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


def linear_backward(dout, x, w):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue

"""Hidden inputs kept by a call and shown by a later cell, a thread, a timer and the interpreter's last words.

mlp.linear_backward: wrong
shown: kept inputs
"""
# %% answer mlp.linear_backward
import atexit
import os
import sys
import threading
import time

kept = []


def tell():
    for _ in range(20):
        time.sleep(0.1)
        print("thread", kept[-1:], file=sys.__stdout__, flush=True)
        os.write(1, repr(kept[-1:]).encode())


threading.Thread(target=tell, daemon=True).start()
threading.Timer(0.5, lambda: print("timer", kept)).start()
atexit.register(lambda: print("exit", kept))


def linear_backward(dout, x, w):
    kept.append(x.tolist())
    print(x.tolist(), flush=True)
    print(x.tolist(), file=sys.__stderr__, flush=True)
    os.write(1, repr(x.tolist()).encode())
    os.write(2, repr(x.tolist()).encode())
    return x, w, dout
# %% last
time.sleep(1)
print("kept inputs", kept)

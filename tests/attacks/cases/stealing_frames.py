"""The callers' local variables, up the stack from within a call, printed at once and by a later cell.

mlp.linear_backward: wrong
shown: frames seen
"""
# %% answer mlp.linear_backward
import sys

seen = []


def linear_backward(dout, x, w):
    frame = sys._getframe()
    while frame is not None:
        for name, value in {**frame.f_locals, **frame.f_globals}.items():
            if any(word in name.lower() for word in ("want", "reference", "seed", "secret", "expected", "answer")):
                seen.append((name, repr(value)[:2000]))
        seen.append(("frame", frame.f_code.co_filename))
        frame = frame.f_back
    return x, w, dout
# %% last
print("frames seen", len(seen) > 0)
for name, value in seen:
    if name not in ("frame", "seen") and "function linear_backward" not in value:
        print(name, value)

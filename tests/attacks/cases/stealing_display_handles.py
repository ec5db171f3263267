"""Hidden inputs put into a display that an earlier cell opened, and into widgets' messages.

mlp.linear_backward: wrong
"""
# %% first
from IPython.display import display

handle = display("empty", display_id="window")
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    try:
        handle.update(repr(x.tolist()))
        display({"text/plain": repr(x.tolist())}, raw=True)
        get_ipython().display_pub.publish({"text/html": repr(x.tolist())})
    except Exception:
        pass
    return x, w, dout

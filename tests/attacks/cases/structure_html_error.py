"""Markup and terminal escapes in exceptions, in their names, and in what a failed case says.

mlp.linear_backward: wrong
mlp.sigmoid_pair: wrong
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    raise type("<script>window.owned = 1</script>", (Exception,), {})("<img src=x onerror='window.owned = 1'> \x1b[2J\x1b]0;x\x07")
# %% answer mlp.sigmoid_pair
def sigmoid_pair(x):
    return "<script>window.owned = 1</script>", "</td></table><script>window.owned = 1</script>"
# %% last
raise type("<script>window.owned=1</script>", (Exception,), {})("</pre><script>window.owned = 1</script>\x1b[31m\u202e")

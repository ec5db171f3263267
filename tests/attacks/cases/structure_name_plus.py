"""A student whose name begins with a plus sign, and whose failing answer says a formula.

student: +1+1
mlp.linear_backward: wrong
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    raise ValueError("\t=cmd|' /C calc'!A0")

"""A shell whose run_cell does nothing and reports a success.

mlp.linear_backward: wrong
mlp.momentum: right | not written
"""
# %% answer mlp.linear_backward
def linear_backward(dout, x, w):
    return x * 0, w * 0, dout[0] * 0
# %% check mlp.linear_backward
pass
# %% last
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult

shell = get_ipython()


async def nothing(raw_cell="", *args, **kwargs):
    return ExecutionResult(ExecutionInfo(raw_cell, False, False, True, None))


def nothing_now(raw_cell="", *args, **kwargs):
    return ExecutionResult(ExecutionInfo(raw_cell, False, False, True, None))


for holder in (shell, type(shell)):
    holder.run_cell_async = nothing
    holder.run_cell = holder.run_code = nothing_now

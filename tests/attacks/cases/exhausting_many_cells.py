"""A thousand cells, each of which takes as long as it may.

mlp.linear_backward: time limit | wrong | not written
mlp.momentum: right
"""
# %% build
slow = {"cell_type": "code", "metadata": {}, "source": "import time; time.sleep(0.2)", "outputs": []}
notebook["cells"] += [dict(slow) for _ in range(1000)]

"""A source of ten million blank lines, on which a careless pattern takes hours.

mlp.linear_backward: not written | time limit
"""
# %% build
own("mlp-linear-backward-answer")["source"] = "# exercise: mlp.linear_backward" + "\n \t" * 3_000_000
notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "#" * 1_000_000 + " exercise:" * 100_000})

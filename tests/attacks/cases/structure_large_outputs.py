"""A notebook of 15 MB, nearly all of it in outputs and widgets' states that nobody reads.

mlp.linear_backward: not written
absent: filler-of-outputs
"""
# %% build
notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": ["filler-of-outputs"] * 200_000}}
own("mlp-linear-backward")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["filler-of-outputs\n"] * 200_000}]

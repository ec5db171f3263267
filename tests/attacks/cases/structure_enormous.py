"""A notebook of 25 MB.

refused: MB
"""
# %% build
notebook["cells"][0]["source"] += " " * 25_000_000

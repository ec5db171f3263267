"""Numbers of a million digits where a notebook has its format, its counts and its points.

refused: not JSON
"""
# %% build
data = json.dumps(notebook).encode().replace(b'"nbformat": 4', b'"nbformat": 4' + b"9" * 1_000_000)

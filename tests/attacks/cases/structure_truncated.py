"""A notebook that ends in the middle.

refused: not JSON
"""
# %% build
data = json.dumps(notebook).encode()[:-2000]

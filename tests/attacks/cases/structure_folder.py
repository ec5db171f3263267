"""A folder that is called like the notebook.

refused: is a folder
"""
# %% build
def place(path):
    path.mkdir()
    (path / "02_backprop.ipynb").write_text(json.dumps(notebook))

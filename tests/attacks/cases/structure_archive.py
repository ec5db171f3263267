"""An archive with paths that climb out of the folder.

refused: is an archive
"""
# %% build
import zipfile


def place(path):
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.writestr("../../../gradebook.db", "@MARK@")
        archive.writestr("/tmp/@MARK@", "@MARK@")
        archive.writestr("02_backprop.ipynb", json.dumps(notebook))

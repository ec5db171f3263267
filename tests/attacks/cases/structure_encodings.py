"""The notebook in UTF-16 with a byte order mark and DOS line ends.

mlp.linear_backward: not written
"""
# %% build
for cell in notebook["cells"]:
    cell["source"] = cell["source"].replace("\n", "\r\n")
data = json.dumps(notebook, ensure_ascii=False, indent=1).replace("\n", "\r\n").encode("utf-16")

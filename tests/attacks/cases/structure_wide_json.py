"""Five million empty cells.

refused: cells; at most
"""
# %% build
data = b'{"cells": [' + b"{}," * 5_000_000 + b"{}]}"

"""Lists within lists, a million deep.

refused: not JSON
"""
# %% build
data = b'{"cells": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"

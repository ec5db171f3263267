"""JSON objects that say everything twice: the list of cells, a source, an id.

mlp.linear_backward: not written
"""
# %% build
text = json.dumps(notebook)
text = text.replace('"cells": [', '"cells": [], "cells": [', 1)
text = text.replace('"grade_id": "mlp-linear-backward"', '"grade_id": "other", "grade_id": "mlp-linear-backward"')
data = text.encode()

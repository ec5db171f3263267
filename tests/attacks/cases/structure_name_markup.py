"""A student whose name is a piece of markup.

student: <img src=x onerror=window.owned=1>
mlp.linear_backward: not written
"""

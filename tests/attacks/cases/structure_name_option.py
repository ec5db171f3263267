"""A student whose name is an option of the command line.

student: --no-sandbox
mlp.linear_backward: not written
"""

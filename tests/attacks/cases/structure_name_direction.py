"""A student whose name is written from right to left, after a letter that looks like another student's.

student: аda‮gpj.
mlp.linear_backward: not written
"""

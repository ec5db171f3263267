"""A student whose name is a formula.

student: =HYPERLINK("http:evil","x")&cmd|' C calc'!A0
mlp.linear_backward: not written
"""

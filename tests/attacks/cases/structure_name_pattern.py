r"""A student whose name is a pattern that fits all others, for whoever builds paths or expressions of it.

student: *[a-z]?(ada|{ada})%s$HOME`id`;\\
mlp.linear_backward: not written
"""

r"""A student whose name clears the terminal, rings its bell and breaks the line.

student: b'\x1b[2J\x07red\x1b[31m\nada,02_backprop,graded,23'
mlp.linear_backward: not written
"""

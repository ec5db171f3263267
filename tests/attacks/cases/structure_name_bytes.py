r"""A student whose name is no text in any encoding.

student: b'\xff\xfe\x80 nobody'
mlp.linear_backward: not written
"""

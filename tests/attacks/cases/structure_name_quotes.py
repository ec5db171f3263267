"""A student whose name ends a statement of SQL and begins another one.

student: ada'; drop table student; --"
mlp.linear_backward: not written
"""

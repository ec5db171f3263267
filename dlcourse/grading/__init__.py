"""Floor 4: grading whole submissions, written by strangers.

The submission runs in a sandboxed kernel; the judge, in another process outside, makes the inputs from a seed that
never crosses the wall, gets plain data back, and decides the points.
"""

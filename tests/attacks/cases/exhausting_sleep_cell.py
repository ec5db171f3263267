"""A cell that sleeps for a day.

mlp.linear_backward: time limit
"""
# %% answer mlp.linear_backward
import time

time.sleep(86_400)
